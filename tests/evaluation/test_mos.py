import sys
from importlib.util import find_spec

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.mos import DistillMOS


def test_missing_packages_say_what_to_install(monkeypatch):
  monkeypatch.setitem(sys.modules, 'distillmos', None)
  with pytest.raises(BadInput, match='torch==2.13.0'):
    DistillMOS()
  assert 'torchaudio' not in sys.modules


def test_real_speech_is_liked_better_than_noisy_speech(data_dir):
  if not (find_spec('torch') and find_spec('distillmos')):
    pytest.skip('torch and distillmos are not installed')
  from dubber_jax.media.sound import read_sound

  listener = DistillMOS()
  speech = read_sound(data_dir / 'teacher' / 'joe_arctic_b0246.opus', 22050)
  noise = np.random.default_rng(0).normal(0, 0.05, len(speech)).astype(np.float32)
  assert 3.5 < listener.score(speech, 22050) <= 5
  assert listener.score(speech + noise, 22050) < listener.score(speech, 22050) - 0.5
  with pytest.raises(BadInput, match='nothing'):
    listener.score(np.zeros(0, np.float32), 22050)
