"""Runs the server until it is told to stop: it finishes what it speaks, refuses what is new, and stops its jobs."""

import logging
import os
import socket
import sys
import threading
import time
import webbrowser
from types import FrameType
from urllib.parse import urlencode

import uvicorn

from dubber_jax.errors import BadInput
from dubber_jax.serving.app import create_app, open_server
from dubber_jax.serving.home import project_id
from dubber_jax.serving.logs import log_as_json
from dubber_jax.serving.settings import ServerSettings
from dubber_jax.serving.state import ServerState
from dubber_jax.storage.atomic import discard_open

FINISH = 30.0  # s that speech and jobs have after the signal to stop
CONNECTIONS = 3  # s that connections have to close after that
THREADS = 1.0  # s that threads have to end after that
STOPPED = 130  # exit code after Ctrl-C


class GracefulServer(uvicorn.Server):
  """uvicorn's server of one ServerState. On the first signal it finishes what is spoken, answers what is new by 503 and
  then stops; on the second it stops at once."""

  def __init__(self, server: ServerState, **options):
    """options: of uvicorn's Config."""
    app = create_app(server)
    fixed = {'access_log': False, 'server_header': False, 'timeout_graceful_shutdown': CONNECTIONS}
    super().__init__(uvicorn.Config(app, **fixed, **options))
    self.speech, self.told = server, False

  def handle_exit(self, sig: int, frame: FrameType | None) -> None:
    """The handler of SIGINT and SIGTERM."""
    if self.told:
      super().handle_exit(sig, frame)
      return
    self.told = True
    print('stopping: what is being spoken is finished', file=sys.stderr, flush=True)
    threading.Thread(target=self._finish, name='dubber-stop', daemon=True).start()

  def _finish(self) -> None:
    self.speech.engine.begin_stop()
    self.speech.jobs.stop(FINISH)
    self.speech.engine.wait_idle(FINISH)
    self.should_exit = True

  def give_up(self) -> None:
    """Stops where the engine cannot speak."""
    self.should_exit = True


def serve(settings: ServerSettings, desk: bool = False, browser: bool = False) -> int:
  """Serves until SIGTERM or SIGINT -> exit code. desk: the address of the page is printed, and opened with `browser`.

  Raises BadInput where a port is taken, where there is no model, and where it cannot be loaded.
  """
  with _listen(settings.host, settings.port) as listener:
    if settings.wyoming:
      _listen('127.0.0.1', settings.wyoming, '--wyoming').close()  # before the model is loaded
    server = open_server(settings)
    address = _address(settings, listener.getsockname()[1]) + (_page(settings) if desk else '')
    log_as_json(settings.log_texts)
    print(address, flush=True)
    if browser:
      threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    running = GracefulServer(server, log_config=None, timeout_keep_alive=75, lifespan='on')
    server.engine.on_failure = running.give_up
    try:
      running.run(sockets=[listener])
    except (KeyboardInterrupt, SystemExit) as ended:  # a second signal; an application that could not start
      _end_at_work(STOPPED if isinstance(ended, KeyboardInterrupt) else 1)
      raise
  failure = server.engine.failure
  if isinstance(failure, BadInput):
    raise failure
  code = 1 if failure else 0
  _end_at_work(code)
  return code


def _end_at_work(code: int) -> None:
  """Ends the process at once where threads of the server are still at work; else Python ends it."""
  if _at_work(THREADS):
    discard_open()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _at_work(seconds: float) -> list[threading.Thread]:
  """The server's own threads that do not end within so many seconds: those in native code, as XLA's compiler, which
  nothing interrupts. Python waits for them at its end, or aborts."""
  finish = time.monotonic() + seconds
  own = [thread for thread in threading.enumerate() if thread.name.startswith('dubber-')]
  for thread in own:
    thread.join(max(0.0, finish - time.monotonic()))
  return [thread for thread in own if thread.is_alive()]


def _listen(host: str, port: int, option: str = '--port') -> socket.socket:
  """A socket that listens there. Raises BadInput where that is not possible. option: which names the port."""
  family = socket.AF_INET6 if ':' in host else socket.AF_INET
  listener = socket.socket(family, socket.SOCK_STREAM)
  listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  try:
    listener.bind((host.strip('[]'), port))
    listener.listen(2048)
    listener.setblocking(False)
  except OSError as error:
    listener.close()
    raise BadInput(f'cannot listen on {host}:{port} ({error.strerror or error}): give another {option}') from None
  return listener


def _address(settings: ServerSettings, port: int) -> str:
  everywhere = settings.host in ('0.0.0.0', '::')
  host = socket.gethostname() if everywhere else settings.host
  return f'http://[{host}]:{port}' if ':' in host else f'http://{host}:{port}'


def _page(settings: ServerSettings) -> str:
  """The path of the page: with the token, where there is one, for the browser of who started the server."""
  token = f'?{urlencode({"token": settings.token})}' if settings.token else ''
  project = f'#{project_id(settings.projects[0])}' if settings.projects else ''
  return f'/{token}{project}'
