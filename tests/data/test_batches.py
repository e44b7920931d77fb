import dataclasses
import json

import numpy as np
import pytest

from dubber_jax.actor.config import ActorConfig, GuidanceConfig
from dubber_jax.actor.losses import loss_masks
from dubber_jax.data.batches import DOMAINS, VoiceBatches, shuffled
from dubber_jax.data.packed import PackedSet, dequantize, quantize, write_packed
from dubber_jax.errors import BadInput
from dubber_jax.script.symbols import SYMBOLS
from dubber_jax.types import EMOTIONS


def test_mel_survives_packing_to_a_fortieth_of_a_neper():
  mel = np.random.default_rng(0).uniform(-11.5, 2.4, (50, 80))
  assert np.abs(dequantize(quantize(mel)) - mel).max() < 0.028


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
  config = config.with_task(data=dataclasses.replace(config.task.data, buckets=(64,), frames_per_batch=256))
  whole = VoiceBatches(config, [packed])
  parts = [VoiceBatches(config, [packed], host=(h, count)) for h in range(count)]
  for i in (0, 7, 23):
    for name, value in whole[i].items():
      np.testing.assert_array_equal(np.concatenate([part[i][name] for part in parts]), value)


def test_mandarin_keeps_its_symbols_and_language_into_the_batch(packed, config, tmp_path):
  rows, items = zip(*(PackedSet(packed).item(i) for i in range(8)), strict=True)
  ids = [np.full_like(item['phonemes'], len(SYMBOLS) - 1 if i % 2 else 5) for i, item in enumerate(items)]
  spoken = (
    (r | {'language': 'zh'} if i % 2 else r, x | {'phonemes': ids[i]})
    for i, (r, x) in enumerate(zip(rows, items, strict=True))
  )
  write_packed(tmp_path / 'both', spoken)
  both = config.with_task(actor=ActorConfig(symbols=len(SYMBOLS), languages=2))
  batches = VoiceBatches(both, [tmp_path / 'both'])
  for i in range(batches.per_epoch):
    np.testing.assert_array_equal(batches[i]['language'], batches[i]['phonemes'].max(1) == len(SYMBOLS) - 1)
  with pytest.raises(BadInput, match='zh:ng5'):
    _ = [VoiceBatches(config, [tmp_path / 'both'])[i] for i in range(batches.per_epoch)]


def test_hosts_that_cannot_share_a_batch_are_refused(packed, config):
  with pytest.raises(BadInput, match='3 hosts'):
    VoiceBatches(config, [packed], host=(0, 3))


@pytest.mark.parametrize('count', [1, 2, 100, 2000])
def test_shuffling_keeps_every_place_once(count, monkeypatch):
  monkeypatch.setattr('dubber_jax.data.batches.MAX_PERMUTATION', 1000)  # the last is shuffled by the cipher
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


class OneReading:
  """Director inputs that are the same for every item of an emotion."""

  def __init__(self, config):
    self.exemplars = config.task.director.exemplars

  def draw(self, row, rng):
    shape = (3, self.exemplars)
    found = {'present': np.ones(3, bool), 'refs_present': np.ones(shape, bool), 'sounds_present': np.ones(shape, bool)}
    return found | {'text': np.full(768, 1.0 + EMOTIONS.index(row['emotion']))}


def test_half_of_what_a_critic_is_asked_about_has_a_reading_of_the_emotion_asked_for(packed, config):
  config = config.with_task(guidance=GuidanceConfig(critic='some'))
  batches = VoiceBatches(config, [packed], OneReading(config))
  asked, read = [], []
  for i in range(4 * batches.per_epoch):
    batch = batches[i]
    seen = batch['guided_present'].all(1)
    asked += list(batch['guided_emotion'])
    read += list(seen)
    np.testing.assert_array_equal(batch['guided_text'][seen, 0], 1.0 + batch['guided_emotion'][seen])
    assert not batch['guided_text'][~seen].any()
  assert set(asked) == set(range(len(EMOTIONS) - 1))
  assert 0.2 < np.mean(read) < 0.8


def test_changed_recordings_are_no_plain_reference_and_keep_their_rate(packed, config, tmp_path):
  items = [PackedSet(packed).item(i) for i in range(8)]
  edited = [
    (r | {'speaker': 'one', 'edit': {'shift': 4.0} if i < 4 else None, 'speed': 1.25 if i < 4 else 1.0}, x)
    for i, (r, x) in enumerate(items)
  ]
  write_packed(tmp_path / 'edited', edited)
  batches = VoiceBatches(config, [tmp_path / 'edited'])
  for i in range(batches.per_epoch):
    batch = batches[i]
    np.testing.assert_array_equal(batch['edited'], batch['pace'] == 1.25)
  plain = np.concatenate([batches[i]['reference_plain'] for i in range(8 * batches.per_epoch)])
  assert plain.mean() > 0.8


def test_prosody_that_was_changed_teaches_neither_pitch_nor_energy(packed, config):
  batch = VoiceBatches(config, [packed])[0]
  masks = loss_masks(batch | {'edited': np.arange(len(batch['mel'])) == 0})
  assert not masks['pitch'][0].any() and not masks['energy'][0].any() and masks['voicing'][0].any()
  assert masks['energy'][1].any()


def test_kinds_of_recording_are_told_apart_and_studio_references_are_damaged(packed, config, tmp_path):
  items = [PackedSet(packed).item(i) for i in range(8)]
  sets = ('teacher', 'ravdess')
  named = ((r | {'set': sets[i % 2], 'speaker': sets[i % 2]}, x) for i, (r, x) in enumerate(items))
  write_packed(tmp_path / 'two', named)
  config = config.with_task(actor=ActorConfig(domains=DOMAINS))
  clean = VoiceBatches(config, [tmp_path / 'two'])
  damaged = config.with_task(data=dataclasses.replace(config.task.data, reference_damage=1.0))
  damaged = VoiceBatches(damaged, [tmp_path / 'two'])
  for i in range(clean.per_epoch):
    a, b = clean[i], damaged[i]
    assert set(a['domain']) <= {0, 2}
    same = [np.array_equal(x, y) for x, y in zip(a['reference'], b['reference'], strict=True)]
    np.testing.assert_array_equal(same, a['domain'] == 2)
