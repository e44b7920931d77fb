"""PyTorch's checkpoint files read without PyTorch, and without running anything that is in them.

A pickle names the functions it wants called. Here only those that rebuild tensors, plain containers and NumPy's
numbers can be named, as with PyTorch's own weights_only=True; whatever else is named is refused before it is called.

Two containers are known: the zip that PyTorch writes since 1.6, and the run of pickles, with the tensors' bytes
after them, that it wrote before.
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
  """The pickle names something that weights never need; its name is the message. It was not called."""


class DamagedFile(Exception):
  """The file breaks off or contradicts itself."""


def read_torch_file(path: str | Path):
  """What torch.save stored, tensors as NumPy arrays of their own type (bfloat16 as that of ml_dtypes).

  Raises UnsafePickle, and DamagedFile for everything that is not whole.
  """
  try:
    if zipfile.is_zipfile(path):
      return _own_copies(_read_zip(path))
    with open(path, 'rb') as file:
      return _own_copies(_read_run(file, Path(path).stat().st_size))
  except (UnsafePickle, DamagedFile):
    raise
  except Exception as e:  # a damaged pickle raises anything: IndexError, AttributeError, MemoryError, ...
    raise DamagedFile(f'{type(e).__name__}: {e}') from e


def _read_zip(path):
  with zipfile.ZipFile(path) as archive:
    top = next((n.removesuffix('data.pkl') for n in archive.namelist() if n.endswith('/data.pkl')), None)
    if top is None:
      raise DamagedFile('no data.pkl is in it')
    if f'{top}byteorder' in archive.namelist() and archive.read(f'{top}byteorder') != b'little':
      raise DamagedFile('its numbers are big-endian')

    def storage(kind, key, count):
      array = np.frombuffer(archive.read(f'{top}data/{key}'), kind)
      if len(array) < count:
        raise DamagedFile(f'tensor data {key} breaks off')
      return array

    with archive.open(f'{top}data.pkl') as file:
      return _WeightsUnpickler(file, storage).load()


def _read_run(file, size: int):
  if _WeightsUnpickler(file, None).load() != MAGIC:
    raise DamagedFile('it does not begin as PyTorch files do')
  for _ in range(2):  # version of the format, description of the machine
    _WeightsUnpickler(file, None).load()
  storages = {}

  def storage(kind, key, count):
    if count * np.dtype(kind).itemsize > size:
      raise DamagedFile(f'tensor data {key} breaks off')
    return storages.setdefault(key, np.zeros(count, kind))  # filled below: its bytes come after the pickle

  loaded = _WeightsUnpickler(file, storage).load()
  for key in _WeightsUnpickler(file, None).load():
    array = storages[key]
    count = int.from_bytes(file.read(8), 'little')
    data = file.read(array.nbytes)
    if count != len(array) or len(data) != array.nbytes:
      raise DamagedFile(f'tensor data {key} breaks off')
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
      raise DamagedFile('it refers to what is not in it')
    _, kind, key, _, count = identity[:5]
    return self.storage(kind, str(key), int(count))


DTYPES = ('float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool')


def _tensor(storage: np.ndarray, offset, size, stride, *_):
  """A view of its storage, which may not be filled yet."""
  last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
  if min((offset, *size, *stride)) < 0 or (0 not in size and last >= len(storage)):
    raise DamagedFile(f'a tensor of {tuple(size)} lies outside of its data')
  if 0 in size:
    return np.zeros(size, storage.dtype)
  steps = [step * storage.itemsize for step in stride]
  return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


class _Dtype:
  """NumPy's dtype as its pickles rebuild it, of numbers only."""

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


def _own_copies(value):
  """Containers as plain ones, arrays as ones of their own."""
  if isinstance(value, np.ndarray):
    return np.array(value)
  if isinstance(value, dict):
    return {k: _own_copies(v) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return [_own_copies(v) for v in value]
  return value
