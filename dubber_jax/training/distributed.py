"""Multi-host training: initialization, each host's share of a batch, device order, agreement to stop, lost hosts."""

import contextlib
import glob
import importlib.util
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from dubber_jax.errors import BadInput

HEARTBEAT_SECONDS = 60  # without a heartbeat, after which a host counts as lost
SHUTDOWN_SECONDS = 30  # for which an ending process waits for the others


class HostLost(BadInput):
  """Another process of the run has ended; this one cannot continue."""


def init_distributed():
  """Initializes jax.distributed; does nothing for a single process. Call it before anything touches a device.

  Addresses and ranks come from JAX_COORDINATOR_ADDRESS (host:port of process 0), JAX_NUM_PROCESSES and JAX_PROCESS_ID
  or, on a TPU pod, under Slurm and under Open MPI, from the cluster's environment.
  Raises BadInput where one of the three is missing or the other processes do not connect.
  """
  if jax.distributed.is_initialized():
    return
  coordinator = os.environ.get('JAX_COORDINATOR_ADDRESS', '')
  processes, process = _number('JAX_NUM_PROCESSES', 0), _number('JAX_PROCESS_ID', -1)
  settings = {}
  if coordinator or processes > 1:
    if not (':' in coordinator and processes > 0 and 0 <= process < processes):
      raise BadInput(
        f'JAX_COORDINATOR_ADDRESS={coordinator} JAX_NUM_PROCESSES={processes} JAX_PROCESS_ID={process}: '
        'several hosts need all three, HOST:PORT, how many, and which this is, from 0'
      )
    if processes == 1:
      return
    settings = {'coordinator_address': coordinator, 'num_processes': processes, 'process_id': process}
  elif not _on_a_cluster():
    return
  jax.config.update('jax_enable_preemption_service', False)  # it would replace the loop's SIGTERM handler
  try:
    jax.distributed.initialize(
      **settings,
      heartbeat_timeout_seconds=_number('DUBBER_HEARTBEAT_SECONDS', HEARTBEAT_SECONDS),
      shutdown_timeout_seconds=SHUTDOWN_SECONDS,
      initialization_timeout=_number('DUBBER_CONNECT_SECONDS', 300),
    )
  except (RuntimeError, ValueError) as e:
    if not settings and isinstance(e, ValueError):  # a cluster of one machine
      return
    raise BadInput(
      f'the processes of this run did not find each other ({str(e).splitlines()[0]}): start the same '
      'command on every host'
    ) from e


def _number(variable: str, default: int) -> int:
  text = os.environ.get(variable, '')
  try:
    return int(text) if text else default
  except ValueError:
    raise BadInput(f'{variable}={text}: expected a whole number') from None


def _on_a_cluster() -> bool:
  tpu = importlib.util.find_spec('libtpu') is not None and (glob.glob('/dev/accel*') or glob.glob('/dev/vfio/[0-9]*'))
  tasks = (os.environ.get(name, '1') for name in ('SLURM_NTASKS', 'OMPI_COMM_WORLD_SIZE'))
  started = 'SLURM_PROCID' in os.environ or 'OMPI_COMM_WORLD_RANK' in os.environ
  return bool(tpu) or (started and any(t != '1' for t in tasks))


def host_share(mesh: Mesh) -> tuple[int, int]:
  """(i, n): this process reads the i-th of n equal parts of every batch, the items of its devices.

  Processes whose devices hold the same items (tensor parallelism across hosts) read the same part. Raises BadInput
  where the mesh gives the hosts unequal parts.
  """
  sharding = NamedSharding(mesh, P(('data', 'fsdp')))
  items = mesh.shape['data'] * mesh.shape['fsdp']
  held: dict[int, set[int]] = {}
  for device, (rows, *_) in sharding.devices_indices_map((items,)).items():
    held.setdefault(device.process_index, set()).update(range(*rows.indices(items)))
  parts = sorted({tuple(sorted(rows)) for rows in held.values()})
  each = items // len(parts)
  if parts != [tuple(range(i * each, (i + 1) * each)) for i in range(len(parts))] or jax.process_index() not in held:
    raise BadInput(
      f'the mesh {tuple(mesh.shape.values())} (data, fsdp, tensor) does not give each of '
      f'{jax.process_count()} hosts an equal run of items: use all devices, and let data x fsdp be a '
      'multiple of the hosts, or divide their number'
    )
  return parts.index(tuple(sorted(held[jax.process_index()]))), len(parts)


def arrange_devices(shape: tuple[int, int, int]) -> np.ndarray:
  """Array of devices for a mesh of (data, fsdp, tensor). Over slices, or hosts without a fast interconnect, `data` is
  the outermost axis, so that only gradients cross the slow network."""
  from jax.experimental import mesh_utils

  devices = jax.devices()[: int(np.prod(shape))]
  slices = {getattr(d, 'slice_index', 0) for d in devices}
  if len(slices) > 1 and shape[0] % len(slices) == 0:
    inner = (shape[0] // len(slices), *shape[1:])
    return mesh_utils.create_hybrid_device_mesh(inner, (len(slices), 1, 1), devices)
  if len(slices) > 1:
    return np.array(devices).reshape(shape)
  return mesh_utils.create_device_mesh(shape, devices)


def is_primary() -> bool:
  """Whether this process writes logs and samples."""
  return jax.process_index() == 0


def wait_for_all(what: str):
  """Barrier over all processes. Without it, one that compiles slowly would time out the others' first collective."""
  if jax.process_count() > 1:
    from orbax.checkpoint import multihost

    multihost.sync_global_processes(what)


def gather_to_host(tree: Any) -> Any:
  """Sharded tree of arrays as NumPy arrays on every process. All processes must call it."""
  if jax.process_count() == 1:
    return jax.device_get(tree)
  from jax.experimental import multihost_utils

  return jax.tree.map(lambda x: np.asarray(multihost_utils.process_allgather(x, tiled=True)), tree)


class StopVote:
  """Agreement of all processes to stop after the same step. Every process votes at each step and reads the result of
  LAG steps before, which its devices have finished, so that no process waits."""

  LAG = 2  # steps

  def __init__(self, mesh: Mesh):
    self._alone = jax.process_count() == 1
    if self._alone:
      return
    self._votes = NamedSharding(mesh, P(mesh.axis_names))
    self._local = len([d for d in mesh.devices.flat if d.process_index == jax.process_index()])
    self._any = jax.jit(lambda votes: votes.any(), out_shardings=NamedSharding(mesh, P()))
    self._counts = deque()

  def __call__(self, wish: bool) -> bool:
    if self._alone:
      return wish
    votes = jax.make_array_from_process_local_data(self._votes, np.full(self._local, wish))
    self._counts.append(self._any(votes))
    return len(self._counts) > self.LAG and bool(self._counts.popleft())


@contextlib.contextmanager
def host_failure_as_error(path: str | os.PathLike) -> Iterator[None]:
  """Context that turns the failure of a collective into HostLost."""
  try:
    yield
  except jax.errors.JaxRuntimeError as e:
    reason = str(e).strip().partition('\n')[0][:200]
    if jax.process_count() == 1 or reason.startswith(('RESOURCE_EXHAUSTED', 'INVALID_ARGUMENT')):
      raise
    raise HostLost(
      f'another host of this run has ended, or cannot be reached ({reason}); start the same command on '
      f'all hosts again: it continues from the last checkpoint in {path}'
    ) from e
