"""The dialogue track: each take in its slot, every character at one loudness; and how loud a film's dialogue was."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dubber_jax.dubbing.cast import folded
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.loudness import LoudnessMeter, gated_loudness, integrated_loudness, limit_blocks
from dubber_jax.media.sound import BLOCK_SECONDS, exact_blocks, resample_blocks
from dubber_jax.types import SAMPLE_RATE, Line

EDGE = 0.005  # s over which a line's sound comes up and goes down, so that neither end clicks
EVEN = 1.0  # dB that a take may lie from its character's level, besides what its direction asks for
PAUSE = 0.5  # s: in a longer pause within a line nothing is spoken
FAINT = -40.0  # dB to the loudest moment of a take, below which it is silent
MOST_REMOVED = 10.0  # LU by which removed dialogue may be below all sound in the lines, and still be dialogue
MOST_MATCHED = 3.0  # dB by which the dialogue is raised or lowered so that the film is as loud as before


@dataclass(frozen=True)
class LineAudio:
  """A line as it is to be heard. `asked`: dB, its direction's own loudness, which the waveform has; `overrun`: s for
  which it goes on after its slot; words: with their times."""

  line: Line
  waveform: np.ndarray  # (S,) at SAMPLE_RATE
  asked: float = 0.0
  overrun: float = 0.0
  words: tuple[tuple[float, float, str], ...] = ()  # (start s, end s, word) from the slot's start

  @property
  def span(self) -> tuple[float, float]:
    """(start s, end s) of the film in which it is heard."""
    return self.line.start, self.line.end + self.overrun

  @property
  def plain(self) -> np.ndarray:
    return self.waveform / 10 ** (self.asked / 20)


def character_levels(heard: list[LineAudio]) -> dict[str, float]:
  """{character: LUFS} of all that each says, without the directions' own loudness, so that a whisper stays one."""
  plain = {}
  for h in heard:
    plain.setdefault(folded(h.line.character), []).append(h.plain)
  return {character: integrated_loudness(np.concatenate(waves), SAMPLE_RATE) for character, waves in plain.items()}


def gain_of(heard: LineAudio, anchor: float, target: float) -> float:
  """dB by which a take is raised so that its character, at `anchor` LUFS, comes to `target`; one that lies further
  than EVEN from its character's level is brought that near."""
  if not np.isfinite(anchor):
    return 0.0
  level = integrated_loudness(heard.plain, SAMPLE_RATE)
  beside = level - anchor if np.isfinite(level) else 0.0
  return float(target - anchor - beside + np.clip(beside, -EVEN, EVEN))


def spoken_spans(heard: LineAudio) -> list[tuple[float, float]]:
  """(start s, end s) of the film in which the line is really spoken, pauses of over PAUSE s left out: by the times of
  its words, without these by the level of its waveform."""
  spans = [(start, end) for start, end, _ in heard.words] or _sounding(heard.waveform)
  start, joined = heard.line.start or 0.0, []
  for first, last in sorted(spans):
    if joined and first - joined[-1][1] <= PAUSE:
      joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
    else:
      joined.append((first, last))
  return [(start + first, start + last) for first, last in joined]


def _sounding(wave: np.ndarray) -> list[tuple[float, float]]:
  """(start s, end s) of each 10 ms of a waveform that is not FAINT."""
  hop = SAMPLE_RATE // 100
  power = np.square(wave[: len(wave) // hop * hop].reshape(-1, hop), dtype=np.float64).mean(1)
  loud = np.flatnonzero((power > power.max(initial=0) * 10 ** (FAINT / 10)) & (power > 1e-12))
  return [(float(i) * hop / SAMPLE_RATE, float(i + 1) * hop / SAMPLE_RATE) for i in loud]


def dialogue_blocks(heard: Sequence[LineAudio], gains: Sequence[float], seconds: float) -> Iterator[np.ndarray]:
  """Blocks (S, 1) at SAMPLE_RATE of BLOCK_SECONDS, of at least `seconds` together: every take in its own span, raised
  by its gain in dB; where these overlap, their sum; peaks limited."""
  return limit_blocks(_placed(heard, gains, seconds), SAMPLE_RATE)


def _placed(heard: Sequence[LineAudio], gains: Sequence[float], seconds: float) -> Iterator[np.ndarray]:
  size, total = (
    round(BLOCK_SECONDS * SAMPLE_RATE),
    round(max([seconds, *(h.span[1] - h.overrun for h in heard)]) * SAMPLE_RATE),
  )
  spans = np.array([[round(time * SAMPLE_RATE) for time in h.span] for h in heard])
  for begin in range(0, total, size):
    block = np.zeros((min(size, total - begin), 1), np.float32)
    for i in map(int, np.flatnonzero((spans[:, 0] < begin + len(block)) & (spans[:, 1] > begin))):
      first, last = spans[i]
      sound = fill(heard[i].waveform, last - first) * np.float32(10 ** (gains[i] / 20))
      part = sound[max(0, begin - first) : begin + len(block) - first]
      place = max(0, first - begin)
      block[place : place + len(part), 0] += part
    yield block


def film_dialogue(heard: Sequence[LineAudio], gains: Sequence[float], film: Film) -> Iterator[np.ndarray]:
  """`dialogue_blocks` at SOUND_RATE, as long as the film."""
  blocks = resample_blocks(dialogue_blocks(heard, gains, film.seconds), SAMPLE_RATE, SOUND_RATE)
  return exact_blocks(blocks, film.samples, 1, round(BLOCK_SECONDS * SOUND_RATE))


@dataclass(frozen=True)
class FilmLoudness:
  """Loudness of a film's own sound in LUFS, -inf for silence: of all of it; of all of it within the lines; and of its
  dialogue there, where a separator took it out. bed: (H,) power of what is left, see LoudnessMeter."""

  film: float = -np.inf
  lines: float = -np.inf
  dialogue: float | None = None
  bed: np.ndarray | None = None

  @property
  def target(self) -> float:
    """Of its dialogue: of what was taken out, where that is as loud as dialogue."""
    removed = self.dialogue
    return removed if removed is not None and removed > self.lines - MOST_REMOVED else self.lines


def measure_film(
  film: Film, spans: Sequence[tuple[float, float]], bed: Iterable[np.ndarray] | None = None
) -> FilmLoudness:
  """Measures the film's sound in one pass; spans: (start s, end s) of its lines, in order and none overlapping; bed:
  the same sound without its dialogue."""
  meters = [LoudnessMeter(SOUND_RATE, film.channels) for _ in range(4)]
  whole, lines, removed, left = meters
  first, beds = 0, iter(bed) if bed is not None else None
  for block in film.sound_blocks():
    whole.add(block)
    rest = next(beds) if beds is not None else None
    if rest is not None:
      left.add(rest)
    for start, end in spans:
      begin, last = (round(time * SOUND_RATE) - first for time in (start, end))
      part = slice(max(0, begin), max(0, last))
      if begin < len(block) and last > 0:
        lines.add(block[part])
        if rest is not None:
          removed.add(block[part] - rest[part])
    first += len(block)
  known = (removed.integrated(), left.powers) if beds is not None else (None, None)
  return FilmLoudness(whole.integrated(), lines.integrated(), *known)


def matching_gain(own: FilmLoudness, dialogue: Iterable[np.ndarray]) -> float:
  """dB by which new dialogue, blocks (S, 1) at SAMPLE_RATE, is raised so that over the film's bed it is as loud as the
  film was; at most MOST_MATCHED, the least change that comes within 0.1 LU of the nearest that can be."""
  if own.bed is None or not np.isfinite(own.film):
    return 0.0
  meter = LoudnessMeter(SAMPLE_RATE)
  for block in dialogue:
    meter.add(block)
  spoken, bed = meter.powers, own.bed
  spoken, bed = spoken[: len(bed)], bed[: len(spoken)]
  gains = np.linspace(-MOST_MATCHED, MOST_MATCHED, 61)
  off = np.abs([gated_loudness(bed + 10 ** (gain / 10) * spoken) - own.film for gain in gains])
  near = gains[off <= off.min() + 0.1]
  return float(near[np.argmin(np.abs(near))]) if np.isfinite(off).any() else 0.0


def fill(wave: np.ndarray, samples: int) -> np.ndarray:
  """(S,) cut or padded with silence to so many samples, and faded over EDGE at both ends."""
  wave = wave[:samples]
  edge = min(round(EDGE * SAMPLE_RATE), len(wave) // 2)
  rise = np.sin(np.linspace(0, np.pi / 2, edge, dtype=np.float32)) ** 2
  faded = np.concatenate([wave[:edge] * rise, wave[edge : len(wave) - edge], wave[len(wave) - edge :] * rise[::-1]])
  return np.pad(faded, (0, samples - len(wave)))
