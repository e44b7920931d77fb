"""What the desk's page is told of a project and of a line, as JSON (docs/reference/desk_api.md)."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dubber_jax.director.limits import LIMITS, PAUSE_LIMITS
from dubber_jax.dubbing.cast import folded
from dubber_jax.dubbing.comparison import TakeMeasures
from dubber_jax.dubbing.page_lines import take_changes
from dubber_jax.dubbing.project import ProjectState
from dubber_jax.dubbing.result import LineResult
from dubber_jax.dubbing.takes import WEIGHTS
from dubber_jax.errors import BadInput
from dubber_jax.media.background import KINDS, NONE
from dubber_jax.serving.desk.history import Change, DeskState
from dubber_jax.serving.desk.sessions import DeskSessions, ProjectSession
from dubber_jax.serving.dub_records import ABOUT, PROJECT
from dubber_jax.serving.errors import ApiError
from dubber_jax.storage.json_files import read_json
from dubber_jax.types import EMOTIONS, MODALITIES, Direction, emotion_name

UNCERTAIN = 0.005  # share of an emotion that is not told


def projects_json(desk: DeskSessions) -> list[dict[str, Any]]:
  """All projects, the one that was changed last first; those that cannot be read are named with an error."""
  found = []
  for identity, folder in desk.folders().items():
    session = desk.open(identity)
    row: dict[str, Any] = {'id': identity, 'name': project_name(folder)}
    row['modified'] = max((path.stat().st_mtime for path in folder.glob('*.json')), default=0.0)
    job = session.server.jobs.of(identity)
    row['job'] = job.to_json() if job else None
    try:
      state, log = session.state(), session.desk()
      row |= {'name': project_name(folder, state), 'lines': len(state.lines), 'accepted': len(log.accepted)}
      found.append(row | {'seconds': round(state.seconds, 3), 'error': None})
    except ApiError as error:
      found.append(row | {'lines': 0, 'accepted': 0, 'seconds': 0.0, 'error': error.message})
  return sorted(found, key=lambda row: -row['modified'])


def project_name(folder: Path, state: ProjectState | None = None) -> str:
  """What a project is called: as the film that was uploaded, as its film, else as its folder."""
  with contextlib.suppress(BadInput, KeyError, TypeError):
    name = read_json(folder.parent / ABOUT)['name'] if folder.name == PROJECT else ''
    if isinstance(name, str) and name:
      return Path(name).stem
  return Path(state.film).stem if state else folder.name


def project_json(session: ProjectSession, desk: DeskState | None = None) -> dict[str, Any]:
  """The project with its lines."""
  desk = desk or session.desk()
  state = session.state()
  job = session.server.jobs.of(session.id)
  width = height = 0
  missing, ready = None, False
  try:
    info = session.film(state).info
    width, height = info.width, info.height
    backgrounds = [*KINDS] if info.has_sound else [NONE]
    ready = session.server.desk.previews.find(session, state)[2] is None
  except ApiError as error:
    missing = error.message if error.code != 'film_not_ready' else None
    backgrounds = [state.background if state.background in KINDS else NONE]
  lines = [line_row(session, state, desk, number) for number in range(1, len(state.lines) + 1)]
  background = state.background if state.background in KINDS else Path(state.background).name
  return {
    'id': session.id,
    'name': project_name(session.folder, state),
    'version': desk.version,
    'seconds': round(state.seconds, 3),
    'width': width,
    'height': height,
    'film_error': missing,
    'film_ready': ready,
    'director': state.director,
    'model': Path(state.model).name,
    'job': job.to_json() if job else None,
    'lines': lines,
    'characters': _characters(state),
    'voices': _voices(session, state),
    'background': background,
    'backgrounds': backgrounds if background in backgrounds else [background, *backgrounds],
    **_history_json(desk),
    'exported': is_exported(session, state, desk),
    'output': Path(state.out).name,
    'warnings': list(state.warnings),
  }


def line_row(session: ProjectSession, state: ProjectState, desk: DeskState, number: int) -> dict[str, Any]:
  """A line as it is in the list."""
  line, work = state.lines[number - 1], session.work
  take = (work.chosen(number) or (0, 0))[0]
  result, made = session.result(number, take), work.made(number, take) or {}
  reference = session.reference(number)
  direction = result.direction if result else Direction()
  return {
    'number': number,
    'start': line.start,
    'end': line.end,
    'text': line.text,
    'character': line.character,
    'stage_direction': line.stage_direction,
    'emotion': emotion_name(direction.emotion),
    'intensity': round(direction.intensity, 3),
    'rate': made.get('rate', 1.0),
    'overrun_seconds': round(result.overrun_seconds, 3) if result else 0.0,
    'warnings': list(result.warnings) if result else ['this line was not played yet'],
    'accepted': number in desk.accepted,
    'take': take,
    'takes': work.takes(number),
    'voice': state.voices.get(state.voice_of[number - 1], ''),
    'reference': reference.name if reference else None,
    'guide': bool(made.get('guide')),
    'fit': result.fit if result else state.fit,
  }


def line_json(session: ProjectSession, number: int, desk: DeskState | None = None) -> dict[str, Any]:
  """A line with its takes and why it was directed so."""
  desk, state = desk or session.desk(), session.state()
  number = session.line(state, number)
  row = line_row(session, state, desk, number)
  result = session.result(number, row['take'])
  takes = takes_json(session, state, number)
  limits = {name: list(bounds) for name, bounds in LIMITS.items()}
  limits |= {'pauses': list(PAUSE_LIMITS), 'emphasis': list(WEIGHTS)}
  return row | {
    'version': desk.version,
    'takes': takes,
    'why': _why(session, state, result) if result else None,
    'words': [word for _, _, word in result.words or ()] if result else [],
    'limits': limits,
  }


def takes_json(session: ProjectSession, state: ProjectState, number: int) -> list[dict[str, Any]]:
  """All whole takes of a line, the first one first."""
  changes = take_changes(session.work, number, character_level(session, state, number))
  found = []
  for take, told in changes.items():
    result, made = session.result(number, take), session.work.made(number, take) or {}
    if result is None:
      continue
    start = state.lines[number - 1].start or 0.0
    words = [[word, round(start + first, 3), round(start + last, 3)] for first, last, word in result.words or ()]
    found.append(
      {
        'number': take,
        'note': told.note,
        'change': told.change,
        'change_zh': told.change_zh,
        'from': made.get('of'),
        'dubbed': 'of' not in made,
        'by': made.get('by', 'note' if told.note else 'dub' if 'of' not in made else 'take'),
        'voice': result.voice,
        'fit': result.fit,
        'seconds': round(result.slot_seconds + result.overrun_seconds, 3),
        'rate': made.get('rate', 1.0),
        'warnings': list(result.warnings),
        'direction': direction_json(result.direction),
        'scores': take_scores(result),
        'words': words,
      }
    )
  return found


def character_level(session: ProjectSession, state: ProjectState, number: int) -> float:
  """The level in LUFS of a line's character, of the loudness and length of its dubbed takes."""
  character = folded(state.lines[number - 1].character)
  power = seconds = 0.0
  for other, line in enumerate(state.lines, 1):
    if folded(line.character) != character:
      continue
    made = session.work.made(other, (session.work.chosen(other) or (0, 0))[1]) or {}
    try:
      measures = TakeMeasures.from_json(made['measures'])
    except (KeyError, TypeError):
      continue
    if measures.plain_lufs is not None:
      power += measures.seconds * 10 ** (measures.plain_lufs / 10)
      seconds += measures.seconds
  return 10 * math.log10(power / seconds) if power > 0 and seconds > 0 else -math.inf


def direction_json(direction: Direction) -> dict[str, Any]:
  """A direction, its emotions by name."""
  shares = {e: round(share, 4) for e, share in zip(EMOTIONS, direction.emotion, strict=True) if share >= UNCERTAIN}
  controls = {name: getattr(direction, name) for name in LIMITS}
  return {
    'emotion': shares,
    **controls,
    'pauses': [list(pause) for pause in direction.pauses],
    'emphasis': list(direction.emphasis),
    'note': direction.note,
    'note_zh': direction.note_zh,
  }


def take_scores(result: LineResult) -> dict[str, float]:
  """The critic's scores of a take: of the best of its rehearsal, which was kept."""
  best = [done.takes[done.best] for done in result.rounds if 0 <= done.best < len(done.takes)]
  if not best:
    return {}
  return dict(max(best, key=lambda take: (take.accepted, take.scores.get('overall', 0.0))).scores)


def is_exported(session: ProjectSession, state: ProjectState, desk: DeskState) -> bool:
  """Whether the film that lies there has the takes that are chosen, and this background."""
  chosen = tuple((session.work.chosen(n) or (0, 0))[0] for n in range(1, len(state.lines) + 1))
  same = state.exported == chosen and (desk.film_background or state.background) == state.background
  return same and Path(state.out).is_file()


def change_json(change: Change) -> dict[str, Any]:
  """A change in parts, for pages that name it in another language."""
  return {'kind': change.kind, 'line': change.line, 'character': change.character}


def _history_json(desk: DeskState) -> dict[str, Any]:
  last, undone = (desk.undo or (None,))[-1], (desk.redo or (None,))[-1]
  return {
    'undo': last and last.text,
    'redo': undone and undone.text,
    'undo_change': last and change_json(last),
    'redo_change': undone and change_json(undone),
  }


def _characters(state: ProjectState) -> list[dict[str, Any]]:
  found: dict[str, dict[str, Any]] = {}
  for number, line in enumerate(state.lines, 1):
    row = found.setdefault(folded(line.character), {'name': line.character, 'voice': '', 'lines': 0})
    row['lines'] += 1
    row['voice'] = state.voices.get(state.voice_of[number - 1], '')
  return list(found.values())


def _voices(session: ProjectSession, state: ProjectState) -> list[dict[str, Any]]:
  shipped = list(session.server.engine.voices)
  others = [str(getattr(voice, 'name', voice)) for voice in session.server.voices.names()]
  others = [name for name in dict.fromkeys([*others, *state.voices.values()]) if name not in shipped]
  return [{'name': name, 'shipped': True} for name in shipped] + [{'name': name, 'shipped': False} for name in others]


def _why(session: ProjectSession, state: ProjectState, result: LineResult) -> dict[str, Any]:
  """What the director read and retrieved, and the rounds of the rehearsal."""
  reading = result.reading
  emotions = {} if reading is None else {m: _shares(shares) for m, shares in reading.emotions.items()}
  return {
    'captions': {} if reading is None else dict(reading.captions),
    'emotions': emotions,
    'agreement': None if reading is None else reading.agreement,
    'mixed': reading and reading.mixed and list(reading.mixed),
    'exemplars': {m: [_exemplar(session, state, e) for e in result.exemplars.get(m, ())] for m in MODALITIES},
    'rounds': [
      {
        'note': done.direction.note,
        'note_zh': done.direction.note_zh,
        'why': done.why,
        'why_zh': done.why_zh,
        'accepted': done.accepted,
        'takes': len(done.takes),
        'scores': dict(done.takes[done.best].scores) if 0 <= done.best < len(done.takes) else {},
      }
      for done in result.rounds
    ],
  }


def _shares(shares: Sequence[float]) -> Mapping[str, float]:
  return {e: round(float(p), 3) for e, p in zip(EMOTIONS, shares, strict=False) if p >= UNCERTAIN}


def _exemplar(session: ProjectSession, state: ProjectState, exemplar) -> dict[str, Any]:
  from dubber_jax.serving.desk.previews import exemplar_media

  sound, picture = exemplar_media(session, state, exemplar.key)
  similarity = round(exemplar.similarity, 3)
  facts = {'key': exemplar.key, 'text': exemplar.text, 'emotion': exemplar.emotion, 'similarity': similarity}
  return facts | {'sound': sound is not None, 'picture': picture is not None}
