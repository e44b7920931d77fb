"""PyTorch checkpoints read as NumPy arrays, safely: a pickle can run any program when it is opened.

Neither safetensors files nor pickles (.pt, .pth, or no suffix) need PyTorch, and of a pickle only functions that
rebuild tensors are called (`torch_file.py`). With `trust_pickle`, PyTorch opens it without that restriction.
"""

import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dubber_jax.convert.torch_file import DamagedFile, UnsafePickle, read_torch_file
from dubber_jax.errors import BadInput
from dubber_jax.storage.atomic import complete_file
from dubber_jax.storage.weights import read_arrays, write_arrays


def read_checkpoint(path: str | Path, trust_pickle: bool = False) -> dict:
  """A checkpoint's nested dictionaries, lists and numbers, with its tensors as NumPy arrays.

  bfloat16 and float16 tensors become float32. Raises BadInput where the file is missing, truncated or no
  checkpoint, and where a pickle would run code: `trust_pickle` allows that, with a warning, if PyTorch is installed.
  """
  path = Path(path)
  if not path.is_file():
    raise BadInput(f'{path}: there is no such file')
  try:
    with open(path, 'rb') as f:
      head = f.read(16)
  except OSError as e:
    raise BadInput(f'{path}: cannot be read ({e.strerror})') from e
  if not head:
    raise BadInput(f'{path} is empty; download it again')
  if path.suffix == '.safetensors' or head[8:9] == b'{':
    return _read_safetensors(path)
  return _read_pickle(path, head, trust_pickle)


def state_dict(checkpoint: Mapping, part: str | None, path: str | Path) -> dict[str, np.ndarray]:
  """The flat state dict of a checkpoint: `checkpoint[part]` where there is one, else the checkpoint itself.

  The prefix 'module.' of data-parallel training is removed. Raises BadInput where the result does not map names to
  arrays.
  """
  found = checkpoint.get(part, checkpoint) if part else checkpoint
  if not isinstance(found, Mapping) or not found or not all(isinstance(v, np.ndarray) for v in found.values()):
    keys = ', '.join(str(k) for k in list(checkpoint)[:5])
    wanted = f'no state dict {part!r}' if part else 'no state dict'
    raise BadInput(f'{path}: {wanted} is in it (it holds {keys}); it is a checkpoint of another model')
  found = {str(k): v for k, v in found.items()}
  if all(k.startswith('module.') for k in found):
    return {k.removeprefix('module.'): v for k, v in found.items()}
  return found


def write_state_dict(state: Mapping[str, np.ndarray], path: str | Path) -> None:
  """Writes a flat state dict as safetensors, which PyTorch reads too, atomically."""
  with complete_file(path, overwrite=True) as partial:
    write_arrays(partial, state)


def survey(
  state: Mapping[str, np.ndarray], expected: Mapping[str, tuple], dead: Callable[[str], bool] = lambda key: False
) -> list[tuple]:
  """A state dict beside the expected shapes: rows (key, status, detail), present keys first, then missing ones.

  status: 'mapped', 'dead' (no output depends on it), 'unknown', 'missing' or 'wrong shape'.
  """
  rows = []
  for key, array in state.items():
    if key in expected and tuple(array.shape) != tuple(expected[key]):
      rows.append((key, 'wrong shape', f'{tuple(array.shape)}, expected {tuple(expected[key])}'))
    elif key in expected:
      rows.append((key, 'mapped', str(tuple(array.shape))))
    else:
      rows.append((key, 'dead' if dead(key) else 'unknown', str(tuple(array.shape))))
  return rows + [(k, 'missing', str(tuple(v))) for k, v in expected.items() if k not in state]


def require_all(rows: list[tuple], path: str | Path) -> None:
  """Raises BadInput naming the first key of a survey that is neither mapped nor dead."""
  wrong = [(key, status, detail) for key, status, detail in rows if status not in ('mapped', 'dead')]
  if wrong:
    key, status, detail = min(wrong, key=lambda row: ('wrong shape', 'missing', 'unknown').index(row[1]))
    raise BadInput(
      f'{path}: {key} is {status} ({detail}); {len(wrong)} of {len(rows)} keys do not fit: '
      'it is a checkpoint of another model or config'
    )


def _read_safetensors(path: Path) -> dict:
  return {name: _as_array(array) for name, array in read_arrays(path, remedy='download it again').items()}


def _as_array(array: np.ndarray) -> np.ndarray:
  return array.astype(np.float32) if array.dtype.name in ('bfloat16', 'float16') else array


def _read_pickle(path: Path, head: bytes, trust_pickle: bool) -> dict:
  if head[:2] == b'PK' and not zipfile.is_zipfile(path):
    raise BadInput(f'{path} is a truncated PyTorch checkpoint; download it again')
  if head[:2] != b'PK' and head[:1] != b'\x80':
    raise BadInput(f'{path} is no checkpoint: neither safetensors nor a PyTorch file')
  if trust_pickle:
    return _read_trusted(path)
  try:
    loaded = read_torch_file(path)
  except UnsafePickle as e:
    raise BadInput(
      f'{path}: the pickle wants to call {e}, which weights never need; nothing was called. '
      'Get it as .safetensors; only if you trust its maker, give --trust-pickle'
    ) from e
  except DamagedFile as e:
    raise BadInput(f'{path}: the checkpoint is damaged ({_first_line(e)}); download it again') from e
  if not isinstance(loaded, Mapping):
    raise BadInput(f'{path} holds a {type(loaded).__name__}, not a dictionary of weights')
  return _as_arrays(loaded)


def _read_trusted(path: Path) -> dict:
  try:
    import torch
  except ImportError as e:
    raise BadInput(
      f'{path}: a trusted pickle is opened by PyTorch, which is not installed: '
      'install dubber_jax[torch], or give the weights as .safetensors'
    ) from e
  warnings.warn(f'{path}: opening the pickle as trusted; any code in it is run', stacklevel=4)
  try:
    loaded = torch.load(path, map_location='cpu', weights_only=False)
  except Exception as e:  # PyTorch raises many types for a damaged file
    raise BadInput(f'{path}: the checkpoint is damaged ({_first_line(e)}); download it again') from e
  if not isinstance(loaded, Mapping):
    raise BadInput(f'{path} holds a {type(loaded).__name__}, not a dictionary of weights')
  return _to_numpy(loaded, torch)


def _first_line(error: Exception) -> str:
  return (str(error) or type(error).__name__).splitlines()[0][:200]


def _as_arrays(value, done=None):
  """A nested value with float32 in place of half floats; what occurs twice in it is converted once."""
  done = {} if done is None else done
  if not isinstance(value, np.ndarray | Mapping | list):
    return value
  if id(value) not in done:
    if isinstance(value, np.ndarray):
      done[id(value)] = _as_array(value)
    elif isinstance(value, Mapping):
      done[id(value)] = {k: _as_arrays(v, done) for k, v in value.items()}
    else:
      done[id(value)] = [_as_arrays(v, done) for v in value]
  return done[id(value)]


def _to_numpy(value, torch):
  if isinstance(value, torch.Tensor):
    value = value.detach().cpu()
    return (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
  if isinstance(value, Mapping):
    return {k: _to_numpy(v, torch) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return [_to_numpy(v, torch) for v in value]
  return value
