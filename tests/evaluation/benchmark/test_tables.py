import json
import math

import numpy as np
import pytest
from PIL import Image

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.plots import draw_confusions, draw_courses
from dubber_jax.evaluation.benchmark.tables import (
  Ablation,
  Comparison,
  compare,
  table,
  write_ablations,
  write_gains,
  write_rows,
)
from dubber_jax.evaluation.bootstrap import Gain, Interval, rank_correlation

FACTS = {'commit': 'abc', 'seeds': '0, 1, 2'}


def gain(mean, low, high, **more):
  return Gain(mean, low, high, 40, 0.05, 0.5, 0.5 * (1 + mean), **more)


def compared(metric, mean, low, high, target=None, over='off'):
  return Comparison(metric, 'on', over, gain(mean, low, high), target)


def test_a_target_counts_as_reached_only_where_the_whole_interval_does():
  assert compared('a', 0.3, 0.25, 0.4, 0.236).verdict == 'reached'
  assert compared('a', 0.3, 0.1, 0.4, 0.236).verdict == 'reached, but the interval goes below it'
  assert compared('a', 0.2, 0.05, 0.4, 0.236).verdict == 'not reached, but the interval goes above it'
  assert compared('a', 0.1, 0.0, 0.2, 0.236).verdict == 'not reached'
  assert compared('a', 0.1, 0.0, 0.2).verdict == ''


def test_gains_are_written_for_people_programs_and_eyes(tmp_path):
  rows = [
    compared('emotion_accuracy', 0.25, 0.2, 0.3, 0.236),
    compared('naturalness', 0.02, -0.1, 0.14, 0.189),
    compared('emotion_accuracy', 0.1, 0.05, 0.2, over='off_best_of'),
  ]
  write_gains(tmp_path, rows, ('on', 'off'), FACTS)
  found = json.loads((tmp_path / 'gains.json').read_text())
  assert (found['emotion_accuracy_gain']['mean'], found['naturalness_gain']['low']) == (0.25, -0.1)
  assert not found['naturalness_gain']['told_from_zero'] and len(found['comparisons']) == 3
  text = (tmp_path / 'gains.md').read_text()
  assert '+2.0% (-10.0% to +14.0%), not significant' in text and 'on over off_best_of' in text and 'abc' in text
  assert Image.open(tmp_path / 'gains.png').width > 600
  with pytest.raises(BadInput, match='headline'):
    write_gains(tmp_path, rows, ('on', 'off_label'), FACTS)


def test_ablations_stand_beside_the_published_ones(tmp_path):
  rng = np.random.default_rng(0)
  names, published = ('scene caption', 'all retrieval', 'graph'), (-0.02, -0.04, -0.03)
  measured = np.array([0.6, 0.4, 0.5])[:, None] + rng.normal(0, 0.02, (3, 40))
  rows = [
    Ablation(
      n,
      name,
      {'emotion_accuracy': Interval(m.mean(), 0.3, 0.7, 40)},
      {'emotion_accuracy': gain(m.mean() / 0.7 - 1, -0.5, -0.1)},
      {'emotion_accuracy': p},
    )
    for n, (name, m, p) in enumerate(zip(names, measured, published, strict=True), 1)
  ]
  ranks = {'emotion_accuracy': rank_correlation(published, measured)}
  write_ablations(tmp_path, {'emotion_accuracy': Interval(0.7, 0.6, 0.8, 40)}, rows, ranks, FACTS)
  found = json.loads((tmp_path / 'ablations.json').read_text())
  assert [row['left_out'] for row in found['rows']] == list(names)
  assert found['rows'][1]['emotion_accuracy']['change']['mean'] == pytest.approx(measured[1].mean() / 0.7 - 1)
  assert found['rank_correlation']['emotion_accuracy']['mean'] == pytest.approx(1)
  assert '| 2 | all retrieval |' in (tmp_path / 'ablations.md').read_text()
  assert Image.open(tmp_path / 'ablations.png').width > 300


def test_what_is_not_known_is_empty_for_people_and_null_for_programs(tmp_path):
  nowhere = Interval(2.5, math.nan, math.nan, 1)
  write_rows(tmp_path, 'retrieval', 'Retrieval', [{'K': 3, 'recall': nowhere}, {'K': 5, 'note': 'a|b'}], FACTS)
  assert json.loads((tmp_path / 'retrieval.json').read_text())['rows'][0]['recall']['low'] is None
  assert table([{'K': 3, 'recall': nowhere}, {'K': 5, 'note': 'a|b'}]).splitlines()[2:] == [
    '| 3 | 2.50 |  |',
    '| 5 |  | a/b |',
  ]


def test_two_runs_differ_only_beyond_their_intervals(tmp_path):
  for name, mean, low in (('a', 0.2, 0.1), ('b', 0.3, 0.2), ('c', 0.9, 0.8)):
    write_gains(tmp_path / name, [compared('emotion_accuracy', mean, low, mean + 0.1)], ('on', 'off'), FACTS)
  (row, again) = compare(tmp_path / 'a' / 'gains.json', tmp_path / 'b' / 'gains.json')
  assert row['figure'] == 'emotion_accuracy_gain' and again['figure'] == 'comparisons[emotion_accuracy on off]'
  assert row['verdict'] == 'no significant difference'  # 0.1 apart, and 0.14 is what chance does
  assert compare(tmp_path / 'a' / 'gains.json', tmp_path / 'c' / 'gains.json')[0]['verdict'] == 'the second is higher'
  assert compare(tmp_path / 'c' / 'gains.json', tmp_path / 'a' / 'gains.json')[0]['verdict'] == 'the second is lower'
  (tmp_path / 'empty.json').write_text('{}')
  with pytest.raises(BadInput, match='share no figure'):
    compare(tmp_path / 'a' / 'gains.json', tmp_path / 'empty.json')


def test_confusions_and_courses_are_drawn_of_any_number_of_arms(tmp_path):
  draw_confusions(tmp_path / 'c.png', ('angry', 'sad'), {'on': [('angry', 'sad'), ('sad', 'sad')], 'off': []})
  points = [(1, Interval(3, 2.9, 3.1, 9)), (3, Interval(3.4, 3.2, 3.5, 9))]
  draw_courses(tmp_path / 'r.png', {f'arm {n}': points for n in range(8)}, 'rounds', 'predicted MOS')
  for name in ('c.png', 'r.png'):
    assert np.asarray(Image.open(tmp_path / name).convert('L')).std() > 10
