import numpy as np

from dubber_jax.media.mel import LOG_FLOOR, mel_numpy
from dubber_jax.types import HOP, SAMPLE_RATE
from dubber_jax.vocoder.griffin_lim import GriffinLim


def test_mel_of_the_rebuilt_sound_is_the_mel_it_was_rebuilt_from():
  time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
  pitch = 150 + 30 * np.sin(2 * np.pi * 2 * time)
  wave = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / SAMPLE_RATE) / k for k in range(1, 20)) * 0.1
  mel = mel_numpy(wave)
  rebuilt = GriffinLim().vocode(mel)
  assert len(rebuilt) == len(mel) * HOP
  inner = slice(4, -4)
  assert np.abs(mel_numpy(rebuilt)[inner] - mel[inner]).mean() < 0.25


def test_silence_stays_silent():
  wave = GriffinLim(8).vocode(np.full((50, 80), LOG_FLOOR, np.float32))
  assert np.abs(wave).max() < 1e-3
