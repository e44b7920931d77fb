"""Who may use the server, and how much of it: the outermost part of the application.

Checks in this order: Host, against names that an attacker points at this machine (DNS rebinding); Origin of requests
that change something and of web sockets, against pages of other sites; the token. Then the body is limited in size, by
its stated length and as it arrives, and in time. Answers get headers that keep scripts and frames of others out, and
errors that are not JSON yet become JSON. No header allows other sites anything (CORS is off).
"""

import asyncio
import contextlib
import hashlib
import hmac
import html
import ipaddress
import json
import re
import time
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dubber_jax.serving.errors import ApiError, as_fault, from_http
from dubber_jax.serving.logs import log
from dubber_jax.serving.settings import Limits, ServerSettings, is_loopback
from dubber_jax.serving.state import server_of

SAFE = ('GET', 'HEAD', 'OPTIONS')
OPEN_PATHS = ('/', '/healthz', '/readyz', '/desk/session')  # that need no token
OPEN_FOLDERS = ('/desk/static/',)
DRAIN_BYTES, DRAIN_SECONDS = 32_000_000, 2.0  # of a refused body that are read, so that its sender sees the answer
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
SECURITY_HEADERS = {
  'Content-Security-Policy': POLICY,
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'same-origin',
  'Permissions-Policy': 'microphone=(self), camera=(), geolocation=()',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-cache',
}
# Addresses that take films, and those that take recordings and clips, as forms.
FILMS = re.compile(r'/v1/dubs/?|/desk/projects/?')
RECORDINGS = re.compile(r'/v1/voices/?|/desk/projects/[^/]+/lines/[^/]+/(?:reference|guide)/?')


class Access:
  """ASGI middleware that checks, limits and completes every request; see the module."""

  def __init__(self, app: ASGIApp, settings: ServerSettings):
    self.app, self.settings = app, settings

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    if scope['type'] == 'websocket':
      await self._websocket(scope, receive, send)
    elif scope['type'] == 'http':
      await self._http(scope, receive, send)
    else:
      await self.app(scope, receive, send)

  async def _http(self, scope: Scope, receive: Receive, send: Send):
    body = LimitedBody(scope, receive, self.settings.limits)
    seconds = self.settings.limits.unread_seconds

    async def send_in_time(message: Message) -> None:
      try:
        async with asyncio.timeout(seconds):
          await send(message)
      except TimeoutError:
        raise Unread from None

    answer = Answer(scope, send_in_time, body)
    try:
      try:
        response = self._check(scope) or body.check()
      except ApiError as error:
        response = error.to_response()
      await (response or self.app)(scope, body.receive, answer.send)
    except ClientDisconnect:
      return
    except Unread:
      log('cut off', route=route_of(scope), reason=f'nothing of the answer was read for {seconds:g} s')
    except ApiError as error:
      await answer.fail(error)
    except Exception as error:
      await answer.fail(as_fault(error, f'{scope["method"]} {route_of(scope)}'))

  async def _websocket(self, scope: Scope, receive: Receive, send: Send):
    try:
      self._check(scope)
    except ApiError:
      await receive()
      await send({'type': 'websocket.close', 'code': 1008})
      return
    await self.app(scope, receive, send)

  def _check(self, scope: Scope) -> Response | None:
    """An answer where the request asks for a session by its address. Raises ApiError for one that is not let in."""
    headers, settings = Headers(scope=scope), self.settings
    host = headers.get('host', '')
    if not is_own_host(host, settings):
      raise ApiError(
        403,
        f'this server is not known as {host[:100]!r}; name it by --allow-host when it is started',
        'unknown_host',
      )
    if scope['type'] == 'websocket' or scope['method'] not in SAFE:
      check_origin(headers, host)
    if not settings.token:
      return None
    if scope['type'] == 'http' and scope['path'] == '/' and scope['method'] == 'GET':
      asked = dict(parse_qsl(scope['query_string'].decode('latin-1')))
      if 'token' in asked:
        return _open_session(scope, settings.token, asked)
    if not (is_open(scope['path']) or has_token(headers, settings.token)):
      raise ApiError(
        401,
        'this server asks for a token: send `Authorization: Bearer TOKEN`, or open the address that it printed',
        'token_required',
      )
    return None


def is_own_host(host: str, settings: ServerSettings) -> bool:
  """Whether a Host header names this server: as loopback, by one of the names that it was given or, where it listens
  for others, by an address, which no name of an attacker's can become."""
  name = host_name(host)
  if not name:
    return False
  if is_loopback(name) or name in {host_name(own) for own in (settings.host, *settings.hosts)}:
    return True
  return not is_loopback(settings.host) and _is_address(name)


def host_name(host: str) -> str:
  """The name or address in a Host header, in lower case and without its port; '' for one that is malformed."""
  found = re.fullmatch(r'(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d{1,5})?', host, re.ASCII) or re.fullmatch(
    r'([0-9A-Fa-f]*:[0-9A-Fa-f:.]+)', host
  )
  return found[1].strip('[]').lower().rstrip('.') if found else ''


def _is_address(name: str) -> bool:
  try:
    ipaddress.ip_address(name)
  except ValueError:
    return False
  return True


def check_origin(headers: Headers, host: str) -> None:
  """Raises ApiError where a request comes from a page of another site. Programs send no Origin."""
  origins = headers.getlist('origin')
  foreign = headers.get('sec-fetch-site', 'none') not in ('same-origin', 'none')
  if foreign or not all(_is_same(origin, host) for origin in origins):
    raise ApiError(403, 'a page of another site may not use this server', 'foreign_origin')


def _is_same(origin: str, host: str) -> bool:
  """Whether an origin is the server that Host names, by http or https. 'null' is none."""
  scheme, _, authority = origin.partition('://')
  port = {'http': ':80', 'https': ':443'}.get(scheme)
  return port is not None and authority.lower().removesuffix(port) == host.lower().removesuffix(port)


def is_open(path: str) -> bool:
  """Whether a path is given without a token: the page and its files, which hold nothing of anybody's, and probes."""
  return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def has_token(headers: Headers, token: str) -> bool:
  """Whether a request shows the token, or the cookie of a session that was opened with it. In constant time."""
  kind, _, shown = headers.get('authorization', '').partition(' ')
  if kind.lower() == 'bearer' and _equal(shown.strip(), token):
    return True
  name, value = session_cookie(token)
  cookies = (pair.strip().partition('=') for pair in headers.get('cookie', '').split(';'))
  return any(key == name and _equal(found, value) for key, _, found in cookies)


def session_cookie(token: str) -> tuple[str, str]:
  """Name and value of the cookie of a session. It is not the token, and servers on other ports have another one."""
  value = hmac.new(token.encode(), b'dubber session', hashlib.sha256).hexdigest()
  return f'dubber_{hashlib.sha256(value.encode()).hexdigest()[:8]}', value


def _equal(shown: str, expected: str) -> bool:
  return hmac.compare_digest(shown.encode('utf-8', 'replace'), expected.encode())


def _set_session(response: Response, token: str, secure: bool) -> Response:
  response.set_cookie(*session_cookie(token), httponly=True, samesite='strict', secure=secure, path='/')
  response.headers['Cache-Control'] = 'no-store'
  return response


def _open_session(scope: Scope, token: str, asked: dict[str, str]) -> Response:
  """The cookie, and a page that goes on to the address without the token. A redirection would be followed without the
  cookie where a link of another site led here."""
  if not _equal(asked.pop('token'), token):
    raise ApiError(401, 'this is not the token of this server; open the address that it printed', 'wrong_token')
  address = html.escape(f'/?{urlencode(asked)}' if asked else '/')
  page = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={address}"><title>…</title>'
  return _set_session(HTMLResponse(page), token, scope.get('scheme') == 'https')


async def post_session(request: Request) -> Response:
  """POST /desk/session {"token"}: the cookie for a page, whose players and event streams send no Authorization."""
  token = server_of(request).settings.token
  try:
    asked = await request.json()
    shown = asked['token']
  except (ValueError, KeyError, TypeError, RecursionError):
    raise ApiError(400, 'send {"token": "..."}', 'bad_json', 'token') from None
  if not isinstance(shown, str) or not _equal(shown, token):
    raise ApiError(401, 'this is not the token of this server; see the address that it printed', 'wrong_token')
  return _set_session(Response(status_code=204), token, request.url.scheme == 'https')


def routes() -> list[BaseRoute]:
  """The address at which a page shows the token."""
  return [Route('/desk/session', post_session, methods=['POST'])]


def body_limit(scope: Scope, limits: Limits) -> int:
  """Bytes that the body of a request may have: by its address for a form, else those of JSON."""
  if not Headers(scope=scope).get('content-type', '').lower().startswith('multipart/form-data'):
    return limits.json_bytes
  if FILMS.fullmatch(scope['path']):
    return limits.film_bytes + limits.json_bytes
  return (limits.voice_bytes if RECORDINGS.fullmatch(scope['path']) else 0) + limits.json_bytes


class LimitedBody:
  """The body of a request as it arrives, refused where it is too large or too slow."""

  def __init__(self, scope: Scope, receive: Receive, limits: Limits):
    headers = Headers(scope=scope)
    self._receive, self._limits, self._limit = receive, limits, body_limit(scope, limits)
    self._length, chunked = headers.get('content-length', ''), 'transfer-encoding' in headers
    self.open = chunked or self._length not in ('', '0')  # whether some of it may be to come
    form = self._limit > limits.json_bytes
    self._seconds = limits.upload_seconds if form else min(limits.upload_seconds, limits.speech_seconds)
    self._got, self._began = 0, time.monotonic()

  def check(self) -> None:
    """Raises ApiError where the stated length is too large."""
    if self._length.isascii() and self._length.isdigit() and len(self._length) < 20:
      self._count(int(self._length))
    elif self._length:
      raise ApiError(400, 'Content-Length is no number', 'bad_length')

  def _count(self, size: int):
    if size > self._limit:
      raise ApiError(413, f'the request is larger than the {self._limit:,} bytes that this address takes', 'too_large')

  async def receive(self) -> Message:
    """The next message. Raises ApiError 413 and 408 where the body exceeds the limits."""
    if not self.open:
      return await self._receive()
    left = self._began + self._seconds - time.monotonic()
    silent = self._limits.silent_seconds
    try:
      message = await asyncio.wait_for(self._receive(), max(0.0, min(left, silent)))
    except TimeoutError:
      why = f'nothing came for {silent:g} s' if left > silent else f'it took more than {self._seconds:g} s'
      raise ApiError(408, f'the request did not arrive in time: {why}', 'too_slow') from None
    if message['type'] == 'http.request':
      self._got += len(message.get('body', b''))
      self.open = message.get('more_body', False)
      self._count(self._got)
    else:
      self.open = False
    return message

  async def drain(self) -> None:
    """Reads some of what is still to come and drops it."""
    size, finish = 0, time.monotonic() + DRAIN_SECONDS
    with contextlib.suppress(asyncio.TimeoutError):
      while self.open and size < DRAIN_BYTES and (left := finish - time.monotonic()) > 0:
        message = await asyncio.wait_for(self._receive(), left)
        size += len(message.get('body', b''))
        self.open = message['type'] == 'http.request' and message.get('more_body', False)


class Unread(Exception):
  """A client that does not read its answer: the connection is closed, and what makes the answer ends."""


class Answer:
  """The answer to a request as it is sent: with the security headers, an error as JSON, and the connection closed where
  a refused body is still to come."""

  def __init__(self, scope: Scope, send: Send, body: LimitedBody):
    self._scope, self._send, self._body = scope, send, body
    self._started = self._ended = self._refused = False
    self._replaced: tuple[Message, bytearray] | None = None  # an error that is no JSON: its start and its text

  async def send(self, message: Message) -> None:
    """ASGI's `send`."""
    if message['type'] == 'http.response.start':
      self._started = True
      headers = MutableHeaders(raw=list(message.get('headers', ())))
      json_already = headers.get('content-type', '').startswith('application/json')
      message = {**message, 'headers': headers.raw}
      if message['status'] >= 400 and not json_already:
        self._replaced = (message, bytearray())
        return
      await self._start(message)
    elif message['type'] == 'http.response.body':
      if self._replaced is not None:
        self._replaced[1].extend(message.get('body', b'')[:1000])
        if not message.get('more_body', False):
          await self._as_json(*self._replaced)
        return
      await self._part(message)
    else:
      await self._send(message)

  async def fail(self, error: ApiError) -> None:
    """Answers with an error, where no other answer has begun. Where one has, the connection is cut, as the server does
    with an answer that has no end."""
    if not self._started:
      await error.to_response()(self._scope, self._body.receive, self.send)

  async def _as_json(self, start: Message, said: bytearray):
    plain = Headers(raw=start['headers']).get('content-type', '').startswith('text/plain')
    text = ' '.join(said.decode('utf-8', 'replace').split())[:300] if plain else ''
    data = json.dumps(from_http(start['status'], text).to_json(), ensure_ascii=False).encode()
    headers = MutableHeaders(raw=start['headers'])
    headers['content-type'], headers['content-length'] = 'application/json', str(len(data))
    await self._start({**start, 'headers': headers.raw})
    data = b'' if self._scope['method'] == 'HEAD' else data
    await self._part({'type': 'http.response.body', 'body': data})

  async def _start(self, message: Message):
    headers = MutableHeaders(raw=message['headers'])
    for name, value in SECURITY_HEADERS.items():
      headers.setdefault(name, value)
    self._refused = message['status'] >= 400 and self._body.open
    if self._refused:
      headers['connection'] = 'close'
    await self._send({**message, 'headers': headers.raw})

  async def _part(self, message: Message):
    if not self._refused or message.get('more_body', False):
      await self._send(message)
      return
    await self._send({**message, 'more_body': True})
    await self._body.drain()
    await self._send({'type': 'http.response.body', 'body': b''})


def route_of(scope: Scope) -> str:
  """The address of a request without what names a person's things: its route's path where one was found."""
  route = scope.get('route')
  return getattr(route, 'path', None) or '/'.join(str(scope.get('path', '')).split('/')[:3])
