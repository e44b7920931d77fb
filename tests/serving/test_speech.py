"""The speech endpoint as OpenAI's client sees it, of a server in a thread whose actor takes no time."""

import asyncio
import base64
import dataclasses
import io
import json
import socket
import sys
import time
from pathlib import Path
from unittest import mock

import av
import httpx
import numpy as np
import openai
import pytest
from starlette.requests import ClientDisconnect

sys.path.insert(0, str(Path(__file__).parent))  # quick_engine.py

from quick_engine import TEXT, VOICES, Actor, QuickServer, quick_engine  # noqa: E402
from uploading import wait_for  # noqa: E402

from dubber_jax.serving.openai_voices import SHIPPED, voice_for  # noqa: E402
from dubber_jax.serving.speech import (  # noqa: E402
  Speech,
  SpeechRequest,
  SpeechResponse,
  Spoken,
  _as_sound,
  _headers,
  find_lines,
  speak,
)
from dubber_jax.types import EMOTIONS  # noqa: E402

RATE = 24_000


@pytest.fixture(scope='module')
def served(tmp_path_factory):
  actor = Actor()
  with quick_engine(actor, tmp_path_factory.mktemp('home'), speech_seconds=20.0) as engine:
    running = QuickServer(engine, actor)
    yield running
    running.stop()


@pytest.fixture
def server(served):
  served.actor.__init__()
  return served


def seconds_of(data: bytes) -> float:
  with av.open(io.BytesIO(data)) as container:
    frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return sum(map(len, frames)) / container.streams.audio[0].rate


def events_of(text: str) -> list[dict]:
  found = []
  for block in text.strip().split('\n\n'):
    kind, data = block.split('\n')
    found.append(json.loads(data.removeprefix('data: ')))
    assert kind == f'event: {found[-1]["type"]}'
  return found


@pytest.mark.parametrize('name', ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'])
def test_client_gets_the_format_it_asks_for(server, name):
  answer = server.speak(response_format=name)
  data = answer.read()
  length = len(data) / 2 / RATE if name == 'pcm' else seconds_of(data)
  assert length == pytest.approx(len(server.post().content) / 2 / RATE, abs=0.12)
  kinds = {'mp3': 'audio/mpeg', 'opus': 'audio/ogg', 'pcm': 'audio/pcm'}
  assert answer.response.headers['content-type'].startswith(kinds.get(name, f'audio/{name}'))


def test_mp3_is_what_comes_where_nothing_is_said(server):
  assert server.speak().response.headers['content-type'] == 'audio/mpeg'


def test_first_sentence_is_heard_while_the_second_is_made(server):
  server.actor.held = 'nobody'
  server.actor.gate.clear()
  request = {'model': 'tts-1', 'voice': 'alloy', 'input': TEXT, 'response_format': 'pcm'}
  with server.openai.audio.speech.with_streaming_response.create(**request) as answer:
    parts = answer.iter_bytes()
    first = next(parts)
    assert server.actor.entered.wait(20) and not server.actor.gate.is_set()
    server.actor.gate.set()
    rest = b''.join(parts)
  assert server.actor.batches == [['we never asked'], ['nobody told us']]
  assert len(first) > 1000 and len(rest) > 1000


def test_events_hold_the_sound_the_words_and_the_usage(server):
  request = {'stream_format': 'sse', 'response_format': 'pcm', 'extra_body': {'timestamps': ['word']}}
  answer = server.speak(**request)
  assert answer.response.headers['content-type'].startswith('text/event-stream')
  events = events_of(answer.text)
  assert {event['type'] for event in events} == {'speech.audio.words', 'speech.audio.delta', 'speech.audio.done'}
  sound = b''.join(base64.b64decode(event['audio']) for event in events if event['type'] == 'speech.audio.delta')
  assert sound == server.post().content
  words = [word for event in events if event['type'] == 'speech.audio.words' for word in event['words']]
  assert [word['word'] for word in words] == ['we', 'never', 'asked', 'nobody', 'told', 'us']
  starts = [word['start'] for word in words]
  assert starts == sorted(starts) and words[-1]['end'] < len(sound) / 2 / RATE
  usage = events[-1]['usage']
  assert events[-1]['type'] == 'speech.audio.done' and usage['input_tokens'] > 10
  assert usage['total_tokens'] == usage['input_tokens'] + usage['output_tokens']


def test_one_json_object_holds_all_of_it(server):
  found = server.post(stream_format='json', timestamps=['word'], response_format='wav').json()
  assert seconds_of(base64.b64decode(found['audio'])) == pytest.approx(found['seconds'], abs=0.01)
  assert len(found['words']) == 6 and found['format'] == 'wav'


def test_word_times_without_a_place_for_them_are_refused(server):
  refused = server.post(timestamps=['word'])
  assert refused.status_code == 400 and refused.json()['error']['param'] == 'timestamps'


@pytest.mark.parametrize('note', ['Sad, and much slower.', '悲伤，再慢一点'])
def test_instructions_are_a_note_to_the_director(server, note):
  server.speak(instructions=note)
  directions = [direction for _, direction, _ in server.actor.lines]
  assert len(directions) == 2
  assert all(direction.emotion[EMOTIONS.index('sad')] > 0.5 and direction.pace < 0.95 for direction in directions)


def test_instructions_that_speak_of_nothing_known_change_nothing_and_are_told(server):
  answer = server.post(instructions='Accent: from Zanzibar')
  told = json.loads(answer.headers['x-dubber-warnings'])
  assert answer.status_code == 200 and any('understood' in warning for warning in told)


def test_note_of_one_line_is_not_added_to_that_of_the_next(server):
  server.speak(input='We never asked. ' * 4, instructions='a bit slower')
  paces = [direction.pace for _, direction, _ in server.actor.lines]
  assert len(set(paces)) == 1 and paces[0] < 1


def test_emotion_and_brackets_are_stage_directions(server):
  server.post(emotion='angry')
  server.post(input='[sadly] We never asked.')
  (_, first, _), _, (_, last, _) = server.actor.lines
  assert EMOTIONS[int(np.argmax(first.emotion))] == 'angry' and EMOTIONS[int(np.argmax(last.emotion))] == 'sad'
  assert server.actor.batches[-1] == ['we never asked']


@pytest.mark.parametrize('speed', [0.25, 0.8, 1.25, 4.0])
def test_speed_is_the_actors_pace_as_far_as_it_goes_and_then_the_sounds_tempo(server, speed):
  usual, changed = (len(server.post(speed=s).content) for s in (1.0, speed))
  assert changed * speed == pytest.approx(usual, rel=0.15)  # whole mel frames a symbol
  assert all(0.75 <= direction.pace <= 1.35 for _, direction, _ in server.actor.lines)


def test_seed_reaches_the_actor(server):
  server.post(seed=7)
  assert {seed for _, _, seed in server.actor.lines} == {7}


@pytest.mark.parametrize('asked, voice', [('onyx', 'joe'), ('ljspeech', 'ljspeech'), ({'id': 'kathleen'}, 'kathleen')])
def test_voice_is_one_of_the_models_or_openais_name_for_one(server, asked, voice):
  assert server.post(voice=asked).status_code == 200
  assert server.actor.lines[0][0].voice.name == voice


def test_every_name_of_openais_is_some_voice_of_any_model():
  assert {voice_for(name, list(VOICES)) for name in SHIPPED} == set(VOICES)
  assert {voice_for(name, ['ada', 'bob']) for name in SHIPPED} == {'ada', 'bob'}
  assert voice_for('somebody', ['ada']) is None and voice_for('alloy', []) is None


@pytest.mark.parametrize(
  'fields, status, code, param',
  [
    ({'input': ''}, 400, 'empty_input', 'input'),
    ({'input': ' \n '}, 400, 'empty_input', 'input'),
    ({'input': '你好，再见'}, 400, 'bad_input', 'input'),
    ({'input': 'x' * 100_000}, 400, 'string_above_max_length', 'input'),
    ({'input': 5}, 400, 'invalid_value', 'input'),
    ({'input': ['Hello.']}, 400, 'invalid_value', 'input'),
    ({'voice': 'nobody'}, 404, 'unknown_voice', 'voice'),
    ({'voice': '../../etc/passwd'}, 404, 'unknown_voice', 'voice'),
    ({'voice': {'id': 7}}, 400, 'invalid_value', 'voice'),
    ({'voice': 7}, 400, 'invalid_value', 'voice'),
    ({'model': 'whisper-1'}, 404, 'model_not_found', 'model'),
    ({'model': {}}, 400, 'invalid_value', 'model'),
    ({'response_format': 'midi'}, 400, 'invalid_value', 'response_format'),
    ({'speed': 5}, 400, 'invalid_value', 'speed'),
    ({'speed': 'fast'}, 400, 'invalid_value', 'speed'),
    ({'speed': True}, 400, 'invalid_value', 'speed'),
    ({'stream_format': 'video'}, 400, 'invalid_value', 'stream_format'),
    ({'instructions': 'slow ' * 1000}, 400, 'invalid_value', 'instructions'),
    ({'emotion': 'melancholy'}, 400, 'invalid_value', 'emotion'),
    ({'rounds': 99}, 400, 'invalid_value', 'rounds'),
    ({'seed': -1}, 400, 'invalid_value', 'seed'),
    ({'timestamps': ['phoneme']}, 400, 'invalid_value', 'timestamps'),
  ],
)
def test_request_that_cannot_be_spoken_is_refused_in_openais_form(server, fields, status, code, param):
  answer = server.post(**fields)
  error = answer.json()['error']
  assert (answer.status_code, error['code'], error['param']) == (status, code, param)
  assert error['message'] and '\n' not in error['message'] and error['type'].endswith('_error')
  assert server.engine.idle


@pytest.mark.parametrize('body', [b'', b'{', b'[]', b'"text"', b'null', b'{"input": NaN}', b'\xff\xfe', b'[' * 100_000])
def test_body_that_is_no_request_is_refused(server, body):
  answer = httpx.post(f'{server.url}/v1/audio/speech', content=body, timeout=30)
  assert answer.status_code == 400 and answer.json()['error']['type'] == 'invalid_request_error'


def test_errors_are_those_that_openais_client_knows(server):
  with pytest.raises(openai.NotFoundError, match='nobody'):
    server.speak(voice='nobody')
  with pytest.raises(openai.BadRequestError, match='empty'):
    server.speak(input='')


def test_fault_is_told_by_a_number_and_nothing_else(server):
  answer = server.post(input='This is broken. And more.')
  assert answer.status_code == 500 and 'fault' in answer.json()['error']['message']
  assert server.engine.idle and server.post().status_code == 200


def test_what_cannot_be_spoken_in_a_longer_text_is_left_out_and_told(server):
  events = events_of(server.post(input='We never asked. 你好。 Nobody told us.', stream_format='sse').text)
  assert events[-1]['type'] == 'speech.audio.done' and any('spoken' in warning for warning in events[-1]['warnings'])
  assert server.actor.batches == [['we never asked'], ['nobody told us']]


def test_answer_that_fails_on_its_way_is_cut_off_and_has_no_end(server):
  with pytest.raises(httpx.RemoteProtocolError):
    server.post(input='We never asked. This is broken.')
  events = events_of(server.post(input='We never asked. This is broken.', stream_format='sse').text)
  assert events[-1]['type'] == 'error' and events[-1]['error']['type'] == 'server_error'
  wait_for(lambda: server.engine.idle)


@pytest.mark.parametrize('held', ['we', 'nobody'])
def test_client_that_hangs_up_ends_its_work(server, held):
  server.actor.held = held
  server.actor.gate.clear()
  asked = {'voice': 'alloy', 'input': f'{TEXT} And that was it.', 'response_format': 'pcm'}
  host, _, port = server.url.removeprefix('http://').partition(':')
  with socket.create_connection((host, int(port))) as connection:
    body = json.dumps(asked).encode()
    head = f'POST /v1/audio/speech HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n\r\n'
    connection.sendall(head.encode() + body)
    assert server.actor.entered.wait(20)
  wait_for(lambda: server.engine.idle)
  server.actor.gate.set()
  assert server.post(input='Still there.').status_code == 200
  assert ['and that was it'] not in server.actor.batches


def test_line_that_takes_too_long_is_answered_by_504(server):
  server.actor.gate.clear()
  with mock.patch.object(server.state, 'settings', with_limits(server.engine.settings, speech_seconds=0.05)):
    answer = server.post()
  server.actor.gate.set()
  assert answer.status_code == 504 and answer.json()['error']['code'] == 'timeout'
  wait_for(lambda: server.engine.idle)


def with_limits(settings, **limits):
  return dataclasses.replace(settings, limits=dataclasses.replace(settings.limits, **limits))


def test_models_are_the_one_that_is_served_under_several_names(server):
  names = [model.id for model in server.openai.models.list()]
  assert names[0] == server.engine.name and 'tts-1' in names
  assert server.openai.models.retrieve('gpt-4o-mini-tts').id == 'gpt-4o-mini-tts'
  with pytest.raises(openai.NotFoundError):
    server.openai.models.retrieve('whisper-1')


def test_health_and_measurements(server):
  server.post()
  assert httpx.get(f'{server.url}/healthz').json() == {'status': 'ok'}
  assert httpx.get(f'{server.url}/readyz').json()['ready'] is True
  text = httpx.get(f'{server.url}/metrics').text
  assert 'dubber_requests_total{route="/v1/audio/speech",status="200"}' in text
  assert 'dubber_first_sound_seconds_count' in text and 'dubber_queue 0.0' in text
  assert 'stage="takes"' in text and 'dubber_real_time_factor_sum' in text


def test_server_that_cannot_speak_yet_says_when_to_ask_again(server):
  server.engine._ready = False
  try:
    answer, ready = server.post(), httpx.get(f'{server.url}/readyz')
  finally:
    server.engine._ready = True
  assert answer.status_code == ready.status_code == 503
  assert int(answer.headers['retry-after']) > 0 and answer.json()['error']['code'] == 'not_ready'


def test_log_has_no_texts_unless_asked_for(server, caplog):
  with caplog.at_level('INFO', logger='dubber_jax.serving'):
    server.post(input='A secret line.')
    wait_for(lambda: any(record.getMessage() == 'spoken' for record in caplog.records))
  fields = [getattr(record, 'fields', {}) for record in caplog.records]
  assert any(row.get('characters') == 14 for row in fields) and 'secret' not in str(fields) + caplog.text


def test_header_of_warnings_stays_as_small_as_proxies_take(server):
  spoken = Spoken(warnings=['压' * 300, 'a' * 3000, 'b' * 3000])
  header = _headers(server.state, spoken)['X-Dubber-Warnings']
  assert len(header) <= 4000 and json.loads(header) == ['压' * 300]


def test_answer_to_a_client_that_is_gone_before_it_begins_frees_its_place(server):
  async def ask():
    asked = SpeechRequest(input=TEXT, voice='joe')
    speech = Speech(asked, VOICES['joe'], find_lines(server.state, asked), time.monotonic())
    waves, spoken = speak(server.state, speech, Spoken()), Spoken()
    first = await anext(waves)
    held = server.engine._held

    async def gone(message=None):
      raise OSError('it went away')

    response = SpeechResponse(_as_sound(speech, spoken, first, waves), waves, 'audio/mpeg', {}, 20)
    scope = {'type': 'http', 'asgi': {'spec_version': '2.4'}}
    with pytest.raises(ClientDisconnect):
      await response(scope, gone, gone)
    return held, server.engine._held, waves  # which is still referred to

  assert asyncio.run(ask())[:2] == (1, 0)
