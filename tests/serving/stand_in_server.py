"""A whole server in a process of its own, whose lines are hummed: to be sent damaged requests and to be killed.

    python tests/serving/stand_in_server.py --port 8000 --home FOLDER

Routes, uploads, jobs, projects and the desk are the server's own; the engine is not.
"""

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path
from unittest import mock

import numpy as np

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER / 'desk'), str(FOLDER.parent)]

from desk_server import (  # noqa: E402
  StandInEngine,
  StandInUploads,  # noqa: F401
  a_voice,
  acting,
  make_film,  # noqa: F401
  make_model,
  open_library,
)

from dubber_jax.errors import BadInput  # noqa: E402
from dubber_jax.serving.desk.sessions import DeskSessions  # noqa: E402
from dubber_jax.serving.engine import SpokenLine  # noqa: E402
from dubber_jax.serving.errors import ApiError  # noqa: E402
from dubber_jax.serving.jobs import Jobs  # noqa: E402
from dubber_jax.serving.metrics import Metrics  # noqa: E402
from dubber_jax.serving.settings import Limits, ServerSettings  # noqa: E402
from dubber_jax.serving.state import ServerState  # noqa: E402
from dubber_jax.serving.uploads import UploadWorkers  # noqa: E402
from dubber_jax.serving.voices import VoiceStore  # noqa: E402
from dubber_jax.types import Direction, Line  # noqa: E402

SECONDS = 0.3  # that a hummed line lasts


class SpeakingEngine(StandInEngine):
  """The desk's stand-in engine, which speaks, too, `work` seconds a line; only so many requests may wait."""

  name, longest_seconds, failure = 'stand-in', 20.0, None

  def __init__(self, model, library, places: int = 40, work: float = 0.0):
    super().__init__(model, library)
    self.places, self.work, self._held = places, work, 0

  def check_ready(self):
    pass

  def fits(self, voice):
    return True

  def begin_stop(self):
    pass

  @contextlib.contextmanager
  def place(self):
    if self._held >= self.places:
      raise ApiError(429, 'too many requests wait; ask again later', 'queue_full', retry_after=1)
    self._held += 1
    try:
      yield
    finally:
      self._held -= 1

  async def submit(self, line, placed=False):
    with contextlib.nullcontext() if placed else self.place():
      await asyncio.sleep(self.work)
      if not any(c.isascii() and c.isalpha() for c in line.text):
        raise BadInput(f'{line.text[:40]!r} has no words')
      time = np.arange(round(SECONDS * 22050)) / 22050
      wave = (0.1 * np.sin(2 * np.pi * 150 * time)).astype(np.float32)
      return SpokenLine(Line(line.text), Direction(), Direction(), wave, ((0.0, SECONDS, line.text.split()[0]),), 5)


def speaking_server(
  home: Path, limits: Limits | None = None, work: float = 0.0, kind: type[UploadWorkers] = UploadWorkers, **settings
) -> ServerState:
  """The parts of a server whose engine is the stand-in. kind: of what reads uploads."""
  model = make_model(home / 'model')
  stated = ServerSettings(home=home, limits=limits or Limits(), **settings)
  engine = SpeakingEngine(model, open_library(), stated.limits.queue + stated.limits.batch, work)
  voices = VoiceStore(home / 'voices', lambda: engine.voices)
  uploads = kind(home / 'uploads', stated.limits)
  server = ServerState(stated, Metrics(), engine, voices, uploads, Jobs(stated.limits.dubs))
  server.desk = DeskSessions(server)
  return server


@contextlib.contextmanager
def humming():
  """Lines are hummed and voices of recordings are made up, for a block."""
  with (
    acting(),
    mock.patch('dubber_jax.inference.voices.make_voice', lambda wave, rate, name='', *_, **__: a_voice(name)),
  ):
    yield


def main():
  import uvicorn

  from dubber_jax.serving.app import create_app

  parser = argparse.ArgumentParser()
  parser.add_argument('--port', type=int, required=True)
  parser.add_argument('--home', type=Path, required=True)
  parser.add_argument('--work', type=float, default=0.0, help='seconds of a line')
  given = parser.parse_args()
  with humming():
    app = create_app(speaking_server(given.home, work=given.work))
    uvicorn.run(app, host='127.0.0.1', port=given.port, log_level='warning', server_header=False)


if __name__ == '__main__':
  main()
