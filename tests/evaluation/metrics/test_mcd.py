import sys
from importlib.util import find_spec

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics import mcd
from dubber_jax.evaluation.metrics.mcd import decibels, dtw_path, mel_cepstral_distortion, three_forms, warping
from dubber_jax.types import SAMPLE_RATE


def needs(*packages):
  """Skips without them. pyworld cannot be imported directly where setuptools has no pkg_resources."""
  missing = [name for name in packages if not find_spec(name)]
  if missing:
    pytest.skip(f'{missing[0]} is not installed')


def vowels(formants=(700, 400, 900), seconds=0.9, pitch=120.0):
  """Sustained buzzes, one a formant (Hz), with a short silence at both ends."""
  time = np.arange(int(seconds / len(formants) * SAMPLE_RATE)) / SAMPLE_RATE
  harmonics = np.arange(1, 60)[:, None] * pitch
  waves = [(np.exp(-np.abs(harmonics - f) / 400) * np.sin(2 * np.pi * harmonics * time)).sum(0) for f in formants]
  return np.pad(0.1 * np.concatenate(waves), SAMPLE_RATE // 20)


def test_one_coefficient_off_by_one_is_six_decibels():
  cepstra = np.random.default_rng(0).normal(0, 1, (9, 24))
  other = cepstra.copy()
  other[:, 5] += 1
  assert decibels(cepstra, other) == pytest.approx(10 * np.sqrt(2) / np.log(10)) == pytest.approx(6.1419, abs=1e-4)


def test_bent_frequency_axis_keeps_the_spectrum_at_its_bent_place():
  rng = np.random.default_rng(0)
  cepstrum = rng.normal(0, 1, 12) * 0.5 ** np.arange(12)
  alpha = 0.4
  bent = cepstrum @ warping(11, 60, alpha)
  place = np.linspace(0, np.pi, 50)
  moved = place + 2 * np.arctan(alpha * np.sin(place) / (1 - alpha * np.cos(place)))
  there = np.cos(place[:, None] * np.arange(12)) @ cepstrum
  here = np.cos(moved[:, None] * np.arange(61)) @ bent
  np.testing.assert_allclose(here, there, atol=1e-4)


def test_the_warp_is_that_of_the_mel_scale():
  """Of all constants, WARP is the one (to 0.005) by which the bent axis comes nearest to mels up to the Nyquist."""
  place = np.linspace(0.01, np.pi, 400)
  mel = np.log1p(place / np.pi * SAMPLE_RATE / 2 / 1000)  # Fant's scale
  mel *= np.pi / mel[-1]
  constants = np.arange(0.3, 0.7, 0.005)
  bent = [place + 2 * np.arctan(a * np.sin(place) / (1 - a * np.cos(place))) for a in constants]
  assert constants[np.argmin([np.square(b - mel).mean() for b in bent])] == pytest.approx(mcd.WARP, abs=0.006)


def test_the_path_of_dynamic_time_warping_is_the_cheapest():
  reference = np.array([[0.0], [1.0], [1.0], [3.0]])
  path = dtw_path(reference, np.array([[0.0], [1.0], [3.0], [3.0]]))[::-1]
  assert path.tolist() == [[0, 0], [1, 1], [2, 1], [3, 2], [3, 3]]


def test_slowness_costs_in_the_form_with_lengths_alone():
  cepstra = np.cumsum(np.random.default_rng(0).normal(0, 1, (40, 24)), axis=0)
  slow = np.repeat(cepstra, 2, axis=0) + np.random.default_rng(1).normal(0, 0.1, (80, 24))
  found = three_forms(dtw_path, slow, np.pad(cepstra, ((0, 40), (0, 0))), cepstra, slow)
  assert found['mcd_dtw_sl'] == pytest.approx(2 * found['mcd_dtw']) and found['mcd'] > 5 * found['mcd_dtw']
  with pytest.raises(BadInput, match='no frames'):
    three_forms(dtw_path, cepstra, cepstra, cepstra, cepstra[:0])


def test_a_missing_package_says_what_to_install(monkeypatch):
  monkeypatch.setitem(sys.modules, 'pyworld', None)
  monkeypatch.delitem(sys.modules, 'pkg_resources', raising=False)  # by another test
  with pytest.raises(BadInput, match=r'MCD needs pyworld: pip install "dubber_jax\[mcd\]"'):
    mel_cepstral_distortion(np.ones(4000), np.ones(4000))
  assert 'pkg_resources' not in sys.modules


def test_recordings_without_samples_are_refused():
  with pytest.raises(BadInput, match='no samples'):
    mel_cepstral_distortion(np.zeros(0), np.ones(4000))


def test_spectra_count_and_loudness_and_pace_do_not():
  needs('pyworld')
  spoken = vowels()
  assert mel_cepstral_distortion(spoken, spoken) == pytest.approx({'mcd': 0, 'mcd_dtw': 0, 'mcd_dtw_sl': 0}, abs=1e-9)
  assert mel_cepstral_distortion(spoken, 0.7 * spoken)['mcd_dtw'] < 1.5  # the noise floor stays
  slow, other = (mel_cepstral_distortion(spoken, w) for w in (vowels(seconds=1.5), vowels((300, 1200, 500))))
  assert slow['mcd_dtw'] < 1.5 < 4 < other['mcd_dtw'] and slow['mcd'] > 2 * slow['mcd_dtw']
  assert slow['mcd_dtw_sl'] > 1.4 * slow['mcd_dtw']


def test_of_pymcds_distances_the_level_counts_and_they_are_about_twice_as_large():
  needs('pyworld', 'fastdtw')
  spoken, other = vowels(), vowels((300, 1200, 500))
  assert mcd.published_mcd(spoken, 0.5 * spoken)['mcd'] > 3
  ratio = mcd.published_mcd(spoken, other)['mcd_dtw'] / mel_cepstral_distortion(spoken, other)['mcd_dtw']
  assert 1.2 < ratio < 3
