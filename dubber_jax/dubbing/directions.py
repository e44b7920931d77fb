"""Directions as JSON: those of one dub, played again over other lines of the same film, as in another language."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dubber_jax.director.limits import LIMITS, PAUSE_LIMITS, clipped_pause
from dubber_jax.director.notes.describe import describe
from dubber_jax.errors import BadInput
from dubber_jax.storage import json_files
from dubber_jax.storage.atomic import write_json
from dubber_jax.storage.hashing import sha256_text
from dubber_jax.types import EMOTIONS, Direction, Line

FORMAT = 1


def direction_from(fields: Mapping[str, Any], where: str | Path) -> Direction:
  """A Direction of its JSON. Raises BadInput where that is not one."""
  known = {field.name for field in dataclasses.fields(Direction)}
  try:
    fields = {k: v for k, v in fields.items() if k in known}
    for name in ('emotion', 'emphasis'):
      if name in fields:
        fields[name] = tuple(float(value) for value in fields[name])
    if 'pauses' in fields:
      fields['pauses'] = tuple((int(word), float(seconds)) for word, seconds in fields['pauses'])
    direction = Direction(**fields)
    numbers = [getattr(direction, name) for name in known if isinstance(getattr(Direction(), name), float)]
    if len(direction.emotion) != len(EMOTIONS) or not np.isfinite([*map(float, numbers), *direction.emotion]).all():
      raise ValueError('numbers are missing')
  except (AttributeError, TypeError, ValueError, OverflowError) as error:
    raise BadInput(f'{where}: not a direction ({error}); give directions that `dubber dub` wrote') from None
  return direction


def read_directions(
  path: str | Path, lines: Sequence[Line], words: Sequence[tuple[str, ...]]
) -> tuple[list[Direction | None], list[str]]:
  """The directions of a project, or of its directions.json, for other lines of the same film, and warnings.

  Each line takes the direction whose slot it shares most of, rather one of the same character; None where there is
  none. words: of each line. Pauses and emphasis, which count words, go along only where the text is the same.
  """
  path = Path(path)
  path = path / 'directions.json' if path.is_dir() else path
  stored = read_json(path, 'give a project folder, or its directions.json')
  rows, warnings = [], []
  try:
    for number, row in enumerate(stored['lines'], 1):
      start, end, character = float(row['start']), float(row['end']), row['character']
      if not (np.isfinite([start, end]).all() and 0 <= start < end and isinstance(character, str)):
        raise ValueError(f'line {number} from {start:g} to {end:g} s by {character!r:.40}')
      direction, clipped = within_limits(direction_from(row['direction'], path), f'{path}, line {number}')
      warnings += clipped
      rows.append((Line('', start, end, character), row['text_hash'], direction))
  except BadInput:
    raise
  except (KeyError, TypeError, ValueError, OverflowError) as error:
    raise BadInput(f'{path}: not directions that `dubber dub` wrote ({error!r})') from None
  found = []
  for number, (line, own) in enumerate(zip(lines, words, strict=True), 1):
    shared = [min(line.end, other.end) - max(line.start, other.start) for other, _, _ in rows]
    if max(shared, default=0.0) <= 0:
      warnings.append(f'line {number}: {path} has no direction for {line.start:.2f} to {line.end:.2f} s; it is planned')
      found.append(None)
      continue
    own_first = [
      (seconds > 0 and row[0].character == line.character, seconds) for seconds, row in zip(shared, rows, strict=True)
    ]
    _, text_hash, direction = rows[own_first.index(max(own_first))]
    if text_hash != hash_of_text(line) and (direction.pauses or direction.emphasis):
      direction = direction.replace(pauses=(), emphasis=())
      warnings.append(f'line {number}: its words are others than those directed: pauses and emphasis are left out')
    note, note_zh = describe(direction, own)
    found.append(direction.replace(note=note, note_zh=note_zh))
  return found, warnings


def within_limits(direction: Direction, where: str) -> tuple[Direction, list[str]]:
  """A direction whose numbers are those that can be played, and a warning that names those that were not."""
  values = {name: float(getattr(direction, name)) for name in LIMITS}
  clipped = {name: min(max(value, LIMITS[name][0]), LIMITS[name][1]) for name, value in values.items()}
  changes: dict[str, Any] = {name: value for name, value in clipped.items() if value != values[name]}
  pauses = tuple((word, clipped_pause(seconds)) for word, seconds in direction.pauses if 0 <= word < 10_000)
  if len(pauses) < len(direction.pauses) or any(
    not PAUSE_LIMITS[0] <= seconds <= PAUSE_LIMITS[1] for _, seconds in direction.pauses
  ):
    changes['pauses'] = pauses[:1000]
  shares = np.clip(direction.emotion, 0, 1)
  if not shares.sum() > 0:
    raise ValueError('no emotion has a share')
  if abs(sum(direction.emotion) - 1) > 0.01 or (shares != direction.emotion).any():
    changes['emotion'] = tuple(float(share) for share in shares / shares.sum())
  if not changes:
    return direction, []
  told = ', '.join(f'{name} {values[name]:.3g}' if name in values else name for name in changes)
  return direction.replace(**changes), [f'{where}: out of range, brought back: {told}']


def write_directions(path: Path, played: Sequence[tuple[Line, Direction]]):
  """Writes how each line is played, without its words or the notes that name them."""
  rows = []
  for number, (line, direction) in enumerate(played, 1):
    fields = {k: v for k, v in dataclasses.asdict(direction).items() if not k.startswith('note')}
    rows.append(
      {
        'line': number,
        'start': line.start,
        'end': line.end,
        'character': line.character,
        'text_hash': hash_of_text(line),
        'direction': fields,
      }
    )
  write_json({'format': FORMAT, 'lines': rows}, path, overwrite=True)


def hash_of_text(line: Line) -> str:
  """Sixteen hex digits by which two lines of the same words are known."""
  return sha256_text(line.text)[:16]


def read_json(path: Path, what_to_do: str = 'run the same `dubber dub` again') -> Any:
  """A JSON file. Raises BadInput, with what to do, where it cannot be read."""
  return json_files.read_json(path, what_to_do)
