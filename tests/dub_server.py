"""A server whose engine is a stand-in: it has a model without networks, and lines are hummed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from dubber_jax.config import Config
from dubber_jax.inference.model import Model
from dubber_jax.serving.jobs import Jobs
from dubber_jax.serving.metrics import Metrics
from dubber_jax.serving.settings import ServerSettings
from dubber_jax.serving.state import ServerState
from dubber_jax.serving.uploads import UploadWorkers
from dubber_jax.serving.voices import VoiceStore
from dubber_jax.types import Voice


def a_voice(name: str) -> Voice:
  """A voice of random numbers, the same for a name."""
  rng = np.random.default_rng(list(name.encode()))
  return Voice(rng.normal(size=256).astype(np.float32), rng.normal(size=(20, 80)).astype(np.float32), name)


class StandInEngine:
  """In place of SpeechEngine, for what is no speech. model: as of `stand_in_model`; None where it has none yet."""

  phase = 'ready'

  def __init__(self, model: Model | None):
    self._model, self.library = model, SimpleNamespace(hash='books', folder='library')
    self._threads = ThreadPoolExecutor(1)

  @property
  def ready(self) -> bool:
    return self._model is not None

  @property
  def model(self) -> Model:
    from dubber_jax.serving.errors import ApiError

    if self._model is None:
      raise ApiError(503, 'the model is being loaded', 'not_ready', retry_after=5)
    return self._model

  def run(self, function, *args):
    return self._threads.submit(function, *args)

  run_beside = run

  def start(self):
    pass

  def stop(self, seconds: float = 0.0):
    self._threads.shutdown()


def stand_in_model(folder: Path) -> Model:
  """A model directory without networks, and with the voices ada and bob."""
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'MANIFEST.json').write_text('{"model.safetensors": "1"}')
  return Model(Config(), {}, None, {name: a_voice(name) for name in ('ada', 'bob')}, folder)


def stand_in_server(settings: ServerSettings, model: Model | None) -> ServerState:
  """The parts of a server around a stand-in engine, without the desk."""
  voices = VoiceStore(settings.home / 'voices', lambda: model.voices if model else {})
  uploads = UploadWorkers(settings.home / 'uploads', settings.limits)
  jobs = Jobs(settings.limits.dubs)
  return ServerState(settings, Metrics(), StandInEngine(model), voices, uploads, jobs)  # pyright: ignore
