"""/v1/dubs: films that the server dubs, as jobs. Each is a folder of the home folder with a project as the command line
makes it, so that `dubber redo` and the desk can go on with it; one writer at a time has it."""

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dubber_jax.actor.slot import FITS
from dubber_jax.dubbing.cast import DEFAULT, Cast, cast_lines, folded
from dubber_jax.dubbing.film import begin, dub
from dubber_jax.dubbing.progress import LINE, Progress, after, blocks, export_steps
from dubber_jax.dubbing.project import Project, open_project
from dubber_jax.dubbing.project_paths import find_film
from dubber_jax.dubbing.redo import RedoRequest, redo
from dubber_jax.dubbing.request import DubRequest, with_emotion
from dubber_jax.errors import BadInput, FilmMissing
from dubber_jax.media.remux import KINDS as CONTAINERS
from dubber_jax.script.subtitles import parse_line
from dubber_jax.serving.dub_records import Dub, DubRecord, all_dubs, delete_dub, find_dub, new_dub, now
from dubber_jax.serving.dub_requests import LONGEST_TEXT, dub_options, one_of, read_wish, text, wrong
from dubber_jax.serving.errors import ApiError, from_bad_input
from dubber_jax.serving.events import event_response
from dubber_jax.serving.forms import suffix_of
from dubber_jax.serving.home import DUBS, find_within, project_id
from dubber_jax.serving.jobs import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Cancelled, Job
from dubber_jax.serving.json_requests import json_body
from dubber_jax.serving.state import ServerState, server_of
from dubber_jax.serving.voices import is_artifact
from dubber_jax.storage.json_files import read_json
from dubber_jax.types import EMOTIONS, Line, emotion_name

if TYPE_CHECKING:
  from dubber_jax.inference.model import Model

INTERRUPTED = 'interrupted'  # state of a dub that a killed server left
STOP_SECONDS = 30.0  # for which a DELETE waits for the step that is going on
# Suffixes of films by ffmpeg's name of their container; the first where a file's own name says another.
SUFFIXES = {
  'mov': ('.mp4', '.mov', '.m4v'),
  'matroska': ('.mkv', '.webm'),
  'avi': ('.avi',),
  'mpeg': ('.mpg', '.mpeg', '.vob'),
  'mpegts': ('.ts', '.mts', '.m2ts'),
  'flv': ('.flv',),
  'asf': ('.wmv', '.asf'),
  'ogg': ('.ogv', '.ogg'),
}
PARTS = {'film': 'film', 'dialogue': 'dialogue', 'subtitles': 'subtitles'}  # of a result, by its files' names


def routes() -> list[BaseRoute]:
  """Addresses of dubs, and the one at which the desk begins one."""
  one = '/v1/dubs/{id}'
  return [
    Route('/v1/dubs', post_dub, methods=['POST']),
    Route('/v1/dubs', list_dubs, methods=['GET']),
    Route(one, get_dub, methods=['GET']),
    Route(one, remove_dub, methods=['DELETE']),
    Route(f'{one}/events', get_events, methods=['GET']),
    Route(f'{one}/cancel', post_cancel, methods=['POST']),
    Route(f'{one}/resume', post_resume, methods=['POST']),
    Route(f'{one}/result', get_result, methods=['GET']),
    Route(f'{one}/lines', get_lines, methods=['GET']),
    Route(f'{one}/lines/{{n:int}}', post_line, methods=['POST']),
    Route('/desk/projects', post_project, methods=['POST']),
  ]


async def post_dub(request: Request) -> Response:
  """POST /v1/dubs: a form with the files `film` and `script`, or JSON that names them in a folder of the server's;
  `text` in place of a script; `voice` or `cast` or both; options."""
  server = server_of(request)
  made, _ = await create_dub(request)
  return JSONResponse(dub_json(server, made), 202, {'Location': f'/v1/dubs/{made.id}'})


async def post_project(request: Request) -> Response:
  """POST /desk/projects: the same form -> the project's id and its job."""
  made, job = await create_dub(request)
  return JSONResponse({'id': project_id(made.project), 'job': job.to_json(), 'dub': made.id}, 202)


async def create_dub(request: Request) -> tuple[Dub, Job]:
  """A new dub of what a request sends or names, and the job that plays it. Raises ApiError."""
  server = server_of(request)
  dubbing_model(server)
  if request.headers.get('content-type', '').lower().startswith('multipart/'):
    limits = server.settings.limits
    files = {'film': limits.film_bytes, 'script': limits.json_bytes}
    async with server.uploads.form(request, files) as form:
      film, given = form.file('film'), form.fields
      script = form.file('script') if 'script' in form.files else None
      wish = {**given, 'film': film.name or 'film', **({'script': script.name or 'script'} if script else {})}
      names = {film.path: film.name, **({script.path: script.name} if script else {})}
      return await _create(server, wish, film.path, script and script.path, names)
  wish = await json_body(request)
  _, _, others = read_wish(wish)
  if 'film' not in others:
    raise ApiError(400, 'film: name a film in a folder of the server, or upload one as a form', 'missing_file', 'film')
  folders = server.settings.films
  film = await asyncio.to_thread(find_within, others['film'], folders, 'film')
  script = None
  if 'script' in others:
    script = await asyncio.to_thread(find_within, others['script'], folders, 'script')
  return await _create(server, wish, film, script, {})


async def _create(
  server: ServerState, wish: Mapping[str, Any], film: Path, script: Path | None, names: dict[Path, str]
) -> tuple[Dub, Job]:
  """names: of uploaded files, which are moved to the dub; others stay where they are."""
  options, cast, others = read_wish(wish)
  if (script is None) == ('text' not in others):
    raise ApiError(400, 'give a script or a text, and not both', 'missing_script', 'script')
  if 'voice' not in others and not cast:
    raise ApiError(400, 'nobody speaks: give a voice, or a cast', 'missing_voice', 'voice')
  _check_voices(server, others.get('voice'), cast)
  facts = await server.uploads.read(film, 'film', names.get(film, film.name))
  suffix = film_suffix(facts['container'], names.get(film, film.name))
  lines, warnings = (), []
  if script is None:
    lines = (parse_line(others['text']),)
  else:
    read = await server.uploads.read(script, 'script', names.get(script, script.name), names=[*cast])
    lines, warnings = tuple(cast_lines([Line(**line) for line in read['lines']], cast)), read['warnings']
  record = DubRecord(
    name=(others.get('name') or Path(names.get(film, film.name)).name)[:200],
    film=f'film{suffix}' if film in names else str(film),
    lines=tuple(vars(line) for line in lines),
    voice=others.get('voice', ''),
    cast=cast,
    options=options,
    out=f'dubbed{suffix if suffix in CONTAINERS else ".mkv"}',
    warnings=tuple(warnings),
  )
  moved = {f'film{suffix}': film} if film in names else {}
  if script is not None and script in names:
    moved[f'script{suffix_of(names[script])}'] = script
  made = await asyncio.to_thread(new_dub, server.settings.home / DUBS, record, moved)
  try:
    await asyncio.to_thread(_begin, server, made)
    return made, await asyncio.to_thread(submit_dub, server, made)
  except BaseException:
    await asyncio.to_thread(delete_dub, made)
    raise


def _begin(server: ServerState, made: Dub) -> None:
  """Makes its project, so that whatever is wrong with the request is told at once. Of an uploaded film only what was
  read of it is decoded; its guide follows when the job has decoded it whole."""
  try:
    request = dub_request(server, made)
    if made.is_unchecked:
      request = dataclasses.replace(request, options=dataclasses.replace(request.options, guide=None))
    begin(request, server.engine.model, server.engine.library)
  except BadInput as error:
    raise told_of(made, error) from None


def told_of(made: Dub, error: BadInput) -> ApiError:
  """The answer to what the library refuses of a dub, which does not say where the server keeps its files."""
  text = str(error).replace(str(made.film), made.record.name)
  for folder in (made.folder, made.folder.absolute()):
    text = text.replace(f'{folder}/', '').replace(str(folder), 'the dub')
  return from_bad_input(type(error)(text))


def film_suffix(container: str, name: str) -> str:
  """The suffix under which a film is stored: that of its name where it is one of its container's, which is told by
  ffmpeg's name, as 'mov,mp4,m4a'."""
  known = next((SUFFIXES[part] for part in container.split(',') if part in SUFFIXES), ('.mkv',))
  return suffix_of(name) if suffix_of(name) in known else known[0]


def _check_voices(server: ServerState, voice: str | None, cast: Mapping[str, str]) -> None:
  """Raises ApiError 404 for a voice that there is not."""
  for name in {*([voice] if voice else []), *cast.values()}:
    server.voices.get(name)


def dubbing_model(server: ServerState) -> 'Model':
  """The model, by which films can be dubbed. Raises ApiError 503 where it is not loaded, 501 for an artifact without a
  footage library, which has no perception."""
  model = server.engine.model
  if is_artifact(model) and server.engine.library is None:
    raise ApiError(
      501, 'this server has an artifact that speaks; films are dubbed by a model directory', 'not_available'
    )
  return model


def dub_request(server: ServerState, made: Dub) -> DubRequest:
  """What `dubbing.film.dub` is asked. Raises FilmMissing where its film is gone, ApiError 404 for a voice."""
  record = made.record
  if not made.film.is_file():
    raise FilmMissing(f'{made.film}: the film of this dub is not there any more; put it back')
  voices = {folded(name): server.voices.get(voice) for name, voice in record.cast.items()}
  default = voices.pop(DEFAULT, None)
  if record.voice:
    default = default or server.voices.get(record.voice)
  warnings = default.warnings if default is not None else ()
  lines = record.script()
  if record.options.get('emotion') in EMOTIONS:
    lines = tuple(with_emotion(lines, record.options['emotion']))
  return DubRequest(
    made.film,
    lines,
    Cast(voices, default, warnings),
    made.out,
    dub_options(record.options),
    made.project,
    warnings=record.warnings,
  )


# Jobs


def submit_dub(server: ServerState, made: Dub) -> Job:
  """Queues a dub, from its beginning or from where it was left. Raises ApiError 409 where it is at work already."""
  key = project_id(made.project)
  if job := server.jobs.of(key):
    raise ApiError(409, f'job {job.id} ({job.kind}) is at work on this dub already', 'busy')
  queued = made.with_record(state=QUEUED, error=None)
  try:
    return server.jobs.submit(
      'dub',
      lambda job: _play(server, queued, job),
      key,
      lambda: queued.with_record(state=CANCELLED, finished=now()),
    )
  except ApiError:
    queued.with_record(state=made.record.state, error=made.record.error)
    raise


def _play(server: ServerState, made: Dub, job: Job) -> str:
  """Dubs a film and notes how that ended; a dub that the server's stop cut off stays 'running'."""
  made = made.with_record(state=RUNNING, error=None)
  try:
    request, progress = dub_request(server, made), job.progress
    if made.is_unchecked:
      progress = _decode_whole(server, made, job)
      made = made.with_record(decoded=True)
      server.jobs.publish(job.key, 'film', {'ready': True})
    files = dub(request, dubbing_model(server), server.engine.library, progress=progress).files
  except Cancelled:
    if not job.stopped:
      made.with_record(state=CANCELLED, finished=now())
    raise
  except (ApiError, BadInput) as error:
    told = error if isinstance(error, ApiError) else told_of(made, error)
    made.with_record(state=FAILED, error=told.to_json()['error'], finished=now())
    raise told from None
  except Exception:
    fault = ApiError(500, 'a fault of the server', 'internal_error').to_json()['error']
    made.with_record(state=FAILED, error=fault, finished=now())
    raise
  made.with_record(state=DONE, finished=now(), files=files)
  return made.id


def _decode_whole(server: ServerState, made: Dub, job: Job) -> Progress:
  """Decodes an uploaded film in a process with limits -> the progress of the dub that follows. Raises ApiError for what
  that process died of, and Cancelled."""
  state = Project(made.project).state
  steps, following = blocks(state.seconds), LINE * len(state.lines) + export_steps(state.seconds)

  def told(share: float) -> None:
    job.progress(round(share * steps), steps + following, 'the film is checked')

  try:
    server.uploads.decode_film(made.film, made.record.name, state.seconds, told, state.audio_track)
  except ApiError:
    job.check()  # a server that stops ends the process
    raise
  return after(steps, job.progress)


def _redo(server: ServerState, made: Dub, job: Job, asked: RedoRequest) -> None:
  """Plays a line again; the dub stays what it was where that fails."""
  model, library = (dubbing_model(server), server.engine.library) if asked.plays else (None, None)
  try:
    files = redo(asked, model, library, progress=job.progress).files
  except BadInput as error:
    raise told_of(made, error) from None
  made.with_record(files=files, finished=now())


# Answers


async def list_dubs(request: Request) -> Response:
  """GET /v1/dubs: all, the newest first."""
  server = server_of(request)
  found = await asyncio.to_thread(all_dubs, server.settings.home / DUBS)
  return JSONResponse({'object': 'list', 'data': [dub_json(server, made) for made in found]})


async def get_dub(request: Request) -> Response:
  """GET /v1/dubs/{id}."""
  return JSONResponse(dub_json(server_of(request), await _dub(request)))


def dub_json(server: ServerState, made: Dub) -> dict[str, Any]:
  """What answers say of a dub. status: of its job where there is one, else 'interrupted' where a server left it
  unfinished, else how it ended."""
  record, project = made.record, project_id(made.project)
  job = server.jobs.of(project)
  status = job.state if job else INTERRUPTED if record.state in (QUEUED, RUNNING) else record.state
  found = {
    'id': made.id,
    'object': 'dub',
    'status': status,
    'name': record.name,
    'created': record.created,
    'finished': record.finished,
    'lines': len(record.lines),
    'warnings': list(record.warnings),
    'options': record.options,
    'voice': record.voice or None,
    'cast': record.cast,
    'error': None if job else record.error,
    'project': project,
    'job': job and job.to_json(),
    'result': f'/v1/dubs/{made.id}/result' if made.out.is_file() else None,
  }
  return found


async def get_events(request: Request) -> Response:
  """GET /v1/dubs/{id}/events: 'progress' and 'job', to the end of the job that is at work; where none is, what became
  of the last."""
  server, made = server_of(request), await _dub(request)
  job = server.jobs.of(project_id(made.project))
  if job is not None:
    return event_response(job.events())

  async def ended():
    known = dub_json(server, made)
    yield 'job', {'job': None, 'kind': 'dub', 'state': known['status'], 'error': known['error']}

  return event_response(ended())


async def post_cancel(request: Request) -> Response:
  """POST /v1/dubs/{id}/cancel: stops it at its next step. What is played stays, and `resume` goes on with a dub."""
  server, made = server_of(request), await _dub(request)
  job = server.jobs.of(project_id(made.project))
  if job is None:
    raise ApiError(409, 'nothing is at work on this dub', 'not_running')
  await asyncio.to_thread(job.cancel)
  return JSONResponse(dub_json(server, await _dub(request)), 202)


async def post_resume(request: Request) -> Response:
  """POST /v1/dubs/{id}/resume: goes on with one that was interrupted, cancelled or failed."""
  server, made = server_of(request), await _dub(request)
  dubbing_model(server)
  if job := server.jobs.of(project_id(made.project)):
    raise ApiError(409, f'job {job.id} ({job.kind}) is at work on this dub already', 'busy')
  if made.record.state == DONE:
    raise ApiError(409, 'this dub is done', 'already_done')
  await asyncio.to_thread(_check_free, made)
  await asyncio.to_thread(_begin, server, made)
  await asyncio.to_thread(submit_dub, server, made)
  return JSONResponse(dub_json(server, await _dub(request)), 202)


async def get_result(request: Request) -> Response:
  """GET /v1/dubs/{id}/result: the dubbed film, with byte ranges; ?part=dialogue or subtitles: a file beside it."""
  made = await _dub(request)
  part = request.query_params.get('part', 'film')
  if part not in PARTS:
    raise wrong('part', f'give one of {", ".join(PARTS)}')
  path = made.out if part == 'film' else Path(made.record.files.get(part, made.folder / 'none'))
  there = path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(made.folder.resolve())
  if not there:
    why = 'is not there any more' if made.record.state == DONE else 'is not written yet'
    raise ApiError(409 if made.record.state != DONE else 410, f'the result of this dub {why}', 'no_result')
  return FileResponse(path, filename=f'{Path(made.record.name).stem[:100] or "film"}.{part}{path.suffix}')


async def get_lines(request: Request) -> Response:
  """GET /v1/dubs/{id}/lines: the lines with their takes, as far as they are played."""
  made = await _dub(request)
  return JSONResponse({'object': 'list', 'data': await asyncio.to_thread(lines_json, made)})


def lines_json(made: Dub) -> list[dict[str, Any]]:
  """Lines with the chosen take's voice, emotion, warnings and overrun."""
  work = Project(made.project)
  state = work.state if work.exists else None
  rows = []
  for n, line in enumerate(state.lines if state else made.record.script(), 1):
    chosen = work.chosen(n) if state else None
    row = {'number': n, **vars(line), 'take': chosen and chosen[0], 'takes': work.takes(n) if state else []}
    row |= {'voice': None, 'emotion': None, 'overrun_seconds': None, 'warnings': []}
    if chosen:
      try:
        found = read_json(work.line_folder(n) / f'take_{chosen[0]}' / 'result.json')
        row['emotion'] = emotion_name(found['direction']['emotion'])
        row |= {name: found[name] for name in ('voice', 'overrun_seconds', 'warnings')}
      except (BadInput, KeyError, TypeError, ValueError):
        row['warnings'] = ['this take is damaged: play the line again']
    rows.append(row)
  return rows


async def post_line(request: Request) -> Response:
  """POST /v1/dubs/{id}/lines/{n} {"note": "softer"}, {"take": 1} or {"fit": "natural"}: plays the line again, or
  chooses an earlier take, and writes the film -> 202 with the job."""
  server, made, n = server_of(request), await _dub(request), request.path_params['n']
  body = await json_body(request, ('note', 'take', 'fit'))
  if not 1 <= n <= len(made.record.lines):
    raise ApiError(404, f'this dub has no line {n}: its lines are 1 to {len(made.record.lines)}', 'unknown_line')
  note = text(LONGEST_TEXT)('note', body['note']) if body.get('note') not in (None, '') else ''
  fit = one_of(*FITS)('fit', body['fit']) if body.get('fit') is not None else None
  take = body.get('take')
  if take is not None and (not isinstance(take, int) or isinstance(take, bool)):
    raise wrong('take', 'give the number of a take')
  if take is not None and note:
    raise wrong('take', 'give a note or a take, not both')
  asked = RedoRequest(made.project, n, note, take, fit)
  if asked.plays:
    dubbing_model(server)
  await asyncio.to_thread(_check_redo, server, made, n, take)
  key = project_id(made.project)
  job = server.jobs.submit('line', lambda job: _redo(server, made, job, asked), key)
  return JSONResponse({'id': made.id, 'line': n, 'job': job.to_json()}, 202)


def _check_redo(server: ServerState, made: Dub, n: int, take: int | None) -> None:
  """Raises ApiError where a line cannot be played again now: 409 where the dub is not done, its film is gone or another
  process is at work in it, 404 for a take that there is not."""
  if job := server.jobs.of(project_id(made.project)):
    raise ApiError(409, f'job {job.id} ({job.kind}) is at work on this dub: wait for it or cancel it', 'busy')
  try:
    if made.record.state != DONE or not (made.project / 'project.json').is_file():
      raise ApiError(409, 'this dub is not done yet; wait for it, or resume it', 'not_done')
    with open_project(made.project) as work:
      state = work.state
      work.check_line(n)
      find_film(state, work.folder)
      if take is not None and work.made(n, take) is None:
        raise ApiError(404, f'line {n} has no take {take}; it has {work.takes(n)}', 'unknown_take', 'take')
  except BadInput as error:
    raise told_of(made, error) from None


def _check_free(made: Dub) -> None:
  """Raises ApiError 409 where another process is at work in its project."""
  try:
    with open_project(made.project, make=True):
      pass
  except BadInput as error:
    raise told_of(made, error) from None


async def remove_dub(request: Request) -> Response:
  """DELETE /v1/dubs/{id}: stops it, and deletes all of its files."""
  server, made = server_of(request), await _dub(request)
  job = server.jobs.of(project_id(made.project))
  if job is not None:
    await asyncio.to_thread(job.cancel)
    if not await asyncio.to_thread(server.jobs.wait, job, STOP_SECONDS):
      raise ApiError(409, 'the dub is stopping; delete it in a moment', 'busy', retry_after=10)
  await asyncio.to_thread(_delete, server, made)
  return JSONResponse({'id': made.id, 'object': 'dub', 'deleted': True})


def _delete(server: ServerState, made: Dub) -> None:
  if server.desk is not None:
    server.desk.forget(made.project)
  try:
    if (made.project / 'project.json').is_file():
      with open_project(made.project):
        delete_dub(made)
    else:
      delete_dub(made)
  except FileNotFoundError:
    raise ApiError(404, f'no dub {made.id}', 'unknown_dub') from None
  except BadInput as error:
    raise told_of(made, error) from None


async def _dub(request: Request) -> Dub:
  server = server_of(request)
  return await asyncio.to_thread(find_dub, server.settings.home / DUBS, request.path_params['id'])
