"""Compilation of a training step for TPUs that are not there: memory of a chip, collectives, compile time.

libtpu, the TPU's compiler and runtime, compiles on any Linux machine for a topology that is given by name. Nothing is
executed. libtpu is looked for by JAX as soon as it is installed, so it is best kept in an environment of its own:
`pip install 'dubber_jax[tpu]'`.
"""

import importlib.metadata
import importlib.util
import math
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dubber_jax.errors import BadInput
from dubber_jax.training.config import MeshConfig
from dubber_jax.training.planning.compiled_program import Collectives, collectives, largest_arrays
from dubber_jax.training.planning.units import format_bytes

if TYPE_CHECKING:  # JAX is imported after prepare_process
  from dubber_jax.config import Config
  from dubber_jax.training.planning.roofline import Estimate
  from dubber_jax.training.task import Task

DIMENSIONS = {'v5e': 2, 'v5p': 3, 'v6e': 2}  # of a topology
SHAPE = re.compile(r'([a-z0-9]+):(\d+(?:x\d+)+)')


@dataclass(frozen=True)
class CompiledProgram:
  """A program as compiled for a topology; bytes are those of one chip."""

  topology: str
  seconds: float  # of processor time
  arguments: int  # bytes: weights and inputs, or state and batch
  outputs: int  # bytes that do not replace arguments
  temporaries: int  # bytes
  code: int  # bytes
  collectives: list[Collectives]
  largest: list[tuple[int, str, str]]  # bytes, shape, operation

  @property
  def memory(self) -> int:
    """Bytes that the program needs on a chip."""
    return self.arguments + self.outputs + self.temporaries + self.code


@dataclass(frozen=True)
class CompiledStep:
  """A compiled training step; FLOPs are those of a step on all chips."""

  program: CompiledProgram
  mesh: MeshConfig
  items: int  # of the global batch
  parameters: int
  precision: str
  trace_seconds: float  # of processor time
  product_flops: float
  estimate: 'Estimate'


def prepare_process():
  """Settings of a process that compiles for TPUs: it computes on the CPU and looks for no TPU. Call it before JAX is
  imported. Raises BadInput where libtpu is missing."""
  if importlib.util.find_spec('libtpu') is None:
    raise BadInput(
      "compiling for a TPU needs libtpu, the TPU's compiler: pip install 'dubber_jax[tpu]', best into an environment "
      'of its own'
    )
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
  os.environ.setdefault('TPU_WORKER_HOSTNAMES', 'localhost')
  os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')  # a second process that compiles is no conflict
  os.environ['JAX_PLATFORMS'] = 'cpu'
  os.environ.setdefault('TPU_STDERR_LOG_LEVEL', '3')
  os.environ.setdefault('TPU_MIN_LOG_LEVEL', '3')


def other_version() -> str | None:
  """One line where libtpu's version is not the one that JAX asks for; None where it is."""
  asked = [r for r in importlib.metadata.requires('jax') or () if r.startswith('libtpu') and 'tpu' in r.split(';')[-1]]
  have = importlib.metadata.version('libtpu')
  wanted = re.search(r'==\s*([\d.]+)\.\*', asked[0]) if asked else None
  if wanted is None or have == wanted[1] or have.startswith(f'{wanted[1]}.'):
    return None
  jax = importlib.metadata.version('jax')
  return f"libtpu is {have}, and JAX {jax} asks for {wanted[1]}: pip install 'jax[tpu]=={jax}' if compiling fails"


def read_topology(text: str) -> tuple[str, tuple[int, ...]]:
  """'v5e:4x4' -> ('v5e', (4, 4)). Raises BadInput for what is no topology of a chip that is known."""
  match = SHAPE.fullmatch(text)
  name, shape = (match[1], tuple(map(int, match[2].split('x')))) if match else ('', ())
  if name not in DIMENSIONS or len(shape) != DIMENSIONS[name] or min(shape) < 1:
    raise BadInput(
      f'{text or "(empty)"}: no such topology of TPUs; v5e and v6e have two sides, as v5e:4x4, and v5p three, as '
      'v5p:2x2x2'
    )
  return name, shape


def topology_devices(text: str) -> list:
  """Descriptions of a topology's devices. Raises BadInput where libtpu has none such."""
  from jax.experimental import topologies

  name, shape = read_topology(text)
  try:
    return list(topologies.get_topology_desc(platform='tpu', topology_name=text).devices)
  except Exception as e:
    reason = str(e).splitlines()[0].removeprefix('INVALID_ARGUMENT: ')
    raise BadInput(
      f'{text}: libtpu has no such topology ({reason}); sides of {name} are multiples of a host, as '
      f'{"2x2x1" if len(shape) == 3 else "2x2"}'
    ) from e


def mesh_for(text: str, config: 'Config', devices: list, given: bool) -> MeshConfig:
  """MeshConfig for all devices of a topology: the config's own or, where none is `given` and it has one device, all of
  them along `data`. Raises BadInput where it has more or fewer devices."""
  mesh = config.mesh
  if not given and mesh.data * mesh.fsdp * mesh.tensor == 1:
    return replace(mesh, data=len(devices))
  count = mesh.data * mesh.fsdp * mesh.tensor
  if count != len(devices):
    raise BadInput(
      f'the mesh data={mesh.data},fsdp={mesh.fsdp},tensor={mesh.tensor} has {count} devices and {text} has '
      f'{len(devices)}: let data x fsdp x tensor be {len(devices)}'
    )
  return mesh


def compile_step(config: 'Config', task: 'Task', batch: dict[str, Any], topology: str, devices: list) -> CompiledStep:
  """Compiles the step of `config`, whose mesh has all `devices`, for batches of `batch`'s shapes.

  Raises BadInput where the mesh does not divide the batch or a parameter, and where the compiler refuses the program.
  """
  import jax
  import numpy as np
  from jax.sharding import AxisType, Mesh

  from dubber_jax.nn.platforms import traced_for
  from dubber_jax.training.planning.accelerators import find_accelerator
  from dubber_jax.training.planning.dry_run import dry_run
  from dubber_jax.training.sharding import MESH_AXES, check_batch, parameter_sharding
  from dubber_jax.training.step import abstract_state, jit_step

  m, chip = config.mesh, find_accelerator(topology.partition(':')[0])
  shape = (m.data, m.fsdp, m.tensor)
  mesh = Mesh(np.array(devices).reshape(shape), MESH_AXES, axis_types=(AxisType.Auto,) * 3)
  batch = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in batch.items()}
  check_batch(mesh, batch, config.train.accumulate)
  cost = dry_run(config, task, batch, chip)
  began = time.process_time()
  with traced_for('tpu'):
    state = abstract_state(config, task, batch)
    lowered = jit_step(config, task, mesh, parameter_sharding(mesh, state)).lower(state, batch)
  return CompiledStep(
    _compile(config.name, lowered, topology),
    m,
    next(iter(batch.values())).shape[0],
    sum(math.prod(row.shape) for row in cost.rows),
    config.train.precision,
    time.process_time() - began,
    cost.product_flops,
    cost.estimate,
  )


def compile_exported(exported: Any, items: int, topology: str, devices: list) -> CompiledProgram:
  """Compiles a program of jax.export, lowered for 'tpu' with a symbolic batch size or none, for one chip of a topology
  and batches of `items`. Raises BadInput where the compiler refuses it."""
  import jax
  from jax.sharding import SingleDeviceSharding

  one = SingleDeviceSharding(devices[0])

  def shape(aval):
    sides = tuple(side if isinstance(side, int) else items for side in aval.shape)
    return jax.ShapeDtypeStruct(sides, aval.dtype, sharding=one)

  arguments, named = jax.tree.unflatten(exported.in_tree, [shape(aval) for aval in exported.in_avals])
  return _compile(exported.fun_name, jax.jit(exported.call).lower(*arguments, **named), topology)


def _compile(name: str, lowered: Any, topology: str) -> CompiledProgram:
  import jax

  began = time.process_time()
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as e:
    warning, reason = other_version(), str(e).strip().splitlines()[0]
    raise BadInput(f'{name} does not compile for {topology}: {reason}' + (f' ({warning})' if warning else '')) from e
  seconds, sizes, hlo = time.process_time() - began, compiled.memory_analysis(), compiled.as_text()
  return CompiledProgram(
    topology,
    seconds,
    sizes.argument_size_in_bytes,
    sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
    sizes.temp_size_in_bytes,
    sizes.generated_code_size_in_bytes,
    collectives(hlo),
    largest_arrays(hlo),
  )


def report_program(program: CompiledProgram) -> Iterator[str]:
  """Lines of a readable report: memory, collectives one kind a line, largest arrays."""
  yield (
    f'memory: arguments {format_bytes(program.arguments)}, temporaries {format_bytes(program.temporaries)}, '
    f'outputs {format_bytes(program.outputs)}, program {format_bytes(program.code)}'
  )
  for exchange in program.collectives:
    yield f'{exchange.kind} {exchange.count}, {exchange.bytes / 1e6:.1f} MB'
  yield 'largest arrays computed: ' + ', '.join(f'{shape} {format_bytes(size)}' for size, shape, _ in program.largest)


def verdict(program: CompiledProgram) -> str:
  """'fits' or not, and the memory that the program needs beside the chip's."""
  from dubber_jax.training.planning.accelerators import find_accelerator

  memory = find_accelerator(program.topology.partition(':')[0]).memory
  word = 'fits' if program.memory <= memory else 'does NOT fit'
  return f'{word}, {format_bytes(program.memory)} of {format_bytes(memory)} a chip'


def report(name: str, step: CompiledStep) -> Iterator[str]:
  """Lines of a readable report: whether it fits, memory, collectives, largest arrays, compile time, roofline bound."""
  from dubber_jax.training.planning.accelerators import find_accelerator

  program, m = step.program, step.mesh
  yield (
    f'{name} for {program.topology} (data {m.data}, fsdp {m.fsdp}, tensor {m.tensor}), batches of {step.items}, '
    f'{step.precision}: {verdict(program)}'
  )
  yield from report_program(program)
  yield (
    f'compiled in {program.seconds:.0f} CPU s, after {step.trace_seconds:.0f} s of tracing; '
    f'{step.parameters:,} parameters'
  )
  e, chip = step.estimate, find_accelerator(program.topology.partition(':')[0])
  used = step.product_flops / (m.data * m.fsdp * m.tensor) / chip.flops
  yield (
    f'{step.product_flops:.4g} FLOP a step in matrix products and convolutions; roofline bound {e.shortest * 1e3:.3g} '
    f'to {e.longest * 1e3:.3g} ms ({used / e.shortest:.0%} to {used / e.longest:.0%} of peak), bound by {e.bound}'
  )
