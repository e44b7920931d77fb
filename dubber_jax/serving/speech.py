"""POST /v1/audio/speech as OpenAI's clients send it, and /v1/models.

The text is cut into sentences (sentences.py). Each is directed with the ones before it in mind and spoken by the
engine; while one is sent, the next is made. Fields beyond OpenAI's: `emotion`, `rounds`, `candidates`, `seed`,
`timestamps`, and `stream_format` "json".
"""

import asyncio
import base64
import contextlib
import dataclasses
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from dubber_jax.director.planner import Before
from dubber_jax.dubbing.request import STAGE_DIRECTIONS
from dubber_jax.errors import BadInput
from dubber_jax.serving.directed_lines import SpeechLine
from dubber_jax.serving.encoding import FORMATS, SpeechEncoder, encode_whole
from dubber_jax.serving.engine import SpokenLine
from dubber_jax.serving.errors import ApiError, as_fault, from_bad_input
from dubber_jax.serving.logs import log
from dubber_jax.serving.openai_voices import MODELS, is_openai_model, voice_for
from dubber_jax.serving.sentences import Sentence, split_text
from dubber_jax.serving.state import ServerState, server_of
from dubber_jax.types import SAMPLE_RATE, Direction, Line, Voice

SPEECH = '/v1/audio/speech'
CHARACTERS_A_SECOND = 9.0  # of slow speech: a line of so many characters fits a program of that many seconds
LONGEST_LINE = 240  # characters of a line
REMEMBERED = 4  # lines before, of which the planner is told
PARAGRAPH = 0.35  # s of silence between paragraphs, besides that around each line
CHUNK = 16_384  # bytes that are sent at once
MOST_WARNINGS, MOST_HEADER = 8, 4000  # that an answer's header holds, and its characters: proxies take no more
Waves = AsyncGenerator[SpokenLine, None]


class SpeechRequest(BaseModel):
  """The JSON of a request. Unknown fields are ignored, as other servers do."""

  model_config = ConfigDict(extra='ignore')

  input: StrictStr
  voice: StrictStr | dict[str, Any]
  model: StrictStr | None = None
  instructions: StrictStr | None = Field(None, max_length=2000)
  response_format: Literal['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'] = 'mp3'
  speed: float = Field(1.0, ge=0.25, le=4.0, allow_inf_nan=False, strict=True)
  stream_format: Literal['audio', 'sse', 'json'] = 'audio'
  emotion: Literal['angry', 'disgust', 'fear', 'happy', 'neutral', 'sad', 'surprise', 'others'] | None = None
  rounds: StrictInt = Field(1, ge=1, le=4)
  candidates: StrictInt = Field(1, ge=1, le=8)
  seed: StrictInt = Field(0, ge=0, le=2**31 - 1)
  timestamps: list[Literal['word']] = []
  stream: StrictBool | None = None


def parse_request(data: bytes) -> SpeechRequest:
  """A request's JSON. Raises ApiError 400 that names the field."""
  try:
    found = json.loads(data)
  except (ValueError, RecursionError) as error:
    raise ApiError(400, f'the request is not JSON ({str(error)[:100]})', 'invalid_json') from None
  if not isinstance(found, dict):
    raise ApiError(400, 'the request is JSON, but no object with fields', 'invalid_json')
  try:
    return SpeechRequest.model_validate({k: v for k, v in found.items() if v is not None})
  except (ValidationError, RecursionError) as error:
    if not isinstance(error, ValidationError):
      raise ApiError(400, 'the request has lists in lists without an end', 'invalid_json') from None
    first = error.errors(include_url=False, include_input=False)[0]
    name = '.'.join(str(part) for part in first['loc'][:1])
    raise ApiError(400, f'{name}: {first["msg"][:200]}', 'invalid_value', name) from None


@dataclass(frozen=True)
class Speech:
  """A request as it is going to be spoken."""

  asked: SpeechRequest
  voice: Voice
  sentences: tuple[Sentence, ...]
  began: float  # time.monotonic()


@dataclass
class Spoken:
  """What has been spoken of a request: seconds, words with their times, counts for its usage, warnings."""

  seconds: float = 0.0
  words: list[dict[str, Any]] = field(default_factory=list)
  phonemes: int = 0
  frames: int = 0
  lines: int = 0
  first: float = 0.0  # s from the request to the first sound
  warnings: list[str] = field(default_factory=list)

  def usage(self) -> dict[str, int]:
    """In OpenAI's form: phonemes as input tokens, mel frames as output tokens."""
    return {'input_tokens': self.phonemes, 'output_tokens': self.frames, 'total_tokens': self.phonemes + self.frames}


async def create_speech(request: Request) -> Response:
  """POST /v1/audio/speech."""
  server, began = server_of(request), time.monotonic()
  asked = parse_request(await request.body())
  server.engine.check_ready()
  check_model(server, asked.model)
  speech = Speech(asked, find_voice(server, asked), find_lines(server, asked), began)
  if asked.timestamps and asked.stream_format == 'audio':
    message = 'word times come with stream_format "sse" or "json", not with sound alone'
    raise ApiError(400, message, 'invalid_value', 'timestamps')
  spoken = Spoken()
  waves = speak(server, speech, spoken)
  if asked.stream_format == 'json':
    return await unless_gone(request, _whole(server, speech, spoken, waves))
  # Errors of the first line are answered as such; then the answer begins, and can only be cut off.
  try:
    first = await unless_gone(request, anext(waves))
  except BaseException:
    await waves.aclose()
    raise
  encode = _as_events if asked.stream_format == 'sse' else _as_sound
  media_type = 'text/event-stream' if asked.stream_format == 'sse' else FORMATS[asked.response_format].media_type
  headers = _headers(server, spoken)
  seconds = server.settings.limits.speech_seconds
  return SpeechResponse(encode(speech, spoken, first, waves), waves, media_type, headers, seconds)


def check_model(server: ServerState, name: str | None) -> None:
  """Raises ApiError 404 where a model is named that is not served here."""
  if name is not None and name != server.engine.name and not is_openai_model(name):
    message = (
      f'no model {name[:80]!r} here; served is {server.engine.name!r}, which answers to {", ".join(MODELS)}, too'
    )
    raise ApiError(404, message, 'model_not_found', 'model')


def find_voice(server: ServerState, asked: SpeechRequest) -> Voice:
  """The voice of a request: of the model or uploaded, by name or as {"id": name}, or OpenAI's name for one. Raises
  ApiError 404 where there is none."""
  name = asked.voice if isinstance(asked.voice, str) else asked.voice.get('id')
  if not isinstance(name, str) or not name:
    raise ApiError(400, 'voice: give a name, or {"id": name}', 'invalid_value', 'voice')
  if name not in server.voices and (mapped := voice_for(name, list(server.engine.voices))):
    name = mapped
  return server.voices.get(name)


def find_lines(server: ServerState, asked: SpeechRequest) -> tuple[Sentence, ...]:
  """The lines of a request's text. Raises ApiError 400 where it is empty or too long."""
  limit = server.settings.limits.text
  if len(asked.input) > limit:
    message = f'the text has {len(asked.input):,} characters, the limit is {limit:,}: send it in parts'
    raise ApiError(400, message, 'string_above_max_length', 'input')
  longest = min(LONGEST_LINE, int(server.engine.longest_seconds * CHARACTERS_A_SECOND))
  lines = tuple(split_text(asked.input, longest))
  if not lines:
    raise ApiError(400, 'the text is empty: give the words to speak', 'empty_input', 'input')
  return lines


async def speak(server: ServerState, speech: Speech, spoken: Spoken) -> Waves:
  """The lines of a request as they are spoken, each with the silence after it; `spoken` is kept up to date.

  While the caller is busy with one the next is made. What cannot be spoken within a longer text is left out, and told
  in the warnings. Raises ApiError, and closes what goes on when it is closed.
  """
  limit = server.settings.limits.speech_seconds
  before: list[tuple[Line, Direction]] = []
  with server.engine.place():
    going: asyncio.Task | None = None
    try:
      for number, sentence in enumerate(speech.sentences):
        if going is None:
          going = asyncio.create_task(_submit(server, speech, sentence, before, spoken))
        try:
          line: SpokenLine = await asyncio.wait_for(going, limit)
        except TimeoutError:
          raise ApiError(504, f'no speech within {limit:g} s', 'timeout') from None
        except BadInput as error:
          if number == len(speech.sentences) - 1 and not spoken.lines:
            raise from_bad_input(error, param='input') from None
          spoken.warnings.append(str(error))
          going = None
          continue
        before = [*before, (line.line, line.planned)][-REMEMBERED:]
        if sentence.last and number < len(speech.sentences) - 1:
          line = _with_silence(line, PARAGRAPH)
        following = speech.sentences[number + 1 :][:1]
        _count(spoken, speech, line)
        going = asyncio.create_task(_submit(server, speech, following[0], before, spoken)) if following else None
        yield line
      if not spoken.lines:
        raise ApiError(400, 'nothing in the text can be spoken: give words in English', 'empty_input', 'input')
    finally:
      if going is not None:
        going.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
          await going
  server.metrics.first_sound.observe(spoken.first)
  text = {'input': speech.asked.input} if server.settings.log_texts else {}
  log(
    'spoken',
    characters=len(speech.asked.input),
    lines=spoken.lines,
    speech_seconds=round(spoken.seconds, 2),
    first_sound=round(spoken.first, 3),
    seconds=round(time.monotonic() - speech.began, 3),
    **text,
  )


def _submit(
  server: ServerState, speech: Speech, sentence: Sentence, before: Before, spoken: Spoken
) -> Coroutine[Any, Any, SpokenLine]:
  asked = speech.asked
  how = [STAGE_DIRECTIONS[asked.emotion]] if asked.emotion else [sentence.stage_direction]
  # What was sent already plays for so long: by then the next line has to be there.
  deadline = speech.began + (spoken.first + spoken.seconds if spoken.lines else 0.0)
  line = SpeechLine(
    sentence.text,
    speech.voice,
    ''.join(how),
    asked.instructions or '',
    asked.speed,
    asked.seed,
    asked.rounds,
    asked.candidates,
    tuple(before),
    deadline,
  )
  return server.engine.submit(line, placed=True)


def _with_silence(line: SpokenLine, seconds: float) -> SpokenLine:
  return dataclasses.replace(line, waveform=np.pad(line.waveform, (0, round(seconds * SAMPLE_RATE))))


def _count(spoken: Spoken, speech: Speech, line: SpokenLine) -> None:
  if not spoken.lines:
    spoken.first = time.monotonic() - speech.began
  for start, end, word in line.words:
    times = {'start': round(spoken.seconds + start, 3), 'end': round(spoken.seconds + end, 3)}
    spoken.words.append({'word': word, **times})
  spoken.lines += 1
  spoken.seconds += len(line.waveform) / SAMPLE_RATE
  spoken.phonemes += line.phonemes
  spoken.frames += round(len(line.waveform) / 256)
  spoken.warnings += [warning for warning in line.warnings if warning not in spoken.warnings]


# Answers


async def _as_sound(speech: Speech, spoken: Spoken, first: SpokenLine, waves: Waves) -> AsyncIterator[bytes]:
  encoder, line = SpeechEncoder(speech.asked.response_format), first
  async with contextlib.aclosing(waves):
    while line is not None:
      yield await asyncio.to_thread(encoder.add, line.waveform)
      line = await anext(waves, None)
  yield await asyncio.to_thread(encoder.finish)


async def _as_events(speech: Speech, spoken: Spoken, first: SpokenLine, waves: Waves) -> AsyncIterator[bytes]:
  encoder, line, told = SpeechEncoder(speech.asked.response_format), first, 0
  async with contextlib.aclosing(waves):
    try:
      while line is not None:
        if speech.asked.timestamps and told < len(spoken.words):
          yield _event('speech.audio.words', words=spoken.words[told:])
          told = len(spoken.words)
        for part in _parts(await asyncio.to_thread(encoder.add, line.waveform)):
          yield _event('speech.audio.delta', audio=base64.b64encode(part).decode())
        line = await anext(waves, None)
    except Exception as error:
      known = from_bad_input(error) if isinstance(error, BadInput) else error
      yield _event('error', **(known if isinstance(known, ApiError) else as_fault(known, SPEECH)).to_json())
      return
  for part in _parts(await asyncio.to_thread(encoder.finish)):
    yield _event('speech.audio.delta', audio=base64.b64encode(part).decode())
  warnings = {'warnings': spoken.warnings} if spoken.warnings else {}
  yield _event('speech.audio.done', usage=spoken.usage(), **warnings)


def _event(kind: str, **fields: Any) -> bytes:
  return f'event: {kind}\ndata: {json.dumps({"type": kind, **fields})}\n\n'.encode()


def _parts(data: bytes) -> list[bytes]:
  return [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)]


async def _whole(server: ServerState, speech: Speech, spoken: Spoken, waves: Waves) -> Response:
  """One JSON object with the sound, the words and what they cost."""
  async with contextlib.aclosing(waves):
    pieces = [line.waveform async for line in waves]
  data = await asyncio.to_thread(encode_whole, np.concatenate(pieces), speech.asked.response_format)
  words = {'words': spoken.words} if speech.asked.timestamps else {}
  found = {
    'object': 'audio.speech',
    'format': speech.asked.response_format,
    'audio': base64.b64encode(data).decode(),
    'seconds': round(spoken.seconds, 3),
    **words,
    'usage': spoken.usage(),
    'warnings': spoken.warnings,
  }
  return JSONResponse(found, headers=_headers(server, spoken))


def _headers(server: ServerState, spoken: Spoken) -> dict[str, str]:
  told = spoken.warnings[:MOST_WARNINGS]
  while len(json.dumps(told)) > MOST_HEADER:
    told.pop()
  own = {'X-Dubber-Warnings': json.dumps(told)} if told else {}
  return {'X-Dubber-Model': json.dumps(server.engine.name)[1:-1], 'Cache-Control': 'no-store', **own}


class SpeechResponse(StreamingResponse):
  """A streamed answer, each part of which is taken within a time. One that fails on its way is cut off, without the end
  that a whole one has; when it is over, or its reader gone, what makes it is closed."""

  def __init__(
    self, content: AsyncIterator[bytes], waves: Waves, media_type: str, headers: dict[str, str], seconds: float
  ):
    super().__init__(content, 200, headers, media_type)
    self._content, self._waves, self._seconds = content, waves, seconds

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    try:
      await super().__call__(scope, receive, send)
    finally:
      await self._waves.aclose()  # also where the reader was gone before the first part was asked for

  async def stream_response(self, send: Send) -> None:
    await send({'type': 'http.response.start', 'status': self.status_code, 'headers': self.raw_headers})
    async with contextlib.aclosing(self._content) as parts:  # type: ignore[type-var]
      try:
        async for data in parts:
          for part in _parts(data):
            async with asyncio.timeout(self._seconds):
              await send({'type': 'http.response.body', 'body': part, 'more_body': True})
      except (ApiError, BadInput, TimeoutError) as error:
        log('cut off', reason=getattr(error, 'code', '') or type(error).__name__)
        return
    await send({'type': 'http.response.body', 'body': b'', 'more_body': False})


async def unless_gone(request: Request, work: Awaitable[Any]) -> Any:
  """The result of `work`, which is cancelled when the client hangs up. Raises ClientDisconnect then."""
  task = asyncio.ensure_future(work)
  gone = asyncio.create_task(_disconnected(request))
  try:
    await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
      return task.result()
    raise ClientDisconnect
  finally:
    for each in (task, gone):
      each.cancel()
    await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
  while (await request.receive())['type'] != 'http.disconnect':
    pass


# Models


async def list_models(request: Request) -> Response:
  """GET /v1/models: the one that is served, and OpenAI's names for it."""
  server = server_of(request)
  return JSONResponse({'object': 'list', 'data': [_model(name) for name in (server.engine.name, *MODELS)]})


async def get_model(request: Request) -> Response:
  """GET /v1/models/{model}."""
  name = request.path_params['model']
  check_model(server_of(request), name)
  return JSONResponse(_model(name))


def _model(name: str) -> dict[str, Any]:
  return {'id': name, 'object': 'model', 'created': 0, 'owned_by': 'dubber_jax'}


def routes() -> list[BaseRoute]:
  """The paths of this module."""
  return [
    Route(SPEECH, create_speech, methods=['POST']),
    Route('/v1/models', list_models),
    Route('/v1/models/{model}', get_model),
  ]
