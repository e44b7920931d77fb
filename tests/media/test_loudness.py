import numpy as np
import pytest

from dubber_jax.media.loudness import integrated_loudness, limit_peaks, normalize_loudness, target_loudness


def tone(level_db: float, seconds=5.0, rate=48000, pitch=997.0) -> np.ndarray:
  time = np.arange(round(seconds * rate)) / rate
  return (10 ** (level_db / 20) * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


@pytest.mark.parametrize('rate', [22050, 48000])
def test_tone_has_the_loudness_of_the_standard(rate):
  # BS.1770-4: a 0 dB full-scale sine of 997 Hz in one channel reads -3.01.
  assert integrated_loudness(tone(0, rate=rate), rate) == pytest.approx(-3.01, abs=0.1)
  assert integrated_loudness(tone(-20, rate=rate), rate) == pytest.approx(-23.01, abs=0.1)


def test_silence_between_words_does_not_lower_the_loudness():
  speech = np.concatenate([tone(-20, 3.0), np.zeros(48000 * 6, np.float32), tone(-20, 3.0)])
  assert integrated_loudness(speech, 48000) == pytest.approx(-23.0, abs=0.4)


def test_silence_is_minus_infinity_and_is_not_normalized():
  for silent in (np.zeros(48000, np.float32), tone(-100), np.zeros(3, np.float32)):
    assert integrated_loudness(silent, 48000) == -np.inf
    np.testing.assert_array_equal(normalize_loudness(silent, 48000), silent)


def test_even_a_very_short_sound_has_a_loudness():
  for seconds in (0.2, 6000 / 22050, 0.1234):
    assert integrated_loudness(tone(-20, seconds, 22050), 22050) == pytest.approx(-23, abs=1)


@pytest.mark.parametrize('target', [-23.0, -30.0, -16.0])
def test_normalization_reaches_the_target_from_any_level(target):
  for level in (-50, -20, 0):
    assert integrated_loudness(normalize_loudness(tone(level), 48000, target), 48000) == pytest.approx(target, abs=0.1)


def test_peaks_are_held_below_the_ceiling_even_between_samples():
  from scipy.signal import resample_poly

  rng = np.random.default_rng(0)
  wave = rng.laplace(0, 0.3, 48000) * np.hanning(48000)
  wave[::997] *= 4
  limited = limit_peaks(wave, 48000)
  assert np.abs(resample_poly(limited, 4, 1)).max() < 10 ** (-0.8 / 20)
  quiet = np.abs(wave) < 0.01
  assert np.all(limited[quiet] * np.sign(wave[quiet]) >= 0)
  np.testing.assert_allclose(limit_peaks(0.1 * wave, 48000), 0.1 * wave, atol=1e-7)


def test_a_long_wave_is_limited_as_a_whole_would_be(monkeypatch):
  rng = np.random.default_rng(1)
  wave = rng.laplace(0, 0.4, 3 * 8000)
  whole = limit_peaks(wave, 8000)
  monkeypatch.setattr('dubber_jax.media.loudness.CHUNK_SECONDS', 1)
  np.testing.assert_array_equal(limit_peaks(wave, 8000), whole)


def test_target_is_the_loudness_of_the_original_or_of_ebu_r128():
  assert target_loudness(tone(-30), 48000) == pytest.approx(-33, abs=0.1)
  assert target_loudness(None, 48000) == target_loudness(np.zeros(48000), 48000) == -23
