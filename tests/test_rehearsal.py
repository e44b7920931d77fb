import numpy as np
import pytest

from dubber_jax.clip import MouthTrack
from dubber_jax.rehearsal import BREATH, mouth_window, with_pauses
from dubber_jax.script.phonemes import phonemize


def track(opening, present=True):
  frames = len(opening)
  lips = np.zeros((frames, 82), np.float32)
  lips[:, 1] = lips[:, 80] = opening
  return MouthTrack(lips, np.float32(opening), np.full(frames, present), np.zeros((frames, 4), np.float32))


def test_mouth_window_is_where_the_mouth_moves():
  opening = np.zeros(75)
  opening[25:50] = 0.15 * np.abs(np.sin(np.arange(25)))
  start, end = mouth_window(track(opening))
  assert start == pytest.approx(1.0 + BREATH, abs=0.13)
  assert end == pytest.approx(2.0, abs=0.13)


@pytest.mark.parametrize('still', [np.full(75, 0.1), 0.001 * np.sin(np.arange(75))])
def test_mouth_that_does_not_speak_has_no_window(still):
  assert mouth_window(track(still)) is None


def test_face_that_was_not_seen_has_no_window():
  assert mouth_window(track(np.abs(np.sin(np.arange(75.0))), present=False)) is None
  assert mouth_window(None) is None


def test_pause_is_put_after_its_word():
  phonemes = phonemize('One two, three.')
  symbols, word_of, asked = with_pauses(phonemes, ((0, 0.3), (1, 0.2)))
  assert len(symbols) == len(word_of) == len(phonemes.symbols) + 1
  places = sorted(asked)
  assert [symbols[i] for i in places] == ['@sp', ',']
  assert [asked[i] for i in places] == [0.3, 0.2]
  assert [word_of[i - 1] for i in places] == [0, 1]
