import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics.mcd import DECIBELS, _warping, mel_cepstra, mel_distortion


@pytest.fixture
def mel():
  rng = np.random.default_rng(0)
  return np.cumsum(rng.normal(0, 0.3, (60, 80)), axis=0) - 5


def test_same_mel_is_no_distance_away(mel):
  assert mel_distortion(mel, mel) == pytest.approx({'mcd': 0, 'mcd_dtw': 0, 'mcd_dtw_sl': 0}, abs=1e-9)


def test_louder_by_six_decibels_is_six_decibels_times_root_two(mel):
  louder = mel_distortion(mel, mel + np.log(2))
  assert louder['mcd'] == pytest.approx(DECIBELS * np.log(2))
  assert louder['mcd'] == pytest.approx(20 * np.log10(2) / np.sqrt(2))


def test_cepstra_are_the_cosines_that_the_spectrum_is_made_of():
  cosines = np.random.default_rng(0).normal(0, 1, (7, 14))
  band = (np.arange(80) + 0.5) * np.pi / 80
  mel = cosines @ np.cos(np.arange(14)[:, None] * band)
  np.testing.assert_allclose(mel_cepstra(mel), cosines, atol=1e-12)


def test_warping_forgives_slowness_and_length_does_not(mel):
  slow = np.repeat(mel, 2, axis=0)
  found = mel_distortion(mel, slow)
  assert found['mcd_dtw'] == pytest.approx(0, abs=1e-9)
  noisy = mel_distortion(mel, slow + np.random.default_rng(1).normal(0, 0.5, slow.shape))
  assert noisy['mcd_dtw_sl'] == pytest.approx(2 * noisy['mcd_dtw'])
  assert noisy['mcd'] > noisy['mcd_dtw']


def test_bent_frequency_axis_keeps_the_spectrum_at_its_bent_place():
  rng = np.random.default_rng(0)
  cepstrum = rng.normal(0, 1, 12) * 0.5 ** np.arange(12)
  alpha = 0.4
  bent = cepstrum @ _warping(11, 60, alpha)
  place = np.linspace(0, np.pi, 50)
  moved = place + 2 * np.arctan(alpha * np.sin(place) / (1 - alpha * np.cos(place)))
  there = np.cos(place[:, None] * np.arange(12)) @ cepstrum
  here = np.cos(moved[:, None] * np.arange(61)) @ bent
  np.testing.assert_allclose(here, there, atol=1e-4)


def test_nothing_is_refused(mel):
  with pytest.raises(BadInput, match='no frames'):
    mel_distortion(mel, mel[:0])
