"""The Wyoming protocol by its own client, on an engine that answers at once."""

import asyncio
import contextlib
import dataclasses
import types

import numpy as np
import pytest
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice

from dubber_jax.errors import BadInput
from dubber_jax.serving import wyoming
from dubber_jax.serving.engine import SpokenLine
from dubber_jax.serving.errors import ApiError
from dubber_jax.serving.metrics import Metrics
from dubber_jax.serving.sentences import complete_sentences
from dubber_jax.serving.settings import Limits, ServerSettings
from dubber_jax.serving.state import ServerState
from dubber_jax.serving.voices import VoiceStore
from dubber_jax.types import Direction, Line, Voice

SECONDS = 0.25


class Engine:
  """Speaks every line for SECONDS at once, and remembers them."""

  name, longest_seconds = 'stand-in', 20.0

  def __init__(self):
    ada = Voice(np.zeros(256, np.float32), np.zeros((8, 80), np.float32), 'ada')
    self.voices, self.ready, self.said = {'ada': ada}, True, []

  def check_ready(self):
    if not self.ready:
      raise ApiError(503, 'not yet', 'not_ready')

  @contextlib.contextmanager
  def place(self):
    yield

  async def submit(self, line, placed=False):
    if 'unspeakable' in line.text:
      raise BadInput('no such word')
    if 'broken' in line.text:
      raise ZeroDivisionError
    self.said.append((line.voice.name, line.text))
    wave = np.full(round(SECONDS * 22050), 0.5, np.float32)
    return SpokenLine(Line(line.text), Direction(), Direction(), wave)


@pytest.fixture
def engine():
  return Engine()


@pytest.fixture
def server(engine, tmp_path):
  settings = ServerSettings(home=tmp_path, limits=Limits(text=1000, silent_seconds=0.2))
  voices = VoiceStore(tmp_path / 'voices', lambda: engine.voices)
  return ServerState(settings, Metrics(), engine, voices, *[types.SimpleNamespace()] * 2)


def talk(server, *events, until=1):
  """Sends events, and reads what comes back until the connection has nothing more to say: so many ends of an answer."""

  async def run():
    async with wyoming.wyoming_server(server, 0) as port, AsyncTcpClient('127.0.0.1', port) as client:
      for event in events:
        await client.write_event(event.event())
      found, ends = [], 0
      while ends < until:
        event = await asyncio.wait_for(client.read_event(), 10)
        assert event is not None, 'the server closed the connection'
        found.append(event)
        ends += any(kind.is_type(event.type) for kind in (Info, AudioStop, SynthesizeStopped, Error))
      return found

  return asyncio.run(run())


def kinds(events):
  return [event.type for i, event in enumerate(events) if not i or event.type != events[i - 1].type]


def seconds(events):
  return sum(AudioChunk.from_event(e).seconds for e in events if AudioChunk.is_type(e.type))


def test_describe_tells_voices_and_languages(server):
  (event,) = talk(server, Describe())
  (program,) = Info.from_event(event).tts
  (voice,) = program.voices
  assert (program.name, voice.name, voice.languages) == ('dubber', 'ada', ['en'])
  assert program.supports_synthesize_streaming and voice.installed


def test_a_text_is_answered_by_its_sound(server, engine):
  events = talk(server, Synthesize('Good day. Who is there?', voice=SynthesizeVoice('ada')))
  assert kinds(events) == ['audio-start', 'audio-chunk', 'audio-stop']
  assert AudioStart.from_event(events[0]).rate == 22050
  assert seconds(events) == pytest.approx(2 * SECONDS, abs=0.01)
  assert np.frombuffer(AudioChunk.from_event(events[1]).audio, '<i2')[0] == round(0.5 * 32767)
  assert engine.said == [('ada', 'Good day.'), ('ada', 'Who is there?')]


def test_a_text_in_parts_is_spoken_as_soon_as_a_sentence_is_whole(server, engine):
  parts = [SynthesizeChunk(part) for part in ('Good d', 'ay. Who is', ' there? Dr', '. Who')]
  events = talk(server, SynthesizeStart(), *parts, Synthesize('the whole again'), SynthesizeStop(), until=2)
  assert kinds(events) == ['audio-start', 'audio-chunk', 'audio-stop', 'synthesize-stopped']
  assert [text for _, text in engine.said] == ['Good day.', 'Who is there?', 'Dr. Who']
  assert seconds(events) == pytest.approx(3 * SECONDS, abs=0.01)


@pytest.mark.parametrize(
  ('text', 'whole'),
  [
    ('', ''),
    ('Go', ''),
    ('Go.', ''),
    ('Go. ', ''),
    ('Go. N', 'Go.'),
    ('Mr. S', ''),
    ('Go! He said. Mr', 'Go! He said.'),
  ],
)
def test_a_sentence_is_whole_where_another_word_follows(text, whole):
  found, rest = complete_sentences(text)
  assert found == whole and found + rest == text


@pytest.mark.parametrize(
  ('asked', 'code'),
  [
    (Synthesize('Go.', voice=SynthesizeVoice('nobody')), 'unknown_voice'),
    (Synthesize('Go.', voice=SynthesizeVoice(language='de')), 'unknown_language'),
    (Synthesize('<speak>Go.</speak>', text_format='ssml'), 'text_format'),
    (Synthesize('...'), 'empty_input'),
    (Synthesize('a ' * 2000), 'string_above_max_length'),
    (Synthesize('It is unspeakable.'), 'bad_input'),
    (Synthesize(5), 'invalid_value'),
  ],
)
def test_what_cannot_be_spoken_is_an_error_and_the_connection_goes_on(server, asked, code):
  events = talk(server, asked, Synthesize('Good day.'), until=2)
  assert events[0].type == 'error' and Error.from_event(events[0]).code == code
  assert kinds(events[1:]) == ['audio-start', 'audio-chunk', 'audio-stop']


def test_a_fault_of_the_server_is_told_without_its_inside(server):
  (event,) = talk(server, Synthesize('broken'))
  assert 'ZeroDivision' not in Error.from_event(event).text


def test_a_server_that_is_not_ready_says_so(server, engine):
  engine.ready = False
  (event,) = talk(server, Synthesize('Go.'))
  assert Error.from_event(event).code == 'not_ready'


@pytest.mark.parametrize(
  'sent',
  [
    b'{"type": "synthesize", "data_length": 99999999999}\n',
    b'{"type": "synthesize", "data_length": 50}\nhalf of it',
    b'{"type": "describe", "payload_length": 999999999}\n',
    b'[]\n',
    b'GET / HTTP/1.1\r\n\r\n',
    b'\xff\xfe\0\n',
    b'[' * 50_000 + b'\n',
    b'{"data": {}}\n',
    b'x' * 100_000,
  ],
)
def test_what_is_not_of_the_protocol_ends_its_connection_alone(server, sent):
  async def run():
    async with wyoming.wyoming_server(server, 0) as port:
      reader, writer = await asyncio.open_connection('127.0.0.1', port)
      writer.write(sent)
      with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 10) == b''
      writer.close()
      async with AsyncTcpClient('127.0.0.1', port) as client:
        await client.write_event(Describe().event())
        return await asyncio.wait_for(client.read_event(), 10)

  assert Info.is_type(asyncio.run(run()).type)


def test_a_client_that_hangs_up_while_it_is_answered_costs_nobody_else_anything(server, engine):
  async def run():
    async with wyoming.wyoming_server(server, 0) as port:
      for _ in range(3):
        client = AsyncTcpClient('127.0.0.1', port)
        await client.connect()
        await client.write_event(Synthesize('Good day. Who is there? Only me. Go away.').event())
        await client.disconnect()
      async with AsyncTcpClient('127.0.0.1', port) as client:
        await client.write_event(Synthesize('Go.').event())
        return await asyncio.wait_for(client.read_event(), 10)

  assert AudioStart.is_type(asyncio.run(run()).type)


def test_more_clients_than_may_be_are_told(server, monkeypatch):
  monkeypatch.setattr(wyoming, 'CONNECTIONS', 1)

  async def run():
    async with wyoming.wyoming_server(server, 0) as port, AsyncTcpClient('127.0.0.1', port) as first:
      await first.write_event(Describe().event())
      await asyncio.wait_for(first.read_event(), 10)
      async with AsyncTcpClient('127.0.0.1', port) as second:
        return await asyncio.wait_for(second.read_event(), 10)

  assert Error.from_event(asyncio.run(run())).code == 'too_many'


def test_it_runs_in_the_event_loop_that_uvicorn_takes(server):
  uvloop = pytest.importorskip('uvloop')

  async def run():
    async with wyoming.wyoming_server(server, 0) as port, AsyncTcpClient('127.0.0.1', port) as client:
      await client.write_event(Describe().event())
      return await asyncio.wait_for(client.read_event(), 10)

  with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    assert Info.is_type(runner.run(run()).type)


def test_a_port_that_is_taken_is_bad_input(server):
  async def run():
    async with wyoming.wyoming_server(server, 0) as port:
      with pytest.raises(BadInput, match=str(port)):
        async with wyoming.wyoming_server(server, port):
          pass

  asyncio.run(run())


def test_unknown_events_are_passed_over(server):
  class Other:
    def event(self):
      return Event('select-program', {'name': 'dubber'})

  (event,) = talk(server, Other(), Describe())
  assert Info.is_type(event.type)


def test_the_server_speaks_it_beside_http(server, engine, monkeypatch):
  from starlette.testclient import TestClient

  from dubber_jax.serving.app import create_app

  ports = []
  serve = wyoming.wyoming_server

  @contextlib.asynccontextmanager
  async def noted(*arguments):
    async with serve(*arguments) as port:
      ports.append(port)
      yield port

  monkeypatch.setattr(wyoming, 'wyoming_server', noted)
  server.settings = dataclasses.replace(server.settings, wyoming=0)
  for part, names in ((engine, 'start stop'), (server.uploads, 'start stop'), (server.jobs, 'stop')):
    for name in names.split():
      setattr(part, name, lambda *_: None)
  with TestClient(create_app(server), base_url='http://127.0.0.1') as client:
    assert client.get('/healthz').status_code == 200 and len(ports) == 1

    async def ask():
      async with AsyncTcpClient('127.0.0.1', ports[0]) as wyoming_client:
        await wyoming_client.write_event(Describe().event())
        return await asyncio.wait_for(wyoming_client.read_event(), 10)

    assert Info.is_type(asyncio.run(ask()).type)
  with pytest.raises(ConnectionRefusedError):
    asyncio.run(ask())
