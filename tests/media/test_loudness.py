import numpy as np
import pytest

from dubber_jax.media.loudness import (
  LoudnessMeter,
  integrated_loudness,
  limit_blocks,
  limit_peaks,
  moving_mean,
  moving_minimum,
  normalize_loudness,
)


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


@pytest.mark.parametrize('parts', [2, 5])
def test_blocks_are_limited_as_the_whole_would_be(monkeypatch, parts):
  wave = np.random.default_rng(1).laplace(0, 0.4, (3 * 8000, 2))
  monkeypatch.setattr('dubber_jax.media.loudness.CHUNK_SECONDS', 10)
  whole = limit_peaks(wave, 8000)
  monkeypatch.setattr('dubber_jax.media.loudness.CHUNK_SECONDS', 1)
  limited = np.concatenate(list(limit_blocks(np.array_split(wave, parts), 8000)))
  np.testing.assert_allclose(limited, whole, atol=1e-6)


@pytest.mark.parametrize('rate', [11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize('seconds', [0.2, 0.5, 1.37, 2.86, 9.33])
def test_loudness_is_that_of_pyloudnorm(rate, seconds):
  import pyloudnorm

  rng = np.random.default_rng(round(100 * seconds))
  wave = rng.normal(0, 0.1, round(seconds * rate)) * np.repeat(rng.random(200), rate // 20 + 1)[: round(seconds * rate)]
  meter = pyloudnorm.Meter(rate, block_size=min(0.4, (len(wave) - 0.5) / rate))
  assert integrated_loudness(wave, rate) == pytest.approx(meter.integrated_loudness(wave), abs=0.01)


@pytest.mark.parametrize('channels', [1, 2, 6, 8])
def test_loudness_by_blocks_is_that_of_the_whole(channels):
  wave = np.random.default_rng(channels).normal(0, 0.1, (5 * 48000, channels))
  meter = LoudnessMeter(48000, channels)
  for block in np.array_split(wave, 7):
    meter.add(block)
  assert meter.integrated() == pytest.approx(integrated_loudness(wave, 48000), abs=1e-9)
  assert len(meter.powers) == 50


def test_low_frequency_channel_does_not_count_and_surrounds_count_more():
  sound = tone(-20)
  measured = [integrated_loudness(np.stack([sound * (i == k) for i in range(6)], 1), 48000) for k in range(6)]
  assert measured[3] == -np.inf and measured[4] - measured[0] == pytest.approx(1.5, abs=0.02)
  assert measured[0] == measured[1] == measured[2]


@pytest.mark.parametrize(('count', 'reach'), [(1, 3), (5, 3), (100, 3), (99, 7), (1000, 110), (221, 110)])
def test_moving_minimum_and_mean_are_those_of_a_window_about_each_value(count, reach):
  values = np.random.default_rng(count).uniform(0, 1, count)
  least = [values[max(0, i - reach) : i + reach + 1].min() for i in range(count)]
  np.testing.assert_array_equal(moving_minimum(values, reach), least)
  continued = np.pad(values, reach, mode='edge')
  mean = [continued[i : i + 2 * reach + 1].mean() for i in range(count)]
  np.testing.assert_allclose(moving_mean(values, reach), mean, atol=1e-12)
