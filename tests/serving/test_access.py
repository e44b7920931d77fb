"""The outermost part of the server: hosts, origins, tokens, limits, headers and errors."""

import asyncio
import dataclasses
import json
import re

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dubber_jax.errors import BadInput
from dubber_jax.serving import access
from dubber_jax.serving.access import POLICY, Access, session_cookie
from dubber_jax.serving.errors import HANDLERS, ApiError, from_bad_input
from dubber_jax.serving.settings import Limits, ServerSettings

TOKEN = 'a token of nobody'
HERE = 'http://127.0.0.1:8000'


async def echo(request):
  return JSONResponse({'bytes': len(await request.body())})


async def page(request):
  return PlainTextResponse('hello')


async def bad(request):
  kind = request.path_params['kind']
  if kind == 'input':
    raise BadInput('not\na film')
  if kind == 'api':
    raise ApiError(409, 'busy', 'busy')
  if kind == 'plain':
    return PlainTextResponse('no such thing', 418)
  if kind == 'late':

    async def parts():
      yield b'some'
      raise ZeroDivisionError('a secret text')

    return StreamingResponse(parts())
  raise ZeroDivisionError('a secret text')


def client_of(settings=None, base_url=HERE, **more):
  settings = settings or ServerSettings()
  paths = ('/v1/voices', '/v1/dubs', '/echo', '/desk/projects/1/lines/2/guide')
  routes = [Route(path, echo, methods=['POST']) for path in paths]
  routes += [Route(path, page) for path in ('/', '/healthz', '/page', '/desk/static/desk.js')]
  routes += [Route('/bad/{kind}', bad), Route('/file', lambda request: FileResponse(__file__)), *access.routes()]
  app = Starlette(routes=routes, middleware=[Middleware(Access, settings)], exception_handlers=HANDLERS)

  class State:
    pass

  app.state.server = State()
  app.state.server.settings = settings
  return TestClient(app, base_url, follow_redirects=False, **more)


@pytest.mark.parametrize(
  ('host', 'allowed'),
  [
    ('127.0.0.1:8000', True),
    ('localhost', True),
    ('LOCALHOST:80', True),
    ('[::1]:8000', True),
    ('127.8.8.8', True),
    ('desk.example', True),
    ('attacker.example', False),
    ('127.0.0.1.attacker.example', False),
    ('localhost.attacker.example:8000', False),
    ('192.168.1.5:8000', False),
    ('', False),
    ('localhost:8000@attacker.example', False),
    ('localhost/', False),
  ],
)
def test_only_its_own_names_reach_the_server(host, allowed):
  answer = client_of(ServerSettings(hosts=('desk.example',))).get('/page', headers={'host': host})
  assert answer.status_code == (200 if allowed else 403)
  assert allowed or answer.json()['error']['code'] == 'unknown_host'


def test_a_server_for_others_is_reached_by_its_address_but_not_by_names_that_are_pointed_at_it():
  client = client_of(ServerSettings(host='0.0.0.0', token=TOKEN), headers={'authorization': f'Bearer {TOKEN}'})
  for host, status in (('192.168.1.5:8000', 200), ('[2001:db8::1]', 200), ('attacker.example', 403)):
    assert client.get('/page', headers={'host': host}).status_code == status


@pytest.mark.parametrize(
  ('headers', 'status'),
  [
    ({}, 200),
    ({'origin': HERE}, 200),
    ({'origin': 'https://127.0.0.1:8000'}, 200),
    ({'origin': HERE, 'sec-fetch-site': 'same-origin'}, 200),
    ({'origin': 'http://attacker.example'}, 403),
    ({'origin': 'http://127.0.0.1:9000'}, 403),
    ({'origin': 'http://localhost:8000'}, 403),
    ({'origin': 'null'}, 403),
    ({'origin': ''}, 403),
    ({'origin': 'http://127.0.0.1:8000.attacker.example'}, 403),
    ({'sec-fetch-site': 'cross-site'}, 403),
    ({'sec-fetch-site': 'same-site'}, 403),
  ],
)
def test_pages_of_other_sites_change_nothing(headers, status):
  assert client_of().post('/echo', content=b'1', headers=headers).status_code == status


def test_no_header_lets_other_sites_read():
  answer = client_of().get('/page', headers={'origin': 'http://attacker.example'})
  assert answer.status_code == 200 and not [name for name in answer.headers if name.startswith('access-control')]
  preflight = {'origin': 'http://attacker.example', 'access-control-request-method': 'POST'}
  answer = client_of().options('/echo', headers=preflight)
  assert answer.status_code == 405 and not [name for name in answer.headers if name.startswith('access-control')]


def test_web_sockets_of_other_sites_are_closed():
  async def sockets(headers):
    sent, messages = [], iter([{'type': 'websocket.connect'}])

    async def receive():
      return next(messages)

    async def send(message):
      sent.append(message)

    async def accept(scope, receive, send):
      await send({'type': 'websocket.accept'})

    scope = {'type': 'websocket', 'path': '/', 'headers': [(b'host', b'localhost'), *headers]}
    await Access(accept, ServerSettings())(scope, receive, send)
    return sent[0]['type']

  assert asyncio.run(sockets([(b'origin', b'http://attacker.example')])) == 'websocket.close'
  assert asyncio.run(sockets([(b'origin', b'http://localhost')])) == 'websocket.accept'


def test_a_token_is_asked_for_where_there_is_one():
  client = client_of(ServerSettings(token=TOKEN))
  answer = client.get('/page')
  assert answer.status_code == 401 and answer.json()['error']['type'] == 'authentication_error'
  for wrong in ('Bearer x', f'Basic {TOKEN}', f'Bearer {TOKEN}x', 'Bearer', f'Bearer {TOKEN}é'.encode('latin-1')):
    assert client.get('/page', headers={'authorization': wrong}).status_code == 401
  assert client.get('/page', headers={'authorization': f'bearer  {TOKEN}'}).status_code == 200
  for path in ('/', '/healthz', '/desk/static/desk.js'):
    assert client.get(path).status_code == 200
  assert client.get('/desk/static/../../page').status_code == 401


def test_a_page_opens_a_session_by_its_address_and_goes_on_without_the_token():
  client = client_of(ServerSettings(token=TOKEN))
  assert client.get('/', params={'token': 'another'}).status_code == 401
  answer = client.get('/', params={'token': TOKEN, 'lang': '"><script>'})
  cookie = answer.headers['set-cookie'].lower()
  assert answer.status_code == 200 and 'httponly' in cookie and 'samesite=strict' in cookie
  assert TOKEN not in answer.text and TOKEN not in cookie and '<script>' not in answer.text
  assert re.search(r'url=/\?lang=', answer.text) and answer.headers['content-security-policy'] == POLICY
  assert client.get('/page').status_code == 200
  client.cookies.clear()
  name, value = session_cookie(TOKEN)
  assert client.get('/page', headers={'cookie': f'{name}={value[:-1]}x'}).status_code == 401
  assert client.get('/page', headers={'cookie': f'other=1; {name}={value}'}).status_code == 200


def test_a_page_opens_a_session_by_showing_the_token():
  client = client_of(ServerSettings(token=TOKEN))
  for wrong, status in ((b'{"token": "x"}', 401), (b'{"token": 7}', 401), (b'[', 400), (b'[]', 400), (b'', 400)):
    assert client.post('/desk/session', content=wrong).status_code == status
  assert client.post('/desk/session', json={'token': TOKEN}).status_code == 204
  assert client.get('/page').status_code == 200


@pytest.mark.parametrize('path', ['/page', '/nothing', '/bad/fault', '/bad/api', '/file'])
def test_every_answer_has_the_headers_that_keep_scripts_of_others_out(path):
  headers = client_of().get(path).headers
  assert headers['content-security-policy'] == POLICY and "default-src 'self'" in POLICY
  assert headers['x-content-type-options'] == 'nosniff' and headers['referrer-policy'] == 'same-origin'
  assert "frame-ancestors 'none'" in POLICY


@pytest.mark.parametrize(
  ('method', 'path', 'status', 'code'),
  [
    ('GET', '/nothing', 404, 'not_found'),
    ('GET', '/v1/nothing/at/all', 404, 'not_found'),
    ('DELETE', '/echo', 405, 'method_not_allowed'),
    ('GET', '/bad/input', 400, 'bad_input'),
    ('GET', '/bad/api', 409, 'busy'),
    ('GET', '/bad/plain', 418, None),
    ('GET', '/bad/fault', 500, 'internal_error'),
  ],
)
def test_every_error_is_json_in_openai_form(method, path, status, code):
  answer = client_of().request(method, path)
  assert answer.status_code == status and answer.headers['content-type'] == 'application/json'
  error = answer.json()['error']
  assert set(error) == {'message', 'type', 'param', 'code'} and error['code'] == code
  assert error['message'] and '\n' not in error['message']
  assert int(answer.headers['content-length']) == len(answer.content)
  assert status != 405 or 'POST' in answer.headers['allow']


def test_a_range_that_a_file_does_not_have_is_json_too():
  answer = client_of().get('/file', headers={'range': 'bytes=999999999-'})
  assert answer.status_code == 416 and answer.json()['error']['code'] == 'range_not_satisfiable'
  assert answer.headers['content-range'].startswith('bytes */')
  assert client_of().get('/file', headers={'range': 'bytes=a-b'}).json()['error']['message']


def test_a_fault_is_found_in_the_log_by_its_number_without_texts(caplog):
  message = client_of().get('/bad/fault').json()['error']['message']
  number = re.search(r'[0-9a-f]{12}', message)[0]
  assert number in caplog.text and 'ZeroDivisionError' in caplog.text and 'test_access.py' in caplog.text
  assert 'secret' not in caplog.text and 'secret' not in message


def test_a_fault_after_the_answer_began_cuts_it(caplog):
  async def ask():
    transport = httpx.ASGITransport(client_of().app)
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
      return await client.get('/bad/late')

  with pytest.raises(AssertionError):  # the transport's own check that an answer has its end
    asyncio.run(ask())
  assert 'ZeroDivisionError' in caplog.text and 'secret' not in caplog.text


def test_an_answer_that_nobody_reads_ends(caplog):
  sent = []

  async def receive():
    await asyncio.Event().wait()

  async def send(message):
    sent.append(message['type'])
    if message['type'] == 'http.response.body':
      await asyncio.Event().wait()  # the client's window is full

  scope = {
    'type': 'http',
    'method': 'GET',
    'path': '/file',
    'raw_path': b'/file',
    'query_string': b'',
    'headers': [(b'host', b'localhost')],
    'app': None,
  }
  limits = dataclasses.replace(SMALL, unread_seconds=0.02)
  with caplog.at_level('INFO', 'dubber_jax.serving'):
    asyncio.run(client_of(ServerSettings(limits=limits)).app(scope, receive, send))
  assert sent == ['http.response.start', 'http.response.body']
  assert [row.fields['route'] for row in caplog.records if row.message == 'cut off'] == ['/file']


@pytest.mark.parametrize(
  ('said', 'told'),
  [
    ('/media/films/film.mp4: is gone; put it back', 'film.mp4: is gone; put it back'),
    ("'/models/x/model' is no model", "'model' is no model"),
    ('give a number from 1/2 to 3/4, or mp3/opus', 'give a number from 1/2 to 3/4, or mp3/opus'),
    ('see https://example.org/a/b', 'see https://example.org/a/b'),
    ('lines/001/take_1 is damaged', 'lines/001/take_1 is damaged'),
  ],
)
def test_what_the_library_refuses_is_told_without_folders(said, told):
  assert from_bad_input(BadInput(said)).message == told


def asked(path, messages, limits, headers=(), slow=()):
  """Sends a request in parts -> (status, error, headers, bytes that were read)."""
  read, sent = [], []

  async def receive():
    if len(read) in slow or len(read) == len(messages):
      await asyncio.Event().wait()
    read.append(messages[len(read)])
    return {'type': 'http.request', 'body': read[-1], 'more_body': len(read) < len(messages)}

  async def send(message):
    sent.append(message)

  scope = {
    'type': 'http',
    'method': 'POST',
    'path': path,
    'raw_path': path.encode(),
    'query_string': b'',
    'headers': [(b'host', b'localhost'), *headers],
    'app': None,
  }
  asyncio.run(client_of(ServerSettings(limits=limits)).app(scope, receive, send))
  start = next(message for message in sent if message['type'] == 'http.response.start')
  body = json.loads(b''.join(message.get('body', b'') for message in sent))
  assert sent[-1].get('more_body', False) is False
  return start['status'], body, dict(start['headers']), sum(map(len, read))


SMALL = Limits(json_bytes=1000, voice_bytes=5000, film_bytes=20_000, silent_seconds=0.02)
CHUNKED = (b'transfer-encoding', b'chunked')
FORM = (b'content-type', b'multipart/form-data; boundary=x')


def test_a_stated_length_beyond_the_limit_is_refused_before_anything_is_read(monkeypatch):
  monkeypatch.setattr(access, 'DRAIN_BYTES', 0)
  headers = [(b'content-length', b'1001')]
  status, body, answer, read = asked('/echo', [b'x' * 1001], SMALL, headers)
  assert (status, body['error']['code'], read) == (413, 'too_large', 0) and answer[b'connection'] == b'close'
  assert asked('/echo', [b'x'], SMALL, [(b'content-length', b'-1')])[0] == 400


def test_a_body_without_a_length_is_refused_once_it_is_too_large():
  parts = [b'x' * 400] * 100
  status, body, _, read = asked('/echo', parts, SMALL, [CHUNKED])
  assert status == 413 and body['error']['code'] == 'too_large'
  assert asked('/echo', parts[:2], SMALL, [CHUNKED])[:2] == (200, {'bytes': 800})


@pytest.mark.parametrize(
  ('path', 'form', 'limit'),
  [
    ('/echo', False, 1000),
    ('/echo', True, 1000),
    ('/v1/voices', False, 1000),
    ('/v1/voices', True, 6000),
    ('/desk/projects/1/lines/2/guide', True, 6000),
    ('/v1/dubs', True, 21_000),
    ('/v1/dubs', False, 1000),
  ],
)
def test_only_forms_with_films_and_recordings_may_be_large(path, form, limit):
  headers = [CHUNKED, *([FORM] if form else [])]
  assert asked(path, [b'x' * limit], SMALL, headers)[0] == 200
  assert asked(path, [b'x' * limit, b'x'], SMALL, headers)[0] == 413


def test_a_body_that_stops_coming_is_answered_by_408(monkeypatch):
  monkeypatch.setattr(access, 'DRAIN_SECONDS', 0.01)
  status, body, answer, _ = asked('/echo', [b'x'] * 3, SMALL, [CHUNKED], slow=(2,))
  assert (status, body['error']['code']) == (408, 'too_slow') and answer[b'connection'] == b'close'


def test_a_body_that_comes_drop_by_drop_is_answered_by_408_too(monkeypatch):
  monkeypatch.setattr(access, 'DRAIN_SECONDS', 0.01)
  clock = iter(range(0, 10_000, 100))
  monkeypatch.setattr(access.time, 'monotonic', lambda: next(clock))
  assert asked('/v1/dubs', [b'x'] * 50, SMALL, [CHUNKED, FORM])[:2][0] == 408
