"""Restricted unpickler of PyTorch checkpoint files, without PyTorch and without running code that they contain.

A pickle names the functions to be called. Only those that rebuild tensors, plain containers and NumPy's numbers are
allowed, as with PyTorch's own weights_only=True; any other name is refused before it is called.

Two containers are read: the zip archive that PyTorch writes since 1.6, and the older sequence of pickles followed by
the tensors' bytes. (Written by hand so that conversion does not need PyTorch.)
"""

import collections
import pickle
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older container
STORAGES = {
  'FloatStorage': np.float32,
  'DoubleStorage': np.float64,
  'HalfStorage': np.float16,
  'BFloat16Storage': ml_dtypes.bfloat16,
  'LongStorage': np.int64,
  'IntStorage': np.int32,
  'ShortStorage': np.int16,
  'CharStorage': np.int8,
  'ByteStorage': np.uint8,
  'BoolStorage': np.bool_,
}


class UnsafePickle(Exception):
  """The pickle names a function that weights do not need, which was not called. The message is its name."""


class DamagedFile(Exception):
  """The file is truncated or inconsistent."""


def read_torch_file(path: str | Path) -> object:
  """The object that torch.save stored, its tensors as NumPy arrays of the same type (bfloat16 by ml_dtypes).

  Raises UnsafePickle, and DamagedFile for a truncated or inconsistent file.
  """
  try:
    if zipfile.is_zipfile(path):
      return _copied(_read_zip(path))
    with open(path, 'rb') as file:
      return _copied(_read_pickles(file, Path(path).stat().st_size))
  except (UnsafePickle, DamagedFile):
    raise
  except Exception as e:  # a damaged pickle raises anything: IndexError, AttributeError, MemoryError, ...
    raise DamagedFile(f'{type(e).__name__}: {e}') from e


def _read_zip(path):
  with zipfile.ZipFile(path) as archive:
    top = next((n.removesuffix('data.pkl') for n in archive.namelist() if n.endswith('/data.pkl')), None)
    if top is None:
      raise DamagedFile('it contains no data.pkl')
    if f'{top}byteorder' in archive.namelist() and archive.read(f'{top}byteorder') != b'little':
      raise DamagedFile('its numbers are big-endian')

    def storage(kind, key, count):
      array = np.frombuffer(archive.read(f'{top}data/{key}'), kind)
      if len(array) < count:
        raise DamagedFile(f'tensor data {key} is truncated')
      return array

    with archive.open(f'{top}data.pkl') as file:
      return _WeightsUnpickler(file, storage).load()


def _read_pickles(file, size: int):
  if _WeightsUnpickler(file, None).load() != MAGIC:
    raise DamagedFile('it does not begin with the magic number of PyTorch files')
  for _ in range(2):  # version of the format, description of the machine
    _WeightsUnpickler(file, None).load()
  storages = {}

  def storage(kind, key, count):
    if count * np.dtype(kind).itemsize > size:
      raise DamagedFile(f'tensor data {key} is truncated')
    return storages.setdefault(key, np.zeros(count, kind))  # filled below: its bytes follow the pickle

  loaded = _WeightsUnpickler(file, storage).load()
  for key in _WeightsUnpickler(file, None).load():
    array = storages[key]
    count = int.from_bytes(file.read(8), 'little')
    data = file.read(array.nbytes)
    if count != len(array) or len(data) != array.nbytes:
      raise DamagedFile(f'tensor data {key} is truncated')
    array[:] = np.frombuffer(data, array.dtype)
  return loaded


class _WeightsUnpickler(pickle.Unpickler):
  def __init__(self, file, storage):
    super().__init__(file, encoding='utf-8')
    self.storage = storage

  def find_class(self, module, name):
    if module in ('torch', 'torch.storage') and name in STORAGES:
      return STORAGES[name]
    if module == 'torch' and name in DTYPES:
      return name
    if (module, name) in ALLOWED:
      return ALLOWED[module, name]
    raise UnsafePickle(f'{module}.{name}')

  def persistent_load(self, identity):
    if self.storage is None or identity[0] != 'storage' or (len(identity) > 5 and identity[5] is not None):
      raise DamagedFile('it refers to data that it does not contain')
    _, kind, key, _, count = identity[:5]
    return self.storage(kind, str(key), int(count))


DTYPES = ('float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool')


def _tensor(storage: np.ndarray, offset, size, stride, *_):
  """A view of its storage, whose bytes may be read later."""
  last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
  if min((offset, *size, *stride)) < 0 or (0 not in size and last >= len(storage)):
    raise DamagedFile(f'a tensor of {tuple(size)} lies outside of its data')
  if 0 in size:
    return np.zeros(size, storage.dtype)
  steps = [step * storage.itemsize for step in stride]
  return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


class _Dtype:
  """Stand-in for numpy.dtype in pickles, of numeric types only."""

  def __init__(self, code, *_):
    self.code, self.order = code, '='

  def __setstate__(self, state):
    self.order = '=' if state[1] == '|' else state[1]

  def __call__(self) -> np.dtype:
    dtype = np.dtype(self.order + self.code)
    if dtype.kind not in 'biuf':
      raise DamagedFile(f'a NumPy value of type {self.code}')
    return dtype


def _number(dtype: _Dtype, data):
  return np.frombuffer(data, dtype())[0].item()


def _bytes(text: str, encoding: str) -> bytes:
  if encoding != 'latin1':
    raise DamagedFile(f'bytes as {encoding}')
  return text.encode('latin1')


ALLOWED = {
  ('collections', 'OrderedDict'): collections.OrderedDict,
  ('torch._utils', '_rebuild_tensor'): _tensor,
  ('torch._utils', '_rebuild_tensor_v2'): _tensor,
  ('torch._utils', '_rebuild_parameter'): lambda data, *_: data,
  ('torch', 'Size'): tuple,
  ('torch', 'device'): lambda *name: ':'.join(map(str, name)),
  ('numpy', 'dtype'): _Dtype,
  ('numpy.core.multiarray', 'scalar'): _number,
  ('numpy._core.multiarray', 'scalar'): _number,
  ('_codecs', 'encode'): _bytes,
}


def _copied(value):
  """A nested value with plain containers and arrays that own their memory."""
  if isinstance(value, np.ndarray):
    return np.array(value)
  if isinstance(value, dict):
    return {k: _copied(v) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return [_copied(v) for v in value]
  return value
