"""Restricted unpickler of PyTorch checkpoint files, without PyTorch and without running code that they contain.

A pickle names the functions to be called. Only those that rebuild tensors, plain containers and NumPy's numbers are
allowed, as with PyTorch's own weights_only=True; any other name is refused before it is called.

Two containers are read: the zip archive that PyTorch writes since 1.6, and the older sequence of pickles followed by
the tensors' bytes. (Written by hand so that conversion does not need PyTorch.)

What a file may take is bounded by its own size, since a small one can ask for any amount: archives that unpack to more
than they hold, tensors that repeat their data, containers that hold one another many times over, keys that take forever
to hash. The pickles are run by Python's own interpreter of them, in which each instruction is counted.
"""

import collections
import dataclasses
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

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


TIMES, SPARE = 4, 64 << 20  # a file of N bytes may take TIMES * N + SPARE bytes of memory
LARGEST_PICKLE = 64 << 20  # bytes of the pickle in an archive, which holds names and shapes alone
MOST_STEPS = 8_000_000  # instructions of a pickle: some forty a tensor
DEEPEST = 100  # containers in one another
LARGEST_SHAPE = 32  # axes


class UnsafePickle(Exception):
  """The pickle names a function that weights do not need, which was not called. The message is its name."""


class DamagedFile(Exception):
  """The file is truncated or inconsistent."""


def read_torch_file(path: str | Path) -> object:
  """The object that torch.save stored, its tensors as NumPy arrays of the same type (bfloat16 by ml_dtypes).

  Tensors that share their data, as tied weights do, share it here too: they are to be read, not changed. Raises
  UnsafePickle, and DamagedFile for a truncated or inconsistent file, and for one that would take far more memory than
  it holds.
  """
  try:
    budget = _Budget(TIMES * Path(path).stat().st_size + SPARE)
    if zipfile.is_zipfile(path):
      return _copied(_read_zip(path, budget), budget)
    with open(path, 'rb') as file:
      return _copied(_read_pickles(file, budget), budget)
  except (UnsafePickle, DamagedFile):
    raise
  except Exception as e:  # a damaged pickle raises anything: IndexError, AttributeError, MemoryError, ...
    raise DamagedFile(f'{type(e).__name__}: {e}') from e


class _Budget:
  """The bytes that may still be taken."""

  def __init__(self, count: int):
    self.left = count

  def take(self, count: int) -> None:
    self.left -= count
    if self.left < 0:
      raise DamagedFile('its contents are many times larger than the file itself')


def _read_zip(path, budget):
  with zipfile.ZipFile(path) as archive:
    top = next((n.removesuffix('data.pkl') for n in archive.namelist() if n.endswith('/data.pkl')), None)
    if top is None:
      raise DamagedFile('it contains no data.pkl')
    sizes = {info.filename: info.file_size for info in archive.infolist()}

    def read(name, most=None):
      if most is not None and sizes[name] > most:
        raise DamagedFile(f'its {name.removeprefix(top)} is too large')
      budget.take(sizes[name])
      return archive.read(name)  # never more than the size that the archive states, or an error

    if f'{top}byteorder' in sizes and read(f'{top}byteorder', 100) != b'little':
      raise DamagedFile('its numbers are big-endian')
    storages: dict[str, bytes] = {}

    def storage(kind, key, count):
      if key not in storages:
        storages[key] = read(f'{top}data/{key}')
      array = np.frombuffer(storages[key], kind)
      if len(array) < count:
        raise DamagedFile(f'tensor data {key} is truncated')
      return array

    return _WeightsUnpickler(io.BytesIO(read(f'{top}data.pkl', LARGEST_PICKLE)), storage, budget).load()


def _read_pickles(file, budget):
  if _WeightsUnpickler(file, None, budget).load() != MAGIC:
    raise DamagedFile('it does not begin with the magic number of PyTorch files')
  for _ in range(2):  # version of the format, description of the machine
    _WeightsUnpickler(file, None, budget).load()
  storages = {}

  def storage(kind, key, count):
    if key not in storages:
      budget.take(max(count, 0) * np.dtype(kind).itemsize)
      storages[key] = np.zeros(count, kind)  # filled below: its bytes follow the pickle
    return storages[key]

  loaded = _WeightsUnpickler(file, storage, budget).load()
  for key in _WeightsUnpickler(file, None, budget).load():
    array = storages[key]
    count = int.from_bytes(file.read(8), 'little')
    data = file.read(array.nbytes)
    if count != len(array) or len(data) != array.nbytes:
      raise DamagedFile(f'tensor data {key} is truncated')
    array[:] = np.frombuffer(data, array.dtype)
  return loaded


class _Counted(dict):
  """The instructions of a pickle by their code, of which so many may be run."""

  def __init__(self, table):
    super().__init__(table)
    self.left = MOST_STEPS

  def __getitem__(self, code):
    self.left -= 1
    if self.left < 0:
      raise DamagedFile(f'its pickle has more than {MOST_STEPS} instructions')
    if code not in self:
      raise DamagedFile(f'its pickle has the instruction {code}, which weights do not need')
    return super().__getitem__(code)


_Interpreter: Any = pickle._Unpickler  # untyped in typeshed


class _WeightsUnpickler(_Interpreter):
  """Python's own interpreter of pickles. (Its C twin takes memory for as many memo slots as a file numbers.)"""

  def __init__(self, file, storage, budget):
    super().__init__(file, encoding='utf-8')
    self.storage, self.budget = storage, budget
    table = {code: action for code, action in _Interpreter.dispatch.items() if bytes([code]) not in REFUSED}
    table |= {ord(pickle.SETITEM): _WeightsUnpickler.set_item, ord(pickle.SETITEMS): _WeightsUnpickler.set_items}
    table |= {ord(pickle.LONG1): _WeightsUnpickler.load_short_integer}
    self.dispatch = _Counted(table)

  def set_item(self):
    _check_key(self.stack[-2])
    _Interpreter.load_setitem(self)

  def set_items(self):
    for key in self.stack[::2]:
      _check_key(key)
    _Interpreter.load_setitems(self)

  def load_short_integer(self):
    count = self.read(1)[0]
    if count > 16:
      raise DamagedFile('an integer of more than 128 bits')
    self.append(pickle.decode_long(self.read(count)))

  def find_class(self, module, name):
    if module in ('torch', 'torch.storage') and name in STORAGES:
      return _Kind(STORAGES[name])
    if module == 'torch' and name in DTYPES:
      return name
    if (module, name) == ('_codecs', 'encode'):
      return self._bytes
    if (module, name) in ALLOWED:
      return ALLOWED[module, name]
    raise UnsafePickle(f'{module}.{name}')

  def _bytes(self, text: str, encoding: str) -> bytes:
    if encoding != 'latin1':
      raise DamagedFile(f'bytes as {encoding}')
    self.budget.take(len(text))
    return text.encode('latin1')

  def persistent_load(self, identity):
    if self.storage is None or identity[0] != 'storage' or (len(identity) > 5 and identity[5] is not None):
      raise DamagedFile('it refers to data that it does not contain')
    _, kind, key, _, count = identity[:5]
    if not isinstance(kind, _Kind) or not isinstance(key, str | int):
      raise DamagedFile('it refers to data of no kind')
    return self.storage(kind.dtype, str(key), int(count))


# Instructions that no torch.save writes: other interpreters' extensions, buffers, sets and integers of any length.
REFUSED = {
  pickle.EXT1,
  pickle.EXT2,
  pickle.EXT4,
  pickle.LONG4,
  pickle.BYTEARRAY8,
  pickle.NEXT_BUFFER,
  pickle.READONLY_BUFFER,
  pickle.EMPTY_SET,
  pickle.ADDITEMS,
  pickle.FROZENSET,
  pickle.DUP,
  pickle.DICT,
}
DTYPES = ('float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool')


def _tensor(storage: np.ndarray, offset, size, stride, *_):
  """A view of its storage, whose bytes may be read later."""
  if max(len(size), len(stride)) > LARGEST_SHAPE:
    raise DamagedFile(f'a tensor of {len(size)} axes')
  last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
  if min((offset, *size, *stride)) < 0 or (0 not in size and last >= len(storage)):
    raise DamagedFile(f'a tensor of {tuple(size)} lies outside of its data')
  if 0 in size:
    return np.zeros(size, storage.dtype)
  steps = [step * storage.itemsize for step in stride]
  return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


@dataclasses.dataclass(frozen=True)
class _Kind:
  """Stand-in for a class of storages, which cannot be called."""

  dtype: type


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


def _check_key(key):
  """Raises DamagedFile for keys that could be chosen to take forever: tuples of tuples, and integers of one hash."""
  if not isinstance(key, str | float | None) and not (isinstance(key, int) and abs(key) < 2**63):
    raise DamagedFile(f'a dictionary with a {type(key).__name__} for a key')


def _ordered(pairs=()):
  if len(pairs) > 1000:  # those of Python 2 come with some; torch.save fills them by instructions
    raise DamagedFile('a dictionary made of a list')
  for key, _ in pairs:
    _check_key(key)
  return collections.OrderedDict(pairs)


def _size(axes=()):
  if len(axes) > LARGEST_SHAPE:
    raise DamagedFile(f'a shape of {len(axes)} axes')
  return tuple(axes)


def _device(*name):
  if len(name) > 2 or any(len(str(part)) > 20 for part in name):
    raise DamagedFile('a device with a name of many parts')
  return ':'.join(map(str, name))


ALLOWED = {
  ('collections', 'OrderedDict'): _ordered,
  ('torch._utils', '_rebuild_tensor'): _tensor,
  ('torch._utils', '_rebuild_tensor_v2'): _tensor,
  ('torch._utils', '_rebuild_parameter'): lambda data, *_: data,
  ('torch', 'Size'): _size,
  ('torch', 'device'): _device,
  ('numpy', 'dtype'): _Dtype,
  ('numpy.core.multiarray', 'scalar'): _number,
  ('numpy._core.multiarray', 'scalar'): _number,
}


def _copied(value, budget, done=None, depth=0):
  """A nested value with plain containers and arrays that own their memory; what occurs twice in it does so here."""
  done = {} if done is None else done
  if isinstance(value, np.ndarray):
    place = (value.__array_interface__['data'][0], value.shape, value.strides, value.dtype.str)
    if place not in done:
      budget.take(value.nbytes)
      done[place] = np.array(value)
    return done[place]
  if not isinstance(value, dict | list | tuple):
    return value
  if depth > DEEPEST or done.get(id(value), value) is None:
    raise DamagedFile(f'containers {DEEPEST} deep, or in themselves')
  if id(value) in done:
    return done[id(value)]
  done[id(value)] = None  # until it is whole
  if isinstance(value, dict):
    found = {k: _copied(v, budget, done, depth + 1) for k, v in value.items()}
  else:
    found = [_copied(v, budget, done, depth + 1) for v in value]
  done[id(value)] = found
  return found
