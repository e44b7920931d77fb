"""Reductions over all items of a batch that is split over the devices of a mesh.

In a program that each device runs on its own items (jax.shard_map) a layer sees a part of the batch. What depends on
all items, as a batch norm does, is reduced here over the axes that `split_over` names. Elsewhere these functions return
what they were given.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp

_AXES: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar('batch axes', default=())


@contextlib.contextmanager
def split_over(axes: tuple[str, ...]) -> Iterator[None]:
  """Context in which the batch is split over these axes of the mesh, by jax.shard_map."""
  before = _AXES.set(axes)
  try:
    yield
  finally:
    _AXES.reset(before)


def is_split() -> bool:
  """Whether the batch is split in the current context."""
  return bool(_AXES.get())


def shard_number() -> jax.Array | int:
  """Number of this device's part of the batch, from 0."""
  return jax.lax.axis_index(_AXES.get()) if is_split() else 0


def batch_mean(x: jax.Array) -> jax.Array:
  """Mean of an array over the parts of the batch, on every device."""
  return jax.lax.pmean(x, _AXES.get()) if is_split() else x


def batch_max(x: jax.Array) -> jax.Array:
  """Largest of an array's values over the parts of the batch, on every device."""
  return jax.lax.pmax(x, _AXES.get()) if is_split() else x


def batch_moments(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Weighted mean (D,) and biased variance (D,) of x (..., D) over all axes but the last and all parts of the batch,
  and the sum of the weights (..., 1), at least 1.

  One collective: the parts' own moments are gathered and merged (Chan, Golub and LeVeque 1979), which is exact for
  means that are large against the deviation.
  """
  axes = tuple(range(x.ndim - 1))
  own = weight.sum()
  count = jnp.maximum(own, 1.0)
  mean = (x * weight).sum(axes) / count
  squares = (jnp.square(x - mean) * weight).sum(axes)
  if not is_split():
    return mean, squares / count, count
  parts = jax.lax.all_gather(jnp.concatenate([own[None], mean, squares]), _AXES.get())
  own, means, squares = parts[:, :1], *jnp.split(parts[:, 1:], 2, axis=1)
  count = jnp.maximum(own.sum(), 1.0)
  mean = (means * own).sum(0) / count
  return mean, (squares + own * jnp.square(means - mean)).sum(0) / count, count
