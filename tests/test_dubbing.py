import dataclasses

import numpy as np
import pytest

from dubber_jax.clip import HOP, SAMPLE_RATE, Line, Take
from dubber_jax.dubbing import EDGE, check_script, check_slots, fill, take_warnings
from dubber_jax.errors import BadInput


@pytest.mark.parametrize('samples', [0, 1, 7, 5000, 20000, 60000])
def test_sound_cut_or_padded_to_its_slot_begins_and_ends_without_a_jump(samples):
  filled = fill(np.full(40000, 0.5, np.float32), samples)
  assert filled.shape == (samples,) and filled.dtype == np.float32
  if samples > 1000:
    assert filled[0] == 0 and abs(filled[-1]) < 1e-6
    assert np.abs(np.diff(filled)).max() < 0.5 * np.pi / 2 / (EDGE * SAMPLE_RATE) * 1.1
    assert (filled[500 : min(samples, 40000) - 500] == 0.5).all()


@pytest.mark.parametrize(
  ('start', 'end', 'said'),
  [(9.0, 9.5, 'starts at 9.00 s'), (3.0, 3.0, 'after its start'), (3.0, 2.0, 'after its start'),
   (-1.0, 2.0, 'from 0 on'), (float('nan'), 2.0, 'after its start'), (0.0, 1e9, 'limit')],
)  # fmt: skip
def test_slot_that_cannot_be_is_refused(start, end, said):
  with pytest.raises(BadInput, match=f'line 2.*{said}'):
    check_slots([Line('One.', 0.0, 1.0), Line('Two.', start, end)], 100.0 if end > 1e6 else 8.0, 'film.mp4')


def test_slot_ends_with_the_film():
  assert check_slots([Line('One.', 7.0, 9.0)], 8.0, 'film.mp4')[0].end == 8.0


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
