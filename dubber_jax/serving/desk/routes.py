"""The desk's HTTP interface: docs/reference/desk_api.md."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dubber_jax.actor.slot import FITS
from dubber_jax.dubbing.project import hash_of_voice
from dubber_jax.dubbing.takes import TakeRequest
from dubber_jax.serving.desk import edits, page, previews
from dubber_jax.serving.desk.answers import line_json, project_json, projects_json, takes_json
from dubber_jax.serving.desk.references import Performance, decode
from dubber_jax.serving.desk.sessions import ProjectSession, Writing
from dubber_jax.serving.errors import ApiError
from dubber_jax.serving.events import event_response
from dubber_jax.serving.jobs import Job
from dubber_jax.serving.json_requests import json_body
from dubber_jax.serving.state import ServerState, server_of

P = '/desk/projects/{p}'
LINE = f'{P}/lines/{{n:number}}'
FILM_PATIENCE = 60.0  # s for which a request waits for a film that is being made playable
LONGEST_NOTE = 4000  # characters that are read at all; a note's own limit is lower


class Number(Convertor[int]):
  """A number of a line or a take in a path."""

  regex = '[0-9]{1,9}'

  def convert(self, value: str) -> int:
    return int(value)

  def to_string(self, value: int) -> str:
    return str(value)


register_url_convertor('number', Number())


def routes() -> list[BaseRoute]:
  """All paths of the desk, with its page."""
  get = ['GET']
  return [
    *page.routes(),
    Route('/desk/projects', list_projects, methods=get),
    Route(P, get_project, methods=get),
    Route(f'{P}/film', get_film, methods=get),
    Route(f'{P}/output', get_output, methods=get),
    Route(f'{P}/events', get_events, methods=get),
    Route(LINE, get_line, methods=get),
    Route(f'{LINE}/takes/{{k:number}}.wav', get_take, methods=get),
    Route(f'{LINE}/original.wav', get_original, methods=get),
    Route(f'{LINE}/frame.jpg', get_frame, methods=get),
    Route(f'{P}/exemplars/{{key:path}}.wav', get_exemplar_sound, methods=get),
    Route(f'{P}/exemplars/{{key:path}}.jpg', get_exemplar_picture, methods=get),
    Route(f'{LINE}/takes', post_take, methods=['POST']),
    Route(LINE, patch_line, methods=['PATCH']),
    Route(f'{LINE}/reference', put_reference, methods=['PUT']),
    Route(f'{LINE}/reference', delete_reference, methods=['DELETE']),
    Route(f'{LINE}/guide', put_guide, methods=['PUT']),
    Route(f'{P}/characters/{{name:path}}', put_voice, methods=['PUT']),
    Route(f'{P}/background', put_background, methods=['PUT']),
    Route(f'{P}/undo', post_undo, methods=['POST']),
    Route(f'{P}/redo', post_redo, methods=['POST']),
    Route(f'{P}/export', post_export, methods=['POST']),
    Route('/desk/jobs/{job}', delete_job, methods=['DELETE']),
  ]


# Reading


async def list_projects(request: Request) -> Response:
  desk = server_of(request).desk
  return JSONResponse({'projects': await asyncio.to_thread(projects_json, desk)})


async def get_project(request: Request) -> Response:
  session = await _session(request)
  await _resume(session)
  return JSONResponse(await asyncio.to_thread(project_json, session))


async def get_line(request: Request) -> Response:
  session = await _session(request)
  found = await asyncio.to_thread(line_json, session, request.path_params['n'])
  for waiting in session.behind:
    waiting.cancel()  # of a line that was looked at before: a note must not wait for all of them
  task = asyncio.ensure_future(_prepare(session, found['number']))
  session.behind.add(task)
  task.add_done_callback(session.behind.discard)
  return JSONResponse(found)


async def get_film(request: Request) -> Response:
  session = await _session(request)
  find = server_of(request).desk.previews.find
  path, kind, making = await asyncio.to_thread(lambda: find(session, session.state()))
  if making is not None:
    work = asyncio.wrap_future(making)
    done, _ = await asyncio.wait({work}, timeout=FILM_PATIENCE)
    if not done:
      raise ApiError(503, 'the film is being made playable; ask again soon', 'film_not_ready', retry_after=5)
    work.result()  # raises what went wrong
  return FileResponse(path, media_type=kind, content_disposition_type='inline')


async def get_output(request: Request) -> Response:
  state = await asyncio.to_thread((await _session(request)).state)
  path = Path(state.out)
  if not path.is_file():
    raise ApiError(404, 'the film was not written yet, or is not there any more: export it', 'not_exported')
  return FileResponse(path, filename=path.name)


async def get_take(request: Request) -> Response:
  session, take = await _session(request), request.path_params['k']
  number = request.path_params['n']
  await _check_line(session, number)
  if await asyncio.to_thread(session.work.made, number, take) is None:
    raise ApiError(404, f'line {number} has no whole take {take}', 'unknown_take')
  path = session.work.line_folder(number) / f'take_{take}' / 'take.wav'
  return FileResponse(path, media_type='audio/wav', content_disposition_type='inline')


async def get_original(request: Request) -> Response:
  return await _made(request, previews.original_sound, 'audio/wav')


async def get_frame(request: Request) -> Response:
  return await _made(request, previews.line_picture, 'image/jpeg')


async def get_exemplar_sound(request: Request) -> Response:
  return await _exemplar(request, previews.exemplar_sound, 'audio/wav')


async def get_exemplar_picture(request: Request) -> Response:
  return await _exemplar(request, previews.exemplar_picture, 'image/jpeg')


async def get_events(request: Request) -> Response:
  session = await _session(request)
  return event_response(server_of(request).jobs.subscribe(session.id))


async def _made(request: Request, make: Callable[..., bytes], kind: str) -> Response:
  """What is made of the film for a line. The film of a project stays as it is, so that it is kept by the browser."""
  session = await _session(request)

  def made() -> bytes:
    state = session.state()
    return make(session, state, session.line(state, request.path_params['n']))

  data = await asyncio.to_thread(made)
  return Response(data, media_type=kind, headers={'Cache-Control': 'private, max-age=3600'})


async def _exemplar(request: Request, make: Callable[..., bytes], kind: str) -> Response:
  session = await _session(request)
  data = await asyncio.to_thread(lambda: make(session, session.state(), request.path_params['key']))
  return Response(data, media_type=kind, headers={'Cache-Control': 'private, max-age=3600'})


async def _prepare(session: ProjectSession, number: int) -> None:
  """Reads a line that is looked at, so that its next take need not wait for that."""
  with contextlib.suppress(Exception):  # what is wrong is told when the line is played
    if session.server.engine.ready and session.server.jobs.of(session.id) is None:
      await session.prepare(number)


# Changing


async def post_take(request: Request) -> Response:
  session, number, version = await _session(request), request.path_params['n'], _version(request)
  body = await json_body(request, ('note', 'direction', 'fit'))
  note, direction, fit = body.get('note', ''), body.get('direction', {}), body.get('fit')
  if not isinstance(note, str) or len(note) > LONGEST_NOTE:
    raise ApiError(400, f'note: give a text of up to {LONGEST_NOTE} characters', 'bad_value', 'note')
  if not isinstance(direction, dict):
    raise ApiError(400, 'direction: give the fields that change, as {"pace": 0.9}', 'bad_value', 'direction')
  if fit is not None and fit not in FITS:
    raise ApiError(400, f'fit {fit!r:.40}: give one of {", ".join(FITS)}', 'bad_value', 'fit')
  note = ' '.join(note.split())
  if note and direction:
    raise ApiError(400, 'give a note or a direction, not both', 'bad_value', 'direction')
  await _check_line(session, number)
  wanted = TakeRequest(number, note, direction, fit=fit)
  kind = 'note' if note else 'direction' if direction else 'take'
  return await _played(session, number, lambda writing: edits.play_line(writing, wanted, kind), version)


async def patch_line(request: Request) -> Response:
  session, number = await _session(request), request.path_params['n']
  body = await json_body(request, ('take', 'accepted'))
  take, accepted = body.get('take'), body.get('accepted')
  if take is not None and (not isinstance(take, int) or isinstance(take, bool)):
    raise ApiError(400, f'take {take!r:.40}: give its number', 'bad_value', 'take')
  if accepted is not None and not isinstance(accepted, bool):
    raise ApiError(400, f'accepted {accepted!r:.40}: give true or false', 'bad_value', 'accepted')
  await _check_line(session, number)

  def edit(writing: Writing):
    if take is not None:
      edits.choose(writing, number, take)
    if accepted is not None:
      edits.accept(writing, number, accepted)

  return await _changed(session, edit, _version(request))


async def put_reference(request: Request) -> Response:
  return await _performance(request, edits.give_reference)


async def put_guide(request: Request) -> Response:
  return await _performance(request, edits.give_guide)


async def delete_reference(request: Request) -> Response:
  session, number = await _session(request), request.path_params['n']
  await _check_line(session, number)
  return await _changed(session, lambda writing: edits.remove_reference(writing, number), _version(request))


async def put_voice(request: Request) -> Response:
  session, character, server = await _session(request), request.path_params['name'], server_of(request)
  body = await json_body(request, ('voice',))
  name = body.get('voice')
  if not isinstance(name, str):
    raise ApiError(400, 'voice: give the name of a voice', 'bad_value', 'voice')
  voice = await asyncio.to_thread(_voice, server, session, name)
  if (busy := server.jobs.of(session.id)) is not None:
    raise ApiError(409, f'a job of this project is going on ({busy.kind}): wait for it, or stop it', 'job_running')
  key = hash_of_voice(voice)
  left = await session.change(lambda writing: edits.start_voice(writing, character, voice), _version(request))
  if not left:
    await session.change(edits.finish)
    return JSONResponse({'job': None})
  session.resumed = True
  try:
    job = _submit_voice(session, character, key)
  except ApiError:
    with contextlib.suppress(ApiError):
      await session.change(edits.finish)  # nothing is to be gone on with
    raise
  return JSONResponse({'job': job.to_json()}, 202)


async def put_background(request: Request) -> Response:
  body = await json_body(request, ('background',))
  return await _changed(
    await _session(request), lambda writing: edits.change_background(writing, body.get('background')), _version(request)
  )


async def post_undo(request: Request) -> Response:
  return await _changed(await _session(request), edits.take_back, _version(request))


async def post_redo(request: Request) -> Response:
  return await _changed(await _session(request), edits.make_again, _version(request))


async def post_export(request: Request) -> Response:
  session, server, version = await _session(request), server_of(request), _version(request)
  await session.change(lambda writing: writing.work.check_line(1), version)  # and that nobody else has it
  await asyncio.to_thread(session.film)
  job = server.jobs.submit('export', lambda job: edits.write_film(session, job), session.id)
  return JSONResponse({'job': job.to_json()}, 202)


async def delete_job(request: Request) -> Response:
  job = server_of(request).jobs.get(request.path_params['job'])
  await asyncio.to_thread(job.cancel)
  return JSONResponse({'job': job.to_json()})


async def _resume(session: ProjectSession) -> None:
  """Goes on with a voice's lines where a stop of the server cut them off."""
  if session.resumed or not session.server.engine.ready:
    return
  session.resumed = True  # once: what fails now would fail again
  unfinished = (await asyncio.to_thread(session.desk_log)).unfinished
  if unfinished is None or session.server.jobs.of(session.id) is not None:
    return
  character, key = unfinished.get('character'), unfinished.get('voice')
  if unfinished.get('kind') == 'voice' and isinstance(character, str) and isinstance(key, str):
    with contextlib.suppress(ApiError):
      _submit_voice(session, character, key, again=True)


def _submit_voice(session: ProjectSession, character: str, key: str, again: bool = False) -> Job:
  return session.server.jobs.submit(
    'voice',
    lambda job: edits.play_voice(session, job, character, key, again),
    session.id,
    lambda: edits.drop_voice(session),
  )


async def _performance(request: Request, edit: Callable[[Writing, int, Performance], int]) -> Response:
  """An uploaded recording or clip is decoded, and a line played with it."""
  session, number = await _session(request), request.path_params['n']
  server, version = server_of(request), _version(request)
  await _check_line(session, number)
  async with server.uploads.form(request, {'file': server.settings.limits.voice_bytes}) as form:
    performance = await decode(server, form.file('file'))
  return await _played(session, number, lambda writing: edit(writing, number, performance), version)


async def _played(
  session: ProjectSession, number: int, play: Callable[[Writing], int], version: int | None
) -> Response:
  def change(writing: Writing) -> dict[str, Any]:
    take = play(writing)
    state = writing.work.state
    told = next(row for row in takes_json(session, state, number) if row['number'] == take)
    return {'take': told, 'project': project_json(session, writing.desk)}

  return JSONResponse(await session.change(change, version, long=True), 201)


async def _changed(session: ProjectSession, edit: Callable[[Writing], None], version: int | None) -> Response:
  def change(writing: Writing) -> dict[str, Any]:
    edit(writing)
    return project_json(session, writing.desk)

  return JSONResponse(await session.change(change, version))


async def _session(request: Request) -> ProjectSession:
  return await asyncio.to_thread(server_of(request).desk.open, request.path_params['p'])


async def _check_line(session: ProjectSession, number: int) -> None:
  await asyncio.to_thread(lambda: session.line(session.state(), number))


def _version(request: Request) -> int | None:
  """The version of If-Match, None where any will do. Raises ApiError 400 for what is none."""
  stated = request.headers.get('if-match', '').strip().removeprefix('W/').strip('"')
  if stated in ('', '*'):
    return None
  if not stated.isascii() or not stated.isdecimal() or len(stated) > 18:
    raise ApiError(400, f'If-Match {stated!r:.40}: give the version that the project was read with', 'bad_version')
  return int(stated)


def _voice(server: ServerState, session: ProjectSession, name: str):
  """A voice by name: of the project itself, of its model, or of the server."""
  state = session.state()
  for key, known in state.voices.items():
    if known == name and name not in server.engine.voices and name not in server.voices.names():
      return session.work.voice(key)
  return server.voices.get(name)
