"""Dry run: memory, FLOPs and roofline time of a training step on a mesh of chips that need not be present."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh

from dubber_jax.authentic_dubber.batches import empty_published
from dubber_jax.config import ActorTask, Config, PublishedTask
from dubber_jax.data.batches import bucket_shapes
from dubber_jax.inference.batch import Shape, empty_batch, lip_frames
from dubber_jax.training.config import MeshConfig
from dubber_jax.training.planning.accelerators import Accelerator
from dubber_jax.training.planning.roofline import Estimate, estimate, products
from dubber_jax.training.sharding import MESH_AXES, check_batch, logical_axes, parameter_sharding, path_name
from dubber_jax.training.step import abstract_state, jit_step, make_gradient, make_loss, make_step
from dubber_jax.training.task import Task

MOST_SIMULATED = 64  # CPU devices; the program is not compiled for larger meshes


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
  temporary: int | None  # bytes by XLA's memory analysis, mostly activations; None where it was not compiled
  product_flops: float  # of matrix products and convolutions, from their shapes (see planning/roofline.py)
  estimate: Estimate


def simulate_devices(mesh: MeshConfig):
  """Gives this process as many CPU devices as the mesh has. Call it before anything touches a device."""
  count = mesh.data * mesh.fsdp * mesh.tensor
  if count <= MOST_SIMULATED:
    with contextlib.suppress(RuntimeError):  # another arm's mesh is here already
      jax.config.update('jax_num_cpu_devices', count)


def example_batch(config: Config, batches: Callable | None = None) -> dict:
  """Batch of the run's largest shape, of 3 s for the published system, of other networks the first of
  `batches(config, host)`. For the first two no data is read."""
  if isinstance(config.task, ActorTask):
    return empty_batch(config, bucket_shapes(config)[-1])
  if isinstance(config.task, PublishedTask):
    tree = config.task.tree
    return empty_published(Shape(tree.batch, 256, 64, lip_frames(256), 256), max(tree.exemplars, 1))
  return batches(config, (0, 1))[0]


def dry_run(config: Config, task: Task, batch: dict[str, Any], chip: Accelerator, compiled: bool = True) -> DryRun:
  """Cost of a step of `task` on batches of `batch`'s shapes, on the mesh of `config`.

  Sizes of parameters and state follow from their shardings, also for a mesh without devices; temporaries come from
  XLA's memory analysis of the compiled program, where there are as many CPU devices (real or simulated).
  Raises BadInput as the run itself would.
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
  forward = jax.make_jaxpr(make_loss(task))(state.params, state.collections, local, key)
  gradient = jax.make_jaxpr(make_gradient(task, parts))(state.params, state.collections, local, key)
  itemsize = 2 if config.train.precision == 'bfloat16' else 4
  shapes = {row.path: (row.shape, row.spec, row.bytes) for row in rows}
  seconds = estimate(
    list(products(forward)), list(products(gradient)), shapes, sum(held.values()), sizes, chip, itemsize, parts
  )
  flops = sum(p.flops for p in products(jax.make_jaxpr(make_step(config, task))(state, batch)))
  temporary = _temporary(config, task, state, batch, sizes) if compiled else None
  return DryRun(rows, sums, temporary, flops, seconds)


def _bytes(leaf, sharding) -> int:
  return math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize


def _temporary(config: Config, task: Task, state, batch, sizes: dict[str, int]) -> int | None:
  """Bytes of temporaries of the compiled step on a device; None with fewer CPU devices than the mesh has."""
  cpus = jax.devices('cpu')
  if math.prod(sizes.values()) > len(cpus):
    return None
  shape = tuple(sizes.values())
  devices = np.array(cpus[: math.prod(shape)]).reshape(shape)
  mesh = Mesh(devices, MESH_AXES, axis_types=(AxisType.Auto,) * 3)
  program = jit_step(config, task, mesh, parameter_sharding(mesh, state)).lower(state, batch).compile()
  analysis = program.memory_analysis()
  return None if analysis is None else analysis.temp_size_in_bytes


def report(run: DryRun, config: Config, chip: Accelerator) -> Iterator[str]:
  """Lines of a readable report."""
  path, shape, axes = (
    max(len(str(cell)) for cell in column)
    for column in zip(*((row.path, row.shape, ' '.join(row.axes)) for row in run.rows), strict=True)
  )
  for row in run.rows:
    spec = ' '.join('+'.join(axis) if isinstance(axis, tuple) else axis or '-' for axis in row.spec)
    yield (
      f'{row.path:{path}}  {row.shape!s:{shape}}  {row.dtype}  {" ".join(row.axes):{axes}}  [{spec}]  '
      f'{_size(row.bytes)}'
    )
  mesh = config.mesh
  devices = mesh.data * mesh.fsdp * mesh.tensor
  yield f'mesh: data {mesh.data}, fsdp {mesh.fsdp}, tensor {mesh.tensor}: {devices} x {chip.name} ({chip.source})'
  count = sum(math.prod(row.shape) for row in run.rows)
  yield f'parameters: {count:,} in {len(run.rows)} arrays; computed in {config.train.precision}'
  yield 'bytes a device: ' + ', '.join(f'{name} {_size(size)}' for name, size in run.bytes.items())
  known = sum(run.bytes.values())
  if run.temporary is None:
    yield f'  total {_size(known)} of {_size(chip.memory)}, without activations (not compiled for this mesh)'
  else:
    whole = known - run.bytes['gradient'] + run.temporary  # the gradient is one of the program's temporaries
    yield (
      f'  activations and other temporaries {_size(run.temporary)}, as compiled for CPUs; total {_size(whole)} '
      f'of {_size(chip.memory)}'
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


def _size(count: float) -> str:
  for unit in ('B', 'kB', 'MB', 'GB'):
    if count < 1000 or unit == 'GB':
      return f'{count:.4g} {unit}'
    count /= 1000
