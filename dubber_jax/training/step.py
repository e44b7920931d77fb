"""Train state and train step: sharded initialization, gradient (accumulated over parts of a batch) and update."""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dubber_jax.config import Config
from dubber_jax.nn.random_bits import training_key
from dubber_jax.training.batch_split import split_gradient
from dubber_jax.training.sharding import batch_sharding, check_batch, constrain_batch, parameter_sharding
from dubber_jax.training.task import Task


@flax.struct.dataclass
class TrainState:
  """State of a run; a field's name is its key in checkpoints."""

  step: jax.Array
  params: Any
  ema: Any  # exponential moving average of params, which is evaluated and shipped
  optimizer: Any
  collections: Any  # Flax collections besides the parameters, as batch statistics; {} of a stateless network


def create_state(config: Config, task: Task, batch: dict[str, Any], mesh: Mesh) -> tuple[TrainState, TrainState]:
  """Initial state on a mesh, and its shardings. Every array is created sharded, never whole on one device.

  Raises BadInput where the mesh does not divide an axis of a parameter, or the batch.
  """
  check_batch(mesh, batch, config.train.accumulate)
  create, key = partial(new_state, task, batch), jax.random.key(config.seed)
  shardings = parameter_sharding(mesh, jax.eval_shape(create, key))
  return jax.jit(create, out_shardings=shardings)(key), shardings


def abstract_state(config: Config, task: Task, batch: dict[str, Any]) -> TrainState:
  """Shapes and types of the state; nothing is computed. The batch may be shapes too."""
  return jax.eval_shape(partial(new_state, task), batch, jax.random.key(config.seed))


def new_state(task: Task, batch: dict[str, Any], key: jax.Array) -> TrainState:
  """Initial state from a random key and the shapes of a batch."""
  # Zeros in place of the batch: its values are not needed, and the compiler removes the forward pass.
  made = task.init(key, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), batch))
  params, collections = made if task.stateful else (made, {})
  ema = jax.tree.map(jnp.copy, params)
  return TrainState(jnp.zeros((), jnp.int32), params, ema, make_optimizer(task).init(params), collections)


def make_optimizer(task: Task) -> optax.GradientTransformation:
  """The task's optimizer; steps whose gradient is not finite are skipped and counted."""
  return optax.apply_if_finite(task.optimizer(), max_consecutive_errors=jnp.iinfo(jnp.int32).max)


def jit_step(config: Config, task: Task, mesh: Mesh, shardings: TrainState) -> Callable:
  """`make_step`, jitted with the given shardings of the state, whose buffers are donated."""
  return jax.jit(
    make_step(config, task, mesh),
    in_shardings=(shardings, batch_sharding(mesh)),
    out_shardings=(shardings, NamedSharding(mesh, PartitionSpec())),
    donate_argnums=0,
  )


def make_step(config: Config, task: Task, mesh: Mesh | None = None) -> Callable:
  """Train step (state, batch) -> (state, metrics), to be jitted. With a mesh, activations are sharded by items."""
  optimizer = make_optimizer(task)
  gradient = make_gradient(task, config.train.accumulate, mesh)

  def step(state: TrainState, batch):
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    gradients, (metrics, collections) = gradient(state.params, state.collections, batch, key)
    updates, inner = optimizer.update(gradients, state.optimizer, state.params)
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
    collections = jax.tree.map(lambda new, old: jnp.where(inner.last_finite, new, old), collections, state.collections)
    return TrainState(state.step + 1, params, ema, inner, collections), metrics

  return step


def make_loss(task: Task, mesh: Mesh | None = None) -> Callable:
  """Loss (params, collections, batch, key) -> (scalar, (metrics, collections)) of a stateful or stateless task."""

  def loss(params, collections, batch, key):
    with constrain_batch(mesh, len(next(iter(batch.values())))) if mesh is not None else contextlib.nullcontext():
      if task.stateful:
        return task.loss(params, collections, batch, key)
      value, metrics = task.loss(params, batch, key)
      return value, (metrics, collections)

  return loss


def make_gradient(task: Task, parts: int = 1, mesh: Mesh | None = None) -> Callable:
  """Gradient (params, collections, batch, key) -> (gradient, (metrics, collections)), accumulated over `parts`.

  On a mesh without tensor parallelism each device takes its own items (training/batch_split.py), unless the task
  compares items with each other; then, and with tensor parallelism, the compiler partitions the program. The gradient
  of parts and of a mesh equals the whole batch's where the task has `counts`, or its loss is a mean with equal weights
  of the items. Collections are passed from part to part.
  """
  divided = mesh is not None and mesh.shape['data'] * mesh.shape['fsdp'] > 1 and mesh.shape['tensor'] == 1
  if mesh is not None and divided and not task.compares_items:
    return _with_own_bits(split_gradient(_accumulated(task, parts), task.counts, mesh))
  gradient = _accumulated(task, parts, mesh)

  def whole(params, collections, batch, key):
    counts = task.counts(batch) if task.counts and parts > 1 else None
    return gradient(params, collections, batch, counts, key)

  return _with_own_bits(whole)


def _with_own_bits(gradient: Callable) -> Callable:
  """`gradient` with a key whose bits do not depend on the mesh, in place of any key."""
  return lambda params, collections, batch, key: gradient(params, collections, batch, training_key(key))


def _accumulated(task: Task, parts: int, mesh: Mesh | None = None) -> Callable:
  """Gradient (params, collections, batch, counts, key) -> (gradient, (metrics, collections)).

  counts: those of the task for the whole batch, divided by the number of devices that share it; or None.
  """
  one = jax.grad(make_loss(task, mesh), has_aux=True)
  if parts == 1:
    return lambda params, collections, batch, counts, key: one(
      params, collections, batch | ({'counts': counts} if counts else {}), key
    )

  def divide(x):  # (B, ...) -> (parts, B / parts, ...), strided, so that items stay on their devices
    return x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1)

  def gradient(params, collections, batch, counts, key):
    shared = {'counts': {name: n / parts for name, n in counts.items()}} if counts else {}

    def add(carry, part):
      total, collections = carry
      number, items = part
      found, (metrics, collections) = one(params, collections, items | shared, jax.random.fold_in(key, number))
      return (jax.tree.map(jnp.add, total, found), collections), metrics

    start = (jax.tree.map(jnp.zeros_like, params), collections)
    (total, collections), metrics = jax.lax.scan(add, start, (jnp.arange(parts), jax.tree.map(divide, batch)))
    mean = jax.tree.map(lambda m: m.mean(0), metrics)
    return jax.tree.map(lambda g: g / parts, total), (mean, collections)

  return gradient
