import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from meshes import TINY, UNOPTIMIZED, numpy_task, small_batch

from dubber_jax.actor.losses import actor_losses, loss_counts
from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.planning.roofline import products
from dubber_jax.training.precision import in_precision
from dubber_jax.training.step import abstract_state, make_gradient, make_step
from dubber_jax.training.task import Task
from dubber_jax.training.tasks.actor import voice_task


def linear_task():
  """The actor's losses of outputs that are linear in the batch, or looked up by phoneme: quick to compile."""
  shapes = {'mel': (80, 80), 'prosody': (80, 3), 'durations': (96,), 'lips': (96, 14), 'emotion': (256, 8)}

  def init(key, batch):
    rng = np.random.default_rng(0)
    return {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}

  def loss(params, batch, key):
    mel = batch['mel'] @ params['mel']
    pitch, voicing, energy = jnp.moveaxis(batch['mel'] @ params['prosody'], -1, 0)
    outputs = {'mel': mel, 'finished': 0.9 * mel, 'pitch': pitch, 'voicing': voicing, 'energy': energy}
    outputs['log_durations'] = params['durations'][batch['phonemes']]
    outputs['lip_weights'] = jax.nn.softmax(params['lips'][batch['phonemes']])
    outputs['emotion'] = batch['speaker'] @ params['emotion']
    losses = actor_losses(outputs, batch)
    return losses['total'], losses

  return Task(init, loss, lambda: optax.sgd(0.1), counts=loss_counts)


@pytest.mark.parametrize(
  'make_task', [linear_task, pytest.param(lambda: numpy_task(TINY), id='voice', marks=pytest.mark.slow)]
)
def test_batch_taken_in_parts_has_the_gradient_of_the_whole(make_task):
  """Items differ in length, so that a mean of the parts' means would be another."""
  task, batch = make_task(), small_batch(TINY)
  params = task.init(None, None)

  def gradient(parts):
    return jax.jit(make_gradient(task, parts), compiler_options=UNOPTIMIZED)(params, {}, batch, jax.random.key(0))

  (whole, (losses, _)), (parts, (others, _)) = gradient(1), gradient(4)
  norm = optax.tree.norm(whole)
  assert max(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.abs(a - b).max(), whole, parts))) < 1e-5 * norm
  assert {k: float(v) for k, v in others.items()} == pytest.approx({k: float(v) for k, v in losses.items()}, rel=1e-4)


def running_mean_task():
  """One weight, and a running sum of what it has seen."""

  def init(key, batch):
    return {'w': jnp.zeros(())}, {'seen': jnp.zeros(())}

  def loss(params, collections, batch, key):
    error = jnp.square(params['w'] - batch['x']).mean()
    return error, ({'total': error}, {'seen': collections['seen'] + batch['x'].sum()})

  return Task(init, loss, lambda: optax.sgd(0.1), stateful=True)


@pytest.mark.parametrize('parts', [1, 2])
def test_running_averages_go_along_with_the_state_but_not_into_the_moving_average(parts):
  config = Config(train=TrainConfig(accumulate=parts))
  task, batch = running_mean_task(), {'x': np.arange(4.0, dtype=np.float32)}
  state = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), abstract_state(config, task, batch))
  for _ in range(3):
    state, metrics = make_step(config, task)(state, batch)
  assert float(state.collections['seen']) == 18.0 and set(state.ema) == {'w'}
  assert float(metrics['total']) == pytest.approx(np.square(0.3 * (1 + 0.8) - np.arange(4.0)).mean())


def test_every_product_of_a_bfloat16_step_is_one_of_bfloat16():
  config = TINY.replace(train=dataclasses.replace(TINY.train, precision='bfloat16'))
  task, batch = voice_task(config), small_batch(config)
  state = abstract_state(config, task, batch)
  assert {x.dtype for x in jax.tree.leaves((state.params, state.ema))} == {np.dtype('float32')}
  step = jax.make_jaxpr(make_step(config, task))(state, batch)
  wide = {(p.m, p.k, p.n) for p in products(step) if p.itemsize > 2}
  # Where in its phoneme a frame lies, and how long that is: numbers up to 832, which bfloat16 would round.
  assert wide <= {(24, 16, 1), (1, 16, 24)}, wide


@pytest.mark.slow
def test_losses_of_a_bfloat16_step_are_near_those_of_float32():
  batch = small_batch(TINY)
  losses = {}
  for precision in ('float32', 'bfloat16'):
    config = TINY.replace(train=dataclasses.replace(TINY.train, precision=precision))
    task = numpy_task(config)
    loss = jax.jit(task.loss, compiler_options=UNOPTIMIZED)
    value, metrics = loss(task.init(None, None), batch, jax.random.key(0))
    assert value.dtype == np.float32
    losses[precision] = {k: float(v) for k, v in metrics.items()}
  assert losses['bfloat16'] == pytest.approx(losses['float32'], rel=0.05, abs=0.02)


def test_precision_that_there_is_not_is_refused():
  with pytest.raises(BadInput, match='float8'):
    in_precision('float8', None)
