import json

import jax
import numpy as np
import pytest

from data_pipelines.v2c_animation import FeatureTree, survey, write_random_tree
from dubber_jax.authentic_dubber.batches import TreeBatches, bucket
from dubber_jax.authentic_dubber.config import TreeConfig
from dubber_jax.config import Config, PublishedTask
from dubber_jax.errors import BadInput


class Made:
  """Clips of nothing but their number, to see which go where."""

  def __init__(self, count, seed=0):
    rng = np.random.default_rng(seed)
    phonemes = rng.integers(5, 60, count)
    self.lengths = np.stack([phonemes, phonemes * 2, phonemes * 7, phonemes * 7], axis=1)


def made(count, batch=32, **options):
  lengths = Made(count).lengths
  return TreeBatches(
    Config(task=PublishedTask(tree=TreeConfig(batch=batch))), None, np.arange(count), lengths, **options
  )


def test_four_batches_are_drawn_sorted_by_phonemes_and_the_rest_dropped():
  batches = made(128 + 32 + 7)
  assert batches.per_epoch == 5
  epoch = [batches.members(i) for i in range(5)]
  counts = [batches.lengths[m, 0] for m in epoch]
  for group in (np.concatenate(counts[:4]), counts[4]):
    assert (np.diff(group) <= 0).all()
  seen = np.concatenate(epoch)
  assert len(seen) == len(set(seen)) == 160
  assert set(np.concatenate([batches.members(i) for i in range(5, 10)])) != set(seen)


def test_batch_depends_on_seed_and_number_alone():
  one, two = made(300), made(300)
  for i in (3, 40, 7):
    one.members(i)
  np.testing.assert_array_equal(one.members(25), two.members(25))


def test_bucket_holds_every_length_and_few_shapes_come_of_many_batches():
  batches = made(2000)
  shapes = {batches.shape(i) for i in range(3 * batches.per_epoch)}
  assert len(shapes) <= 6
  for i in range(batches.per_epoch):
    shape, longest = batches.shape(i), batches.lengths[batches.members(i)].max(0)
    assert (longest <= [shape.phonemes, shape.lips, shape.frames, shape.reference]).all()
  assert bucket((1, 900, 10, 10), 1).lips >= 900


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
  folder = tmp_path_factory.mktemp('features') / 'tree'
  write_random_tree(folder, clips=9)
  return folder


def batches_of(tree, buckets=True, **options):
  config = Config(task=PublishedTask(tree=TreeConfig(root=str(tree), batch=2, buckets=buckets)))
  found = survey(FeatureTree(tree))
  return TreeBatches(config, FeatureTree(tree), found.usable, found.lengths, found.skipped, **options)


def test_bucketed_batch_is_the_exact_one_with_more_padding(tree):
  padded, exact = batches_of(tree)[1], batches_of(tree, buckets=False)[1]
  for name, value in exact.items():
    assert all(n >= m for n, m in zip(padded[name].shape, value.shape, strict=True))
    corner = padded[name][tuple(slice(0, n) for n in value.shape)]
    np.testing.assert_array_equal(corner, value)
    assert np.count_nonzero(padded[name]) == np.count_nonzero(value)
  assert exact['mel'].shape[1] == exact['mel_length'].max()


def test_hosts_parts_one_below_the_other_are_the_batch(tree):
  whole = batches_of(tree)[2]
  parts = [batches_of(tree, host=(i, 2))[2] for i in range(2)]
  for name, value in whole.items():
    np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), value)


def test_iterator_goes_on_from_its_saved_position(tree):
  iterator = batches_of(tree).iterator()
  for _ in range(5):
    next(iterator)
  position = json.loads(json.dumps(iterator.get_state()))
  expected = next(iterator)
  again = batches_of(tree).iterator()
  again.set_state(position)
  jax.tree.map(np.testing.assert_array_equal, next(again), expected)


def test_reference_is_shuffled_anew_in_each_epoch(tree):
  batches = batches_of(tree)
  mine = {}
  for i in range(2 * batches.per_epoch):
    for row, member in enumerate(batches.members(i)):
      mine.setdefault(int(member), []).append(batches[i]['reference'][row])
  twice = [pair for pair in mine.values() if len(pair) == 2 and pair[0].shape == pair[1].shape]
  assert twice and all((a != b).any() for a, b in twice)


def test_fewer_clips_than_a_batch_takes_are_refused():
  with pytest.raises(BadInput, match='tree.batch'):
    made(20)
