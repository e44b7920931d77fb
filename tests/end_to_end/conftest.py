import numpy as np
import pytest

from dubber_jax.demo.cartoon import draw_cartoon
from dubber_jax.media.sound import write_wav
from dubber_jax.media.video import write_silent_clip
from dubber_jax.types import SAMPLE_RATE


@pytest.fixture(scope='session')
def hum():
  """A function of seconds: a voice-like sound, a buzz whose pitch and loudness move."""
  return make_hum


def make_hum(seconds, level=0.2):
  time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
  phase = 2 * np.pi * np.cumsum(130 + 20 * np.sin(2 * np.pi * 1.5 * time)) / SAMPLE_RATE
  buzz = sum(np.sin(k * phase) / k for k in range(1, 12))
  return (level * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)) / 2).astype(np.float32)


@pytest.fixture(scope='session')
def media(tmp_path_factory):
  """A folder with clip.mp4 (2.4 s, a talking cartoon without sound) and voice.wav (3 s)."""
  folder = tmp_path_factory.mktemp('media')
  write_silent_clip(folder / 'clip.mp4', draw_cartoon('happy', 'What a lovely day', seconds=2.4))
  write_wav(folder / 'voice.wav', make_hum(3.0), SAMPLE_RATE)
  return folder
