"""A project changed: one line played again by a note or as another take, an earlier take chosen, or another background;
then the film is exported."""

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dubber_jax.actor.slot import check_fit
from dubber_jax.dubbing.cast import folded
from dubber_jax.dubbing.comparison import describe_change
from dubber_jax.dubbing.export import export, output_files
from dubber_jax.dubbing.film import choose_background
from dubber_jax.dubbing.mix import LineAudio, character_levels
from dubber_jax.dubbing.progress import LINE, Progress, after, export_steps, untold
from dubber_jax.dubbing.project import Project, ProjectState, open_project
from dubber_jax.dubbing.project_paths import file_stamp, find_film
from dubber_jax.dubbing.result import DubResult, log_line
from dubber_jax.dubbing.takes import NoteReader, TakeRequest, check_model, play_take
from dubber_jax.errors import BadInput
from dubber_jax.inference.stored_model import StoredModel
from dubber_jax.media.background import KINDS
from dubber_jax.media.film import Film
from dubber_jax.media.mux import container_kind
from dubber_jax.profiling import Stopwatch
from dubber_jax.retrieval.library import Library
from dubber_jax.storage.atomic import check_output
from dubber_jax.storage.distinct import check_distinct

if TYPE_CHECKING:
  from dubber_jax.inference.model import Model

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RedoRequest:
  """What is to be otherwise in a project: one line of it, or the background.

  note: what to do otherwise in the line, in English or Chinese; without one it is another take of the same direction.
  take: an earlier take of the line that is chosen instead, which needs no model. fit: 'strict' or 'natural'; by default
  that of the line's take in the film. background: as in DubOptions; without a line, it alone is changed. film: where
  the project's film is now; out: where the dubbed film goes from now on.
  """

  project: Path
  line: int | None = None
  note: str = ''
  take: int | None = None
  fit: str | None = None
  background: str | None = None
  film: Path | None = None
  out: Path | None = None

  def __post_init__(self):
    if self.line is None and (self.background or self.out) is None:
      raise BadInput('nothing is to be changed: give --line N, with --note or --take; or --background, or -o')
    if self.line is None and (self.note or self.take is not None or self.fit):
      raise BadInput('--note, --take and --fit are for one line: give --line N')
    if self.fit is not None:
      check_fit(self.fit)
      if self.take is not None:
        raise BadInput(
          f'take {self.take} is there as it was played: leave --fit out, or play the line again without --take'
        )

  @property
  def plays(self) -> bool:
    """Whether a line is played, which takes the model."""
    return self.line is not None and self.take is None


def redo(
  request: RedoRequest,
  model: 'Model | StoredModel | None' = None,
  library: Library | None = None,
  read_note: 'NoteReader | None' = None,
  progress: Progress = untold,
) -> DubResult:
  """Plays one line of a project again and exports the film; what is not that line stays as it was, to the sample.

  progress: is told how far it is, and may stop it. read_note: (note, direction, phonemes) -> the revised direction,
  with warnings; by default `notes.apply.parse`. Former takes are kept. What a note did is logged first. Raises BadInput
  for a line or a take that the project does not have, for a model that is not its own, and where its film is missing or
  another one.
  """
  with open_project(request.project) as work:
    work.check_line(request.line)
    film = find_film(work.state, work.folder, request.film)
    state, number = _with_changes(work, request, film), request.line
    if number is None:
      return export(work, film, progress=progress)
    chosen, dubbed_take = work.chosen(number) or (0, 0)
    if request.take is not None:
      work.load(number, request.take)
      work.choose(number, request.take, dubbed_take)
      if request.take != chosen:
        _log_change(work, number, chosen, request.take)
      return export(work, film, progress=progress)
    check_model(work, state, model)
    assert model is not None
    last = work.load(number, chosen)
    exported, fit = state.exported or (), request.fit or last.result.fit
    same = last.note == request.note and fit == last.result.fit
    if last.made.get('of') and same and (exported[number - 1 : number] or (None,)) != (chosen,):
      return export(work, film, progress=progress)  # this note was played when the film was not yet written
    watch = Stopwatch()
    progress(0, LINE + export_steps(film.seconds), f'line {number}')
    wanted = TakeRequest(number, request.note, fit=request.fit)
    played = play_take(work, film, wanted, model, library, read_note, watch=watch)
    made, dubbed = played.number, played.dubbed
    work.choose(number, made, dubbed_take)
    _log_change(work, number, chosen, made)
    log_line(dubbed.result)
    logger.info(f'  `dubber redo {request.project} --line {number} --take {chosen}` goes back')
    return export(work, film, watch=watch, progress=after(LINE, progress))


def _with_changes(work: Project, request: RedoRequest, film: Film) -> ProjectState:
  """The project's state with another place of its film, another output or background, which it keeps."""
  state, changes = work.state, {}
  if str(film.path) != state.film or file_stamp(film.path) != state.film_stamp:
    changes |= {'film': str(film.path), 'film_stamp': file_stamp(film.path)}
  if request.background is not None:
    what, warnings = choose_background(request.background, film, state.separator)
    for warning in warnings:
      logger.warning(warning)
    changes['background'] = what if what in KINDS else str(Path(what).absolute())
  if request.out is not None:
    container_kind(request.out)
    changes |= {'out': str(request.out.absolute()), 'json': None}
  else:
    work.check_moved()
  state = dataclasses.replace(state, **changes)
  if request.out is not None:
    check_distinct({'the film': film.path}, {str(path): path for path in output_files(state)})
    for path in output_files(state):
      check_output(path, str(path) in state.wrote)
    state = dataclasses.replace(state, wrote=tuple(sorted({*state.wrote, *map(str, output_files(state))})))
  if changes:
    work.write_state(state)
  return state


def _log_change(work: Project, number: int, before: int, after: int):
  """Logs what a take is, heard in the film, against the one before it."""
  line = work.state.lines[number - 1]
  same = [n for n, other in enumerate(work.state.lines, 1) if folded(other.character) == folded(line.character)]
  own = [work.load(n, (work.chosen(n) or (0, 0))[1]) for n in same]
  audio = [
    LineAudio(stored.line, stored.take.waveform, stored.direction.loudness)
    for stored in own
    if stored.take.waveform is not None
  ]
  anchor = character_levels(audio)[folded(line.character)]
  change, _ = describe_change(work.measures(number, before), work.measures(number, after), anchor)
  logger.info(f'line {number}, take {after}, against take {before}: {change}')
