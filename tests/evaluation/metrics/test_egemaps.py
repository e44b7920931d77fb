import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics.egemaps import functional_names, functionals, trim
from dubber_jax.types import SAMPLE_RATE


def buzz(pitch, seconds=1.0, brightness=1.0):
  """Harmonics of a falling F0 (Hz), the amplitude of harmonic n being n to the power of -brightness."""
  time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
  phase = 2 * np.pi * np.cumsum(pitch * (1 - 0.1 * time)) / SAMPLE_RATE
  return sum(np.sin(n * phase) / n**brightness for n in range(1, 30)).astype(np.float32)


def named(wave):
  return dict(zip(functional_names(), functionals(wave, SAMPLE_RATE), strict=True))


def test_names_are_one_each():
  assert len(set(functional_names())) == len(functional_names()) > 80


def test_a_dull_voice_has_its_energy_below():
  bright, dull = named(buzz(140, brightness=0.5)), named(buzz(140, brightness=2.0))
  assert dull['alpha ratio mean'] < bright['alpha ratio mean'] - 6
  assert dull['centroid mean'] < bright['centroid mean'] and dull['hammarberg mean'] > bright['hammarberg mean']


def test_noise_lowers_the_harmonics_to_noise_ratio():
  clean = buzz(140)
  noisy = clean + np.random.default_rng(0).standard_normal(len(clean)).astype(np.float32)
  assert named(noisy)['harmonicity middle'] < named(clean)['harmonicity middle'] - 3


def test_silence_and_clicks_around_speech_are_trimmed():
  padded = np.pad(buzz(140), SAMPLE_RATE // 2)
  padded[100] = 1.0
  assert abs(len(trim(padded)) - SAMPLE_RATE) < 0.05 * SAMPLE_RATE
  assert np.square(trim(padded)).mean() == pytest.approx(1, rel=0.1)


def test_what_is_too_short_is_refused():
  with pytest.raises(BadInput, match='too short'):
    functionals(buzz(140, 0.2), SAMPLE_RATE)
