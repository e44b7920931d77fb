"""Damaged requests to a server, drawn from a seed: every route, with wrong types, lies about types and lengths, broken
forms, deep JSON, and clients that hang up.

A server answers each with a status below 500 and, where that is an error, JSON in OpenAI's form; a connection that it
closes without an answer is a fault too, unless the client's request was no HTTP. `experiments/timing/serving.py --parts
fuzz` sends 1,000 of them to a real server, `tests/serving/test_fuzz.py` some to one with a stand-in engine.
"""

import collections
import concurrent.futures
import contextlib
import functools
import http.client
import io
import json
import random
import re
import socket
import wave
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

WAIT = 180.0  # seconds for an answer
ODD_NUMBERS = (0, -1, 1, 2, 0.5, 2**31, 2**63, -(2**63), 10**30, 10**400, 1e308, -1e308, 1e-320)
ODD_TEXTS = (
  '',
  ' ',
  '\0',
  'x' * 5_000,
  'a ' * 60_000,
  '../../etc/passwd',
  '/etc/passwd',
  'file:///etc/passwd',
  '<script>alert(1)</script>',
  '\u202etxt.exe',
  '\ufeff',
  '\ufffd',
  '𝕿𝖊𝖘𝖙',
  '🎬' * 200,
  '你好,世界。',
  'שלום',
  'a\r\nSet-Cookie: x=1',
  '%00',
  "'; DROP TABLE takes; --",
  '\ud800',
  '{{7*7}}',
  'null',
  'NaN',
  '1e999',
  '٣',
  '-',
  '.',
  '..',
  '...',
  '?' * 500,
  'one. ' * 2_000,
)
ODD_VALUES = (*ODD_NUMBERS, *ODD_TEXTS, None, True, False, [], {}, [[]], [None], {'a': 1}, ['a'] * 1_000, [[['x']]])
ODD_SEGMENTS = (
  '..',
  '.',
  '%2e%2e',
  '..%2f..%2fetc%2fpasswd',
  '%00',
  '%ff%fe',
  '-1',
  '0',
  '9' * 40,
  'x' * 3_000,
  '%F0%9F%8E%AC',
  'a%0d%0ab',
  'null',
  '1.5',
  '1e5',
  '%20',
  "'",
  '"',
  '<b>',
  'undefined',
  '000000000000',
  'ffffffffffff',
  '~',
  '*',
  '%25',
  ';',
  '@',
)
# Bodies of the addresses that take JSON, whole; a request changes some of it.
SPEECH = {
  'model': 'dubber',
  'input': 'We never asked for any of this.',
  'voice': 'kathleen',
  'response_format': 'wav',
  'speed': 1.0,
  'instructions': 'softer',
  'stream_format': 'audio',
}
BODIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
  (r'/v1/audio/speech', 'POST', SPEECH),
  (
    r'.*/takes/?',
    'POST',
    {'note': 'softer', 'direction': {'intensity': 0.5, 'emotion': {'sad': 1.0}}, 'fit': 'natural'},
  ),
  (r'.*/lines/[^/]+/?', 'PATCH', {'take': 1, 'accepted': True}),
  (r'.*/characters/[^/]+/?', 'PUT', {'voice': 'kathleen'}),
  (r'.*/background/?', 'PUT', {'background': 'none'}),
  (r'.*/session/?', 'POST', {'token': 'wrong'}),
  (r'.*', '', {'note': 'softer', 'line': 1, 'name': 'x'}),
)
# Fields and files of the addresses that take forms.
VOICE = {
  'name': 'Anna',
  'consent_speaker': 'Anna',
  'consent_date': '2026-03-31',
  'consent_statement': 'I agree that this recording of my voice is used here.',
}
FORMS: tuple[tuple[str, dict[str, str], tuple[str, ...]], ...] = (
  (r'/v1/voices/?', VOICE, ('recording',)),
  (r'/v1/dubs/?|/desk/projects/?', {'voice': 'kathleen', 'background': 'none'}, ('film', 'script')),
  (r'.*', {}, ('file',)),
)
ODD_FILE_NAMES = (
  'voice.wav',
  'film.mp4',
  'script.srt',
  '../../x.wav',
  'x' * 400 + '.wav',
  '',
  'a\0.wav',
  'CON',
  '.wav',
  '电影.mp4',
)
FORMATS = ('mp3', 'opus', 'aac', 'flac', 'wav', 'pcm')


@dataclass(frozen=True)
class Case:
  """One request. raw: its bytes from the first line on; fault: what is wrong with it; send: how many of the bytes are
  sent before the client hangs up, None for all; read: how many bytes of the answer it reads before it hangs up."""

  number: int
  fault: str
  method: str
  path: str
  raw: bytes = field(repr=False)
  send: int | None = None
  read: int | None = None

  @property
  def hangs_up(self) -> bool:
    return self.send is not None or self.read is not None


@dataclass(frozen=True)
class Outcome:
  """What came of a case. status: None where no answer came; problem: '' where the server did right."""

  case: Case
  status: int | None
  problem: str = ''


def server_routes() -> list[tuple[str, str]]:
  """(method, path) of every route of the server, of all its modules."""
  from dubber_jax.serving import access, dubs, health, speech, voice_routes
  from dubber_jax.serving.desk import routes as desk

  found = []
  for module in (speech, health, voice_routes, dubs, desk, access):
    found += [
      (method, route.path) for route in module.routes() for method in sorted(getattr(route, 'methods', None) or ['GET'])
    ]
  return sorted(set(found))


def draw_cases(
  count: int, seed: int, routes: Sequence[tuple[str, str]], known: Mapping[str, str] | None = None
) -> Iterator[Case]:
  """`count` cases, the same for one seed. routes: (method, path with {names}); known: existing values of the names."""
  rng = random.Random(seed)
  weights = [3 if method in ('POST', 'PUT', 'PATCH') else 1 for method, _ in routes]
  for number in range(count):
    method, template = routes[number] if number < len(routes) else rng.choices(routes, weights)[0]
    yield _Drawn(rng, method, template, known or {}).case(number)


class _Drawn:
  """One case in the making."""

  def __init__(self, rng: random.Random, method: str, template: str, known: Mapping[str, str]):
    self.rng, self.method, self.faults = rng, method, []
    self.voice = known.get('name', SPEECH['voice'])
    self.path = re.sub(r'{(\w+)(?::\w+)?}', lambda match: self._segment(match[1], known), template)
    self.headers = [('Host', 'localhost'), ('Accept', '*/*'), ('Connection', 'close')]
    self.body = b''

  def _segment(self, name: str, known: Mapping[str, str]) -> str:
    if name in known and self.method != 'DELETE' and self.rng.random() < 0.85:  # what is there stays for the others
      return quote(known[name])
    self.faults.append(f'{name} in the address')
    return self.rng.choice(ODD_SEGMENTS)

  def case(self, number: int) -> Case:
    makers = [self._json, self._broken_json, self._lie, self._query, self._as_it_is]
    if self.method in ('POST', 'PUT'):
      makers += [self._form, self._form, self._form, self._json, self._json]
    self.rng.choice(makers)()
    if self.rng.random() < 0.1:
      self._odd_headers()
    if self.rng.random() < 0.03:
      self.method = self.rng.choice(['PATCH', 'DELETE', 'OPTIONS', 'HEAD', 'TRACE', 'BREW', 'GET', 'POST'])
      self.faults.append(f'method {self.method}')
    names = {name.lower() for name, _ in self.headers}
    if self.body and not names & {'content-length', 'transfer-encoding'}:
      self.headers.append(('Content-Length', str(len(self.body))))
    lines = [f'{self.method} {self.path or "/"} HTTP/1.1', *(f'{name}: {value}' for name, value in self.headers)]
    raw = '\r\n'.join(lines).encode('utf-8', 'replace') + b'\r\n\r\n' + self.body
    send = read = None
    if self.rng.random() < 0.12:
      send = self.rng.randrange(1, len(raw) + 1)
      self.faults.append('hangs up while sending')
    elif self.rng.random() < 0.08:
      read = self.rng.choice([0, 1, 30, 500, 5_000])
      self.faults.append('hangs up while reading')
    return Case(number, ', '.join(self.faults) or 'nothing', self.method, self.path[:200], raw, send, read)

  def _as_it_is(self):
    """The whole request where it has a body."""
    if self.method in ('POST', 'PUT', 'PATCH'):
      self._set_json(self._whole())

  def _whole(self) -> dict[str, Any]:
    body = next(body for path, method, body in BODIES if method in ('', self.method) and re.fullmatch(path, self.path))
    body = json.loads(json.dumps(body)) | ({'voice': self.voice} if 'voice' in body else {})
    if 'response_format' in body:
      body |= {'response_format': self.rng.choice(FORMATS), 'stream_format': self.rng.choice(['audio', 'sse'])}
    return body

  def _set_json(self, value: Any):
    self.body = json.dumps(value).encode()
    self.headers.append(('Content-Type', 'application/json'))

  def _json(self):
    """Right JSON with one to three values that are not what they should be."""
    body = self._whole()
    for _ in range(self.rng.randint(1, 3)):
      key = self.rng.choice([*body, 'other'])
      what = self.rng.random()
      if what < 0.15:
        body.pop(key, None)
        self.faults.append(f'no {key}')
      elif what < 0.3 and isinstance(body.get(key), dict):
        body[key][self.rng.choice([*body[key], 'x'])] = self.rng.choice(ODD_VALUES)
        self.faults.append(f'odd value in {key}')
      else:
        body[key] = self.rng.choice(ODD_VALUES)
        self.faults.append(f'odd {key}')
    self._set_json(self.rng.choice([body, body, body, body, [body], {'a': body}, str(body)]))

  def _broken_json(self):
    """What is not JSON, or more of it than a parser should follow."""
    whole = json.dumps(self._whole()).encode()
    name, body = self.rng.choice([*_broken_bodies(whole).items(), *_large_bodies().items()])
    self.faults.append(f'JSON: {name}')
    self.body = body
    kinds = ['application/json', 'application/json; charset=utf-16', 'text/plain', '', 'multipart/form-data']
    self.headers.append(('Content-Type', self.rng.choice(kinds)))

  def _lie(self):
    """A length, type or coding of the body that is not its own."""
    self._set_json(self._whole())
    size = len(self.body)
    name, headers, body = self.rng.choice(
      [
        ('length too short', [('Content-Length', str(size // 2))], self.body),
        ('length of a number with letters', [('Content-Length', f'{size}x')], self.body),
        ('negative length', [('Content-Length', '-5')], self.body),
        ('huge length', [('Content-Length', '9' * 30)], self.body),
        ('length over the limit', [('Content-Length', '99999999999')], self.body[:10]),
        ('two lengths', [('Content-Length', str(size)), ('Content-Length', '3')], self.body),
        ('length and chunks', [('Content-Length', '3'), ('Transfer-Encoding', 'chunked')], b'3\r\nabc\r\n0\r\n\r\n'),
        ('bad chunks', [('Transfer-Encoding', 'chunked')], b'zz\r\n' + self.body),
        ('whole chunks', [('Transfer-Encoding', 'chunked')], b'%x\r\n' % size + self.body + b'\r\n0\r\n\r\n'),
        ('endless chunk', [('Transfer-Encoding', 'chunked')], b'ffffffffffffffff\r\n' + self.body),
        ('gzip that is none', [('Content-Encoding', 'gzip')], self.body),
        ('unknown coding', [('Transfer-Encoding', 'brotli')], self.body),
        ('type of a film', [('Content-Type', 'video/mp4')], self.body),
        ('form without a boundary', [('Content-Type', 'multipart/form-data')], self.body),
        ('form with an empty boundary', [('Content-Type', 'multipart/form-data; boundary=')], self.body),
        ('form with an odd boundary', [('Content-Type', 'multipart/form-data; boundary="\u202e\u00e9"')], self.body),
        ('charset that is none', [('Content-Type', 'application/json; charset=nonsense')], self.body),
      ]
    )
    self.faults.append(name)
    taken = {header.lower() for header, _ in headers}
    self.headers = [(k, v) for k, v in self.headers if k.lower() not in taken] + headers
    self.body = body

  def _query(self):
    """Odd parameters in the address."""
    odd = quote(str(self.rng.choice(ODD_TEXTS)).encode('utf-8', 'replace')[:3_000])
    name = self.rng.choice(['limit', 'after', 'note', 'download', 'v', ''])
    self.path += self.rng.choice(['?', '?', '?&&=', '??', ';x?', '#']) + f'{name}={odd}'
    self.faults.append('odd query')

  def _odd_headers(self):
    name, value = self.rng.choice(
      [
        ('Host', 'evil.example'),
        ('Host', ''),
        ('Host', 'localhost:99999'),
        ('Origin', 'https://evil.example'),
        ('Origin', 'null'),
        ('Authorization', 'Bearer \u00e9'),
        ('Authorization', 'Basic ' + 'A' * 5_000),
        ('If-Match', 'x'),
        ('If-Match', '9' * 400),
        ('If-Match', '"-1"'),
        ('Range', 'bytes=5-1'),
        ('Range', 'bytes=-'),
        ('Range', 'bytes=0-,' * 500),
        ('Range', 'items=1'),
        ('Range', f'bytes={"9" * 60}-'),
        ('Cookie', 'x=' + 'y' * 4_000),
        ('Expect', '100-continue'),
        ('Accept', 'nonsense'),
        ('Accept-Encoding', 'gzip;q=x'),
        ('X-Forwarded-Host', 'evil.example'),
        ('Upgrade', 'websocket'),
        ('Connection', 'Upgrade'),
        ('X-Long', 'z' * 70_000),
        ('Content-Type', '\u202e'),
        ('Last-Event-ID', '-1'),
        ('Idempotency-Key', 'x' * 900),
      ]
    )
    self.headers = [(k, v) for k, v in self.headers if k.lower() != name.lower()] + [(name, value)]
    self.faults.append(f'header {name}')

  def _form(self):
    """A form whose files are not what they say, or that is broken itself."""
    boundary = self.rng.choice(['boundary', 'b' * 70, "odd'()+_,-./:=?"])
    fields, files = next((f, files) for path, f, files in FORMS if re.fullmatch(path, self.path))
    fields = fields | ({'voice': self.voice} if 'voice' in fields else {})
    fields = {name: self._form_value(name, value) for name, value in fields.items()}
    chosen = list(files)
    if self.rng.random() < 0.2:
      chosen.append(self.rng.choice(['file', 'recording', 'film', 'script', 'cast']))
    parts = [self._part(boundary, name, value) for name, value in fields.items() if self.rng.random() < 0.97]
    for name in chosen:
      said, content = self.rng.choice(list(odd_files().items()))
      file_name = self.rng.choice(ODD_FILE_NAMES)
      self.faults.append(f'{name}: {said} as {file_name[:20]!r}')
      parts.append(self._part(boundary, name, content, file_name))
    if self.rng.random() < 0.05:
      parts += [self._part(boundary, f'f{i}', 'x') for i in range(3_000)]
      self.faults.append('3,000 fields')
    self.rng.shuffle(parts)
    body = b''.join(parts) + f'--{boundary}--\r\n'.encode()
    broken = self.rng.random()
    if broken < 0.1:
      body = body[: self.rng.randrange(len(body))]
      self.faults.append('form cut off')
    elif broken < 0.15:
      body = body.replace(b'name="', b'nam="')
      self.faults.append('parts without names')
    elif broken < 0.2:
      body = body.replace(b'\r\n', b'\n')
      self.faults.append('line ends')
    elif broken < 0.25:
      body = body.replace(boundary.encode(), b'another')
      self.faults.append('another boundary')
    elif broken < 0.3:
      body = body.replace(b'Content-Disposition', b'X' * 20_000 + b': y\r\nContent-Disposition', 1)
      self.faults.append('long header of a part')
    self.body = body
    self.headers.append(('Content-Type', f'multipart/form-data; boundary="{boundary}"'))

  def _form_value(self, name: str, value: str) -> str:
    if self.rng.random() < 0.9:
      return value
    self.faults.append(f'odd {name}')
    return str(self.rng.choice(ODD_VALUES))

  def _part(self, boundary: str, name: str, content: str | bytes, file_name: str | None = None) -> bytes:
    kind = f'; filename="{file_name}"\r\nContent-Type: application/octet-stream' if file_name is not None else ''
    content = content.encode('utf-8', 'replace') if isinstance(content, str) else content
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{kind}\r\n\r\n'
    return head.encode('utf-8', 'replace') + content + b'\r\n'


def _broken_bodies(whole: bytes) -> dict[str, bytes]:
  """JSON that is broken: {how: bytes}."""
  return {
    'half of it': whole[: len(whole) // 2],
    'not UTF-8': whole.replace(b'a', b'\xff\xfe', 1),
    'UTF-16': whole.decode().encode('utf-16'),
    'byte order mark': b'\xef\xbb\xbf' + whole,
    'NaN': b'{"input": "Go.", "speed": NaN, "take": Infinity, "note": -Infinity}',
    'key twice': whole[:-1] + b', "input": 5, "input": "Go."}',
    'lone surrogate': b'{"input": "\\ud800 Go.", "note": "\\udfff", "voice": "\\ud83d"}',
    'deep value': whole[:-1] + b',"note":' + b'[' * 20_000 + b']' * 20_000 + b'}',
    'nothing': b'',
    'text': b'Hello',
    'a form': b'input=Hello&voice=kathleen',
  }


@functools.cache
def _large_bodies() -> dict[str, bytes]:
  """JSON that asks much of a parser: {what: bytes}."""
  return {
    'deep arrays': b'[' * 100_000,
    'deep objects': b'{"a":' * 50_000 + b'1' + b'}' * 50_000,
    'long number': b'{"speed": ' + b'9' * 20_000 + b', "take": ' + b'9' * 20_000 + b'}',
    'zeros': b'\0' * 2_000,
    'too large': b'{"input": "' + b'a' * 3_000_000 + b'"}',
    'many keys': json.dumps({f'k{i}': i for i in range(50_000)}).encode(),
  }


@functools.cache
def odd_files() -> dict[str, bytes]:
  """Files that are not what they are called: {what it is: its bytes}."""
  sound = io.BytesIO()
  with wave.open(sound, 'wb') as file:
    file.setparams((1, 2, 16000, 0, 'NONE', ''))
    file.writeframes(bytes(32_000))
  whole = sound.getvalue()
  return {
    'silence': whole,
    'half a recording': whole[: len(whole) // 2],
    'a header that claims 4 GB': whole[:4] + b'\xff' * 4 + whole[8:40] + b'\xff' * 4 + whole[44:],
    'no channels': whole[:22] + b'\0\0' + whole[24:],
    'rate of zero': whole[:24] + b'\0\0\0\0' + whole[28:],
    'nothing': b'',
    'zeros': bytes(5_000),
    'text': b'Hello, this is a recording.',
    'a picture': b'\x89PNG\r\n\x1a\n' + bytes(500),
    'an archive': b'PK\3\4' + bytes(500),
    'a program': b'\x7fELF' + bytes(500),
    'a film that is none': b'\0\0\0\x20ftypisom' + bytes(2_000),
    'a playlist of files here': b'#EXTM3U\n#EXTINF:1,\n/etc/passwd\nfile:///etc/hostname\nhttp://127.0.0.1:1/x.ts\n',
    'a list to be joined': b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    'subtitles': b'1\n00:00:00,200 --> 00:00:01,000\nANNA: Good day.\n',
    'odd subtitles': b'1\n99:99:99,999 --> 00:00:00,000\n\xff\xfe\0\n\n-1\n',
    'a script': b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    'a pickle': b'\x80\x04\x95\x1b\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.',
    'TOML with a path': b'[cast]\nANNA = "/etc/passwd"\ndefault = "../../../etc/hostname"\n',
  }


def send_case(case: Case, host: str, port: int, token: str = '', wait: float = WAIT) -> Outcome:
  """Sends a case over a socket of its own and judges the answer."""
  raw = case.raw
  if token:
    head, separator, body = raw.partition(b'\r\n\r\n')
    raw = head + f'\r\nAuthorization: Bearer {token}'.encode() + separator + body
  try:
    with socket.create_connection((host, port), timeout=wait) as connection:
      # The answer may come before the end of the request.
      with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(raw[: case.send])
      if case.send is not None:
        return Outcome(case, None)
      if case.read is not None:
        connection.recv(case.read) if case.read else None
        return Outcome(case, None)
      return _judged(case, connection)
  except TimeoutError:
    return Outcome(case, None, f'no end of the answer within {wait:g} s')
  except ConnectionRefusedError:
    return Outcome(case, None, 'the server is gone')
  except (ConnectionResetError, http.client.HTTPException, OSError) as error:
    return Outcome(case, None, f'no answer: {type(error).__name__} {error}')


def _judged(case: Case, connection: socket.socket) -> Outcome:
  answer = http.client.HTTPResponse(connection, method=case.method)
  answer.begin()
  stream = answer.getheader('Content-Type', '').startswith('text/event-stream')
  problem, body = '', b''
  if not (stream and '/events' in case.path):  # these end with a job, or never
    try:
      body = answer.read()
    except http.client.IncompleteRead as error:
      problem = f'the answer was cut off after {len(error.partial)} bytes'
  if answer.status >= 500 and answer.status != 503:
    problem = f'status {answer.status}: {body[:300].decode("utf-8", "replace")}'
  elif answer.status >= 400 and case.method != 'HEAD' and not is_refusal_of_the_protocol(answer, body):
    problem = problem or error_problem(body)
  return Outcome(case, answer.status, problem)


def is_refusal_of_the_protocol(answer: http.client.HTTPResponse, body: bytes) -> bool:
  """Whether it is the HTTP parser's own answer to what is no HTTP, which comes before any application."""
  return answer.status in (400, 431) and body.startswith(b'Invalid HTTP request')


def error_problem(body: bytes) -> str:
  """'' where a body is an error in OpenAI's form, else what is wrong with it."""
  try:
    error = json.loads(body)['error']
    fields = {'message', 'type', 'param', 'code'}
    if fields <= set(error) and isinstance(error['message'], str) and error['message']:
      return '' if '\n' not in error['message'] else f'a message of several rows: {error["message"][:200]!r}'
  except (ValueError, KeyError, TypeError):
    pass
  return f'an error that is not in the form of the others: {body[:200]!r}'


def fuzz(cases: Iterable[Case], host: str, port: int, token: str = '', threads: int = 4) -> list[Outcome]:
  """The outcomes of all cases, several at a time."""
  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    return list(pool.map(lambda case: send_case(case, host, port, token), cases))


def summarize(outcomes: Sequence[Outcome]) -> dict[str, Any]:
  """Counts by status, and the cases that the server did not answer as it should."""
  statuses = collections.Counter(
    str(o.status) if o.status else 'hung up' if o.case.hangs_up else 'none' for o in outcomes
  )
  wrong = [
    {'number': o.case.number, 'request': f'{o.case.method} {o.case.path}', 'fault': o.case.fault, 'problem': o.problem}
    for o in outcomes
    if o.problem
  ]
  return {
    'requests': len(outcomes),
    'statuses': dict(sorted(statuses.items())),
    'status_500': sum(o.status is not None and o.status >= 500 and o.status != 503 for o in outcomes),
    'wrong': wrong,
  }
