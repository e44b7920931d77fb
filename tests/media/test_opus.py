import numpy as np
import pytest

from dubber_jax.media.opus import opus_round_trip


@pytest.mark.parametrize('rate', [16000, 22050])
def test_round_trip_keeps_length_and_alignment(rate):
  time = np.arange(round(1.237 * rate)) / rate
  wave = (0.3 * np.sin(2 * np.pi * 220 * time) * (time > 0.5)).astype(np.float32)
  back = opus_round_trip(wave, rate)
  assert back.shape == wave.shape and back.dtype == np.float32
  loud = slice(round(0.6 * rate), round(1.1 * rate))
  assert np.corrcoef(wave[loud], back[loud])[0, 1] > 0.99
  assert np.abs(back[: round(0.4 * rate)]).max() < 0.01


def test_low_bit_rate_degrades_the_sound():
  wave = np.random.default_rng(0).normal(0, 0.1, 24000).astype(np.float32)

  def lost(bit_rate):
    return np.square(wave - opus_round_trip(wave, 24000, bit_rate)).mean()

  assert lost(96_000) < lost(12_000)
