"""Changes of a project at the desk: lines played again, takes chosen, voices, references, background, undo, export."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from dubber_jax.director.source_performance import SourcePerformance
from dubber_jax.dubbing.cast import folded
from dubber_jax.dubbing.export import export
from dubber_jax.dubbing.film import choose_background
from dubber_jax.dubbing.line_references import chosen_reference, keep_reference
from dubber_jax.dubbing.project import hash_of_voice
from dubber_jax.dubbing.project_paths import file_stamp
from dubber_jax.dubbing.takes import TakeRequest, play_take
from dubber_jax.errors import BadInput
from dubber_jax.inference.voice_files import read_voices
from dubber_jax.media.background import KINDS
from dubber_jax.profiling import Stopwatch
from dubber_jax.serving.desk.history import Change, commit, redo, undo, write_desk
from dubber_jax.serving.desk.references import Performance, guide_of, reference_of
from dubber_jax.serving.desk.sessions import ProjectSession, Writing
from dubber_jax.serving.errors import ApiError
from dubber_jax.serving.jobs import Cancelled, Job
from dubber_jax.types import Voice

logger = logging.getLogger(__name__)


def play_line(writing: Writing, request: TakeRequest, kind: str, pointers: Mapping[str, list] | None = None) -> int:
  """Plays a line again and chooses the take -> its number. pointers: that change with it."""
  session, work = writing.session, writing.work
  watch, state, number = Stopwatch(), work.state, session.line(work.state, request.line)
  work.check_line(number)
  with watch('seen'):
    seen = session.seen(state, number)
  request = dataclasses.replace(request, made={'by': kind, **request.made})
  model, library = session.model(state), session.library(state)
  played = play_take(work, session.film(state), request, model, library, seen=seen, watch=watch)
  session.publish('take', {'line': number, 'take': played.number})
  choose(writing, number, played.number, kind, pointers)
  stages = watch.seconds | played.dubbed.result.seconds
  for stage, seconds in stages.items():
    session.server.metrics.stage(f'desk_{stage}', seconds)
  logger.debug(f'line {number}, take {played.number}: {stages}')
  return played.number


def choose(
  writing: Writing, number: int, take: int, kind: str = 'choose', pointers: Mapping[str, list] | None = None
) -> None:
  """Chooses a whole take of a line, which is not accepted any more. Raises BadInput where there is no such take."""
  work, desk = writing.work, writing.desk
  chosen, dubbed = work.chosen(number) or (0, 0)
  if work.made(number, take) is None:
    raise ApiError(404, f'line {number} has no whole take {take}', 'unknown_take', 'take')
  changes = dict(pointers or {})
  if take != chosen:
    changes.setdefault(f'take/{number}', [[chosen, dubbed], [take, dubbed]])
    if number in desk.accepted:
      changes[f'accepted/{number}'] = [True, False]
  writing.keep(commit(work, desk, Change(kind, changes, number)))


def accept(writing: Writing, number: int, accepted: bool) -> None:
  """Accepts the chosen take of a line, or not any more."""
  before = number in writing.desk.accepted
  if before != accepted:
    change = Change('accept', {f'accepted/{number}': [before, accepted]}, number)
    writing.keep(commit(writing.work, writing.desk, change))


def give_reference(writing: Writing, number: int, performance: Performance) -> int:
  """Gives a line a reference and plays it by a direction that is planned anew -> the take."""
  work = writing.work
  if not work.state.director:
    raise BadInput('the director is off in this project: nobody would follow a reference')
  reference, before = reference_of(performance), chosen_reference(work, number)
  keep_reference(work, number, reference, performance.wave, performance.picture)
  request = TakeRequest(number, plan=True, reference=reference.key, made={'reference': reference.key})
  return play_line(writing, request, 'reference', {f'reference/{number}': [before, reference.key]})


def remove_reference(writing: Writing, number: int) -> None:
  """Plays a line without its reference from now on. The take that it has stays."""
  before = chosen_reference(writing.work, number)
  if not before:
    raise ApiError(404, f'line {number} has no reference', 'no_reference')
  change = Change('reference', {f'reference/{number}': [before, '']}, number)
  writing.keep(commit(writing.work, writing.desk, change))


def give_guide(writing: Writing, number: int, performance: Performance) -> int:
  """Plays a line by a direction that is planned anew and follows a performance -> the take."""
  guide = guide_of(performance, guides_of(writing, number))
  made = {'guide': dataclasses.asdict(guide) | {'name': performance.name}}
  return play_line(writing, TakeRequest(number, plan=True, guide=guide, made=made), 'guide')


def guides_of(writing: Writing, number: int) -> list[SourcePerformance]:
  """Performances that guide other lines of the same character."""
  work, state, found = writing.work, writing.work.state, []
  names = [field.name for field in dataclasses.fields(SourcePerformance)]
  for other, line in enumerate(state.lines, 1):
    if other == number or folded(line.character) != folded(state.lines[number - 1].character):
      continue
    guide = (work.made(other, (work.chosen(other) or (0, 0))[0]) or {}).get('guide')
    if isinstance(guide, dict):
      try:
        found.append(SourcePerformance(**{name: guide[name] for name in names}))
      except (KeyError, TypeError):
        continue
  return found


def change_background(writing: Writing, background: Any) -> None:
  """What is behind the dialogue from the next export on."""
  session, work, state = writing.session, writing.work, writing.work.state
  if background not in KINDS:
    raise ApiError(400, f'background {background!r:.40}: give one of {", ".join(KINDS)}', 'bad_value', 'background')
  what, warnings = choose_background(background, session.film(state), state.separator)
  for warning in warnings:
    logger.warning(warning)
  if what != state.background:
    change = Change('background', {'background': [state.background, what]})
    writing.keep(commit(work, writing.desk, change))


def take_back(writing: Writing) -> None:
  """Takes the last change back. Raises ApiError 409 where there is none."""
  if not writing.desk.undo:
    raise ApiError(409, 'there is nothing to take back', 'nothing_to_undo')
  writing.keep(undo(writing.work, writing.desk))


def make_again(writing: Writing) -> None:
  """Makes the change again that was taken back last. Raises ApiError 409 where there is none."""
  if not writing.desk.redo:
    raise ApiError(409, 'there is nothing to make again', 'nothing_to_redo')
  writing.keep(redo(writing.work, writing.desk))


# Work of a job


def write_film(session: ProjectSession, job: Job) -> dict[str, Any]:
  """Exports the film -> its files."""

  def write(writing: Writing) -> dict[str, Any]:
    work, state = writing.work, writing.work.state
    session.work.check_line(1)
    work.check_moved()
    film = session.film(state)
    if str(film.path) != state.film or file_stamp(film.path) != state.film_stamp:
      work.write_state(dataclasses.replace(state, film=str(film.path), film_stamp=file_stamp(film.path)))
    result = export(work, film, progress=job.progress)
    desk = dataclasses.replace(writing.desk, film_background=state.background, version=writing.desk.version + 1)
    write_desk(work.folder, desk)
    writing.keep(desk)
    return dict(result.files)

  return session.change_now(write)


def start_voice(writing: Writing, character: str, voice: Voice) -> list[int]:
  """Notes that a character is to be spoken by another voice -> the lines that are to be played again for that."""
  work, state = writing.work, writing.work.state
  numbers = [n for n, line in enumerate(state.lines, 1) if folded(line.character) == folded(character)]
  if not numbers:
    raise ApiError(404, f'nobody is called {character!r:.40} in this project', 'unknown_character')
  work.check_line(1)
  key = hash_of_voice(voice)
  voices = read_voices(work.folder / 'voices.safetensors')
  if key not in voices or state.voices.get(key) != voice.name:
    work.keep_voices(voices | {key: voice})
    work.write_state(dataclasses.replace(state, voices=state.voices | {key: voice.name}))
  desk = dataclasses.replace(writing.desk, unfinished={'kind': 'voice', 'character': character, 'voice': key})
  write_desk(work.folder, desk)
  writing.desk = desk
  return [n for n in numbers if state.voice_of[n - 1] != key]


def play_voice(session: ProjectSession, job: Job, character: str, key: str, again: bool = False) -> None:
  """Plays the lines of a character that another voice speaks yet, one after the other; each is in the project when it
  is done, and all of them are taken back together. again: it goes on with what a stop of the server cut off;
  what somebody cancels is not gone on with."""
  try:
    _play_voice(session, job, character, key, again)
  except Cancelled:
    if not job.stopped:
      drop_voice(session)
    raise


def drop_voice(session: ProjectSession) -> None:
  """Notes that the lines of a voice which are not played yet are not to be. Blocks its thread until no other change of
  the project is going on."""
  try:
    session.change_now(finish)
  except (ApiError, BadInput) as error:
    logger.warning(f'{session.folder}: the voice that was cancelled is gone on with when it is opened again: {error}')


def _play_voice(session: ProjectSession, job: Job, character: str, key: str, again: bool) -> None:
  state = session.state()
  numbers = [n for n, line in enumerate(state.lines, 1) if folded(line.character) == folded(character)]
  left = [n for n in numbers if state.voice_of[n - 1] != key]
  failed = []
  for place, number in enumerate(left):
    job.progress(place, len(left), f'line {number}')
    try:
      session.change_now(
        lambda writing, number=number, grow=again or place > 0: _speak(writing, number, key, character, grow)
      )
    except BadInput as error:
      failed.append(f'line {number}: {error}')
      logger.warning(failed[-1])
  session.change_now(finish)
  job.progress(len(left), len(left), 'all lines are played')
  if failed:
    more = f' (and {len(failed) - 1} more)' if len(failed) > 1 else ''
    raise BadInput(f'{failed[0]}{more}: these lines keep their voice')


def _speak(writing: Writing, number: int, key: str, character: str, grow: bool) -> None:
  """Plays one line by another voice; its take is what the character's level is measured by from now on."""
  session, work = writing.session, writing.work
  state = work.state
  chosen = list(work.chosen(number) or (0, 0))
  changes: dict[str, list[Any]] = {f'voice/{number}': [state.voice_of[number - 1], key]}
  again = next((take for take in reversed(work.takes(number)) if _is_of(work, number, take, key, chosen[0])), None)
  if again is None:
    seen = session.seen(state, number)
    request = TakeRequest(number, voice=key, made={'by': 'voice'})
    again = play_take(
      work, session.film(state), request, session.model(state), session.library(state), seen=seen
    ).number
    session.publish('take', {'line': number, 'take': again})
  changes[f'take/{number}'] = [chosen, [again, again]]
  if number in writing.desk.accepted:
    changes[f'accepted/{number}'] = [True, False]
  writing.keep(commit(work, writing.desk, Change('voice', changes, None, character), grow))


def _is_of(work, number: int, take: int, key: str, of: int) -> bool:
  """Whether a take was played by a voice for this very take, before the work was stopped."""
  made = work.made(number, take)
  return made is not None and made.get('by') == 'voice' and made.get('of') == of and made['inputs'].get('voice') == key


def finish(writing: Writing) -> None:
  """Notes that nothing is left to be gone on with."""
  desk = dataclasses.replace(writing.desk, unfinished=None)
  write_desk(writing.work.folder, desk)
  writing.desk = desk
