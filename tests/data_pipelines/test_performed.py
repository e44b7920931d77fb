import jax
import numpy as np
import pytest

from data_pipelines import performed
from dubber_jax.batch import Shape, empty_batch, lay_noise, lay_voice
from dubber_jax.config import ActorConfig, Config, DirectorConfig
from dubber_jax.model import DirectorActor
from dubber_jax.model_directory import Model
from dubber_jax.training.packed import PackedSet, quantise, write_packed

TINY = Config(
  actor=ActorConfig(
    width=16, text_layers=1, style_width=16, condition_width=16, lip_width=16, lip_layers=1, prosody_layers=1,
    prosody_width=16, decoder_layers=1, postnet_width=16, noise_width=4,
  ),
  director=DirectorConfig(width=16),
)  # fmt: skip
LENGTHS = (40, 12, 25)


@pytest.fixture
def folder(tmp_path):
  """Three recordings of one speaker, out of order of length."""
  rng = np.random.default_rng(0)
  items = []
  for i, frames in enumerate(LENGTHS):
    features = {
      'mel': quantise(rng.normal(-5, 2, (frames, 80))), 'pitch': np.full(frames, 150.0), 'phonemes': [1, 20 + i, 1],
      'durations': [3, frames - 6, 3], 'lips': np.zeros((0, 82)), 'lip_present': np.zeros(0, bool),
      'speaker': np.full(256, 1 / 16),
    }  # fmt: skip
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


def test_each_recordings_frames_hold_its_own_take(folder, model, monkeypatch):
  monkeypatch.setattr(performed, 'ITEMS', 2)
  monkeypatch.setattr(performed, 'STEP', 16)
  stored = np.load(performed.perform_set(folder, model, seed=5))
  packed = PackedSet(folder)
  assert stored.shape == (sum(LENGTHS), 80) and stored.dtype == np.uint8
  for i, frames in enumerate(LENGTHS):
    rng = np.random.default_rng([5, i])
    item, other = packed.features(i), packed.features(int(rng.choice(3)))
    batch = empty_batch(TINY, Shape(1, frames, 3, 8, 256))
    for name in ('mel', 'pitch', 'phonemes', 'durations'):
      batch[name][0] = item[name]
    lay_voice(batch, 0, other['speaker'], other['mel'])
    lay_noise(batch, 0, frames, rng)
    alone = np.asarray(model.module.apply({'params': model.params}, batch)['finished'][0])
    first, last = packed.rows[i]['spans']['mel']
    assert np.abs(stored[first:last].astype(int) - quantise(alone)).max() <= 1
