"""Weights as safetensors files: arrays by name, checked against the parameter tree that a network expects.

Names of nested parameters are joined by '/', as 'decoder/block_0/conv/kernel'.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import ml_dtypes  # noqa: F401  (NumPy reads bfloat16 by it)
import numpy as np
from numpy.typing import DTypeLike
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dubber_jax.errors import BadInput


def flatten(params: Mapping) -> dict[str, np.ndarray]:
  """Nested parameters -> {'text/block/conv/up/kernel': array}."""
  import flax.traverse_util

  return {k: np.asarray(v) for k, v in flax.traverse_util.flatten_dict(params, sep='/').items()}


def unflatten(arrays: Mapping[str, np.ndarray]) -> dict:
  """The inverse of `flatten`."""
  import flax.traverse_util  # slow to import, and the files of voices need none of it

  return flax.traverse_util.unflatten_dict(dict(arrays), sep='/')


def write_arrays(
  path: str | os.PathLike,
  arrays: Mapping[str, np.ndarray],
  dtype: DTypeLike | None = None,
  metadata: Mapping[str, str] | None = None,
) -> None:
  """Writes arrays by name, as `dtype` if given, readable by everybody (safetensors itself: by the owner alone)."""
  kept = {k: np.asarray(v, dtype=dtype, order='C') for k, v in arrays.items()}
  save_file(kept, path, dict(metadata) if metadata else None)
  Path(path).chmod(0o644)


def read_arrays(
  path: str | os.PathLike, dtype: DTypeLike | None = None, remedy: str = 'copy it again'
) -> dict[str, np.ndarray]:
  """The arrays of a file by name, as `dtype` if given. Raises BadInput, which ends with `remedy`, where it cannot be
  read."""
  return read_arrays_and_metadata(path, dtype, remedy)[0]


def read_arrays_and_metadata(
  path: str | os.PathLike, dtype: DTypeLike | None = None, remedy: str = 'copy it again'
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
  """The same, and the texts that the file keeps beside its arrays."""
  try:
    with safe_open(path, 'np') as file:
      arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a file is no dictionary)
      metadata = file.metadata() or {}
  except (OSError, ValueError, SafetensorError) as error:
    raise BadInput(f'{path}: cannot be read as safetensors ({error}); {remedy}') from error
  return arrays if dtype is None else {k: v.astype(dtype) for k, v in arrays.items()}, metadata


def check_shapes(
  arrays: Mapping[str, object], expected: Mapping[str, object], where: str | os.PathLike, remedy: str = ''
) -> None:
  """Raises BadInput, naming the first, where arrays are missing, unknown or of another shape than expected.

  Values of both are arrays, shape structs or shapes.
  """
  have, want = ({k: tuple(getattr(v, 'shape', v)) for k, v in tree.items()} for tree in (arrays, expected))
  wrong = [*_misfits(have, want)]
  if wrong:
    count = f' ({len(wrong)} of {len({*have, *want})} do not fit)'
    raise BadInput(f'{where}: {wrong[0]}{count}; {remedy or "these are weights of another model or of another config"}')


def check_finite(arrays: Mapping[str, np.ndarray], where: str | os.PathLike) -> None:
  """Raises BadInput, naming the first, where arrays hold infinities or what is no number."""
  wrong = next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)
  if wrong is not None:
    raise BadInput(f'{where}: {wrong} holds numbers that are not finite; it is damaged: copy it again')


def _misfits(have: dict[str, tuple], want: dict[str, tuple]) -> Iterable[str]:
  yield from (f'{k} is missing' for k in want if k not in have)
  yield from (f'{k} is not of this model' for k in have if k not in want)
  yield from (f'{k} has the shape {have[k]}, expected {v}' for k, v in want.items() if k in have and have[k] != v)


def read_params(path: str | os.PathLike, expected: Mapping, remedy: str = '') -> dict:
  """A file's arrays as nested float32 parameters, their names and shapes checked against the nested tree `expected`
  (arrays or shape structs). Raises BadInput where they do not fit, and where the file cannot be read."""
  import flax.traverse_util

  arrays = read_arrays(path, np.float32)
  check_shapes(arrays, flax.traverse_util.flatten_dict(expected, sep='/'), path, remedy)
  check_finite(arrays, path)
  return unflatten(arrays)
