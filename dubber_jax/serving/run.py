"""Runs the server until it is told to stop: it finishes what it speaks, refuses what is new, and stops its jobs."""

import logging
import socket
import sys
import threading
import webbrowser
from types import FrameType
from typing import TYPE_CHECKING

from dubber_jax.errors import BadInput
from dubber_jax.serving.settings import ServerSettings

if TYPE_CHECKING:
  from dubber_jax.serving.state import ServerState

FINISH = 30.0  # s that speech and streams have after the signal to stop
CONNECTIONS = 3.0  # s that connections have to close after that


def serve(settings: ServerSettings, desk: bool = False, browser: bool = False) -> int:
  """Serves until SIGTERM or SIGINT -> exit code. desk: the address of the page is printed, and opened with `browser`.

  Raises BadInput where the extra `serve` is missing, where the port is taken and where there is no model.
  """
  try:
    import uvicorn

    from dubber_jax.serving.app import create_app, open_server
  except ImportError as error:
    if (error.name or '').startswith('dubber_jax'):
      raise
    raise BadInput(f'{error.name} is not installed: pip install "dubber_jax[serve]"') from None
  from dubber_jax.serving.logs import log_as_json

  listener = _listen(settings)
  with listener:
    port = listener.getsockname()[1]
    server = open_server(settings)
    log_as_json(logging.INFO)
    address = _address(settings, port)
    print(f'{address}{_page(settings, desk)}', flush=True)
    if browser:
      threading.Thread(target=webbrowser.open, args=(address + _page(settings, desk),), daemon=True).start()
    config = uvicorn.Config(
      create_app(server),
      log_config=None,
      access_log=False,
      server_header=False,
      timeout_keep_alive=75,
      timeout_graceful_shutdown=int(CONNECTIONS),
      lifespan='on',
    )
    running = _graceful(uvicorn.Server)(config)
    running.speech = server
    server.engine.on_failure = running.end
    running.run(sockets=[listener])
  if server.engine.failure is not None:
    if isinstance(server.engine.failure, BadInput):
      raise server.engine.failure
    return 1
  return 0


def _graceful(kind: type) -> type:
  """uvicorn's server, which on the first signal finishes what is spoken and then stops; on the second, at once."""

  class GracefulServer(kind):
    speech: 'ServerState'
    told = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
      if self.told:
        super().handle_exit(sig, frame)
        return
      self.told = True
      print('stopping: what is being spoken is finished', file=sys.stderr, flush=True)
      threading.Thread(target=self._finish, args=(sig,), name='dubber-stop', daemon=True).start()

    def _finish(self, sig: int) -> None:
      self.speech.engine.begin_stop()
      self.speech.jobs.stop(FINISH)
      self.speech.engine.wait_idle(FINISH)
      self.end()

    def end(self) -> None:
      self.should_exit = True

  return GracefulServer


def _listen(settings: ServerSettings) -> socket.socket:
  """The socket that it listens on. Raises BadInput where that is not possible."""
  family = socket.AF_INET6 if ':' in settings.host else socket.AF_INET
  listener = socket.socket(family, socket.SOCK_STREAM)
  listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  try:
    listener.bind((settings.host.strip('[]'), settings.port))
    listener.listen(2048)
    listener.setblocking(False)
  except OSError as error:
    listener.close()
    raise BadInput(
      f'cannot listen on {settings.host}:{settings.port} ({error.strerror or error}): give another --port or --host'
    ) from None
  return listener


def _address(settings: ServerSettings, port: int) -> str:
  everywhere = settings.host in ('0.0.0.0', '::')
  host = socket.gethostname() if everywhere else settings.host
  return f'http://[{host}]:{port}' if ':' in host else f'http://{host}:{port}'


def _page(settings: ServerSettings, desk: bool) -> str:
  """The path of the page: with the token, where there is one, for the browser of who started the server."""
  if not desk:
    return ''
  from urllib.parse import urlencode

  from dubber_jax.serving.home import project_id

  token = f'?{urlencode({"token": settings.token})}' if settings.token else ''
  project = f'#{project_id(settings.projects[0].absolute())}' if settings.projects else ''
  return f'/{token}{project}'
