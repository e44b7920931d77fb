"""/v1/voices: the voices of a server. A new one is a recording with the speaker's consent."""

import asyncio
import dataclasses

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dubber_jax.serving.dub_requests import number
from dubber_jax.serving.errors import ApiError
from dubber_jax.serving.state import server_of
from dubber_jax.serving.voices import Consent, make_stored_voice

FIELDS = ('name', 'consent_speaker', 'consent_date', 'consent_statement', 'fit_steps')
MOST_MAKING = 4  # voices that are made or wait to be


def routes() -> list[BaseRoute]:
  """Addresses of voices."""
  return [
    Route('/v1/voices', list_voices, methods=['GET']),
    Route('/v1/voices', post_voice, methods=['POST']),
    Route('/v1/voices/{name}', get_voice, methods=['GET']),
    Route('/v1/voices/{name}', remove_voice, methods=['DELETE']),
  ]


async def list_voices(request: Request) -> Response:
  """GET /v1/voices: those of the model first."""
  store = server_of(request).voices
  names = await asyncio.to_thread(store.names)
  return JSONResponse({'object': 'list', 'voices': [store.brief(name) for name in names]})


async def get_voice(request: Request) -> Response:
  """GET /v1/voices/{name}: with its consent record."""
  return JSONResponse(await asyncio.to_thread(server_of(request).voices.about, request.path_params['name']))


async def post_voice(request: Request) -> Response:
  """POST /v1/voices: a form with the file `recording` and the FIELDS -> 201 with the voice. fit_steps: as of the
  command line; 0: a voice at once, without adaptation."""
  server = server_of(request)
  model, store = server.engine.model, server.voices
  async with server.uploads.form(request, {'recording': server.settings.limits.voice_bytes}) as form:
    for name in form.fields:
      if name not in FIELDS:
        known = ', '.join(('recording', *FIELDS))
        raise ApiError(400, f'there is no field {name[:40]!r}: give {known}', 'unknown_field', name[:40])
    consent = Consent.of(form.fields)
    asked = form.fields.get('fit_steps', '')
    steps = number(0, 1000)('fit_steps', asked) if asked else None
    recording = form.file('recording')
    with store.reserved(form.fields.get('name', ''), MOST_MAKING) as name:
      facts = await server.uploads.read(recording.path, 'voice', recording.name)
      making = server.engine.run_beside(make_stored_voice, model, facts['wave'], facts['rate'], name, steps)
      voice = await asyncio.wrap_future(making)
      voice = dataclasses.replace(voice, warnings=(*facts['warnings'], *voice.warnings))
      consent = dataclasses.replace(consent, recording=recording.hash)
      about = await asyncio.to_thread(store.add, name, voice, consent, facts['seconds'])
  return JSONResponse(about, 201)


async def remove_voice(request: Request) -> Response:
  """DELETE /v1/voices/{name}: an uploaded one, with its consent record."""
  name = request.path_params['name']
  await asyncio.to_thread(server_of(request).voices.remove, name)
  return JSONResponse({'name': name, 'object': 'voice', 'deleted': True})
