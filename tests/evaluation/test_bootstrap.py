import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.bootstrap import (
  Interval,
  crossed,
  interval,
  mean_of_means,
  paired,
  rank_correlation,
  ratio_of_means,
  share,
)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
  sample = np.random.default_rng(1).normal(3.0, 0.5, 400)
  found = interval(np.mean, sample)
  half = 1.96 * sample.std() / 20
  assert found.low == pytest.approx(sample.mean() - half, abs=0.1 * half)
  assert found.high == pytest.approx(sample.mean() + half, abs=0.1 * half)
  assert found == interval(np.mean, sample)  # the same clips, the same interval


def test_several_samples_of_rows_are_resampled_as_by_hand():
  rng = np.random.default_rng(2)
  a, b = np.stack([rng.integers(0, 3, 30), rng.integers(3, 9, 30)], 1), rng.normal(3, 1, (20, 2))
  found = interval(lambda x, y: share(x) + y[:, 1].mean(), a, b)
  draws = [share(a[rng.integers(30, size=30)]) + b[rng.integers(20, size=20), 1].mean() for _ in range(4000)]
  assert (found.low, found.high) == pytest.approx(np.percentile(draws, [2.5, 97.5]), rel=0.02)
  assert found.value == pytest.approx(share(a) + b[:, 1].mean()) and found.clips == 50


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


def results_of(rng, clips=80, seeds=1, gain=0.2, noise=0.2, seed_spread=0.0):
  """Two systems around 5 and 5 * (1 + gain), on clips that differ far more than the systems do."""
  clip = rng.normal(0, 2, (clips, 1))
  return (
    mean + clip + rng.normal(0, seed_spread, (1, seeds)) + rng.normal(0, noise, (clips, seeds))
    for mean in (5, 5 * (1 + gain))
  )


def test_pairing_takes_out_how_clips_differ():
  a, b = results_of(np.random.default_rng(0))
  found, apart = paired(a, b, relative=False), interval(lambda x, y: y.mean() - x.mean(), a, b, resamples=400)
  assert found.value == pytest.approx(b.mean() - a.mean())
  assert found.high - found.low < 0.25 * (apart.high - apart.low)
  error = (b - a).std() / np.sqrt(80)
  assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
  assert found.smallest == pytest.approx(2.80 * error, rel=0.1)


@pytest.mark.parametrize('seeds, spread, least', [(1, 0, 0.90), (3, 0, 0.93), (5, 0.3, 0.85)])
def test_about_95_of_100_gains_lie_in_their_intervals(seeds, spread, least):
  rng = np.random.default_rng(1)
  held = 0
  for _ in range(150):
    found = paired(*results_of(rng, 60, seeds, 0.2, 1.0, spread), resamples=300)
    held += found.low <= 0.2 <= found.high
  assert held / 150 > least


def test_the_minimum_detectable_gain_is_detected_four_times_in_five():
  rng = np.random.default_rng(2)
  smallest = np.mean([paired(*results_of(rng, gain=0.0, noise=1.0), resamples=200).smallest for _ in range(20)])
  told = [paired(*results_of(rng, gain=smallest, noise=1.0), resamples=200).told_from_zero for _ in range(200)]
  assert 0.7 < np.mean(told) < 0.9


def test_seeds_that_disagree_widen_the_interval():
  rng = np.random.default_rng(3)
  agree = paired(*results_of(rng, seeds=3))
  differ = paired(*results_of(rng, seeds=3, seed_spread=0.5))
  assert differ.high - differ.low > 3 * (agree.high - agree.low)


def test_a_gain_that_may_be_zero_says_so():
  rng = np.random.default_rng(4)
  none = paired(*results_of(rng, gain=0.0, noise=1.0))
  assert not none.told_from_zero and none.show().endswith('not significant')
  some = paired([1, 1, 1, 1.0], [2, 2, 2, 2.0])
  assert some.show() == '+100.0% (+100.0% to +100.0%)' and some.row()['mean'] == 1.0
  assert paired([1.0], [2.0]).row()['low'] is None


def test_word_errors_of_two_arms_are_compared_over_all_words():
  found = paired([1, 0], [1, 2], wholes=[2, 8], relative=False)
  assert (found.base, found.other) == (pytest.approx(0.1), pytest.approx(0.3))


def test_clips_of_one_sentence_are_not_counted_as_many():
  a, b = results_of(np.random.default_rng(5), noise=0.5)
  once = paired(a, b)
  again = paired(np.repeat(a, 4, 0), np.repeat(b, 4, 0), groups=np.repeat(np.arange(80), 4))
  assert (again.low, again.high) == (pytest.approx(once.low), pytest.approx(once.high))


def test_what_one_arm_lacks_counts_in_neither():
  found = paired([[1.0], [2.0], [9.0]], [[2.0], [4.0], [np.nan]])
  assert found.value == pytest.approx(1.0) and found.clips == 2
  with pytest.raises(BadInput, match='same clips'):
    paired([1, 2, 3], [1, 2])
  with pytest.raises(BadInput, match='difference'):
    paired([0, 0], [1, 1])


def test_a_mean_over_clips_and_seeds_is_that_of_all_known_ones():
  assert crossed([[1, 3], [2, np.nan]]).value == pytest.approx(2.0)
  sample = np.random.default_rng(6).normal(3, 0.5, 400)
  one, other = crossed(sample), interval(np.mean, sample)
  assert one.low == pytest.approx(other.low, abs=0.01) and one.high == pytest.approx(other.high, abs=0.01)


def test_the_order_of_rows_is_compared_and_not_their_size():
  published = [1, 2, 3, 4, 5]
  assert rank_correlation(published, [10, 20, 300, 301, 302]).value == pytest.approx(1)
  assert rank_correlation(published, [5, 4, 3, 2, 1]).value == pytest.approx(-1)
  assert rank_correlation(published, [2, 1, 3, 4, 5]).value == pytest.approx(0.9)


def test_a_perfect_order_of_five_comes_once_in_120_by_chance():
  assert rank_correlation(range(5), range(5), resamples=20000).chance == pytest.approx(1 / 120)


def test_ties_share_their_rank():
  assert rank_correlation([1, 2, 2, 4], [3, 5, 5, 9]).value == pytest.approx(1)
  assert rank_correlation([1, 2, 3, 4], [1, 2, 2, 3]).value == pytest.approx(3 / np.sqrt(10))


def test_rows_that_clips_cannot_tell_apart_have_a_wide_rank_correlation():
  rng = np.random.default_rng(7)
  clear = np.arange(6)[:, None] + rng.normal(0, 0.5, (6, 40))
  sure, unsure = rank_correlation(range(6), clear), rank_correlation(range(6), clear / 20 + rng.normal(0, 1, (6, 40)))
  assert sure.low > 0.8 and unsure.high - unsure.low > 0.5
  with pytest.raises(BadInput, match='three'):
    rank_correlation([1, 2], [1, 2])
