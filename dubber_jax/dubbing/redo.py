"""One line of a project again: by a note, as another take, or an earlier take chosen; then the film is exported."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dubber_jax.actor.duration import check_fit
from dubber_jax.director.notes.apply import RevisedDirection, parse
from dubber_jax.dubbing.export import export
from dubber_jax.dubbing.film import hash_of_model, play_line, rooms
from dubber_jax.dubbing.line import read_script
from dubber_jax.dubbing.project import Project, ProjectState, StoredTake, open_project
from dubber_jax.dubbing.request import LineTask
from dubber_jax.dubbing.result import DubResult, log_line
from dubber_jax.dubbing.timeline import fixed_direction
from dubber_jax.errors import BadInput
from dubber_jax.inference.model import Model
from dubber_jax.media.film import Film
from dubber_jax.profiling import Stopwatch
from dubber_jax.retrieval.library import Library
from dubber_jax.script.g2p import Phonemes
from dubber_jax.types import Direction

logger = logging.getLogger(__name__)

NoteReader = Callable[[str, Direction, Phonemes], RevisedDirection]


@dataclass(frozen=True)
class RedoRequest:
  """Which line of a project, and what is to be otherwise.

  note: what to do otherwise, in English or Chinese; without one it is another take of the same direction. take: an
  earlier take of the line that is chosen instead, which needs no model. fit: 'strict' or 'natural'; by default that of
  the line's take in the film.
  """

  project: Path
  line: int
  note: str = ''
  take: int | None = None
  fit: str | None = None

  def __post_init__(self):
    if self.fit is not None:
      check_fit(self.fit)
      if self.take is not None:
        raise BadInput(
          f'take {self.take} is there as it was played: leave --fit out, or play the line again without --take'
        )


def redo(
  request: RedoRequest, model: Model | None = None, library: Library | None = None, read_note: NoteReader = parse
) -> DubResult:
  """Plays one line of a project again and exports the film; what is not that line stays as it was, to the sample.

  read_note: (note, direction, phonemes) -> the revised direction, with warnings. Former takes are kept. Raises
  BadInput for a line or a take that the project does not have, and for a model that is not its own.
  """
  with open_project(request.project) as work:
    state, number = work.state, request.line
    work.check_line(number)
    chosen, dubbed_take = work.chosen(number) or (0, 0)
    if request.take is not None:
      work.load(number, request.take)
      work.choose(number, request.take, dubbed_take)
      return export(work)
    film = _check_same(work, state, model)
    last = work.load(number, chosen)
    exported, fit = state.exported or (), request.fit or last.result.fit
    same = last.note == request.note and fit == last.result.fit
    if last.made.get('of') and same and (exported[number - 1 : number] or (None,)) != (chosen,):
      return export(work, film)  # this note was played when the film was not yet written
    direction, warnings = _revised(request, state, last, read_note)
    seed = state.options.get('seed', 0)
    if not request.note and fit == last.result.fit:
      seed += max(work.takes(number))
    options = state.line_options(fit=fit, seed=seed)
    voice, watch = work.voice(state.voice_of[number - 1]), Stopwatch()
    task = LineTask(state.lines[number - 1], voice, room_seconds=rooms(state.lines, state.seconds)[number - 1])
    planner = fixed_direction(direction, warnings)
    dubbed = play_line(film, model, library, task, options, planner, watch)
    log_line(dubbed.result)
    made = work.save(number, dubbed, last.made['inputs'], {'note': request.note, 'of': chosen})
    work.choose(number, made, dubbed_take)
    back = f'dubber redo {request.project} --line {number} --take {chosen}'
    logger.info(f'take {made} of line {number}; `{back}` goes back')
    return export(work, film, watch=watch)


def _check_same(work: Project, state: ProjectState, model: Model | None) -> Film:
  """The film of a project. Raises BadInput where it, or the model, is not the one that the project was made of."""
  if model is None or hash_of_model(model) != state.model_hash:
    raise BadInput(f'{work.folder} was played by the model {state.model}, which this is not; give that one')
  film = Film(Path(state.film))
  if film.info.has_video and film.hash != state.film_hash:
    raise BadInput(f'{state.film} is not the film any more that {work.folder} was made of; put that one back')
  return film


def _revised(
  request: RedoRequest, state: ProjectState, last: StoredTake, read_note: NoteReader
) -> tuple[Direction, tuple[str, ...]]:
  """The direction of the line's next take, and warnings."""
  if not request.note:
    return last.direction, ()
  if not state.director:
    raise BadInput('the director is off in this project: nobody would follow the note')
  phonemes = read_script(state.lines[request.line - 1].text, state.lexicon)
  revised = read_note(request.note, last.direction, phonemes)
  return revised.direction, revised.warnings
