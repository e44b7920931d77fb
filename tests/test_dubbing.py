import dataclasses

import numpy as np
import pytest

from dubber_jax.clip import HOP, Line, Take
from dubber_jax.dubbing import check_script, take_warnings
from dubber_jax.errors import BadInput


@pytest.mark.parametrize('text', ['', '☃', 'word ' * 400, 'x' * 10**6, '1234567890' * 40])
def test_line_that_cannot_be_spoken_is_named_before_any_is(text):
  with pytest.raises(BadInput, match='^line 2: '):
    check_script([Line('Fine.'), Line(text)])


@pytest.fixture
def take():
  phonemes, durations = ('@sil', '@AA1', '@T', '@sil'), np.array([40, 20, 20, 80])
  wave = 0.1 * np.sin(0.1 * np.arange(160 * HOP))
  return Take(np.zeros((160, 80)), phonemes, durations, np.zeros(160), np.zeros(8), wave)


def test_mouth_that_goes_on_without_the_line_is_told(take):
  assert take_warnings(take, None) == take_warnings(take, (0.4, 1.2)) == []
  (warning,) = take_warnings(take, (0.0, 1.8))
  assert '0.5 s are spoken' in warning and '1.8 s' in warning


@pytest.mark.parametrize('level', [0.0, 1e-3, np.nan])
def test_silent_take_is_told(take, level):
  (warning,) = take_warnings(dataclasses.replace(take, waveform=take.waveform * level), None)
  assert 'silent' in warning
