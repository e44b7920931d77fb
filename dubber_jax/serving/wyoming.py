"""Wyoming protocol (voice services of Home Assistant) on the engine of the server: `describe`, `synthesize` and its
form in parts, each answered by 16-bit mono sound.

A text is spoken as by `/v1/audio/speech`, sentence by sentence; one in parts, as soon as a sentence is whole. The
protocol knows no users and no tokens, so its port is one of the loopback interface alone. Its events are documented at
https://github.com/OHF-Voice/wyoming.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from pydantic import ValidationError

from dubber_jax import __version__
from dubber_jax.errors import BadInput
from dubber_jax.media.sound import pcm16
from dubber_jax.serving.errors import ApiError, as_fault, from_bad_input
from dubber_jax.serving.logs import log
from dubber_jax.serving.sentences import complete_sentences
from dubber_jax.serving.speech import Speech, SpeechRequest, Spoken, find_lines, find_voice, speak
from dubber_jax.serving.state import ServerState
from dubber_jax.types import SAMPLE_RATE

try:
  from wyoming.audio import AudioChunk, AudioStart, AudioStop
  from wyoming.error import Error
  from wyoming.event import Event
  from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
  from wyoming.server import AsyncEventHandler, AsyncTcpServer
  from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeTextFormat,
    SynthesizeVoice,
  )
except ImportError:
  raise BadInput("the Wyoming protocol needs the extra `serve`: pip install 'dubber_jax[serve]'") from None

HOST = '127.0.0.1'
LANGUAGE = 'en'
FORMAT = {'rate': SAMPLE_RATE, 'width': 2, 'channels': 1}
CHUNK = SAMPLE_RATE // 10  # samples of an event
EVENT_BYTES = 1_000_000  # of one part of an event that a client sends
CONNECTIONS = 32
IDLE_SECONDS = 600.0  # that a client may be connected without a word


@contextlib.asynccontextmanager
async def wyoming_server(server: ServerState, port: int) -> AsyncIterator[int]:
  """Serves the protocol on the loopback interface while the context is open -> the port, which is chosen where it is 0.

  Raises BadInput where the port is taken."""
  tcp = AsyncTcpServer(HOST, port)
  handlers: set[Handler] = set()

  def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Handler:
    return Handler(server, LimitedReader(reader, server.settings.limits.silent_seconds), writer, handlers)

  try:
    await tcp.start(connected)
  except OSError as error:
    raise BadInput(f'port {port} of the Wyoming protocol cannot be used ({error.strerror}): name another') from None
  listening: Any = tcp._server  # of asyncio, or of uvloop
  try:
    yield listening.sockets[0].getsockname()[1]
  finally:
    await tcp.stop()


class LimitedReader:
  """What a client sends: as much and as slowly as a client of good will does. Everything else ends the connection,
  since the protocol's reader takes a ValueError for the end."""

  def __init__(self, reader: asyncio.StreamReader, silent_seconds: float):
    self._reader, self._silent_seconds = reader, silent_seconds

  async def readline(self) -> bytes:
    return await self._in_time(self._reader.readline(), IDLE_SECONDS)

  async def readexactly(self, size: int) -> bytes:
    if not isinstance(size, int) or not 0 <= size <= EVENT_BYTES:
      raise ValueError(f'an event of {size} bytes')
    return await self._in_time(self._reader.readexactly(size), self._silent_seconds)

  def feed_eof(self) -> None:
    self._reader.feed_eof()

  async def _in_time(self, part, seconds: float) -> bytes:
    try:
      return await asyncio.wait_for(part, seconds)
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
      raise ValueError(type(error).__name__) from None


class Handler(AsyncEventHandler):
  """One connection."""

  def __init__(
    self, server: ServerState, reader: LimitedReader, writer: asyncio.StreamWriter, handlers: 'set[Handler]'
  ):
    super().__init__(reader, writer)  # type: ignore[arg-type]
    self._server, self._handlers = server, handlers
    self._text: str | None = None  # of a text in parts: what is not spoken yet
    self._start = SynthesizeStart()
    self._length, self._sounding = 0, False

  async def run(self) -> None:
    """Answers events until the client goes away."""
    if len(self._handlers) >= CONNECTIONS:
      await self.write_event(Error(f'{CONNECTIONS} clients are connected already', 'too_many').event())
      self.writer.close()
      return
    self._handlers.add(self)
    try:
      await super().run()
    except (ConnectionError, TimeoutError):
      log('wyoming', reason='the client went away')
    except (KeyError, TypeError, AttributeError, RecursionError) as error:  # by the package, of what is no event
      log('wyoming', reason=f'no event of the protocol ({type(error).__name__})')
    finally:
      self._handlers.discard(self)

  async def handle_event(self, event: Event) -> bool:
    """Answers one event. Errors are told in an event of their own, and the connection stays."""
    began, status = time.monotonic(), 200
    try:
      await self._answer(event)
    except ConnectionError:
      raise
    except Exception as error:
      known = from_bad_input(error) if isinstance(error, BadInput) else error
      if not isinstance(known, ApiError):
        known = as_fault(error, f'wyoming {event.type[:40]}')
      status, self._text = known.status, None
      await self._end_of_sound()
      await self.write_event(Error(known.message, known.code or None).event())
    if event.type.startswith('synthesize'):
      self._server.metrics.request('wyoming', status, time.monotonic() - began)
      log('wyoming', event=event.type, status=status, seconds=round(time.monotonic() - began, 3))
    return True

  async def _answer(self, event: Event) -> None:
    if Describe.is_type(event.type):
      await self.write_event(describe(self._server).event())
    elif Synthesize.is_type(event.type) and self._text is None:  # clients that send parts send the whole, too, behind
      asked = _parsed(Synthesize, event)
      await self._speak(_text_of(asked.text), asked.voice, asked.text_format)
      await self._end_of_sound()
    elif SynthesizeStart.is_type(event.type):
      self._start, self._text, self._length = _parsed(SynthesizeStart, event), '', 0
    elif SynthesizeChunk.is_type(event.type) and self._text is not None:
      await self._speak_part(_text_of(_parsed(SynthesizeChunk, event).text))
    elif SynthesizeStop.is_type(event.type):
      rest, self._text = self._text, None
      if rest and rest.strip():
        await self._speak(rest, self._start.voice, self._start.text_format)
      await self._end_of_sound()
      await self.write_event(SynthesizeStopped().event())

  async def _speak_part(self, text: str) -> None:
    self._length += len(text)
    limit = self._server.settings.limits.text
    if self._length > limit:
      raise ApiError(400, f'the text has more than {limit:,} characters: send it in parts', 'string_above_max_length')
    whole, self._text = complete_sentences((self._text or '') + text)
    if whole:
      await self._speak(whole, self._start.voice, self._start.text_format)

  async def _speak(self, text: str, voice: SynthesizeVoice | None, text_format: object) -> None:
    """Sends a text as sound. Raises ApiError and BadInput."""
    if text_format not in (None, SynthesizeTextFormat.TEXT):
      raise ApiError(400, 'the text has another format than plain text, which alone is spoken', 'text_format')
    self._server.engine.check_ready()
    try:
      asked = SpeechRequest.model_validate({'input': text, 'voice': self._voice_name(voice)})
    except ValidationError as error:
      raise ApiError(400, f'voice: {error.errors(include_url=False)[0]["msg"]}', 'invalid_value') from None
    lines = find_lines(self._server, asked)
    speech = Speech(asked, find_voice(self._server, asked), lines, time.monotonic())
    async with contextlib.aclosing(speak(self._server, speech, Spoken())) as spoken:
      async for line in spoken:
        await self._send(pcm16(line.waveform).tobytes())

  def _voice_name(self, voice: SynthesizeVoice | None) -> str:
    if voice is not None and voice.name is not None:
      return voice.name
    if voice is not None and voice.language is not None and str(voice.language)[:2].lower() != LANGUAGE:
      raise ApiError(400, f'no voice speaks {voice.language!r}: this server speaks English', 'unknown_language')
    return self._server.voices.names()[0]

  async def _send(self, sound: bytes) -> None:
    if not self._sounding:
      await self.write_event(AudioStart(**FORMAT).event())
      self._sounding = True
    for at in range(0, len(sound), 2 * CHUNK):
      await self.write_event(AudioChunk(**FORMAT, audio=sound[at : at + 2 * CHUNK]).event())

  async def _end_of_sound(self) -> None:
    if self._sounding:
      self._sounding = False
      await self.write_event(AudioStop().event())


def describe(server: ServerState) -> Info:
  """The voices of a server, uploaded ones included."""
  own = Attribution('dubber_jax', '')
  told = {'attribution': own, 'installed': True, 'version': __version__}
  voices = [TtsVoice(name=name, description=name, languages=[LANGUAGE], **told) for name in server.voices.names()]
  description = f'Directed speech, model {server.engine.name}'
  program = TtsProgram(
    name='dubber', description=description, voices=voices, supports_synthesize_streaming=True, **told
  )
  return Info(tts=[program])


def _parsed(kind: Any, event: Event) -> Any:
  try:
    return kind.from_event(event)
  except (KeyError, TypeError, AttributeError, ValueError):
    raise ApiError(400, f'the event {event.type} is not as the protocol has it', 'invalid_event') from None


def _text_of(text: object) -> str:
  if not isinstance(text, str):
    raise ApiError(400, 'text: give the words to speak', 'invalid_value', 'text')
  return text
