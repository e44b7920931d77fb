import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics.mcd import DECIBELS
from dubber_jax.evaluation.metrics.mel_distance import mel_cosines, mel_distance


@pytest.fixture
def mel():
  rng = np.random.default_rng(0)
  return np.cumsum(rng.normal(0, 0.3, (60, 80)), axis=0) - 5


def test_same_mel_is_no_distance_away(mel):
  zero = {'mel_distance': 0, 'mel_distance_dtw': 0, 'mel_distance_dtw_sl': 0}
  assert mel_distance(mel, mel) == pytest.approx(zero, abs=1e-9)


def test_louder_by_six_decibels_is_six_decibels_times_root_two(mel):
  louder = mel_distance(mel, mel + np.log(2))
  assert louder['mel_distance'] == pytest.approx(DECIBELS * np.log(2))
  assert louder['mel_distance'] == pytest.approx(20 * np.log10(2) / np.sqrt(2))


def test_coefficients_are_the_cosines_that_the_spectrum_is_made_of():
  cosines = np.random.default_rng(0).normal(0, 1, (7, 14))
  band = (np.arange(80) + 0.5) * np.pi / 80
  mel = cosines @ np.cos(np.arange(14)[:, None] * band)
  np.testing.assert_allclose(mel_cosines(mel), cosines, atol=1e-12)


def test_warping_forgives_slowness_and_length_does_not(mel):
  slow = np.repeat(mel, 2, axis=0)
  found = mel_distance(mel, slow)
  assert found['mel_distance_dtw'] == pytest.approx(0, abs=1e-9)
  noisy = mel_distance(mel, slow + np.random.default_rng(1).normal(0, 0.5, slow.shape))
  assert noisy['mel_distance_dtw_sl'] == pytest.approx(2 * noisy['mel_distance_dtw'])
  assert noisy['mel_distance'] > noisy['mel_distance_dtw']


def test_nothing_is_refused(mel):
  with pytest.raises(BadInput, match='no frames'):
    mel_distance(mel, mel[:0])
