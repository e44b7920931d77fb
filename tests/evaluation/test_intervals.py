import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.intervals import Interval, interval, mean_of_means, ratio_of_means, share


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
  sample = np.random.default_rng(1).normal(3.0, 0.5, 400)
  found = interval(np.mean, sample)
  half = 1.96 * sample.std() / 20
  assert found.low == pytest.approx(sample.mean() - half, abs=0.1 * half)
  assert found.high == pytest.approx(sample.mean() + half, abs=0.1 * half)
  assert found == interval(np.mean, sample)  # the same clips, the same interval


def test_about_95_of_100_intervals_of_word_error_hold_the_truth():
  rng = np.random.default_rng(0)
  held = 0
  for _ in range(100):
    words = rng.integers(4, 16, 80)
    found = interval(share, np.stack([rng.binomial(words, 0.1), words], 1), resamples=200)
    held += found.low <= 0.1 <= found.high
  assert 0.88 < held / 100 < 0.99


def test_words_count_alike_wherever_they_stand():
  assert interval(share, [[1, 2], [0, 8]]).value == pytest.approx(0.1)


def test_a_voice_with_few_clips_counts_as_much_as_one_with_many():
  many, few = np.full(50, 2.0), np.full(2, 4.0)
  assert mean_of_means(many, few) == 3.0
  assert ratio_of_means(many, few, few, few) == 0.75


def test_one_clip_has_no_interval_and_none_no_figure():
  found = interval(np.mean, [2.5])
  assert np.isnan(found.low) and found.show() == '2.50' and found.clips == 1
  with pytest.raises(BadInput, match='no clips'):
    interval(np.mean, [])


def test_shown_with_its_ends():
  assert Interval(0.031, 0.02, 0.05, 60).show('{:.1%}') == '3.1% (2.0% to 5.0%)'
