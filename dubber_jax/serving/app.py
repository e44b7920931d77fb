"""The application: the routes of all parts, behind the checks of access.py, and the parts of a server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dubber_jax.serving import access, health, speech, voice_routes
from dubber_jax.serving.access import Access, route_of
from dubber_jax.serving.engine import SpeechEngine
from dubber_jax.serving.errors import HANDLERS
from dubber_jax.serving.jobs import Jobs
from dubber_jax.serving.logs import log
from dubber_jax.serving.metrics import Metrics
from dubber_jax.serving.settings import ServerSettings
from dubber_jax.serving.state import ServerState
from dubber_jax.serving.uploads import UploadWorkers
from dubber_jax.serving.voices import VoiceStore

THREADS = 32  # of what blocks: files, encoders; a few slow ones must not keep the others waiting
PROBES = ('/healthz', '/readyz', '/metrics')  # that are asked every few seconds, and not logged


def create_app(server: ServerState) -> Starlette:
  """The ASGI application of a server. It starts the engine with itself, and stops engine and jobs when it stops.

  With an exported artifact it speaks, and neither dubs films nor has a desk: what these import, as perception, is not
  imported.
  """

  @contextlib.asynccontextmanager
  async def lifespan(_: Starlette) -> AsyncIterator[None]:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, 'dubber-files'))
    server.engine.start()
    server.uploads.start()
    try:
      async with _wyoming(server):
        yield
    finally:
      server.jobs.stop()
      server.uploads.stop()
      server.engine.stop()
      if server.desk is not None:
        server.desk.stop()

  parts = (health, speech, voice_routes, access, *(_film_parts() if dubs_films(server) else ()))
  app = Starlette(
    routes=[route for part in parts for route in part.routes()],
    middleware=[Middleware(Measured, server=server), Middleware(Access, settings=server.settings)],
    exception_handlers=HANDLERS,
    lifespan=lifespan,
  )
  app.state.server = server
  return app


def dubs_films(server: ServerState) -> bool:
  """Whether a server dubs films and has a desk: with a model directory."""
  return getattr(server.engine, 'artifact', None) is None


def _film_parts() -> tuple[ModuleType, ...]:
  from dubber_jax.serving import dubs
  from dubber_jax.serving.desk import routes as desk

  return dubs, desk


@contextlib.asynccontextmanager
async def _wyoming(server: ServerState) -> AsyncIterator[None]:
  if server.settings.wyoming is None:
    yield
    return
  from dubber_jax.serving.wyoming import wyoming_server

  async with wyoming_server(server, server.settings.wyoming) as port:
    log('wyoming', port=port)
    yield


def open_server(settings: ServerSettings) -> ServerState:
  """The parts of a server; its model is loaded when the application starts. Raises BadInput where there is no model."""
  metrics = Metrics()
  engine = SpeechEngine(settings, metrics)
  voice_store = VoiceStore(settings.home / 'voices', lambda: engine.voices, engine.fits)
  uploads = UploadWorkers(settings.home / 'uploads', settings.limits)
  server = ServerState(settings, metrics, engine, voice_store, uploads, Jobs(settings.limits.dubs))
  if dubs_films(server):
    from dubber_jax.serving.desk.sessions import DeskSessions

    server.desk = DeskSessions(server)
  return server


class Measured:
  """ASGI middleware that counts and logs each request, by its route and status."""

  def __init__(self, app: ASGIApp, server: ServerState):
    self.app, self.server = app, server

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    if scope['type'] != 'http':
      await self.app(scope, receive, send)
      return
    began, status = time.monotonic(), 0

    async def noted(message: Message) -> None:
      nonlocal status
      if message['type'] == 'http.response.start':
        status = message['status']
      await send(message)

    try:
      await self.app(scope, receive, noted)
    finally:
      # 499, as nginx has it: the client hung up before there was an answer.
      route, seconds = route_of(scope) if 'route' in scope else 'unknown', time.monotonic() - began
      self.server.metrics.request(route, status or 499, seconds)
      if route not in PROBES:
        log('request', method=scope['method'], route=route, status=status or 499, seconds=round(seconds, 4))
