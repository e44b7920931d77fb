"""The mesh, and how arrays lie on it."""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from dubber_jax.config import MeshConfig
from dubber_jax.errors import BadInput


def make_mesh(config: MeshConfig) -> Mesh:
  """A mesh with axes data, fsdp and tensor. Raises BadInput where there are too few devices."""
  shape = (config.data, config.fsdp, config.tensor)
  wanted, have = int(np.prod(shape)), jax.device_count()
  if wanted > have:
    raise BadInput(f'the mesh {shape} (data, fsdp, tensor) needs {wanted} devices and there are {have}')
  devices = jax.devices()[:wanted]
  return jax.make_mesh(shape, ('data', 'fsdp', 'tensor'), axis_types=(AxisType.Auto,) * 3, devices=devices)


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Items are spread over data and fsdp."""
  return NamedSharding(mesh, P(('data', 'fsdp')))


def parameter_sharding(mesh: Mesh, tree):
  """Each parameter's largest axis that fsdp divides is spread over fsdp; what none divides is whole everywhere."""

  def place(leaf):
    size = mesh.shape['fsdp']
    spec = [None] * np.ndim(leaf)
    candidates = [(n, i) for i, n in enumerate(np.shape(leaf)) if n % size == 0 and n >= size > 1]
    if candidates:
      spec[max(candidates)[1]] = 'fsdp'
    return NamedSharding(mesh, P(*spec))

  return jax.tree.map(place, tree)
