"""Voices that nobody should dub with: the take still is speech, without clicks, and it is said what is wrong."""

import json

import numpy as np
import pytest

from data_pipelines import audio_damage
from dubber_jax.cli.main import main
from dubber_jax.demo.cartoon import draw_cartoon
from dubber_jax.dubbing.inputs import shipped_library
from dubber_jax.dubbing.line import dub_line
from dubber_jax.dubbing.request import LineTask
from dubber_jax.inference.model_directory import load
from dubber_jax.inference.voices import make_voice
from dubber_jax.media.loudness import integrated_loudness, limit_peaks
from dubber_jax.media.sound import read_sound, write_wav
from dubber_jax.media.video import write_silent_clip
from dubber_jax.perception.prosody import track_pitch
from dubber_jax.types import SAMPLE_RATE, Line

pytestmark = pytest.mark.slow

WORSE = {
  'noise as loud': lambda w, _: audio_damage.add_noise(w, 0),
  'echo': lambda w, _: audio_damage.reverberate(w, 1.5, -6),
  'music': lambda w, _: audio_damage.synthetic_music(5.0),
  'two at once': audio_damage.overlap,
  'child': lambda w, _: audio_damage.child_voice(w, 1.5),
  'whisper': lambda w, _: audio_damage.whisper(w),
  'telephone': lambda w, _: audio_damage.telephone(w),
  'noise alone': lambda w, _: np.float32(0.1 * np.random.default_rng(0).standard_normal(len(w))),
  'click': lambda w, _: np.float32(np.arange(len(w)) == SAMPLE_RATE),
}


@pytest.fixture(scope='module')
def model():
  return load()


@pytest.fixture(scope='module')
def library(model):
  return shipped_library(model)


@pytest.fixture(scope='module')
def recordings(data_dir):
  return [read_sound(data_dir / file, SAMPLE_RATE) for file in ('vctk/p225_003.opus', 'ljspeech/LJ001-0002.opus')]


def check_speech(wave):
  """Neither silent, clipped nor broken; begins and ends in silence; no jump stands out of its surroundings."""
  assert np.isfinite(wave).all()
  assert 0.05 < np.abs(wave).max() <= 1.0
  assert integrated_loudness(wave, SAMPLE_RATE) > -40
  assert max(np.abs(wave[:20]).max(), np.abs(wave[-20:]).max()) < 0.01
  steps = np.abs(np.diff(wave))
  around = np.sqrt(np.convolve(steps**2, np.ones(441) / 441, 'same'))
  assert (steps / (around + 0.01 * np.abs(wave).max())).max() < 8


def delivered(take):
  """A take's sound as every way out of here gives it: with its peaks held."""
  return limit_peaks(take.waveform, SAMPLE_RATE)


@pytest.mark.parametrize('kind', WORSE)
def test_bad_voice_speaks(kind, model, library, recordings):
  voice = make_voice(WORSE[kind](*recordings), SAMPLE_RATE, 'bad', model=model)
  assert voice.warnings or kind == 'two at once'
  wave = delivered(dub_line(model, library, LineTask(Line('Is anybody there? I can hardly see a thing.'), voice)).take)
  check_speech(wave)
  pitch = track_pitch(wave, SAMPLE_RATE)
  assert (pitch > 0).mean() > 0.3 and 60 < np.median(pitch[pitch > 0]) < 450


@pytest.mark.parametrize('text', ['No.', 'Oh!', 'Привет, 5.', 'brb', 'Ich weiss nicht, was soll es bedeuten.'])
def test_odd_line_speaks(text, model, library):
  voice = next(iter(model.voices.values()))
  check_speech(delivered(dub_line(model, library, LineTask(Line(text), voice)).take))


def test_all_that_is_wrong_stands_in_the_result_and_on_the_page(recordings, tmp_path):
  write_wav(tmp_path / 'noisy.wav', audio_damage.add_noise(recordings[0], 5), SAMPLE_RATE)
  write_silent_clip(tmp_path / 'clip.mp4', draw_cartoon('happy', 'What a lovely day this is for all of us', seconds=5))
  code = main(
    [
      'dub',
      str(tmp_path / 'clip.mp4'),
      '--text',
      'Нет, no.',
      '--voice',
      str(tmp_path / 'noisy.wav'),
      '-o',
      str(tmp_path / 'o.mp4'),
      '--json',
      str(tmp_path / 'r.json'),
    ]
  )
  assert code == 0
  warnings = json.loads((tmp_path / 'r.json').read_text())['warnings']
  for said in ('noisy.wav: noise only 5 dB', 'Cyrillic', 'the slot is long'):
    assert any(said in warning for warning in warnings)
    assert said in (tmp_path / 'o.html').read_text()
  check_speech(read_sound(tmp_path / 'o.dialogue.wav', SAMPLE_RATE))


def test_spoken_lines_carry_the_warnings_of_their_voice(recordings, tmp_path):
  write_wav(tmp_path / 'far.wav', audio_damage.reverberate(recordings[0], 1.0), SAMPLE_RATE)
  (tmp_path / 'lines.txt').write_text('Good day.\nWhere is Xiaoming?\n')
  code = main(
    [
      'speak',
      '--lines',
      str(tmp_path / 'lines.txt'),
      '--voice',
      str(tmp_path / 'far.wav'),
      '-o',
      str(tmp_path / 'out'),
      '--json',
      str(tmp_path / 'r.json'),
    ]
  )
  assert code == 0
  first, second = (line['warnings'] for line in json.loads((tmp_path / 'r.json').read_text())['lines'])
  assert len(first) == 1 and 'echoes' in first[0]
  assert len(second) == 2 and 'Xiaoming' in second[1]
  check_speech(read_sound(tmp_path / 'out' / '001.wav', SAMPLE_RATE))
