"""What an editor is handed of each line, and the frames that it takes up."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dubber_jax.dubbing.editorial.frames import FrameClock
from dubber_jax.types import Line

NOBODY = 'Dialogue'  # of lines without a character


@dataclass(frozen=True)
class EditorialLine:
  """One line of a dubbed film, as it is in the film.

  wave: gives the take's waveform (S,) at SAMPLE_RATE from the slot's start on, when asked; gain: dB by which it is
  raised in the film; overrun: s for which it goes on after its slot; words: (start s, end s, word) from the slot's
  start; speech: (start s, end s) of the speech from there, where there are no words; take: its number; direction: in
  words; note: of a redo; approved: the critic accepted the take.
  """

  number: int
  line: Line
  wave: Callable[[], np.ndarray]
  gain: float = 0.0
  overrun: float = 0.0
  words: tuple[tuple[float, float, str], ...] = ()
  speech: tuple[float, float] | None = None
  take: int = 1
  direction: str = ''
  note: str = ''
  approved: bool = True
  warnings: tuple[str, ...] = ()

  @property
  def start(self) -> float:
    """s of the film at which its slot begins."""
    return self.line.start or 0.0

  @property
  def end(self) -> float:
    """s of the film at which its sound ends."""
    return (self.line.end or self.start) + self.overrun

  @property
  def character(self) -> str:
    return self.line.character.strip() or NOBODY


def by_character(lines: Sequence[EditorialLine]) -> dict[str, list[EditorialLine]]:
  """The lines of each character in the order of time, characters in the order of their first lines; names that differ
  in case alone are one character."""
  found: dict[str, tuple[str, list[EditorialLine]]] = {}
  for line in sorted(lines, key=lambda line: (line.start, line.number)):
    found.setdefault(line.character.casefold(), (line.character, []))[1].append(line)
  return dict(found.values())


def frame_spans(lines: Sequence[EditorialLine], clock: FrameClock) -> list[tuple[int, int]]:
  """(first frame, one past the last) of each line of one character: all frames in which it sounds. A frame that two
  lines share belongs to the earlier one."""
  spans, reached = [], 0
  for line in lines:
    first = max(reached, clock.first(line.start))
    reached = max(first + 1, clock.after(line.end))
    spans.append((first, reached))
  return spans


def without_accents(text: str) -> str:
  """Text with the bare letters of accented ones; letters of other scripts stay."""
  letters = {'ß': 'ss', 'æ': 'ae', 'Æ': 'AE', 'ø': 'o', 'Ø': 'O', 'œ': 'oe', 'Œ': 'OE', 'ł': 'l', 'Ł': 'L'}
  text = unicodedata.normalize('NFKD', ''.join(letters.get(c, c) for c in text))
  return unicodedata.normalize('NFC', ''.join(c for c in text if not unicodedata.combining(c)))
