import dataclasses

import numpy as np
import pytest

from dubber_jax.actor.slot import GAP
from dubber_jax.dubbing.inputs import check_script
from dubber_jax.dubbing.result import overrun_of, take_warnings
from dubber_jax.dubbing.speak import timed_tasks
from dubber_jax.errors import BadInput
from dubber_jax.types import HOP, SAMPLE_RATE, Line, Take, Voice

VOICE = Voice(np.zeros(256, np.float32), np.zeros((8, 80), np.float32))


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


def test_overrun_is_what_a_take_lasts_beyond_its_slot(take):
  assert overrun_of(take, None) == overrun_of(take, 160 * HOP / SAMPLE_RATE) == overrun_of(take, 1.862) == 0.0
  assert overrun_of(take, 1.5) == pytest.approx(160 * HOP / SAMPLE_RATE - 1.5)


def test_spoken_lines_are_fitted_to_the_times_that_they_have():
  lines = [Line('One.', 1.0, 2.0), Line('Two.'), Line('Three.', 2.5, 3.0)]
  first, second, last = timed_tasks(lines, VOICE, 'natural')
  assert first.slot_seconds == 1.0 and first.room_seconds == pytest.approx(0.5 - GAP)
  assert second.slot_seconds is None and last.slot_seconds == 0.5 and last.room_seconds > 10
  with pytest.raises(BadInput, match='have no times'):
    timed_tasks([Line('One.')], VOICE, 'strict')
  assert [task.slot_seconds for task in timed_tasks(lines, VOICE, None)] == [None] * 3


@pytest.mark.parametrize('level', [0.0, 1e-3, np.nan])
def test_silent_take_is_told(take, level):
  (warning,) = take_warnings(dataclasses.replace(take, waveform=take.waveform * level), None)
  assert 'silent' in warning
