import numpy as np
import pytest

from dubber_jax.actor.timing import LEAST_PAUSE, LONGEST, SHORTEST, align_to_lips, phoneme_scores, time_by_lips
from dubber_jax.script.visemes import NAMES, visemes_of

LINE = ('@sil', '@M', '@AA1', '@P', '@AA1', '@sil')
WORDS = np.array([-1, 0, 0, 1, 1, -1])


def seen(*segments):
  """Scores (M, C), 100 a second, of a mouth that shows each viseme for so many hundredths of a second."""
  classes = np.concatenate([np.full(frames, NAMES.index(name)) for name, frames in segments])
  return 4.0 * np.eye(len(NAMES))[classes]


def timed(scores, durations=(20, 10, 10, 10, 10, 40), gap=0.0):
  natural = np.array([0, 10, 10, 10, 10, 0])
  return time_by_lips(LINE, WORDS, np.array(durations), natural, scores, 100, 100, gap)


def test_sounds_fall_where_the_mouth_shows_them():
  mouth = seen(('silence', 35), ('bilabial', 8), ('open', 14), ('bilabial', 8), ('open', 12), ('silence', 23))
  symbols, durations = timed(mouth)
  assert symbols == LINE
  assert durations.tolist() == [35, 8, 14, 8, 12, 23]


def test_durations_keep_their_sum_and_stay_near_the_natural_rate():
  rng = np.random.default_rng(0)
  for _ in range(20):
    _, durations = timed(rng.normal(0, 3, (100, len(NAMES))))
    assert durations.sum() == 100
    assert (durations[1:-1] >= int(10 * SHORTEST)).all() and (durations[1:-1] <= np.ceil(10 * LONGEST)).all()


def test_mouth_that_shows_nothing_leaves_the_line_at_the_predicted_durations():
  _, durations = timed(np.zeros((100, len(NAMES))))
  assert durations[1:-1].tolist() == [10, 10, 10, 10]


def test_pause_of_the_mouth_comes_between_two_words():
  mouth = seen(
    ('silence', 10), ('bilabial', 10), ('open', 10), ('silence', 40), ('bilabial', 10), ('open', 10), ('silence', 10)
  )
  symbols, durations = timed(mouth, (10, 20, 20, 20, 20, 10), gap=0.4)
  assert symbols == (*LINE[:3], '@sp', *LINE[3:])
  assert durations.tolist() == [10, 10, 10, 40, 10, 10, 10]


def test_no_pause_is_put_in_where_the_mouth_makes_none():
  mouth = seen(('silence', 35), ('bilabial', 8), ('open', 14), ('bilabial', 8), ('open', 12), ('silence', 23))
  symbols, durations = timed(mouth, gap=0.3)
  assert symbols == LINE and durations.sum() == 100
  assert LEAST_PAUSE > 0


def test_line_that_cannot_be_spoken_within_the_time_stays_as_it_was():
  scores = np.zeros((10, 4))
  assert align_to_lips(np.full(4, 30.0), np.full(4, 30.0), np.array([True, False, False, True]), scores) is None


def test_frames_after_the_pictures_tell_nothing():
  scores = phoneme_scores(np.ones((50, len(NAMES))), visemes_of(LINE), 100, 100, 100)
  assert scores.shape == (100, len(LINE))
  assert scores[:50] == pytest.approx(1.0) and not scores[51:].any()
