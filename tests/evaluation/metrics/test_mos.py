import sys
from importlib.util import find_spec

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics.mos import DNSMOS, DistillMOS


def test_missing_packages_say_what_to_install(monkeypatch):
  monkeypatch.setitem(sys.modules, 'distillmos', None)
  with pytest.raises(BadInput, match='torch==2.13.0'):
    DistillMOS()
  assert 'torchaudio' not in sys.modules


def test_real_speech_scores_above_noisy_speech(data_dir):
  if not (find_spec('torch') and find_spec('distillmos')):
    pytest.skip('torch and distillmos are not installed')
  from dubber_jax.media.sound import read_sound

  predictor = DistillMOS()
  speech = read_sound(data_dir / 'teacher' / 'joe_arctic_b0246.opus', 22050)
  noise = np.random.default_rng(0).normal(0, 0.05, len(speech)).astype(np.float32)
  assert 3.5 < predictor.score(speech, 22050) <= 5
  assert predictor.score(speech + noise, 22050) < predictor.score(speech, 22050) - 0.5
  with pytest.raises(BadInput, match='nothing'):
    predictor.score(np.zeros(0, np.float32), 22050)


def test_missing_packages_of_cleanliness_say_what_to_install(monkeypatch):
  monkeypatch.setitem(sys.modules, 'speechmos', None)
  with pytest.raises(BadInput, match='requirements-eval.txt'):
    DNSMOS()


def test_noise_behind_speech_is_heard_as_background(data_dir):
  if not (find_spec('speechmos') and find_spec('onnxruntime')):
    pytest.skip('speechmos and onnxruntime are not installed')
  from dubber_jax.media.sound import read_sound

  predictor = DNSMOS()
  speech = read_sound(data_dir / 'teacher' / 'joe_arctic_b0246.opus', 22050)
  noise = np.random.default_rng(0).normal(0, 0.02, len(speech)).astype(np.float32)
  clean, noisy = predictor.score(speech, 22050), predictor.score(speech + noise, 22050)
  assert clean['background'] > 3.5 and noisy['background'] < clean['background'] - 1
  assert all(1 <= value <= 5 for value in clean.values())
  with pytest.raises(BadInput, match='nothing'):
    predictor.score(np.zeros(0, np.float32), 22050)
