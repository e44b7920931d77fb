"""Dry run: memory, FLOPs and roofline time of a training step on a mesh of chips that need not be present."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType

from dubber_jax.authentic_dubber.batches import empty_published
from dubber_jax.config import ActorTask, Config, CriticTask, PublishedTask, SeparatorTask, VocoderTask
from dubber_jax.data.batches import bucket_shapes
from dubber_jax.inference.batch import Shape, empty_batch, lip_frames
from dubber_jax.nn.platforms import traced_for
from dubber_jax.training.planning.accelerators import Accelerator
from dubber_jax.training.planning.liveness import peak_bytes
from dubber_jax.training.planning.roofline import Estimate, estimate, products
from dubber_jax.training.planning.units import format_bytes
from dubber_jax.training.sharding import MESH_AXES, check_batch, logical_axes, parameter_sharding, path_name
from dubber_jax.training.step import abstract_state, make_gradient, make_loss
from dubber_jax.training.task import Task


@dataclass(frozen=True)
class Row:
  """A parameter."""

  path: str
  shape: tuple[int, ...]
  dtype: str
  axes: tuple[str, ...]  # logical names; empty where sharding.AXES has none
  spec: tuple  # mesh axes
  bytes: int  # per device


@dataclass(frozen=True)
class DryRun:
  """Cost of a step; bytes per device, FLOPs of the whole step on all devices."""

  rows: list[Row]
  bytes: dict[str, int]  # parameters, moving average, optimizer, running averages, gradient, batch
  activations: int  # bytes: most intermediate values live at once, gradient included (planning/liveness.py); rough
  product_flops: float  # of matrix products and convolutions, from their shapes (see planning/roofline.py)
  estimate: Estimate


def example_batch(config: Config, batches: Callable | None = None) -> dict:
  """Batch of the run's largest shape, of 3 s for the published system. Of networks that are not the library's it is the
  first of `batches(config, host)`; for the others no data is read."""
  if isinstance(config.task, ActorTask):
    return empty_batch(config, bucket_shapes(config)[-1])
  if isinstance(config.task, PublishedTask):
    tree = config.task.tree
    return empty_published(Shape(tree.batch, 256, 64, lip_frames(256), 256), max(tree.exemplars, 1))
  if isinstance(config.task, VocoderTask | CriticTask | SeparatorTask):
    return empty_training_batch(config)
  return batches(config, (0, 1))[0]


def empty_training_batch(config: Config) -> dict[str, np.ndarray]:
  """Batch of zeros with the arrays of VocoderBatches, CriticBatches or SeparatorBatches."""
  from dubber_jax.training.tasks import critic, separator, vocoder

  if isinstance(config.task, VocoderTask):
    return vocoder.empty_batch(config)
  if isinstance(config.task, CriticTask):
    return critic.empty_batch(config, config.task.critic.items)
  return separator.empty_batch(config)


def dry_run(config: Config, task: Task, batch: dict[str, Any], chip: Accelerator) -> DryRun:
  """Cost of a step of `task` on batches of `batch`'s shapes, on the mesh of `config`.

  Sizes of parameters and state follow from their shardings; products and activations are counted in the traced
  gradient of one device's items. Nothing is compiled and no device is needed. Raises BadInput as the run itself would.
  """
  sizes = dict(zip(MESH_AXES, (config.mesh.data, config.mesh.fsdp, config.mesh.tensor), strict=True))
  mesh = AbstractMesh(tuple(sizes.values()), MESH_AXES, axis_types=(AxisType.Auto,) * 3)
  parts, shards = config.train.accumulate, sizes['data'] * sizes['fsdp']
  batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), batch)
  check_batch(mesh, batch, parts)
  state = abstract_state(config, task, batch)
  shardings = parameter_sharding(mesh, state)
  placed = list(zip(jax.tree.leaves_with_path(state), jax.tree.leaves(shardings), strict=True))
  held = {path_name(path): _bytes(leaf, sharding) for (path, leaf), sharding in placed}
  rows = []
  for (path, leaf), sharding in placed:
    name = path_name(path)
    if name.startswith('params/'):
      axes = logical_axes(name, leaf.ndim) or ()
      rows.append(Row(name[7:], leaf.shape, leaf.dtype.name, axes, tuple(sharding.spec), held[name]))

  def total(part):
    return sum(size for name, size in held.items() if name.startswith(f'{part}/'))

  parts_of_state = {
    'parameters': 'params',
    'moving average': 'ema',
    'optimizer': 'optimizer',
    'running averages': 'collections',
  }
  sums = {name: total(part) for name, part in parts_of_state.items()} | {
    'gradient': total('params'),
    'batch': sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(batch)) // shards,
  }
  key = jax.random.key(0)
  local = jax.tree.map(lambda x: jax.ShapeDtypeStruct((x.shape[0] // shards, *x.shape[1:]), x.dtype), batch)
  with traced_for(chip.platform):
    gradient = jax.make_jaxpr(make_gradient(task, parts))(state.params, state.collections, local, key)
    # Only the share of the forward products that tensor parallelism divides is asked of the loss alone.
    forward = (
      jax.make_jaxpr(make_loss(task))(state.params, state.collections, local, key) if sizes['tensor'] > 1 else None
    )
  found = list(products(gradient))
  itemsize = 2 if config.train.precision == 'bfloat16' else 4
  shapes = {row.path: (row.shape, row.spec, row.bytes) for row in rows}
  seconds = estimate(
    list(products(forward)) if forward else [], found, shapes, sum(held.values()), sizes, chip, itemsize, parts
  )
  return DryRun(rows, sums, peak_bytes(gradient), shards * sum(p.flops for p in found), seconds)


def _bytes(leaf, sharding) -> int:
  return math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize


def report(run: DryRun, config: Config, chip: Accelerator, parameters: bool = False) -> Iterator[str]:
  """Lines of a readable report: a summary and, where `parameters` are asked for, a table of them."""
  mesh = config.mesh
  devices = mesh.data * mesh.fsdp * mesh.tensor
  yield f'mesh: data {mesh.data}, fsdp {mesh.fsdp}, tensor {mesh.tensor}: {devices} x {chip.name} ({chip.source})'
  count = sum(math.prod(row.shape) for row in run.rows)
  yield f'parameters: {count:,} in {len(run.rows)} arrays; computed in {config.train.precision}'
  yield 'bytes a device: ' + ', '.join(f'{name} {format_bytes(size)}' for name, size in run.bytes.items())
  known = sum(run.bytes.values()) - run.bytes['gradient'] + run.activations  # the gradient is one of the latter
  yield (
    f'  activations and gradient about {format_bytes(run.activations)}; total {format_bytes(known)} of '
    f'{format_bytes(chip.memory)} (estimated, not compiled)'
  )
  yield f'FLOPs a step: {run.product_flops:.4g} in matrix products and convolutions'
  e = run.estimate
  parts = {'products': e.arithmetic, 'update': e.update} | {f'collectives over {a}': s for a, s in e.exchange.items()}
  yield 'roofline: ' + ', '.join(f'{name} {seconds * 1e3:.3g} ms' for name, seconds in parts.items())
  used = run.product_flops / devices / chip.flops
  yield (
    f'a step on {chip.name}: {e.shortest * 1e3:.3g} ms if all collectives overlap, {e.longest * 1e3:.3g} ms if '
    f'none does ({used / e.shortest:.0%} to {used / e.longest:.0%} of peak); bound by {e.bound}'
  )
  if parameters:
    yield from _table(run.rows)
  else:
    yield f'--parameters lists the {len(run.rows)} arrays with their shapes, logical axes, partitions and bytes'


def _table(rows: list[Row]) -> Iterator[str]:
  """A line for each parameter."""
  path, shape, axes = (
    max(len(str(cell)) for cell in column)
    for column in zip(*((row.path, row.shape, ' '.join(row.axes)) for row in rows), strict=True)
  )
  for row in rows:
    spec = ' '.join('+'.join(axis) if isinstance(axis, tuple) else axis or '-' for axis in row.spec)
    yield (
      f'{row.path:{path}}  {row.shape!s:{shape}}  {row.dtype}  {" ".join(row.axes):{axes}}  [{spec}]  '
      f'{format_bytes(row.bytes)}'
    )
