import dataclasses
import json

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.training.data import VoiceBatches, shuffled
from dubber_jax.training.packed import PackedSet, dequantise, quantise


def test_mel_survives_packing_to_a_fortieth_of_a_neper():
  mel = np.random.default_rng(0).uniform(-11.5, 2.4, (50, 80))
  assert np.abs(dequantise(quantise(mel)) - mel).max() < 0.028


def test_every_item_is_seen_once_an_epoch_and_none_that_is_held_out(packed, config):
  batches = VoiceBatches(config, [packed])
  epoch = range(3 * batches.per_epoch, 4 * batches.per_epoch)
  keys = [batches.sets[0].rows[item]['key'] for i in epoch for item in batches.members(i)[1]]
  assert len(keys) == len(set(keys))
  assert not {'made-up/a/38', 'made-up/a/39'} & set(keys)
  assert len(keys) >= 38 - sum(shape.items - 1 for shape in batches.shapes)


def test_batch_is_the_same_whatever_was_read_before_it(packed, config):
  one, two = VoiceBatches(config, [packed]), VoiceBatches(config, [packed])
  for i in range(30):
    one[i]
  for name, value in two[17].items():
    np.testing.assert_array_equal(one[17][name], value)
  assert one.members(17)[1].tolist() != one.members(18)[1].tolist()


def test_durations_add_up_to_the_frames(packed, config):
  batch = VoiceBatches(config, [packed])[0]
  real = (batch['mel'] > batch['mel'].min()).any(-1).sum(1)
  np.testing.assert_array_equal(batch['durations'].sum(1), real)


def test_iterator_goes_on_from_its_saved_position(packed, config):
  batches = VoiceBatches(config, [packed])
  iterator = batches.iterator()
  for _ in range(5):
    next(iterator)
  position = json.loads(json.dumps(iterator.get_state()))
  expected = next(iterator)
  again = batches.iterator()
  again.set_state(position)
  np.testing.assert_array_equal(next(again)['mel'], expected['mel'])


@pytest.mark.parametrize('count', [2, 4])
def test_hosts_parts_are_the_batch(packed, config, count):
  config = config.replace(data=dataclasses.replace(config.data, buckets=(64,), frames_per_batch=256))
  whole = VoiceBatches(config, [packed])
  parts = [VoiceBatches(config, [packed], host=(h, count)) for h in range(count)]
  for i in (0, 7, 23):
    for name, value in whole[i].items():
      np.testing.assert_array_equal(np.concatenate([part[i][name] for part in parts]), value)


def test_hosts_that_cannot_share_a_batch_are_refused(packed, config):
  with pytest.raises(BadInput, match='3 hosts'):
    VoiceBatches(config, [packed], host=(0, 3))


@pytest.mark.parametrize('count', [1, 2, 100, 2**17 + 3])
def test_shuffling_keeps_every_place_once(count):
  order = [shuffled(i, count, 0, 3) for i in range(count)]
  assert sorted(order) == list(range(count))
  assert count < 100 or np.abs(np.corrcoef(order, range(count))[0, 1]) < 4 / np.sqrt(count)


def test_order_is_another_each_epoch_and_each_seed(packed, config):
  batches, other = VoiceBatches(config, [packed]), VoiceBatches(config.replace(seed=1), [packed])
  n = batches.per_epoch
  orders = [[b.members(e * n + i)[1].tolist() for i in range(n)] for b, e in ((batches, 0), (batches, 1), (other, 0))]
  assert orders[0] != orders[1] and orders[0] != orders[2]


def test_number_of_processes_changes_neither_batches_nor_position(packed, config):
  batches = VoiceBatches(config, [packed])
  iterators = [batches.iterator(), batches.iterator(workers=2)]
  for _ in range(5):
    one, two = map(next, iterators)
    for name, value in one.items():
      np.testing.assert_array_equal(two[name], value)
  position = iterators[1].get_state()
  assert position == iterators[0].get_state()
  expected = next(iterators[1])['mel'].copy()
  for iterator in iterators:
    iterator.close()
  again = batches.iterator()
  again.set_state(position)
  np.testing.assert_array_equal(next(again)['mel'], expected)


def test_damaged_packed_set_is_refused(packed, tmp_path):
  import shutil

  broken = tmp_path / 'broken'
  shutil.copytree(packed, broken)
  (broken / 'mel.npy').write_bytes((broken / 'mel.npy').read_bytes()[:1000])
  with pytest.raises(BadInput, match='delete'):
    PackedSet(broken)
