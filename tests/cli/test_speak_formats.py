"""`dubber speak` writes the format that is named, and tells of another one before it opens a model."""

from types import SimpleNamespace

import av
import numpy as np
import pytest

from dubber_jax.cli import dub
from dubber_jax.cli.main import main
from dubber_jax.dubbing.result import LineResult, TakeResult
from dubber_jax.types import SAMPLE_RATE, Direction, Take, Voice

SECONDS = 0.7


@pytest.fixture
def spoken(monkeypatch):
  """Lines are tones; no model is loaded."""

  def dub_line(model, library, task, options, planner):
    wave = (0.1 * np.sin(0.1 * np.arange(round(SECONDS * SAMPLE_RATE)))).astype(np.float32)
    take = Take(np.zeros((60, 80)), ('@sil',), np.array([60]), np.zeros(60), np.eye(8)[4], wave)
    result = LineResult(
      task.line, 'v', Direction(), TakeResult(('@sil',), (60,), 'neutral'), SECONDS, 'strict', SECONDS, 0.0
    )
    return SimpleNamespace(take=take, direction=Direction(), result=result)

  voice = Voice(np.zeros(256, np.float32), np.zeros((20, 80), np.float32), 'v')
  monkeypatch.setattr('dubber_jax.dubbing.line.dub_line', dub_line)
  monkeypatch.setattr('dubber_jax.inference.voices.find_voice', lambda *a, **k: voice)
  monkeypatch.setattr(dub, '_open', lambda given: (SimpleNamespace(voices={}), SimpleNamespace()))


@pytest.fixture
def unopened(monkeypatch):
  def opened(given):
    raise AssertionError('a model was opened before the refusal')

  monkeypatch.setattr(dub, '_open', opened)


@pytest.mark.parametrize(
  'arguments,told',
  [
    (['--text', 'Yes.', '-o', 'x.aac'], '.wav, .flac, .mp3, .opus, .ogg, .m4a'),
    (['--text', 'Yes.', '-o', 'x'], 'no suffix'),
    (['--text', 'Yes.', '-o', 'x.mp3', '--format', 'mp3'], '--format is for --lines'),
    (['--lines', 'lines.txt', '-o', 'folder', '--format', 'wma'], 'wav, flac, mp3, opus, ogg, m4a'),
  ],
)
def test_a_format_that_cannot_be_is_refused_in_one_line_before_the_work(
  unopened, tmp_path, monkeypatch, capsys, arguments, told
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'lines.txt').write_text('Yes.\n')
  assert main(['speak', '--voice', 'kathleen', *arguments]) == 2
  err = capsys.readouterr().err
  assert told in err and err.count('\n') == 1
  assert [path.name for path in tmp_path.iterdir()] == ['lines.txt']


@pytest.mark.parametrize('suffix', ['mp3', 'opus', 'ogg', 'm4a', 'flac', 'wav', 'MP3'])
def test_a_line_is_written_in_the_format_of_its_name(spoken, tmp_path, suffix):
  path = tmp_path / f'line.{suffix}'
  assert main(['speak', '--text', 'Good day.', '--voice', 'kathleen', '-o', str(path)]) == 0
  with av.open(str(path)) as file:
    stream = file.streams.audio[0]
    samples = sum(frame.samples for frame in file.decode(stream))
    tags = {name.lower(): value for name, value in {**file.metadata, **stream.metadata}.items()}
    assert abs(samples / stream.rate - SECONDS) <= 1024 / stream.rate
  assert tags.get('title') == (None if suffix == 'wav' else 'Good day.')


def test_lines_are_written_in_the_format_that_is_asked_for(spoken, tmp_path):
  (tmp_path / 'lines.txt').write_text('One.\nTwo.\n')
  out = tmp_path / 'out'
  arguments = ['speak', '--lines', str(tmp_path / 'lines.txt'), '--voice', 'kathleen', '-o', str(out)]
  assert main([*arguments, '--format', 'flac']) == 0
  assert sorted(path.name for path in out.iterdir()) == ['001.flac', '002.flac']
