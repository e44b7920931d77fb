"""Background of the dialogue, by blocks: the film's own sound without its dialogue (separated), muted or lowered in the
lines, or a track of music and effects; and the mix of the dialogue over it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.loudness import LoudnessMeter, limit_blocks
from dubber_jax.media.sound import BLOCK_SECONDS, CHANNELS, equal_blocks, exact_blocks, pcm16, sound_blocks
from dubber_jax.storage.atomic import complete_file

if TYPE_CHECKING:
  from dubber_jax.separation import Separator

SEPARATE, MUTE, DUCK, NONE = KINDS = 'separate', 'mute', 'duck', 'none'
OLD_NAMES = {'keep': MUTE}
LINE_GAINS = {MUTE: 0.0, DUCK: 10 ** (-18 / 20)}  # gain of the film's own sound during a line
FADE_SECONDS = {MUTE: 0.03, DUCK: 0.15}  # s, fade before and after a line
MAX_SHORTFALL = 1.0  # s by which a track may be shorter than its film
BLOCK = round(BLOCK_SECONDS * SOUND_RATE)
CENTER = 2  # channel of a 5.1 or 7.1 sound that carries the dialogue
FRONT = 3  # channels of it in which dialogue is looked for: left, right and center
BED_SCALE = 0.5  # of a separated background in its file, whose 16 bits leave 6 dB above full scale


def check_name(what: str) -> None:
  """Raises BadInput for a background of a name that is no more."""
  if what in OLD_NAMES and not Path(what).exists():
    raise BadInput(f'--background {what} is now called {OLD_NAMES[what]}; give that, or separate')


def check_background(what: str, film: Film) -> list[str]:
  """Raises BadInput for a background that cannot be had -> warnings. Decodes a file of music and effects once."""
  check_name(what)
  if what == NONE:
    return []
  if what in KINDS:
    return (
      [] if film.info.has_sound else [f'{film.path.name} has no sound of its own: there is no background to {what}']
    )
  track, count = Film(Path(what)), 0
  meter = LoudnessMeter(SOUND_RATE, track.channels)
  for block in sound_blocks(track.path, SOUND_RATE):
    meter.add(block)
    count += len(block)
  lasts, seconds = count / SOUND_RATE, film.seconds
  if not np.isfinite(meter.integrated()):
    raise BadInput(f'{what}: is silent; give a track of music and effects, or --background none')
  if lasts < seconds - MAX_SHORTFALL:
    raise BadInput(f'{what}: lasts {lasts:.2f} s, the film {seconds:.2f} s; give a track as long as the film')
  warning = f'{Path(what).name} lasts {lasts:.2f} s, the film {seconds:.2f} s: it is cut there'
  return [warning] if lasts > seconds + MAX_SHORTFALL else []


def background_blocks(
  what: str, film: Film, spans: Sequence[tuple[float, float]] = (), bed: Path | None = None
) -> Iterator[np.ndarray] | None:
  """The background under the dialogue, as long as the film: blocks (S, C) at SOUND_RATE of BLOCK_SECONDS; None: none.

  what: `separate`: the sound of the file `bed`, which `write_bed` wrote; `mute`: the film's own sound, silent in the
  `spans` (start s, end s); `duck`: lowered there by 18 dB; `none`; or a file of music and effects, used unchanged.
  """
  if what == NONE or (what in KINDS and not film.info.has_sound):
    return None
  if what == SEPARATE:
    assert bed is not None
    return read_bed(bed, film)
  if what in LINE_GAINS:
    return _lowered(film.sound_blocks(), spans, LINE_GAINS[what], FADE_SECONDS[what])
  track = Film(Path(what))
  return exact_blocks(sound_blocks(track.path, SOUND_RATE), film.samples, track.channels, BLOCK)


def background_channels(what: str, film: Film) -> int:
  """Channels of `background_blocks`; 1 where there is none."""
  if what == NONE or (what in KINDS and not film.info.has_sound):
    return 1
  return film.channels if what in KINDS else Film(Path(what)).channels


def _lowered(blocks, spans, lowered, fade):
  first = 0
  for block in blocks:
    yield block * ducking_gain(spans, first, len(block), SOUND_RATE, lowered, fade)[:, None]
    first += len(block)


def ducking_gain(
  spans: Sequence[tuple[float, float]], first: int, samples: int, rate: int, lowered: float, fade: float
) -> np.ndarray:
  """Gain curve (S,) float32 from sample `first` on: `lowered` in the `spans` (start s, end s), else 1, with
  sine-squared fades of `fade` s around them."""
  gain = np.ones(samples, np.float32)
  for start, end in spans:
    begin, last = max(first, round((start - fade) * rate)), min(first + samples, round((end + fade) * rate) + 1)
    if begin < last:
      time = np.arange(begin, last) / rate
      outside = np.maximum(np.maximum(start - time, time - end) / fade, 0).clip(0, 1)
      part = slice(begin - first, last - first)
      gain[part] = np.minimum(gain[part], lowered + (1 - lowered) * np.sin(outside * np.pi / 2) ** 2)
  return gain


def mixed_blocks(dialogue: Iterable[np.ndarray], background: Iterable[np.ndarray] | None) -> Iterator[np.ndarray]:
  """Dialogue (S, 1) and background (S, C) of equal length at SOUND_RATE -> blocks of their mix (S, C), peaks limited to
  -1 dB true peak. Without a background the dialogue alone."""
  if background is None:
    return limit_blocks(dialogue, SOUND_RATE)
  pairs = zip(equal_blocks(dialogue, BLOCK), equal_blocks(background, BLOCK), strict=True)
  return limit_blocks((add_dialogue(voice[:, 0], bed) for voice, bed in pairs), SOUND_RATE)


def add_dialogue(dialogue: np.ndarray, background: np.ndarray) -> np.ndarray:
  """Dialogue (S,) in the middle of a background (S, C): over two channels at equal power, of more in the center."""
  mix = np.array(background, np.float32)
  if mix.shape[1] > 2:
    mix[:, CENTER] += dialogue
  else:
    mix += (dialogue * np.float32(mix.shape[1] ** -0.5))[:, None]
  return mix


def write_bed(film: Film, separator: 'Separator', path: Path, on_block: Callable[[int], None] = lambda _: None) -> None:
  """Writes the film's sound without its dialogue as a FLAC file of its channels, for `read_bed`. One pass by blocks.

  separator: a `separation.Separator`; on_block: is told how many blocks are done, and may stop it. Raises BadInput
  where the sound cannot be read or the file not be written.
  """
  layout = next(name for name, channels in CHANNELS.items() if channels == film.channels)
  with complete_file(path, overwrite=True) as partial, av.open(str(partial), 'w', format='flac') as file:
    stream = file.add_stream('flac', rate=SOUND_RATE, layout=layout)
    count = 0
    for number, block in enumerate(separated_blocks(film, separator)):
      on_block(number)
      packed = pcm16(block * np.float32(BED_SCALE)).reshape(1, -1)
      frame = av.AudioFrame.from_ndarray(packed, format='s16', layout=layout)
      frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, count, Fraction(1, SOUND_RATE)
      file.mux(stream.encode(frame))
      count += len(block)
    file.mux(stream.encode(None))


def read_bed(path: Path, film: Film) -> Iterator[np.ndarray]:
  """The sound of a file of `write_bed`: blocks (S, C) at SOUND_RATE, as long as the film."""
  blocks = exact_blocks(sound_blocks(path, SOUND_RATE), film.samples, film.channels, BLOCK)
  return (block / np.float32(BED_SCALE) for block in blocks)


def separated_blocks(film: Film, separator: 'Separator') -> Iterator[np.ndarray]:
  """The film's sound without its dialogue: blocks (S, C), as long as the film. Of 5.1 and 7.1 dialogue is taken out of
  left, right and center; low frequencies and surrounds pass as they are."""
  blocks = film.sound_blocks()
  if film.channels <= 2:
    yield from exact_blocks(separator.remove_dialogue(blocks), film.samples, film.channels, BLOCK)
    return
  waiting: list[np.ndarray] = []

  def front():
    for block in blocks:
      waiting.append(block[:, FRONT:])
      yield block[:, :FRONT]

  for bed in exact_blocks(separator.remove_dialogue(front()), film.samples, FRONT, BLOCK):
    rest = np.concatenate(waiting)
    waiting[:] = [rest[len(bed) :]]
    yield np.concatenate([bed, rest[: len(bed)]], axis=1)
