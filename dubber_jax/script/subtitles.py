"""Reading lines of script from subtitles (SubRip, WebVTT, SubStation Alpha) and Fountain screenplays.

The file's text is decoded by text_file.py, its cues are read and repaired by cues.py, and what is spoken in them, and
by whom, is told by speakers.py.
"""

import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubber_jax.errors import BadInput
from dubber_jax.script.cues import Cue, Notes, in_order, read_ass, read_srt, read_vtt, without_credits, without_repeats
from dubber_jax.script.speakers import (
  CHANGE,
  Names,
  character_of,
  dash_of,
  join_rows,
  mark_sounds,
  parts_of,
  remove_songs,
  remove_sounds,
  take_directions,
  take_name,
)
from dubber_jax.script.text_file import read_text
from dubber_jax.types import Line

logger = logging.getLogger(__name__)

_MARKS = re.compile('[\ue000-\ue003]')  # of speakers, in rows
SIMULTANEOUS = 0.2  # s: two lines of nobody by name that begin within it are spoken one after the other


@dataclass(frozen=True)
class Script:
  """The spoken lines of a file, and what was left out or changed as it was read."""

  lines: tuple[Line, ...]
  warnings: tuple[str, ...] = ()


def load_script(path: str | os.PathLike, overlap: bool = False, names: Iterable[str] = ()) -> Script:
  """The spoken lines of a file, in order of time or, of a screenplay, of the text.

  Lines of subtitles have `start` and `end` in s; those of a screenplay None. Brackets at the beginning of a line are
  its stage direction; sounds, songs, credits and text on screen are left out. A cue of several speakers gives one line
  for each, with times in proportion to the lengths of their texts. `names`: of characters, as of a cast. A cue that
  cannot be read is left out or repaired, which is among the warnings. Raises BadInput for a file that cannot be read,
  for lines that overlap (without `overlap`), and for a file without a line.
  """
  path = Path(path)
  reader = READERS.get(path.suffix.lower())
  if reader is None:
    raise BadInput(f'{path}: not a script that can be read: give {", ".join(READERS)}')
  text, warnings = read_text(path)
  notes = Notes(path.name)
  if reader is read_fountain:
    lines = read_fountain(text, path)
  else:
    if reader is read_srt and re.match(r'WEBVTT(?:\s|$)', text):
      reader = read_vtt
    elif reader is read_srt and re.match(r'\s*\[Script Info\]', text):
      reader = read_ass
    lines = _lines_of_cues(reader(text, path, notes), names, notes)
    if not overlap:
      _check_overlaps(lines, path)
  lines = tuple(line for line in lines if re.search(r'\w', line.text))
  if not lines:
    told = [warning.removeprefix(f'{path.name}: ') for warning in notes.warnings()]
    raise BadInput(f'{path}: no spoken line in it{f" ({told[0]})" if told else ""}')
  return Script(lines, tuple(warnings + notes.warnings()))


def read_lines(path: str | os.PathLike, overlap: bool = False) -> tuple[Line, ...]:
  """The lines of `load_script`; its warnings are logged."""
  script = load_script(path, overlap)
  for warning in script.warnings:
    logger.warning(warning)
  return script.lines


def parse_line(
  text: str, start: float | None = None, end: float | None = None, character: str = '', names: Names | None = None
) -> Line:
  """Text of a script -> Line: "MARY: [whispering, angry] Come here!".

  The speaker's name before a colon becomes `character`, brackets at the beginning `stage_direction`; sounds further on
  are removed. names: what other lines show to be a name.
  """
  names = names or Names()
  announced = text.strip().startswith(CHANGE)
  rows = [row.replace(CHANGE, '').strip() for row in text.splitlines()]
  rows = [row[dash.end() :] if (dash := dash_of(row)) else row for row in rows]
  text = mark_sounds(join_rows([row for row in rows if row]))
  text, directions, speaker = take_directions(text, names)
  name, direction, text = take_name(text, names, announced)
  if name or direction:
    text, more, _ = take_directions(f'{direction} {text}'.strip())
    directions += more
  character = character or character_of(name or speaker)
  spoken = remove_sounds(_MARKS.sub(' ', text), names.notes)
  return Line(spoken, start, end, _MARKS.sub('', character).strip(), _MARKS.sub('', ', '.join(directions)))


# Subtitles


def _lines_of_cues(cues: list[Cue], names: Iterable[str], notes: Notes) -> list[Line]:
  cues = without_repeats(in_order(without_credits(cues, notes), notes), notes)
  known = Names.of(cues, names, notes)
  lines = []
  for cue in cues:
    rows, sung = remove_songs(cue.rows)
    if sung:
      notes.add('songs are left out', cue, sung)
    if rows:
      lines += _lines_of_cue(replace(cue, rows=tuple(rows)), known)
  lines = _in_turn([line for line in lines if re.search(r'\w', line.text)], notes)
  alone = [character_of(name) for folded, name in known.taken.items() if known.heads[folded] < 2]
  if alone and len(lines) > 1:
    notes.add(f'taken for speakers, each by one line alone: {", ".join(sorted(alone))}')
  return lines


def _lines_of_cue(cue: Cue, names: Names) -> list[Line]:
  """The lines of a cue: one for each speaker in it; its time is divided by the lengths of their texts."""
  lines = [parse_line(part.text, character=part.speaker, names=names) for part in parts_of(cue, names)]
  return _share(lines, cue.start, cue.stop)


def _share(lines: Sequence[Line], start: float, end: float) -> list[Line]:
  """Lines one after the other from `start` to `end`, each for a time in proportion to the length of its text."""
  least, end = max(len(line.text) for line in lines) / 50, max(end, start + 0.1 * (len(lines) > 1))
  letters = [0.0]
  for line in lines:
    letters.append(letters[-1] + max(1, least, len(line.text)))
  times = [round(start + (end - start) * share / letters[-1], 3) for share in letters]
  return [replace(line, start=times[i], end=times[i + 1]) for i, line in enumerate(lines)]


def _in_turn(lines: list[Line], notes: Notes) -> list[Line]:
  """Lines of nobody by name that begin together, one after the other."""
  groups: list[list[Line]] = []
  for line in sorted(lines, key=_start):
    first = groups[-1][0] if groups else None
    together = first and _start(line) - _start(first) < SIMULTANEOUS and not (line.character or first.character)
    if together:
      notes.add('lines that begin together are spoken one after the other', quote=line.text)
      groups[-1].append(line)
    else:
      groups.append([line])
  return [line for group in groups for line in _share(group, _start(group[0]), max(map(_end, group)))]


def _start(line: Line) -> float:
  return line.start or 0.0


def _end(line: Line) -> float:
  return line.end or 0.0


def _check_overlaps(lines: Sequence[Line], path: Path):
  previous = None
  for line in lines:
    if previous is not None and _start(line) < _end(previous):
      raise BadInput(
        f'{path}: "{line.text[:40]}" starts at {line.start:.3f} s, while "{previous.text[:40]}" lasts to '
        f'{previous.end:.3f} s: lines must not overlap'
      )
    previous = line


# Screenplays


def read_fountain(text: str, path: Path) -> list[Line]:
  """The dialogue of a Fountain screenplay, without times. Raises BadInput where it cannot be parsed."""
  from screenplay_tools.fountain.parser import ElementType, Parser

  parser = Parser()
  try:
    parser.add_text(text)
  except Exception as error:  # the parser has no exception of its own for damaged files
    raise BadInput(f'{path}: damaged screenplay: {" ".join(str(error).split())[:80]}') from None
  lines, character, direction = [], '', ''
  for element in parser.script.elements:
    if element.type == ElementType.CHARACTER:
      character, direction = (element.name or '').strip(), ''
    elif element.type == ElementType.PARENTHETICAL:
      direction = element.text.strip().strip('()').strip()
    elif element.type == ElementType.DIALOGUE:
      spoken = re.sub(r'\[\[.*?\]\]|\\(?=[*_])', '', element.text, flags=re.DOTALL)
      line = parse_line(re.sub(r'\*+|_', '', spoken), character=character)
      directions = [d for d in (direction, line.stage_direction) if d]
      lines.append(replace(line, stage_direction=', '.join(directions)))
      direction = ''
  return lines


READERS = {'.srt': read_srt, '.vtt': read_vtt, '.ass': read_ass, '.ssa': read_ass, '.fountain': read_fountain}
