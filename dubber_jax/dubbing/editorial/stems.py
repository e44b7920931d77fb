"""Stems: the sound of each character, and of music and effects, as broadcast waves of the film's length."""

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from dubber_jax.dubbing.editorial.lines import NOBODY, EditorialLine, without_accents
from dubber_jax.dubbing.mix import fill
from dubber_jax.media.container import MEDIA_ERRORS
from dubber_jax.media.film import SOUND_RATE
from dubber_jax.media.loudness import CEILING_DB, limit_peaks
from dubber_jax.media.sound import resample
from dubber_jax.types import SAMPLE_RATE

if TYPE_CHECKING:
  from av.audio.stream import AudioStream

BLOCK_SECONDS = 10  # of a stem that are in memory at once
BITS = 24
LAYOUTS = {1: 'mono', 2: 'stereo', 3: '3.0', 4: '4.0', 5: '5.0', 6: '5.1', 7: '6.1', 8: '7.1'}
LONGEST_NAME = 60  # characters of a file name, without its suffix
# File names that Windows keeps for devices.
RESERVED = {'con', 'prn', 'aux', 'nul', *(f'{port}{n}' for port in ('com', 'lpt') for n in range(1, 10))}


def stem_blocks(lines: Sequence[EditorialLine], samples: int) -> Iterator[np.ndarray]:
  """The sound of one character in a film of so many samples: blocks (S,) float32 at SOUND_RATE of BLOCK_SECONDS.

  Each take lies at its slot with its gain, faded as in the film; it is loaded when its time comes.
  """
  size = BLOCK_SECONDS * SOUND_RATE
  waiting = sorted(lines, key=lambda line: line.start)
  sounding: list[tuple[int, np.ndarray]] = []  # (first sample, sound) of the lines that this block reaches
  for begin in range(0, samples, size):
    end = min(begin + size, samples)
    while waiting and round(waiting[0].start * SOUND_RATE) < end:
      line = waiting.pop(0)
      sounding.append((round(line.start * SOUND_RATE), line_sound(line)))
    block = np.zeros(end - begin, np.float32)
    for first, sound in sounding:
      lower, upper = max(first, begin), min(first + len(sound), end)
      if lower < upper:
        block[lower - begin : upper - begin] += sound[lower - first : upper - first]
    sounding = [(first, sound) for first, sound in sounding if first + len(sound) > end]
    yield block


def line_sound(line: EditorialLine) -> np.ndarray:
  """(S,) at SOUND_RATE: the take of a line as it sounds in the film, from its slot's start on."""
  first, last = (round(time * SAMPLE_RATE) for time in (line.start, line.end))
  wave = fill(line.wave(), last - first) * np.float32(10 ** (line.gain / 20))
  sound = resample(wave, SAMPLE_RATE, SOUND_RATE)
  return limit_peaks(sound, SOUND_RATE) if np.abs(sound).max(initial=0) > 10 ** ((CEILING_DB - 3) / 20) else sound


def write_broadcast_wave(
  path: Path, blocks: Iterable[np.ndarray], title: str, time_reference: int = 0, rate: int = SOUND_RATE
) -> int:
  """Writes blocks (S,) or (S, C) float32 as a 24-bit broadcast wave (EBU Tech 3285) -> its samples.

  time_reference: samples from midnight to the first one. Files over 4 GB become RF64 (EBU Tech 3306). One block is held
  at a time. Raises OSError where the file cannot be written.
  """
  import av

  blocks = iter(blocks)
  first = next(blocks)
  layout, samples = LAYOUTS[first.shape[1] if first.ndim > 1 else 1], 0
  now = datetime.datetime.now(datetime.UTC)
  with open(path, 'wb') as file:
    output = _Output(file)
    try:
      with av.open(output, 'w', format='wav', options={'write_bext': '1', 'rf64': 'auto'}) as wav:
        channels = len(av.AudioLayout(layout).channels)
        stream = cast('AudioStream', wav.add_stream(f'pcm_s{BITS}le', rate=rate, layout=layout))
        wav.metadata.update(
          {
            'description': title.encode('ascii', 'replace').decode()[:256],
            'originator': 'dubber',
            'origination_date': now.strftime('%Y-%m-%d'),
            'origination_time': now.strftime('%H:%M:%S'),
            'time_reference': str(time_reference),
            'coding_history': f'A=PCM,F={rate},W={BITS},M={"mono" if channels == 1 else "stereo"}',
          }
        )
        block: np.ndarray | None = first
        while block is not None:
          if len(block):
            packed = np.round(np.clip(block, -1, 1).astype(np.float64) * (2 ** (BITS - 1) - 1)).astype(np.int32)
            frame = av.AudioFrame.from_ndarray((packed << 32 - BITS).reshape(1, -1), format='s32', layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, samples, Fraction(1, rate)
            wav.mux(stream.encode(frame))
            samples += len(block)
          block = next(blocks, None)
        wav.mux(stream.encode(None))
    except MEDIA_ERRORS as error:
      if output.error is not None:
        raise output.error from error
      raise
  return samples


class _Output:
  """File object for ffmpeg that keeps the first OSError, which ffmpeg does not report."""

  def __init__(self, file: BinaryIO):
    self.file = file
    self.error: OSError | None = None

  def write(self, data: bytes) -> int:
    try:
      return self.file.write(data)
    except OSError as error:
      self.error = self.error or error
      raise

  def seek(self, offset: int, whence: int = 0) -> int:
    return self.file.seek(offset, whence)

  def tell(self) -> int:
    return self.file.tell()


def file_names(characters: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
  """A file name without suffix for each character: letters without accents, digits, `-`, `_` and `.` (editing programs
  lose others), each another one also where case does not count, none that Windows keeps for itself."""
  used, names = {name.casefold() for name in taken}, {}
  for character in characters:
    clean = (
      re.sub(r'[^\w.-]+', '_', without_accents(character or NOBODY)).strip('._')[:LONGEST_NAME].rstrip('.')
      or 'character'
    )
    clean = f'{clean}_' if clean.split('.')[0].casefold() in RESERVED else clean
    name, number = clean, 2
    while name.casefold() in used:
      name, number = f'{clean}_{number}', number + 1
    used.add(name.casefold())
    names[character] = name
  return names
