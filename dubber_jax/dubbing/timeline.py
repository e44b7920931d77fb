"""The timeline of a film: the slots of its lines, and which of them may overlap."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from dubber_jax.director.planner import Planner
from dubber_jax.dubbing.cast import folded
from dubber_jax.errors import BadInput
from dubber_jax.types import Direction, Line

LONGEST_LINE = 60.0  # s
SHORTEST_LINE = 0.2  # s: what a line has to keep when the character's next one begins


def within_film(lines: Sequence[Line], seconds: float) -> tuple[list[Line], list[str]]:
  """The lines that start before the end of the film, and warnings of those that do not or that would outlast it.

  Where most of them start after it, which is the script of another film, all are kept for `check_slots` to refuse.
  """
  late = {n for n, line in enumerate(lines, 1) if line.start is not None and line.start >= seconds}
  if 2 * len(late) > len(lines):
    late = set()
  kept = [line for n, line in enumerate(lines, 1) if n not in late]
  warnings = [f'line {n} starts after the end of the film at {seconds:.2f} s: it is left out' for n in sorted(late)]
  warnings += [
    f'line {n} would last to {line.end:.2f} s, past the end of the film at {seconds:.2f} s: it is cut there'
    for n, line in enumerate(lines, 1)
    if n not in late and line.end is not None and line.end > seconds + 0.1
  ]
  return kept, warnings


def check_slots(lines: Sequence[Line], seconds: float, path: str | Path) -> list[Line]:
  """Lines with their slots filled in: the whole film where none is given.

  Raises BadInput where one begins outside of it, ends before it begins, or is longer than a line may be.
  """
  checked = []
  if len(lines) > 1 and any(line.start is None for line in lines):
    raise BadInput(
      'the script has several lines without times (a screenplay has none): '
      'give a subtitle file, or speak them with `dubber speak --lines`'
    )
  for number, line in enumerate(lines, 1):
    start, end = line.start or 0.0, seconds if line.end is None else line.end
    if start >= seconds:
      raise BadInput(
        f'line {number} starts at {start:.2f} s and {path} lasts {seconds:.2f} s; give the film of this script'
      )
    if not 0 <= start < end:
      raise BadInput(f'line {number} lasts from {start:.2f} to {end:.2f} s: give an end after its start, from 0 on')
    end = min(end, seconds)
    if end - start > LONGEST_LINE:
      raise BadInput(
        f'line {number} has a slot of {end - start:.1f} s, the limit is {LONGEST_LINE:g} s; '
        'give its times in a subtitle file (--script)'
      )
    checked.append(dataclasses.replace(line, start=start, end=end))
  return checked


def separate_lines(lines: Sequence[Line]) -> tuple[list[Line], list[str]]:
  """Lines of which no two of the same character overlap, and warnings.

  One that does ends where the character's next begins; lines of several characters are heard at once, which is told.
  Raises BadInput where nothing would be left of a line.
  """
  parted, warnings = list(lines), []
  order = sorted(range(len(lines)), key=lambda i: lines[i].start)
  for place, i in enumerate(order):
    for j in order[place + 1 :]:
      line, after = parted[i], lines[j]
      if after.start >= line.end:
        break
      if folded(line.character) != folded(after.character):
        warnings.append(
          f'lines {i + 1} ({character_name(line)}) and {j + 1} ({character_name(after)}) overlap for '
          f'{min(line.end, after.end) - after.start:.2f} s: both are heard'
        )
        continue
      if after.start - line.start < SHORTEST_LINE:
        raise BadInput(
          f'lines {i + 1} and {j + 1} of {character_name(line)} begin within {SHORTEST_LINE:g} s of each other, at '
          f'{line.start:.2f} s: correct their times, or name who speaks them'
        )
      warnings.append(
        f'line {i + 1} of {character_name(line)} ends at {after.start:.2f} s, not {line.end:.2f} s: '
        f'their line {j + 1} begins there'
      )
      parted[i] = dataclasses.replace(line, end=after.start)
  return parted, warnings


def character_name(line: Line) -> str:
  return line.character or 'nobody by name'


def fixed_direction(direction: Direction, warnings: tuple[str, ...] = ()) -> Planner:
  """A planner that has this direction and no other."""
  return lambda *_, **__: (direction, warnings)
