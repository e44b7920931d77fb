"""Device mesh and sharding: logical axis names of parameters, and the rules that map them to mesh axes.

A parameter's path gives its axes logical names (AXES); one table (RULES) maps these to axes of the mesh.

The names stand in a table here and not at the layers (`nn.with_logical_partitioning`), because Flax would box every
initialized parameter in `LogicallyPartitioned`: whatever initializes a network (samples, converters, exports, weight
files, tests) would have to unbox it, each layer's initializers would repeat the same names, and a stack needs its
layer axis named at the scan. With the table the trees and checkpoints stay plain, the moments and averages of the
optimizer get their axes by the same paths, and a network without names is still sharded over `fsdp`.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from dubber_jax.errors import BadInput
from dubber_jax.training.config import MeshConfig
from dubber_jax.training.distributed import arrange_devices

# Logical to mesh axes; axes that are not listed are replicated. `embed` is the axis of the residual stream (or the
# longest): fully sharded data parallelism. `mlp` and `heads` are the inner axis of a pair of matrices, so that tensor
# parallelism costs one all-reduce a pair (Megatron-LM, arXiv 1909.08053).
RULES = {'batch': ('data', 'fsdp'), 'embed': 'fsdp', 'mlp': 'tensor', 'heads': 'tensor'}

# The first pattern that matches the end of a path names the last axes of a parameter, and of its moving average and
# optimizer moments. Axes before these are the layers of a stack or the taps of a convolution.
AXES = tuple(
  (re.compile(rf'(^|/)({pattern})$'), names)
  for pattern, names in (
    (r'(attention|Attention_\d+)/(query|key|value)/kernel', ('embed', 'heads')),
    (r'(attention|Attention_\d+)/(query|key|value)/bias', ('heads',)),
    (r'(attention|Attention_\d+)/out/kernel', ('heads', 'embed')),
    (r'up/kernel', ('embed', 'mlp')),
    (r'up/bias', ('mlp',)),
    (r'down/kernel', ('mlp', 'embed')),
    (r'embedding', ('symbols', 'width')),
    (r'DepthwiseConv_\d+/kernel', ('taps', 'width')),
    (r'(spectral_0|prosody|place|noise|directed|lips/Dense_0|postnet_0|postnet/conv_0)/kernel', ('features', 'embed')),
    (
      r'(spectral_1|temporal_\d+/Conv_\d+|speaker|join|out|mix|W|gain_shift|query|key|project|mel)/kernel',
      ('embed', 'width'),
    ),
    (r'(own|recalled|sound)_(scene|face|text)/kernel', ('embed', 'width')),
    (r'(Dense_\d+|dense_\d+|conv_\d+|postnet_\d+)/kernel', ('embed', 'width')),
    (r'bias|scale|receiver|sender|kind|mean|var', ('width',)),
  )
)
MESH_AXES = ('data', 'fsdp', 'tensor')


def make_mesh(config: MeshConfig) -> Mesh:
  """Mesh with axes data, fsdp and tensor. Raises BadInput where there are too few devices."""
  shape = (config.data, config.fsdp, config.tensor)
  wanted, have = math.prod(shape), jax.device_count()
  if min(shape) < 1:
    raise BadInput(f'the mesh {shape} (data, fsdp, tensor) has an axis without devices; the smallest size is 1')
  if wanted > have:
    raise BadInput(
      f'the mesh {shape} (data, fsdp, tensor) needs {wanted} devices and there are {have}: make it '
      'smaller, or look at it with --dry-run'
    )
  return Mesh(arrange_devices(shape), MESH_AXES, axis_types=(AxisType.Auto,) * 3)


def read_mesh(text: str) -> MeshConfig:
  """'data=2,fsdp=4' -> MeshConfig; axes that are left out are 1. Raises BadInput."""
  sizes = {}
  for part in text.split(','):
    axis, _, size = part.strip().partition('=')
    if axis not in MESH_AXES or not size.isdecimal() or int(size) < 1 or axis in sizes:
      raise BadInput(f'--mesh {text}: write it as data=2,fsdp=4,tensor=1; {part.strip()!r} is not understood')
    sizes[axis] = int(size)
  return MeshConfig(**sizes)


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Sharding of a batch: items over data and fsdp."""
  return NamedSharding(mesh, P(RULES['batch']))


def constrain_batch(mesh: Mesh, items: int) -> Iterator[None]:
  """Context that constrains the outputs of every Flax module to be sharded over `data` and `fsdp` by items.

  Without it the compiler may propagate the sharding of the parameters instead, and reduce activations over `fsdp` where
  it should gather the parameters. It chooses the sharding of the other axes.
  """

  def constrain(x):
    if mesh.size == 1 or not isinstance(x, jax.Array) or x.ndim == 0 or x.shape[0] != items:
      return x
    spec = P(RULES['batch'], *[P.UNCONSTRAINED] * (x.ndim - 1))
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))

  def interceptor(call, args, kwargs, context):
    returned = call(*args, **kwargs)
    return jax.tree.map(constrain, returned) if context.method_name == '__call__' else returned

  return nn.intercept_methods(interceptor)


def check_batch(mesh: Mesh, batch: dict[str, Any], accumulate: int = 1):
  """Raises BadInput where the global batch, split in `accumulate` parts, does not divide among the devices."""
  devices = mesh.shape['data'] * mesh.shape['fsdp']
  items = {np.shape(leaf)[0] for leaf in jax.tree.leaves(batch)}
  wrong = [n for n in items if n % (devices * accumulate)]
  if wrong:
    parts = f' in {accumulate} parts (train.accumulate)' if accumulate > 1 else ''
    raise BadInput(
      f'a batch of {wrong[0]} items does not divide among data x fsdp = {devices} devices{parts}: give '
      f'it a multiple of {devices * accumulate}, or change the mesh'
    )


def logical_axes(path: str, ndim: int) -> tuple[str, ...] | None:
  """Logical names of a parameter's axes, as ('layers', 'embed', 'mlp'); None where AXES has no pattern for it."""
  for pattern, names in AXES:
    if pattern.search(path):
      front = ndim - len(names)
      if front < 0:
        return None
      stacked = re.search(r'(^|/)(block|layer)/', path) is not None
      return (('layers', *('taps',) * (front - 1)) if stacked and front else ('taps',) * front) + names
  return None


def partition(
  path: str,
  shape: tuple[int, ...],
  sizes: dict[str, int],
  axes: Sequence[str] | None = None,
  rules: Mapping[str, Any] = RULES,
) -> P:
  """PartitionSpec of a parameter on a mesh of the given axis sizes.

  `axes`: logical names, by default those of its path. Raises BadInput where two axes map to one mesh axis, or the mesh
  does not divide one. A parameter without logical names has its longest axis that fsdp divides sharded over fsdp.
  """
  axes = axes or logical_axes(path, len(shape))
  if axes is None:
    fitting = [(n, i) for i, n in enumerate(shape) if n % sizes['fsdp'] == 0 and n >= sizes['fsdp'] > 1]
    widest = max(fitting)[1] if fitting else None
    return P(*('fsdp' if i == widest else None for i in range(len(shape))))
  taken, spec = {}, []
  for name, size in zip(axes, shape, strict=True):
    mesh_axis = rules.get(name)
    for one in (mesh_axis,) if isinstance(mesh_axis, str) else mesh_axis or ():
      if one in taken:
        raise BadInput(
          f'{path} {shape}: its axes {taken[one]!r} and {name!r} both map to the mesh axis {one!r}; '
          'name one of them differently in training/sharding.py'
        )
      taken[one] = name
      if size % sizes[one]:
        raise BadInput(
          f'{path} {shape}: its axis {name!r} of {size} does not divide among {one}={sizes[one]} devices; '
          f'let {one} divide {size}'
        )
    spec.append(mesh_axis)
  return P(*spec)


def parameter_sharding(mesh: Mesh, tree: Any) -> Any:
  """Tree of shardings for a tree of parameters, moments or moving averages."""

  def place(path, leaf):
    return NamedSharding(mesh, partition(path_name(path), np.shape(leaf), mesh.shape))

  return jax.tree.map_with_path(place, tree)


def path_name(path: tuple) -> str:
  """JAX key path as 'params/text/block/conv/up/kernel'."""
  return jax.tree_util.keystr(path, simple=True, separator='/')
