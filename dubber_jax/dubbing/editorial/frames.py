"""Frame numbers and SMPTE timecode of a film, by its own frame rate, start timecode and drop-frame flag."""

import functools
import importlib.util
import math
import os
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import Any

from dubber_jax.errors import BadInput
from dubber_jax.media.container import choose_track, open_media

# SMPTE ST 12: the rates that timecode can count, in Hz.
RATES = tuple(
  Fraction(*rate)
  for rate in (
    (24000, 1001),
    (24, 1),
    (25, 1),
    (30000, 1001),
    (30, 1),
    (48000, 1001),
    (48, 1),
    (50, 1),
    (60000, 1001),
    (60, 1),
  )
)
DROP_RATES = (Fraction(30000, 1001), Fraction(60000, 1001))
SAME_RATE = 4e-4  # relative; 24 and 23.976 differ by 1e-3
EDL_ADAPTER, INSTALL = 'otio_cmx3600_adapter', 'pip install "dubber_jax[editorial]"'
TOLERANCE = 0.0006  # s: scripts give times to the nearest millisecond


@dataclass(frozen=True)
class FrameClock:
  """Frames of a film, counted from 0 at its first picture.

  rate: frames per second; start: the frame number of the first picture's timecode; drop: drop-frame timecode.
  """

  rate: Fraction
  start: int = 0
  drop: bool = False

  def first(self, seconds: float) -> int:
    """The frame in which `seconds` lies."""
    return max(0, math.floor((seconds + TOLERANCE) * self.rate))

  def after(self, seconds: float) -> int:
    """The first frame that begins at `seconds` or later: an exclusive end."""
    return max(0, math.ceil((seconds - TOLERANCE) * self.rate))

  def timecode(self, frame: int) -> str:
    """SMPTE timecode of a frame, `HH:MM:SS:FF`; with drop frame `HH:MM:SS;FF`."""
    return import_otio().opentime.to_timecode(self.time(self.start + frame), float(self.rate), self.drop)

  def time(self, frames: int) -> Any:
    """So many frames as opentimelineio's RationalTime."""
    return import_otio().opentime.RationalTime(frames, float(self.rate))

  def samples(self, sample_rate: int) -> int:
    """Samples from midnight of the film's timecode to its first picture: the time reference of a broadcast wave."""
    return round(self.start * sample_rate / self.rate)


def film_clock(path: str | os.PathLike[str], start: str | None = None) -> tuple[FrameClock, list[str]]:
  """The clock of a film file, and warnings; start: a timecode that goes before the film's own.

  The start timecode is that of the container, of the picture track or of a timecode track; 00:00:00:00 where there is
  none. Raises BadInput for a file that cannot be read and for a timecode that its rate does not have.
  """
  with open_media(path) as film:
    pictures = choose_track(film, 'video', path)
    average = Fraction(pictures.average_rate or 0)
    nominal = Fraction(pictures.guessed_rate or average)
    tags = [pictures.metadata, film.metadata, *(stream.metadata for stream in film.streams)]
  rate, warnings = nearest_rate(nominal or average)
  if average and abs(average / rate - 1) > 0.005 and not warnings:
    warnings.append(
      f'{path}: its frame rate varies ({float(average):.3f} on average): timecode counts {show_rate(rate)}'
    )
  own = next((value for found in tags for name, value in found.items() if name.lower() == 'timecode'), None)
  if start is not None:
    return clock_at(start, rate), warnings
  if not own:
    return FrameClock(rate), warnings
  try:
    return clock_at(own, rate), warnings
  except BadInput as error:
    return FrameClock(rate), [*warnings, f'{path}: its timecode is not used, the film begins at 00:00:00:00 ({error})']


def clock_at(timecode: str, rate: Fraction) -> FrameClock:
  """The clock of a film that begins at a timecode; one with `;` or `.` before the frames is drop frame."""
  text = timecode.strip().replace('.', ';')
  drop = ';' in text
  if drop and rate not in DROP_RATES:
    raise BadInput(f'timecode {timecode}: drop frame is for 29.97 and 59.94 frames a second, not {show_rate(rate)}')
  fields = text.replace(';', ':').split(':')
  if len(fields) != 4 or not all(field.isascii() and field.isdigit() and len(field) == 2 for field in fields):
    raise BadInput(f'timecode {timecode}: write it as 01:00:00:00, drop frame as 01:00:00;00')
  hours, minutes, seconds, frames = map(int, fields)
  count = round(rate)
  dropped = count // 15 if drop else 0  # frame numbers that are left out in each minute but every tenth
  if hours > 23 or minutes > 59 or seconds > 59 or frames >= count:
    raise BadInput(f'timecode {timecode}: there is no such time at {show_rate(rate)} frames a second')
  if drop and minutes % 10 and not seconds and frames < dropped:
    raise BadInput(f'timecode {timecode}: drop frame leaves this frame number out')
  whole = hours * 60 + minutes
  frame = (whole * 60 + seconds) * count + frames - dropped * (whole - whole // 10)
  return FrameClock(rate, frame, drop)


def nearest_rate(found: Fraction) -> tuple[Fraction, list[str]]:
  """The SMPTE rate of a film of so many frames a second, and a warning where it is none."""
  if found:
    for rate in RATES:
      if abs(found / rate - 1) < SAME_RATE:
        return rate, []
    for rate in RATES:  # 15 frames a second are every second one of 30
      if any(abs(found * whole / rate - 1) < SAME_RATE for whole in (2, 3, 4)):
        return rate, [f'timecode does not count {float(found):g} frames a second: {show_rate(rate)} are counted']
  rate = min(RATES, key=lambda rate: abs(rate - found)) if found else Fraction(25)
  return rate, [f'timecode does not count {float(found):.3f} frames a second: {show_rate(rate)} are counted']


def show_rate(rate: Fraction) -> str:
  """'23.976', '25'."""
  return f'{float(rate):.3f}'.rstrip('0').rstrip('.')


@functools.cache
def import_otio() -> ModuleType:
  """opentimelineio. Raises BadInput where it, or its adapter for EDL, is not installed."""
  try:
    import opentimelineio
  except ImportError as error:
    raise BadInput(f'files for an editor need opentimelineio: {INSTALL}') from error
  if importlib.util.find_spec(EDL_ADAPTER) is None:
    raise BadInput(f'files for an editor need {EDL_ADAPTER.replace("_", "-")}: {INSTALL}')
  return opentimelineio
