"""What was changed in a project at the desk, so that it can be taken back: desk.json in the project folder.

What can be changed are pointers: which take of a line is in the film, whose voice speaks it, which reference it is
played with, whether it is accepted, and what is behind the dialogue. A change is {pointer: [value before, after]};
takes, voices and references themselves are never deleted, so that undoing a change moves pointers back.

A change of several pointers is written to desk.json before they are moved, and finished when the project is opened
again after a kill. What the command line changed meanwhile becomes a change of its own.
"""

import dataclasses
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubber_jax.dubbing.line_references import choose_reference, chosen_reference
from dubber_jax.dubbing.project import Project, ProjectState
from dubber_jax.storage.atomic import atomic_file

logger = logging.getLogger(__name__)

NAME = 'desk.json'
FORMAT = 1
LONGEST = 200  # changes that can be taken back
LARGEST = 16 << 20  # bytes of desk.json
OUTSIDE = 'outside'  # kind of a change that was made by the command line

Pointers = dict[
  str, Any
]  # 'take/3': [take, the dub's own], 'voice/3': hash, 'reference/3': key, 'accepted/3', 'background'


@dataclass(frozen=True)
class Change:
  """kind: note, direction, take, choose, accept, reference, guide, voice, background or outside; line, character: what
  it is of; changes: {pointer: [before, after]}."""

  kind: str
  changes: Mapping[str, list[Any]]
  line: int | None = None
  character: str = ''

  @property
  def text(self) -> str:
    """The change in words, as 'note on line 3'."""
    words = {
      'note': 'note',
      'direction': 'direction',
      'take': 'another take',
      'choose': 'choice of a take',
      'accept': 'acceptance',
      'reference': 'reference',
      'guide': 'guide',
      'voice': 'voice',
      'background': 'background',
      OUTSIDE: 'changes by the command line',
    }
    said = words.get(self.kind, 'change')
    if self.line is not None:
      return f'{said} {"of" if self.kind in ("reference", "guide", "choose", "accept") else "on"} line {self.line}'
    return f'{said} of {self.character}' if self.character else said

  @classmethod
  def from_json(cls, found: Any) -> 'Change':
    changes = {str(name): [value[0], value[1]] for name, value in found['changes'].items()}
    line = found.get('line')
    return cls(str(found['kind']), changes, None if line is None else int(line), str(found.get('character', '')))


@dataclass(frozen=True)
class DeskState:
  """What desk.json holds. version: grows by every change; accepted: numbers of accepted lines; pointers: as the last
  change left them; pending: (a change that is being made, 0 or 1 for the side to which its pointers move);
  film_background: what is behind the dialogue in the film that lies there; unfinished: work that a job has begun."""

  version: int = 1
  accepted: tuple[int, ...] = ()
  pointers: Pointers | None = None
  undo: tuple[Change, ...] = ()
  redo: tuple[Change, ...] = ()
  pending: tuple[Change, int] | None = None
  film_background: str = ''
  unfinished: Mapping[str, Any] | None = None

  def to_json(self) -> dict[str, Any]:
    return dataclasses.asdict(self) | {'format': FORMAT}

  @classmethod
  def from_json(cls, found: Any) -> 'DeskState':
    """What `to_json` gave. Raises KeyError, TypeError or ValueError where it is damaged."""
    if found['format'] != FORMAT:
      raise ValueError(f'format {found["format"]}')
    pending, pointers, unfinished = found['pending'], found['pointers'], found['unfinished']
    if not isinstance(pointers, dict | None) or not isinstance(unfinished, dict | None):
      raise TypeError('pointers')
    return cls(
      int(found['version']),
      tuple(int(n) for n in found['accepted']),
      pointers,
      tuple(Change.from_json(change) for change in found['undo']),
      tuple(Change.from_json(change) for change in found['redo']),
      None if pending is None else (Change.from_json(pending[0]), int(pending[1])),
      str(found['film_background']),
      unfinished,
    )


def read_desk(folder: Path) -> DeskState:
  """What desk.json of a project holds; of one that is missing or damaged, what a new one does."""
  path = folder / NAME
  try:
    if path.stat().st_size > LARGEST:
      raise ValueError(f'more than {LARGEST >> 20} MiB')
    return DeskState.from_json(json.loads(path.read_text(encoding='utf-8')))
  except FileNotFoundError:
    return DeskState()
  except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError) as error:
    logger.warning(f'{path}: cannot be read ({error!r}): what was accepted and could be taken back is lost')
    return DeskState()


def write_desk(folder: Path, desk: DeskState) -> None:
  with atomic_file(folder / NAME) as partial:
    partial.write_text(json.dumps(desk.to_json(), ensure_ascii=False), encoding='utf-8')


def read_pointers(work: Project, state: ProjectState, accepted: tuple[int, ...]) -> Pointers:
  """The pointers of a project as they are."""
  found: Pointers = {'background': state.background}
  for number in range(1, len(state.lines) + 1):
    found[f'take/{number}'] = list(work.chosen(number) or (0, 0))
    found[f'voice/{number}'] = state.voice_of[number - 1]
    found[f'reference/{number}'] = chosen_reference(work, number)
    found[f'accepted/{number}'] = number in accepted
  return found


def synced(work: Project, desk: DeskState) -> DeskState:
  """The state of the desk with what was left unfinished done, and with what others changed in the project as a change;
  written where it differs. The project is locked."""
  if desk.pending is not None:
    change, side = desk.pending
    desk = _moved(work, desk, change, side)
  state = work.state
  now = read_pointers(work, state, desk.accepted)
  before = desk.pointers
  if before == now:
    return desk
  if before is None or before.keys() != now.keys():  # a new project, or other lines
    lines = len(state.lines)
    accepted = tuple(n for n in desk.accepted if n <= lines)
    desk = DeskState(desk.version + (before is not None), accepted, film_background=state.background)
    desk = dataclasses.replace(desk, pointers=read_pointers(work, state, accepted))
  else:
    changes = {name: [before[name], value] for name, value in now.items() if before[name] != value}
    accepted = set(desk.accepted)
    for name in [name for name in changes if name.startswith('take/')]:
      number = int(name.removeprefix('take/'))
      if number in accepted:
        accepted.discard(number)
        changes[f'accepted/{number}'] = [True, False]
    film = state.background if 'background' in changes else desk.film_background  # the command line wrote it
    desk = dataclasses.replace(desk, accepted=tuple(sorted(accepted)), film_background=film)
    desk = _done(work, desk, Change(OUTSIDE, changes))
  write_desk(work.folder, desk)
  return desk


def commit(work: Project, desk: DeskState, change: Change, grow: bool = False) -> DeskState:
  """Makes a change: moves its pointers and notes it. grow: it goes on with the last one, with which it is taken back
  together. The project is locked and synced."""
  if not change.changes:
    return desk
  desk = _move(work, desk, change, 1)
  if grow and desk.undo and (last := desk.undo[-1]).kind == change.kind and last.character == change.character:
    joined = dict(last.changes)
    for name, (before, after) in change.changes.items():
      joined[name] = [joined[name][0] if name in joined else before, after]
    desk = dataclasses.replace(desk, undo=desk.undo[:-1])
    change = dataclasses.replace(change, changes=joined)
  desk = _done(work, desk, change)
  write_desk(work.folder, desk)
  return desk


def undo(work: Project, desk: DeskState) -> DeskState:
  """Takes the last change back, where there is one."""
  if not desk.undo:
    return desk
  desk = _moved(work, desk, desk.undo[-1], 0)
  return desk


def redo(work: Project, desk: DeskState) -> DeskState:
  """Makes the change again that was taken back last, where there is one."""
  if not desk.redo:
    return desk
  return _moved(work, desk, desk.redo[-1], 1)


def _moved(work: Project, desk: DeskState, change: Change, side: int) -> DeskState:
  """After a change's pointers went to a side: on undo it goes to `redo`, otherwise to `undo`."""
  desk = _move(work, desk, change, side)
  if side == 0:
    undone = desk.undo[:-1] if desk.undo and desk.undo[-1] == change else desk.undo
    desk = dataclasses.replace(desk, undo=undone, redo=(*desk.redo, change)[-LONGEST:])
  else:
    left = desk.redo[:-1] if desk.redo and desk.redo[-1] == change else ()
    desk = dataclasses.replace(desk, undo=(*desk.undo, change)[-LONGEST:], redo=left)
  pointers = read_pointers(work, work.state, desk.accepted)
  desk = dataclasses.replace(desk, version=desk.version + 1, pending=None, pointers=pointers)
  write_desk(work.folder, desk)
  return desk


def _done(work: Project, desk: DeskState, change: Change) -> DeskState:
  return dataclasses.replace(
    desk,
    version=desk.version + 1,
    undo=(*desk.undo, change)[-LONGEST:],
    redo=(),
    pending=None,
    pointers=read_pointers(work, work.state, desk.accepted),
  )


def _move(work: Project, desk: DeskState, change: Change, side: int) -> DeskState:
  """Moves a change's pointers to one side of it."""
  if sum(not name.startswith('accepted/') for name in change.changes) > 1:
    write_desk(work.folder, dataclasses.replace(desk, pending=(change, side)))
  accepted, state = set(desk.accepted), work.state
  voice_of, background = list(state.voice_of), state.background
  for name, values in change.changes.items():
    kind, _, number = name.partition('/')
    value, line = values[side], int(number or 0)
    if kind == 'take':
      work.choose(line, value[0], value[1])
    elif kind == 'reference':
      choose_reference(work, line, value)
    elif kind == 'accepted':
      (accepted.add if value else accepted.discard)(line)
    elif kind == 'voice':
      voice_of[line - 1] = value
    elif kind == 'background':
      background = value
  if (tuple(voice_of), background) != (state.voice_of, state.background):
    work.write_state(dataclasses.replace(state, voice_of=tuple(voice_of), background=background))
  return dataclasses.replace(desk, accepted=tuple(sorted(accepted)))
