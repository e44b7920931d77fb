"""The server with an actor that takes no time: lines are directed by their texts and notes, and hummed."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import httpx
import numpy as np
import openai
from uploading import wait_for

from dubber_jax.errors import BadInput
from dubber_jax.inference.synthesis import LineInputs
from dubber_jax.serving.engine import SpeechEngine
from dubber_jax.serving.jobs import Jobs
from dubber_jax.serving.metrics import Metrics
from dubber_jax.serving.run import GracefulServer
from dubber_jax.serving.settings import Limits, ServerSettings
from dubber_jax.serving.state import ServerState
from dubber_jax.serving.uploads import UploadWorkers
from dubber_jax.serving.voices import VoiceStore
from dubber_jax.types import HOP, Direction, Take, Voice

VOICE = Voice(np.zeros(256, np.float32), np.zeros((9, 80), np.float32), 'kathleen')
VOICES = {name: Voice(VOICE.embedding, VOICE.reference_mel, name) for name in ('kathleen', 'joe', 'ljspeech')}
FRAMES = 5  # mel frames of a symbol
TEXT = 'We never asked. Nobody told us.'


class Actor:
  """In place of synthesis: notes which lines came together, and waits at a gate before each batch that holds one of
  the words `held`, or any."""

  def __init__(self):
    self.batches: list[list[str]] = []
    self.lines: list[tuple[LineInputs, Direction, int]] = []
    self.gate, self.entered, self.held = threading.Event(), threading.Event(), ''
    self.gate.set()

  def synthesize(self, model, lines, directions, seeds, choose=None) -> list[Take]:
    texts = [' '.join(line.phonemes.words) for line in lines]
    self.batches.append(texts)
    self.lines += zip(lines, directions, seeds, strict=True)
    if any(self.held in text for text in texts):
      self.entered.set()
      assert self.gate.wait(20)
    if any('unspeakable' in text for text in texts):
      raise BadInput('this cannot be spoken')
    if any('broken' in text for text in texts):
      raise RuntimeError('a fault')
    return [hum(line, direction) for line, direction in zip(lines, directions, strict=True)]

  def vocode(self, model, takes, seeds, directions, choose=None) -> list[Take]:
    return takes


def hum(inputs: LineInputs, direction: Direction = Direction()) -> Take:  # noqa: B008
  """A take of FRAMES mel frames a symbol, at the direction's pace."""
  symbols = inputs.phonemes.symbols
  durations = np.full(len(symbols), round(FRAMES / direction.pace))
  frames = int(durations.sum())
  wave = 0.1 * np.sin(np.arange(frames * HOP) / 10).astype(np.float32)
  return Take(np.zeros((frames, 80)), symbols, durations, np.zeros(frames), np.eye(8)[4], wave)


@contextlib.contextmanager
def quick_engine(actor: Actor, home: Path, **limits) -> Iterator[SpeechEngine]:
  """An engine that is ready, without a library."""
  engine = SpeechEngine(ServerSettings(home=home, limits=Limits(**limits)), Metrics())
  engine.__dict__['voices'] = VOICES
  director = SimpleNamespace(enabled=False)
  engine._model = SimpleNamespace(config=SimpleNamespace(task=SimpleNamespace(director=director)), voices=VOICES)
  with (
    mock.patch.object(engine, '_load'),
    mock.patch.object(engine, '_compile_usual'),
    mock.patch.object(engine, '_compile_rest'),
    mock.patch('dubber_jax.inference.synthesis.synthesize_lines', actor.synthesize),
    mock.patch('dubber_jax.inference.synthesis.vocode_lines', actor.vocode),
  ):
    engine.start()
    engine._threads[0].join()
    try:
      yield engine
    finally:
      actor.gate.set()
      engine.stop()


class QuickServer:
  """A server of a quick engine in a thread, on a port that is free, without the desk."""

  def __init__(self, engine: SpeechEngine, actor: Actor):
    self.engine, self.actor, settings = engine, actor, engine.settings
    voices = VoiceStore(settings.home / 'voices', lambda: engine.voices)
    uploads = UploadWorkers(settings.home / 'uploads', settings.limits)
    self.state = ServerState(settings, engine.metrics, engine, voices, uploads, Jobs(settings.limits.dubs))
    # Without the lifespan: the engine is started already, and nothing is uploaded.
    self.server = GracefulServer(self.state, port=0, log_level='critical', lifespan='off')
    self.thread = threading.Thread(target=self.server.run, daemon=True)
    self.thread.start()
    wait_for(lambda: self.server.started)
    self.url = f'http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}'
    self.openai = openai.OpenAI(base_url=f'{self.url}/v1', api_key='none', max_retries=0)

  def stop(self):
    self.actor.gate.set()
    self.server.should_exit = True
    self.thread.join(20)

  def speak(self, **fields):
    return self.openai.audio.speech.create(**{'model': 'tts-1', 'voice': 'alloy', 'input': TEXT, **fields})

  def post(self, **fields) -> httpx.Response:
    asked = {'model': 'tts-1', 'voice': 'alloy', 'input': TEXT, 'response_format': 'pcm', **fields}
    return httpx.post(f'{self.url}/v1/audio/speech', json=asked, timeout=30)
