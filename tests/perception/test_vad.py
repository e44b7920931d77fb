import numpy as np

from dubber_jax.perception.vad import WINDOW, speech_probabilities


def test_speech_is_told_from_silence(recording):
  speech = recording('grid/s1/bbaf2n.mp4')
  assert speech_probabilities(speech).max() > 0.9
  assert speech_probabilities(np.zeros(16000, np.float32)).max() < 0.2


def test_last_incomplete_window_has_a_probability():
  assert speech_probabilities(np.zeros(WINDOW + 1, np.float32)).shape == (2,)
  assert speech_probabilities(np.zeros(0, np.float32)).shape == (0,)
