import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dubber_jax.actor.losses import adversarial_losses
from dubber_jax.actor.mel_discriminators import MelDiscriminators
from dubber_jax.errors import BadInput
from dubber_jax.training.step import TrainState
from dubber_jax.training.task import DISCRIMINATORS, drop_discriminators
from dubber_jax.training.weight_export import start_from

FRAMES, REAL = 24, 17
judges = MelDiscriminators(width=8, band_width=4)


@pytest.fixture(scope='module')
def batch():
  rng = np.random.default_rng(0)
  mel = rng.normal(-5, 2, (2, FRAMES, 80)).astype(np.float32)
  mel[:, REAL:] = np.log(1e-5)
  pitch = rng.choice(np.float32([0, 120, 200]), (2, FRAMES))
  return {'mel': mel, 'pitch': pitch, 'speaker': rng.normal(0, 0.1, (2, 256)).astype(np.float32)}


@pytest.fixture(scope='module')
def params(batch):
  rng = np.random.default_rng(1)
  prosody = np.zeros((2, FRAMES, 4), np.float32)
  shapes = jax.eval_shape(lambda: judges.init(jax.random.key(0), batch['mel'], prosody, batch['speaker'])['params'])
  return jax.tree.map(lambda s: rng.normal(0, 0.2, s.shape).astype(np.float32), shapes)


def losses(params, finished, batch):
  mask = jnp.arange(finished.shape[1]) < REAL
  outputs = {'finished': finished, 'mask': jnp.broadcast_to(mask, finished.shape[:2])}
  return adversarial_losses(judges, params, outputs, batch)


def test_each_side_is_moved_by_its_own_losses_alone(batch, params):
  made = jnp.asarray(batch['mel']) * 0.9

  def gradients(name):
    return jax.grad(lambda p, m: losses(p, m, batch)[name], (0, 1))(params, made)

  for name, theirs in (('adversarial', False), ('features', False), ('discriminators', True)):
    of_judges, of_actor = gradients(name)
    assert any(np.abs(g).max() > 0 for g in jax.tree.leaves(of_judges)) == theirs, name
    assert (np.abs(of_actor).max() > 0) == (not theirs), name


def test_what_stands_in_padding_is_not_judged(batch, params):
  made = batch['mel'] * 0.9
  other = made.copy()
  other[:, REAL:] = 3.0
  np.testing.assert_allclose(
    [*losses(params, jnp.asarray(made), batch).values()], [*losses(params, jnp.asarray(other), batch).values()], 1e-6
  )


def test_recordings_cannot_be_told_apart_from_themselves(batch, params):
  found = losses(params, jnp.asarray(batch['mel']), batch)
  assert float(found['features']) == 0.0
  assert float(found['disc_accuracy']) == pytest.approx(0.5)


def test_run_starts_from_weights_without_discriminators_and_ships_without_them():
  params = {'decoder': {'w': jnp.zeros(3)}, DISCRIMINATORS: {'w': jnp.full(2, 7.0)}}
  state = TrainState(jnp.zeros(()), params, params, {}, {})
  where = jax.tree.map(lambda x: x.sharding, state)
  started = start_from({'decoder': {'w': np.ones(3, np.float32)}}, state, where)
  assert started.params['decoder']['w'].tolist() == [1, 1, 1]
  assert started.params[DISCRIMINATORS]['w'].tolist() == [7, 7]
  again = start_from(
    started.params,
    state.replace(params=drop_discriminators(params)),
    where.replace(params=drop_discriminators(where.params)),
  )
  assert set(again.params) == {'decoder'}
  with pytest.raises(BadInput, match='decoder/w is missing'):
    start_from({DISCRIMINATORS: {'w': np.zeros(2)}}, state, where)
