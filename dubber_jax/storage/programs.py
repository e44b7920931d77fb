"""Compiled programs and shapes of parameters that are kept on disk, so that a start does not trace the networks again.

XLA's own cache saves the compilation, but finds a program only after it was traced, which takes longer than the takes
of a line. Programs are kept here by the code of the package, the versions of JAX and Flax, the machine, and the shapes
of their arguments; they lie in the cache folder (storage/cache.py) and can be deleted at any time.

The command line switches this on (`keep_programs`). Without it, a program is jitted as usual.
"""

import contextlib
import functools
import hashlib
import os
import pickle
import platform
import threading
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from dubber_jax.storage.atomic import atomic_file
from dubber_jax.storage.cache import cache_folder, cached
from dubber_jax.storage.hashing import content_key

SWITCH = 'DUBBER_KEEP_PROGRAMS'
PACKAGES = ('jax', 'jaxlib', 'flax', 'numpy')  # by whose versions programs differ


def keep_programs() -> None:
  """From now on programs are kept, in this process and those that it starts, unless SWITCH is set to something else."""
  os.environ.setdefault(SWITCH, '1')


def program_folder() -> Path | None:
  """Where programs are kept; None where they are not."""
  folder = cache_folder()
  return folder / 'programs' if folder is not None and os.environ.get(SWITCH) == '1' else None


class KeptProgram:
  """`jax.jit(function)`, whose compiled programs are kept on disk where there is a `program_folder()`.

  name: of the program's files; key: what else the function depends on, as its config. Arguments are pytrees of arrays.
  Threads that ask for a program that another one is compiling wait for it.
  """

  def __init__(self, name: str, key: str, function: Callable):
    self.name, self.key, self.function = name, key, function
    self.programs: dict[str, Callable] = {}
    self.making: dict[str, threading.Lock] = {}  # by signature

  @functools.cached_property
  def jitted(self) -> Callable:
    import jax

    return jax.jit(self.function)

  def __call__(self, *args: Any) -> Any:
    folder = program_folder()
    if folder is None or _several_devices():
      return self.jitted(*args)
    signature = _signature(args)
    if signature not in self.programs:
      with self.making.setdefault(signature, threading.Lock()):
        if signature not in self.programs:
          path = folder / f'{self.name}-{content_key(self.key, signature, _environment())}.bin'
          self.programs[signature] = _loaded(path, args) or _compile(self.jitted, args, path)
    return self.programs[signature](*args)


def kept_shapes(name: str, key: str, make: Callable[[], Mapping[str, Any]]) -> dict[str, tuple[int, ...]]:
  """{parameter: shape} of a network, from `make() -> {parameter: array or shape struct}`, kept likewise."""

  def compute() -> dict[str, np.ndarray]:
    shapes = {parameter: tuple(getattr(v, 'shape', v)) for parameter, v in make().items()}
    return {
      'names': np.array(list(shapes), dtype=str),
      'shapes': np.array([' '.join(map(str, s)) for s in shapes.values()], str),
    }

  found = cached(_Shapes(), (name, key, code_hash()), compute) if program_folder() else compute()
  pairs = zip(found['names'].tolist(), found['shapes'].tolist(), strict=True)
  return {parameter: tuple(int(n) for n in shape.split()) for parameter, shape in pairs}


class _Shapes:
  name, version = 'shapes', 1


def _loaded(path: Path, args: tuple) -> Callable | None:
  """The kept program; None where there is none that runs."""
  program = _load(path)
  with contextlib.suppress(Exception):
    if program is not None:
      _wait(program(*args))
      return program
  return None


def _load(path: Path) -> Callable | None:
  from jax.experimental import serialize_executable

  try:
    with open(path, 'rb') as file:
      return serialize_executable.deserialize_and_load(*pickle.load(file))
  except Exception:  # not kept, a damaged file, or a runtime that does not take it: compiled again
    return None


def _compile(jitted: Any, args: tuple, path: Path) -> Callable:
  from jax.experimental import serialize_executable

  with _WITHOUT_XLA_CACHE:
    program = jitted.lower(*args).compile()
  with contextlib.suppress(Exception):  # not every backend can, and a disk may be full; the program is there anyway
    data = pickle.dumps(serialize_executable.serialize(program))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as partial:
      partial.write_bytes(data)
  return program


class _WithoutXlaCache:
  """Context in which XLA compiles by itself: what comes from its own cache on a CPU lacks functions when it is stored
  a second time. The setting is of the process: it comes back when the last of several threads is through."""

  def __init__(self):
    self.lock, self.inside, self.enabled = threading.Lock(), 0, True

  def __enter__(self):
    import jax

    with self.lock:
      if not self.inside:
        self.enabled = jax.config.values['jax_enable_compilation_cache']
        _switch_xla_cache(False)
      self.inside += 1

  def __exit__(self, *_):
    with self.lock:
      self.inside -= 1
      if not self.inside:
        _switch_xla_cache(self.enabled)


_WITHOUT_XLA_CACHE = _WithoutXlaCache()


def _switch_xla_cache(value: bool) -> None:
  import jax
  from jax.experimental.compilation_cache import compilation_cache

  jax.config.update('jax_enable_compilation_cache', value)
  compilation_cache.reset_cache()  # or the change is not noticed


def _wait(result: Any) -> None:
  import jax

  jax.block_until_ready(result)


def _signature(args: tuple) -> str:
  """Structure, shapes and types of the arguments."""
  import jax

  leaves, tree = jax.tree.flatten(args)
  return f'{tree} {[(np.shape(leaf), str(np.result_type(leaf)), getattr(leaf, "weak_type", False)) for leaf in leaves]}'


@functools.cache
def _several_devices() -> bool:
  """Whether arrays may be spread over devices, of which a signature says nothing."""
  import jax

  return jax.device_count() > 1


@functools.cache
def code_hash() -> str:
  """Of the package's code and the versions of what it computes with."""
  state = hashlib.blake2b(digest_size=20)
  root = Path(__file__).parents[1]
  for path in sorted(root.rglob('*.py')):
    state.update(path.relative_to(root).as_posix().encode())
    state.update(path.read_bytes())
  for package in PACKAGES:
    state.update(metadata.version(package).encode())
  return state.hexdigest()


@functools.cache
def _environment() -> str:
  """Code, device and settings for which a program was compiled."""
  import jax

  flags = ''
  with contextlib.suppress(OSError, StopIteration):
    flags = next(row for row in Path('/proc/cpuinfo').read_text().splitlines() if row.startswith('flags'))
  device = jax.devices()[0]
  parts = (code_hash(), platform.machine(), flags, device.platform, device.device_kind, str(jax.device_count()))
  names = ('jax_default_matmul_precision', 'jax_enable_x64')
  settings = (*(jax.config.values[name] for name in names), os.environ.get('XLA_FLAGS', ''))
  return content_key(*parts, *map(str, settings))
