"""Projects that are open at the desk: where they are, who may write in them, and what is kept of them in memory."""

import asyncio
import contextlib
import dataclasses
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubber_jax.dubbing.film import hash_of_model
from dubber_jax.dubbing.line_references import load_reference
from dubber_jax.dubbing.project import Project, ProjectState, open_project
from dubber_jax.dubbing.project_paths import file_stamp, find_film
from dubber_jax.dubbing.result import LineResult
from dubber_jax.errors import BadInput, FolderBusy
from dubber_jax.inference.stored_model import StoredModel
from dubber_jax.media.film import Film
from dubber_jax.retrieval.library import Library
from dubber_jax.serving.desk.history import DeskState, read_desk, read_pointers, synced
from dubber_jax.serving.desk.warm import Warmer
from dubber_jax.serving.dub_records import find_dub
from dubber_jax.serving.errors import ApiError, from_bad_input
from dubber_jax.serving.home import DUBS, project_id
from dubber_jax.storage.json_files import read_json
from dubber_jax.types import Reference

if TYPE_CHECKING:
  from dubber_jax.dubbing.line import SeenLine
  from dubber_jax.inference.model import Model
  from dubber_jax.serving.desk.previews import FilmPreviews
  from dubber_jax.serving.state import ServerState

logger = logging.getLogger(__name__)

PATIENCE = 30.0  # s for which a change waits for the one before it
POLL = 0.02  # s between two looks at a lock
MOST_SEEN = 500  # lines whose reading is kept in memory, in one project
MOST_RESULTS = 4000  # takes whose result is kept in memory, in one project


class DeskSessions:
  """The projects of a server: those that it was given and the dubs in its home folder."""

  def __init__(self, server: 'ServerState'):
    self.server = server
    self.warmer = Warmer()
    self._previews: FilmPreviews | None = None
    self._sessions: dict[Path, ProjectSession] = {}
    self._lock = threading.Lock()

  def stop(self) -> None:
    """Ends what goes on behind."""
    self.warmer.stop()
    if self._previews is not None:
      self._previews.stop()

  @property
  def previews(self) -> 'FilmPreviews':
    """Films as browsers play them."""
    from dubber_jax.serving.desk.previews import FilmPreviews  # which needs sessions

    with self._lock:
      self._previews = self._previews or FilmPreviews(self.server.settings.home / 'previews')
      return self._previews

  def folders(self) -> dict[str, Path]:
    """{id: project folder} of those that are there."""
    settings = self.server.settings
    places = [*settings.projects, *sorted((settings.home / 'dubs').glob('*/project'))]
    there = [Path(place).absolute() for place in places if (Path(place) / 'project.json').is_file()]
    return {project_id(folder): folder for folder in there}

  def open(self, project: str) -> 'ProjectSession':
    """The session of a project. Raises ApiError 404 where there is none."""
    folder = self.folders().get(project)
    if folder is None:
      raise ApiError(404, f'no project {project!r:.40}: it is not there any more, or was never', 'unknown_project')
    with self._lock:
      if folder not in self._sessions:
        self._sessions[folder] = ProjectSession(self.server, folder)
      return self._sessions[folder]

  def forget(self, folder: Path) -> None:
    """Drops what is kept of a project that is about to be deleted, with its film as browsers play it."""
    with contextlib.suppress(BadInput, OSError):
      self.previews.discard(Project(folder).state.film_hash)
    with self._lock:
      self._sessions.pop(folder.absolute(), None)


class ProjectSession:
  """One project at the desk. Reading needs no lock, as files appear whole; a change takes the folder's lock for as long
  as it lasts, so that the command line and the desk take turns."""

  def __init__(self, server: 'ServerState', folder: Path):
    self.server, self.folder, self.id = server, folder, project_id(folder)
    self.work = Project(folder)
    self.behind: set[asyncio.Future] = set()  # what goes on behind an answer
    self.resumed = False  # whether work that a stop of the server cut off was gone on with
    self._busy = threading.Lock()
    self._seen: OrderedDict[tuple, SeenLine] = OrderedDict()
    self._results: OrderedDict[tuple[int, int], tuple[Any, LineResult]] = OrderedDict()
    self._film: tuple[Any, Film] | None = None
    self._decoded = False  # whether the film may be decoded here, as it was decoded whole elsewhere
    self._model: tuple[str, Model | StoredModel] | None = None
    self._library: tuple[str, Library] | None = None

  # Reading

  def state(self) -> ProjectState:
    """What project.json holds. Raises ApiError 409 where it is damaged or of another version."""
    try:
      return self.work.state
    except BadInput as error:
      told = BadInput(str(error).replace(f'{self.folder}/', ''))
      raise from_bad_input(told, 409, code='damaged_project') from None

  def desk(self) -> DeskState:
    """What was changed at the desk; what others changed meanwhile is noted first, where nobody is at work."""
    desk, state = read_desk(self.folder), self.state()
    settled = desk.pending is None and desk.pointers == read_pointers(self.work, state, desk.accepted)
    if settled or not self._busy.acquire(blocking=False):
      return desk
    try:
      with contextlib.suppress(FolderBusy), open_project(self.folder) as work:
        return synced(work, read_desk(self.folder))
    finally:
      self._busy.release()
    return desk

  def desk_log(self) -> DeskState:
    """What desk.json holds, as it is."""
    return read_desk(self.folder)

  def line(self, state: ProjectState, number: int) -> int:
    """The number of a line. Raises ApiError 404 where the project has no such line."""
    if not 1 <= number <= len(state.lines):
      raise ApiError(404, f'no line {number}: the lines are 1 to {len(state.lines)}', 'unknown_line')
    return number

  def result(self, number: int, take: int) -> LineResult | None:
    """The result of a whole take, None where it is missing or damaged."""
    path = self.work.line_folder(number) / f'take_{take}' / 'result.json'
    stamp = file_stamp(path)
    known = self._results.get((number, take))
    if known is not None and known[0] == stamp:
      return known[1]
    if self.work.made(number, take) is None:
      return None
    try:
      found = LineResult.from_json(read_json(path))
    except (BadInput, AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
      logger.warning(f'{path}: cannot be read ({error!r})')
      return None
    self._results[number, take] = (stamp, found)
    while len(self._results) > MOST_RESULTS:
      self._results.popitem(last=False)
    return found

  def film(self, state: ProjectState | None = None) -> Film:
    """The film, probed once. Raises ApiError 409 where it is missing, or another one, and 409 or 503 where it was
    uploaded and not decoded whole yet."""
    state = state or self.state()
    self._check_decoded()
    key = (state.film, file_stamp(state.film), state.audio_track)
    if self._film is None or self._film[0] != key or file_stamp(self._film[1].path) is None:
      try:
        film = find_film(state, self.folder)
        _ = film.info
      except BadInput as error:
        name = Path(state.film).name
        raise ApiError(
          409,
          f'the film {name} of this project cannot be used: {" ".join(str(error).splitlines())}',
          'film_missing',
        ) from None
      self._film = (key, film)
    return self._film[1]

  def _check_decoded(self) -> None:
    """Raises ApiError where the film was uploaded, and no process with limits has decoded it yet: 503 while a job is at
    it, 409 where that was cancelled or failed."""
    if self._decoded or self.folder.parent.parent != (self.server.settings.home / DUBS).absolute():
      return
    if find_dub(self.folder.parent.parent, self.folder.parent.name).is_unchecked:
      if self.server.jobs.of(self.id) is not None:
        raise ApiError(503, 'the film is still being checked; ask again soon', 'film_not_ready', retry_after=5)
      raise ApiError(409, 'the film was not checked to its end: go on with this dub first', 'film_unchecked')
    self._decoded = True

  # The model and what it has seen

  def model(self, state: ProjectState) -> 'Model | StoredModel':
    """The model that played the project: the server's, where it is that one. Raises BadInput where it is not there."""
    if self._model is None or self._model[0] != state.model_hash:
      self._model = (state.model_hash, self._find_model(state))
    return self._model[1]

  def _find_model(self, state: ProjectState) -> 'Model | StoredModel':
    for find in (lambda: self.server.engine.model, lambda: StoredModel.find(state.model)):
      model = find()
      director = dataclasses.replace(model.config.task.director, enabled=state.director)
      asked = dataclasses.replace(model, config=model.config.with_task(director=director))
      for variant in (model, asked):
        if hash_of_model(variant) == state.model_hash:
          return variant
    raise BadInput(f'this project was played by the model {state.model}, which is not there: put it back')

  def library(self, state: ProjectState) -> Library | None:
    """The footage library of the project: the server's, where it is that one; None where the director is off."""
    if not state.director:
      return None
    own = self.server.engine.library
    if own is not None and (not state.library or Path(own.folder) == Path(state.library)):
      return own
    if self._library is None or self._library[0] != state.library:
      from dubber_jax.dubbing.inputs import library_features

      self._library = (state.library, Library.open(state.library or None, library_features()))
    return self._library[1]

  def seen(self, state: ProjectState, number: int) -> 'SeenLine':
    """What all takes of a line have in common, read once and kept in memory."""
    from dubber_jax.dubbing.takes import see

    library = self.library(state)
    rehearsed = {name: value for name, value in state.options.items() if name in ('search', 'face', 'lexicon')}
    line = state.lines[number - 1]
    key = (line, state.film_hash, state.model_hash, library and library.hash, repr(sorted(rehearsed.items())))
    found = self._seen.get(key)
    if found is None:
      found = see(self.work, self.film(state), number, self.model(state), library)
    self._seen[key] = found
    self._seen.move_to_end(key)
    while len(self._seen) > MOST_SEEN:
      self._seen.popitem(last=False)
    return found

  async def prepare(self, number: int) -> None:
    """Reads a line where that was not done yet, and has compiled what its takes need."""
    state = self.state()
    seen, model = await self._run(self.seen, state, number), self.model(state)
    if not isinstance(model, StoredModel):
      voice = await asyncio.to_thread(self.work.voice, state.voice_of[number - 1])
      self.server.desk.warmer.warm(model, seen, voice, state.line_options())

  def reference(self, number: int) -> Reference | None:
    """The reference of a line, None where it has none or a damaged one."""
    try:
      return load_reference(self.work, number)
    except BadInput as error:
      logger.warning(str(error))
      return None

  # Changing

  async def change(self, function: 'Callable[[Writing], Any]', if_match: int | None = None, long: bool = False) -> Any:
    """`function(Writing)` while the project is this server's -> what it returns.

    if_match: the version that the project has to have. long: it plays something, and runs where long work does. Raises
    ApiError 412 for another version, and 409 where another process, or a job of this server, has the project.
    """
    waited = 0.0
    while not self._busy.acquire(blocking=False):
      if waited >= PATIENCE:
        raise ApiError(409, 'another change of this project is going on; try again when it is done', 'project_busy')
      self._check_jobs()
      await asyncio.sleep(POLL)
      waited += POLL
    try:
      return await (self._run if long else asyncio.to_thread)(self._change, function, if_match)
    finally:
      self._busy.release()

  def change_now(self, function: 'Callable[[Writing], Any]') -> Any:
    """The same from the thread of a job."""
    if not self._busy.acquire(timeout=10 * PATIENCE):
      raise ApiError(409, 'another change of this project is going on', 'project_busy')
    try:
      return self._change(function, None)
    finally:
      self._busy.release()

  def _change(self, function, if_match: int | None) -> Any:
    with self._writing() as writing:
      if if_match is not None and if_match != writing.desk.version:
        raise ApiError(
          412,
          f'the project was changed meanwhile: this is version {writing.desk.version}, not {if_match}; look again',
          'version_changed',
        )
      return function(writing)

  @contextlib.contextmanager
  def _writing(self) -> 'Iterator[Writing]':
    try:
      with open_project(self.folder) as work:
        yield Writing(self, work, synced(work, read_desk(self.folder)))
    except FolderBusy:
      raise ApiError(
        409,
        'this project is open elsewhere: another dubber is at work in it; wait for it, then try again',
        'project_open_elsewhere',
      ) from None

  def _check_jobs(self):
    """Raises ApiError 409 where a job writes the film, which would keep a change waiting for long."""
    job = self.server.jobs.of(self.id)
    if job is not None and job.kind in ('export', 'dub') and job.state == 'running':
      what = 'written' if job.kind == 'export' else 'dubbed'
      raise ApiError(409, f'the film is being {what}: wait until it is done, or stop it', 'job_running')

  async def _run(self, function, *arguments) -> Any:
    done = self.server.engine.run(function, *arguments)
    return await (asyncio.wrap_future(done) if isinstance(done, Future) else done)

  def publish(self, name: str, data: dict[str, Any]) -> None:
    """Tells all pages that have the project."""
    self.server.jobs.publish(self.id, name, data)


@dataclasses.dataclass
class Writing:
  """A project that is locked for a change. desk: what desk.json holds, which changes of `history` replace."""

  session: ProjectSession
  work: Project
  desk: DeskState

  def keep(self, desk: DeskState) -> None:
    """The desk after a change, which is told to all pages."""
    changed = desk.version != self.desk.version
    self.desk = desk
    if changed:
      self.session.publish('changed', {'version': desk.version})
