"""One step of training: the state, how it comes into being on a mesh, and how a batch moves it on."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from dubber_jax.config import Config
from dubber_jax.training.sharding import parameter_sharding
from dubber_jax.training.task import Task


@flax.struct.dataclass
class TrainState:
  step: jax.Array
  params: Any
  ema: Any  # moving average of params: what is evaluated and shipped
  optimiser: Any
  extra: Any  # what a network carries besides parameters, as batch statistics; {} where it is stateless


def create_state(config: Config, task: Task, batch, mesh: Mesh) -> tuple[TrainState, TrainState]:
  """-> (state, its shardings). Every array comes into being where it will live, never whole on one device."""

  def create(key):
    made = task.init(key, batch)
    params, extra = made if task.stateful else (made, {})
    ema = jax.tree.map(jnp.copy, params)
    return TrainState(jnp.zeros((), jnp.int32), params, ema, make_optimiser(task).init(params), extra)

  key = jax.random.key(config.seed)
  shardings = parameter_sharding(mesh, jax.eval_shape(create, key))
  return jax.jit(create, out_shardings=shardings)(key), shardings


def make_optimiser(task: Task) -> optax.GradientTransformation:
  """The task's optimiser, which passes over a step whose gradient is not finite, and counts it."""
  return optax.apply_if_finite(task.optimiser(), max_consecutive_errors=jnp.iinfo(jnp.int32).max)


def make_step(config: Config, task: Task):
  """(state, batch) -> (state, metrics), to be jitted."""
  optimiser = make_optimiser(task)

  def loss(params, extra, batch, key):
    if task.stateful:
      return task.loss(params, extra, batch, key)
    value, metrics = task.loss(params, batch, key)
    return value, (metrics, extra)

  def step(state: TrainState, batch):
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    grad = jax.value_and_grad(loss, has_aux=True)
    (_, (metrics, extra)), gradients = grad(state.params, state.extra, batch, key)
    updates, inner = optimiser.update(gradients, state.optimiser, state.params)
    params = optax.apply_updates(state.params, updates)
    keep = jnp.minimum(config.train.ema, (1.0 + state.step) / (10.0 + state.step))
    ema = jax.tree.map(lambda old, new: old * keep + new * (1 - keep), state.ema, params)
    metrics = metrics | {
      'norm/gradient': optax.tree.norm(gradients),
      'norm/update': optax.tree.norm(updates),
      'norm/parameter': optax.tree.norm(params),
      'skipped': inner.total_notfinite,
      'skipped_in_a_row': inner.notfinite_count,
    }
    extra = jax.tree.map(lambda new, old: jnp.where(inner.last_finite, new, old), extra, state.extra)
    return TrainState(state.step + 1, params, ema, inner, extra), metrics

  return step
