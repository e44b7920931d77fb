"""The shipped model behind the endpoint: it starts, speaks as the command line does, and batches change nothing."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # quick_engine.py

from quick_engine import Actor, QuickServer  # noqa: E402

from dubber_jax.dubbing.request import LineOptions  # noqa: E402
from dubber_jax.dubbing.speak import SpeakRequest, speak  # noqa: E402
from dubber_jax.inference.stored_model import StoredModel  # noqa: E402
from dubber_jax.media.sound import read_sound  # noqa: E402
from dubber_jax.serving.directed_lines import SpeechLine  # noqa: E402
from dubber_jax.serving.engine import SpeechEngine  # noqa: E402
from dubber_jax.serving.metrics import Metrics  # noqa: E402
from dubber_jax.serving.settings import Limits, ServerSettings  # noqa: E402
from dubber_jax.types import Line  # noqa: E402

pytestmark = pytest.mark.slow
LINES = ('I never asked for any of this to happen.', 'Run!', 'She said that we would all be there in time.')


@pytest.fixture(scope='module')
def engine(tmp_path_factory):
  engine = SpeechEngine(ServerSettings(home=tmp_path_factory.mktemp('home'), limits=Limits(batch=4)), Metrics())
  engine._compile_rest = lambda: None
  engine.start()
  engine._threads[0].join()
  assert engine.ready, engine.phase
  yield engine
  engine.stop()


def test_line_is_that_of_the_command_line(engine, tmp_path):
  model = StoredModel.find()
  voice, out = model.voices['kathleen'], tmp_path / 'line.wav'
  speak(SpeakRequest((Line(LINES[0]),), voice, (out,), LineOptions(1, 1)), engine.model)
  spoken = asyncio.run(engine.submit(SpeechLine(LINES[0], voice)))
  wave = read_sound(out)
  assert len(wave) == len(spoken.waveform)
  # The server embeds one text at a time, which rounds otherwise; where that moves the vocoder's phase, samples differ.
  error = np.sum(np.square(spoken.waveform - wave)) / np.sum(np.square(wave))
  assert error < 0.01


def test_lines_together_are_those_alone(engine):
  voices = [engine.voices[name] for name in ('joe', 'kathleen', 'ljspeech')]
  notes = ('', 'louder', 'sad')
  lines = [SpeechLine(*each, note=note) for *each, note in zip(LINES, voices, notes, strict=True)]
  alone = [asyncio.run(engine.submit(line)) for line in lines]

  async def together():
    return await asyncio.gather(*map(engine.submit, [SpeechLine('And one before them.', voices[0]), *lines]))

  for one, other in zip(alone, asyncio.run(together())[1:], strict=True):
    assert one.direction == other.direction and one.words == other.words
    np.testing.assert_allclose(one.waveform, other.waveform, atol=2e-3)


@pytest.mark.parametrize('note, louder', [('softer, almost a whisper', False), ('much louder', True)])
def test_note_is_heard(engine, note, louder):
  voice = engine.voices['kathleen']
  plain, changed = (asyncio.run(engine.submit(SpeechLine(LINES[0], voice, note=n))) for n in ('', note))
  levels = [float(np.sqrt(np.mean(np.square(spoken.waveform)))) for spoken in (plain, changed)]
  assert (levels[1] > levels[0]) == louder


def test_client_hears_speech(engine):
  server = QuickServer(engine, Actor())
  try:
    answer = server.speak(input=' '.join(LINES), response_format='pcm', instructions='高兴')
    samples = np.frombuffer(answer.read(), '<i2') / 32768
  finally:
    server.stop()
  assert 5 < len(samples) / 24_000 < 15 and np.abs(samples).max() < 1
  block = samples[: len(samples) // 2400 * 2400].reshape(-1, 2400)
  assert np.mean(np.sqrt(np.mean(block**2, axis=1)) > 0.01) > 0.5  # most tenths of a second are speech
