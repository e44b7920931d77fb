"""Gradient of a batch whose items are divided over the devices of a mesh, with few and large collectives.

Each device computes the loss of its own items (jax.shard_map over `data` and `fsdp`); what needs all items, as a batch
norm does, reduces over the devices by nn/batch_axes.py. Parameters that are sharded over `fsdp` are gathered before,
and their gradients scattered after, the small ones together in one collective; the rest is summed at the end, which XLA
combines into a few all-reduces. Partitioned by the compiler instead, the published system's step has 464 all-reduces on
16 chips.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from dubber_jax.nn.batch_axes import batch_mean, shard_number, split_over
from dubber_jax.nn.random_bits import key_of_part
from dubber_jax.training.sharding import RULES, partition, path_name

SMALL = 1 << 20  # bytes of a whole array, below which it is gathered and scattered together with others
AXES = RULES['batch']


def split_gradient(gradient: Callable, counts: Callable | None, mesh: Mesh) -> Callable:
  """`gradient` (params, collections, batch, counts, key) -> (gradient, (metrics, collections)) of a part of a batch, as
  a function (params, collections, batch, key) of the whole batch, sharded by its items.

  counts(batch) -> {name: number}: numbers of elements that the loss's terms are means over, or None (see Task).
  """

  def whole(params, collections, batch, key):
    specs = jax.tree.map_with_path(lambda path, p: partition(path_name(path), np.shape(p), mesh.shape), params)

    def part(params, collections, batch, key):
      with split_over(AXES):
        totals = _mean_of_parts(counts(batch)) if counts else None
        own_key = key_of_part(key, shard_number())
        found, rest = gradient(_gather(params, specs, mesh), collections, batch, totals, own_key)
        return _reduce(found, specs, mesh), _mean_of_parts(rest)

    split = jax.shard_map(part, mesh=mesh, in_specs=(specs, P(), P(AXES), P()), out_specs=(specs, P()), check_vma=False)
    return split(params, collections, batch, key)

  return whole


def _mean_of_parts(tree: Any) -> Any:
  """Mean over devices of a tree of small arrays, in one all-reduce for each type."""
  leaves, form = jax.tree.flatten(tree)
  leaves = [jnp.asarray(leaf) for leaf in leaves]
  leaves = [leaf if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf.astype(jnp.float32) for leaf in leaves]
  means = list(leaves)
  for dtype in {leaf.dtype for leaf in leaves}:
    of_type = [i for i, leaf in enumerate(leaves) if leaf.dtype == dtype]
    packed = batch_mean(jnp.concatenate([leaves[i].ravel() for i in of_type]))
    for i, piece in zip(of_type, _unpacked(packed, [leaves[i].shape for i in of_type]), strict=True):
      means[i] = piece
  return jax.tree.unflatten(form, means)


def _unpacked(packed: jax.Array, shapes: list[tuple[int, ...]], axis: int = 0) -> list[jax.Array]:
  """Arrays of the given shapes, whose first axis is `packed`'s where `axis` is 1, out of their concatenation."""
  sizes = [int(np.prod(shape[axis:])) for shape in shapes]
  pieces = jnp.split(packed, np.cumsum(sizes)[:-1], axis=axis)
  return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _fsdp_axis(spec: P) -> int:
  """The axis of a parameter that is sharded over fsdp; -1: none."""
  return next((i for i, name in enumerate(spec) if name == 'fsdp' or isinstance(name, tuple) and 'fsdp' in name), -1)


def _groups(leaves: list[jax.Array], specs: list[P], parts: int) -> tuple[list[int], list[list[int]]]:
  """Indices of the leaves that are not sharded over fsdp, and of those that are, by collective. `parts`: by how much a
  leaf has to be multiplied for its whole size."""
  kept, small, groups = [], {}, []
  for i, (leaf, spec) in enumerate(zip(leaves, specs, strict=True)):
    if _fsdp_axis(spec) < 0:
      kept.append(i)
    elif leaf.size * parts * leaf.dtype.itemsize >= SMALL:
      groups.append([i])
    else:
      small.setdefault(leaf.dtype, []).append(i)
  return kept, groups + list(small.values())


def _gather(params: Any, specs: Any, mesh: Mesh) -> Any:
  """Whole parameters from those that are sharded over fsdp."""
  parts = mesh.shape['fsdp']
  if parts == 1:
    return params
  leaves, form = jax.tree.flatten(params)
  places = jax.tree.leaves(specs, is_leaf=lambda s: isinstance(s, P))
  for group in _groups(leaves, places, parts)[1]:
    if len(group) == 1:
      (i,) = group
      leaves[i] = jax.lax.all_gather(leaves[i], 'fsdp', axis=_fsdp_axis(places[i]), tiled=True)
      continue
    first = [jnp.moveaxis(leaves[i], _fsdp_axis(places[i]), 0) for i in group]
    packed = jax.lax.all_gather(jnp.concatenate([x.ravel() for x in first]), 'fsdp')
    for i, piece in zip(group, _unpacked(packed, [(parts, *x.shape) for x in first], axis=1), strict=True):
      whole = piece.reshape(-1, *piece.shape[2:])
      leaves[i] = jnp.moveaxis(whole, 0, _fsdp_axis(places[i]))
  return jax.tree.unflatten(form, leaves)


def _reduce(gradient: Any, specs: Any, mesh: Mesh) -> Any:
  """Mean over devices of the gradient of whole parameters, sharded as the parameters are."""
  parts, devices = mesh.shape['fsdp'], mesh.shape['data'] * mesh.shape['fsdp']
  leaves, form = jax.tree.flatten(gradient)
  places = jax.tree.leaves(specs, is_leaf=lambda s: isinstance(s, P))
  kept, groups = _groups(leaves, places, 1) if parts > 1 else (range(len(leaves)), [])
  scatter = partial(jax.lax.psum_scatter, axis_name='fsdp')
  for group in groups:
    if len(group) == 1:
      (i,) = group
      leaves[i] = scatter(leaves[i], scatter_dimension=_fsdp_axis(places[i]), tiled=True)
      continue
    first = [jnp.moveaxis(leaves[i], _fsdp_axis(places[i]), 0) for i in group]
    packed = scatter(jnp.concatenate([x.reshape(parts, -1) for x in first], axis=1), scatter_dimension=0)
    shapes = [(len(x) // parts, *x.shape[1:]) for x in first]
    for i, piece in zip(group, _unpacked(packed, shapes), strict=True):
      leaves[i] = jnp.moveaxis(piece, 0, _fsdp_axis(places[i]))
  scattered = [i for group in groups for i in group]
  for indices, axes in ((kept, AXES), (scattered, ('data',))):
    if indices and any(mesh.shape[axis] > 1 for axis in axes):
      sums = jax.lax.psum([leaves[i] for i in indices], axes)
      for i, total in zip(indices, sums, strict=True):
        leaves[i] = total
  return jax.tree.unflatten(form, [leaf / devices for leaf in leaves])
