from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dubber_jax.authentic_dubber import checkpoint_names as names
from dubber_jax.authentic_dubber.config import PublishedConfig
from dubber_jax.authentic_dubber.losses import published_losses
from dubber_jax.authentic_dubber.model import PublishedDirectorActor, initialize
from dubber_jax.types import MODALITIES

SMALL = PublishedConfig(
  text_layers=1, lip_layers=1, cross_layers=1, decoder_layers=1, width=64, cross_width=32, filter=32, dropout=False
)


def random_batch(seed=0, lengths=((12, 20, 60, 50), (9, 14, 36, 41)), dtype=np.float32, speaker=64):
  """Items of so many phonemes, lip frames, reference frames and mel frames, padded to the longest."""
  rng = np.random.default_rng(seed)
  n, l, r, t = np.array(lengths).max(0)
  items = len(lengths)
  batch = {
    'phonemes': np.zeros((items, n), np.int32),
    'durations': np.zeros((items, n), np.int32),
    'lips': np.zeros((items, l, 512), dtype),
    'reference': np.zeros((items, r, 80), dtype),
    'mel': np.zeros((items, t, 80), dtype),
    'emotion': rng.integers(0, 8, items),
    'speaker': rng.normal(0, 1, (items, speaker)).astype(dtype),
    'sounds': rng.normal(0, 1, (items, 3, 2, 1024)).astype(dtype),
  }
  for m, width in zip(MODALITIES, (1024, 1024, 2048), strict=True):
    batch[m] = rng.normal(0, 1, (items, width)).astype(dtype)
    batch[f'{m}_refs'] = rng.normal(0, 1, (items, 2, width)).astype(dtype)
  for i, (n, l, r, t) in enumerate(lengths):
    batch['phonemes'][i, :n] = rng.integers(1, 87, n)
    cuts = np.sort(rng.integers(0, t, n - 1))
    batch['durations'][i, :n] = np.diff(np.concatenate([[0], cuts, [t]]))
    batch['lips'][i, :l] = rng.normal(0, 1, (l, 512))
    batch['reference'][i, :r] = rng.normal(-5, 2, (r, 80))
    batch['mel'][i, :t] = rng.normal(-5, 2, (t, 80))
  for column, name in enumerate(('phoneme_length', 'lip_length', 'reference_length', 'mel_length')):
    batch[name] = np.array([row[column] for row in lengths], np.int32)
  return batch


TIMES = {'phonemes': 7, 'durations': 7, 'lips': 11, 'reference': 40, 'mel': 30}


def pad(batch):
  """The same items in a larger bucket."""
  widths = {name: ((0, 0), (0, extra)) + ((0, 0),) * (batch[name].ndim - 2) for name, extra in TIMES.items()}
  return batch | {name: np.pad(batch[name], width) for name, width in widths.items()}


def run(padding, variables, batch, method=None):
  config = PublishedConfig(**{**SMALL.__dict__, 'padding': padding})
  frames = (batch['mel'].shape[1],) if method else ()
  model = PublishedDirectorActor(config)
  return jax.device_get(jax.jit(lambda v, b: model.apply(v, b, *frames, method=method))(variables, batch))


@pytest.fixture(scope='module')
def variables():
  return initialize(SMALL, 0)


def differences(a, b, item_a, item_b):
  """Largest differences of an item of 9 phonemes and 41 frames; a take of it may be two shorter by rounding."""
  own = {'finished': 39, 'styled': 9, 'log_durations': 9, 'durations': 9, 'utterance_style': None, 'emotion': None}
  return {
    name: np.abs(a[name][item_a][:size] - b[name][item_b][:size]).max() for name, size in own.items() if name in a
  }


def test_padding_safe_take_does_not_depend_on_its_batch_or_bucket(variables):
  batch = random_batch()
  alone = pad({name: value[1:] for name, value in batch.items()})
  safe = differences(*(run('safe', variables, b, 'synthesize') for b in (batch, alone)), 1, 0)
  assert max(safe.values()) < 2e-5 and safe['durations'] == 0, safe


@pytest.mark.slow
def test_published_take_depends_on_its_batch(variables):
  batch = random_batch()
  alone = pad({name: value[1:] for name, value in batch.items()})
  published = differences(*(run('published', variables, b, 'synthesize') for b in (batch, alone)), 1, 0)
  assert published['styled'] > 1e-4 and published['finished'] > 1e-4, published


@pytest.mark.slow
def test_published_padding_is_that_of_the_longest_item_whatever_the_bucket(variables):
  batch = random_batch()
  same = differences(run('published', variables, batch), run('published', variables, pad(batch)), 1, 1)
  assert max(same.values()) < 2e-5, same


@pytest.mark.slow
def test_gradient_of_the_losses_is_their_slope(variables):
  with jax.enable_x64(True):
    exact = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), variables)
    batch = random_batch(dtype=np.float64)
    model = PublishedDirectorActor(SMALL)

    @jax.jit
    def loss(params):
      out, _ = model.apply(exact | {'params': params}, batch, True, mutable='batch_stats')
      return published_losses(out, batch)['total']

    rng = np.random.default_rng(0)
    way = jax.tree.map(lambda w: jnp.asarray(rng.normal(0, 1, w.shape)), exact['params'])
    # So small, since with longer steps some of the many rectifiers turn over: 1e-6 is 5 % off.
    step = 1e-8

    def at(distance):
      return float(loss(jax.tree.map(lambda w, d: w + distance * d, exact['params'], way)))

    grads = jax.jit(jax.grad(loss))(exact['params'])
    slope = sum(float((g * d).sum()) for g, d in zip(jax.tree.leaves(grads), jax.tree.leaves(way), strict=True))
    assert slope == pytest.approx((at(step) - at(-step)) / (2 * step), rel=1e-4)


def test_every_tensor_survives_the_way_to_torch_and_back(variables):
  rules = names.whole_model(SMALL)
  stored = names.to_torch(rules, variables)
  assert len(stored) == len({rule.key for rule in rules})
  back = names.to_ours(rules, stored)
  assert jax.tree.structure(back) == jax.tree.structure(variables)
  jax.tree.map(np.testing.assert_array_equal, back, variables)


def test_published_sizes_are_those_of_the_state_dict():
  path = Path(__file__).parents[2] / '..' / 'shared' / 'spec' / 'state_dict.txt'
  if not path.exists():
    pytest.skip(f'no list of the published tensors at {path.resolve()}')
  rows = [line.split('\t') for line in path.read_text().splitlines()[1:] if line.count('\t') >= 4]
  trained = {key for _, key, _, _, status in rows if status.startswith('trained')}
  rules = {rule.key for rule in names.whole_model(PublishedConfig())}
  assert trained <= rules
  assert all(names.is_dead(key) for _, key, *_ in rows if key not in rules)
  assert not any(names.is_dead(key) for key in rules)
