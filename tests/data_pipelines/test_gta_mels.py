import dataclasses

import jax
import numpy as np
import pytest
from small_configs import SMALL_ACTOR, SMALL_DIRECTOR

from data_pipelines import gta_mels
from dubber_jax.config import ActorTask, Config
from dubber_jax.data.packed import PackedSet, quantize, write_packed
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape, empty_batch, fill_noise, fill_voice, lip_frames
from dubber_jax.inference.model import Model
from dubber_jax.model import DirectorActor

TINY = Config(
  task=ActorTask(
    actor=dataclasses.replace(SMALL_ACTOR, noise_width=4),
    director=SMALL_DIRECTOR,
  ),
)
LENGTHS = (40, 12, 25)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
  """Batches of two items of 40 frames: one shape, compiled once for the whole file (tests/test_model.py varies it)."""
  monkeypatch.setattr(gta_mels, 'ITEMS', 2)
  monkeypatch.setattr(gta_mels, 'STEP', 40)


@pytest.fixture
def folder(tmp_path):
  """Three recordings of one speaker, out of order of length."""
  rng = np.random.default_rng(0)
  items = []
  for i, frames in enumerate(LENGTHS):
    features = {
      'mel': quantize(rng.normal(-5, 2, (frames, 80))),
      'pitch': np.full(frames, 150.0),
      'phonemes': [1, 20 + i, 1],
      'durations': [3, frames - 6, 3],
      'lips': np.zeros((0, 82)),
      'lip_present': np.zeros(0, bool),
      'speaker': np.full(256, 1 / 16),
    }
    row = {'key': f'a/b/{i}', 'set': 'a', 'speaker': 'b', 'text': '', 'emotion': 'neutral', 'split': 'train'}
    items.append((row, features))
  write_packed(tmp_path / 'set', items)
  return tmp_path / 'set'


@pytest.fixture
def model(tmp_path):
  rng = np.random.default_rng(1)
  batch = empty_batch(TINY, Shape(1, 16, 8, 8, 16))
  shapes = jax.eval_shape(lambda: DirectorActor(TINY).init({'params': jax.random.key(0)}, batch)['params'])
  return Model(TINY, jax.tree.map(lambda s: rng.normal(0, 0.2, s.shape).astype(np.float32), shapes), None, {}, tmp_path)


def test_each_recordings_frames_hold_its_own_take(folder, model):
  stored = np.load(gta_mels.write_gta_mels(folder, model, seed=5))
  packed = PackedSet(folder)
  assert stored.shape == (sum(LENGTHS), 80) and stored.dtype == np.uint8
  for i, frames in enumerate(LENGTHS):
    rng = np.random.default_rng([5, i])
    item, other = packed.features(i), packed.features(int(rng.choice(3)))
    batch = empty_batch(TINY, Shape(2, 40, 40, lip_frames(40), 256))
    for name in ('mel', 'pitch', 'phonemes', 'durations'):
      batch[name][0, : len(item[name])] = item[name]
    fill_voice(batch, 0, other['speaker'], other['mel'])
    fill_noise(batch, 0, frames, rng)
    alone = np.asarray(gta_mels._decode(model.module, model.params, batch))[0, :frames]
    first, last = packed.rows[i]['spans']['mel']
    assert np.abs(stored[first:last].astype(int) - quantize(alone)).max() <= 1


@pytest.fixture
def shard(tmp_path):
  """As teacher_corpus.py makes them: no lips, a language, and F0 and energy changed in the last of three."""
  rng, items = np.random.default_rng(3), []
  for i in range(3):
    features = {
      'mel': quantize(rng.normal(-5, 2, (30, 80))),
      'pitch': np.full(30, 150.0 + 90 * (i == 2)),
      'phonemes': [] if i == 1 else [1, 20, 1],
      'durations': [] if i == 1 else [3, 24, 3],
      'lips': np.zeros((0, 82)),
      'lip_present': np.zeros(0, bool),
      'speaker': np.full(256, 1 / 16),
    }
    row = {
      'key': f'kokoro/b/{i}',
      'set': 'kokoro',
      'speaker': 'b',
      'text': '',
      'emotion': 'neutral',
      'split': 'train',
      'language': 'en',
      'edit': {'shift': 8.0} if i == 2 else None,
    }
    items.append((row, features))
  write_packed(tmp_path / 'shard_0000', items)
  return tmp_path / 'shard_0000'


def test_voice_is_known_by_a_line_whose_pitch_nobody_changed(shard):
  assert gta_mels._references(PackedSet(shard))['b'].tolist() == [0, 1]


def test_item_without_text_keeps_its_mel_and_the_others_do_not(shard, model):
  stored, recorded = np.load(gta_mels.write_gta_mels(shard, model)), np.load(shard / 'mel.npy')
  same = [np.array_equal(stored[i * 30 : i * 30 + 30], recorded[i * 30 : i * 30 + 30]) for i in range(3)]
  assert same == [False, True, False]


def test_folder_of_sound_alone_is_refused(shard, model, tmp_path):
  row, features = PackedSet(shard).item(1)
  features['mel'] = quantize(features['mel'])
  write_packed(tmp_path / 'sound', [({k: v for k, v in row.items() if k != 'spans'}, features)])
  with pytest.raises(BadInput, match='no recording has a text'):
    gta_mels.write_gta_mels(tmp_path / 'sound', model)


def test_language_that_the_model_lacks_is_refused(shard, model):
  rows = (shard / 'items.jsonl').read_text().replace('"en"', '"klingon"')
  (shard / 'items.jsonl').write_text(rows)
  with pytest.raises(BadInput, match='klingon'):
    gta_mels.write_gta_mels(shard, model)
