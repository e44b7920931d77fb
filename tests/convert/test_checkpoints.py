import contextlib
import importlib.util
import io
import os
import pickle
import sys
import tracemalloc
import types
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from dubber_jax.convert.checkpoints import read_checkpoint, require_all, state_dict, survey, write_state_dict
from dubber_jax.convert.kinds import config_of
from dubber_jax.convert.torch_file import MAGIC
from dubber_jax.errors import BadInput

REFERENCE = Path(__file__).parents[1] / 'reference_parity' / 'fixtures'
STATE = {'a.weight': np.arange(6, dtype=np.float32).reshape(2, 3), 'a.bias': np.ones(2, np.float32)}
needs_torch = pytest.mark.skipif(not importlib.util.find_spec('torch'), reason='PyTorch is not installed')


class Malicious:
  """A pickle of this makes a folder when it is opened."""

  def __init__(self, folder):
    self.folder = str(folder)

  def __reduce__(self):
    return os.mkdir, (self.folder,)


def write_torch_zip(path, what):
  """A file that is outwardly what torch.save writes."""
  with zipfile.ZipFile(path, 'w') as z:
    z.writestr('archive/data.pkl', pickle.dumps(what, protocol=2))
    z.writestr('archive/byteorder', 'little')
    z.writestr('archive/version', '3\n')


def test_safetensors_come_back_as_written_and_halves_as_floats(tmp_path):
  write_state_dict(STATE, tmp_path / 'a.safetensors')
  assert os.listdir(tmp_path) == ['a.safetensors']
  read = read_checkpoint(tmp_path / 'a.safetensors')
  for key in STATE:
    np.testing.assert_array_equal(read[key], STATE[key])
  halves = {'x': np.ones(3, np.float16), 'y': np.ones(3, ml_dtypes.bfloat16)}
  save_file(halves, tmp_path / 'halves.safetensors')
  assert {v.dtype for v in read_checkpoint(tmp_path / 'halves.safetensors').values()} == {np.dtype(np.float32)}


def test_truncated_files_are_refused(tmp_path):
  write_state_dict(STATE, tmp_path / 'a.safetensors')
  write_torch_zip(tmp_path / 'a.pt', STATE)
  for name in ('a.safetensors', 'a.pt'):
    whole = (tmp_path / name).read_bytes()
    for size in (len(whole) - 10, 20, 1, 0):
      (tmp_path / name).write_bytes(whole[:size])
      with pytest.raises(BadInput, match=name):
        read_checkpoint(tmp_path / name)


def test_what_is_no_checkpoint_is_refused(tmp_path):
  with pytest.raises(BadInput, match='no such file'):
    read_checkpoint(tmp_path / 'absent.pt')
  (tmp_path / 'page.pt').write_text('<html>not found</html>')
  with pytest.raises(BadInput, match='no checkpoint'):
    read_checkpoint(tmp_path / 'page.pt')


@pytest.mark.parametrize('container', ['zip', 'bare'])
def test_malicious_pickle_is_refused_and_never_run(tmp_path, container):
  path, made = tmp_path / 'bad.pt', tmp_path / 'made'
  if container == 'zip':
    write_torch_zip(path, {'generator': Malicious(made)})
  else:
    path.write_bytes(pickle.dumps(MAGIC, 2) + pickle.dumps({'generator': Malicious(made)}, 2))
  with pytest.raises(BadInput, match='bad.pt.*mkdir.*--trust-pickle'):
    read_checkpoint(path)
  assert not made.exists()


# Both were written by PyTorch's own `torch.save`, of the made-up numbers that are compared with, in its two formats.
@pytest.mark.parametrize('name', ['torch_zip.pt', 'torch_older.pt'])
def test_pytorch_files_become_numpy_without_pytorch(tmp_path, name):
  read = read_checkpoint(REFERENCE / name)
  assert state_dict(read, 'model', name).keys() >= {'0.weight', '1.num_batches_tracked'}
  np.testing.assert_array_equal(read['model']['0.weight'], np.arange(6).reshape(2, 3))
  assert read['model']['1.num_batches_tracked'].shape == () and read['model']['1.num_batches_tracked'].dtype == np.int64
  np.testing.assert_array_equal(read['transposed'], np.arange(12).reshape(3, 4).T)
  np.testing.assert_array_equal(read['part'], [4, 5, 6])
  np.testing.assert_array_equal(read['parameter'], [1, 1])
  np.testing.assert_array_equal(read['half'], np.float32([1.5, -2]))
  assert read['half'].dtype == np.float32 and read['int'].dtype == np.int32 and read['empty'].shape == (0, 3)
  assert (read['step'], read['lr'], read['betas']) == (7, 9.88e-5, [0.9, 0.98])
  whole = (REFERENCE / name).read_bytes()
  for size in range(1, len(whole), 97):
    (tmp_path / name).write_bytes(whole[:size])
    with pytest.raises(BadInput, match=name):
      read_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
  'size, stride, offset', [((3, 3), (3, 1), 0), ((4,), (1,), 5), ((2,), (-1,), 1), ((1,), (1,), 8), ((-1,), (1,), 0)]
)
def test_tensor_outside_of_its_data_is_refused(tmp_path, size, stride, offset):
  class Tensor:
    def __reduce__(self):
      return rebuild, (Storage(), offset, size, stride, False, None)

  class Storage:
    pass

  class Pickler(pickle.Pickler):
    def persistent_id(self, value):
      return ('storage', storage_kind, '0', 'cpu', 8) if isinstance(value, Storage) else None

  torch, utils = types.ModuleType('torch'), types.ModuleType('torch._utils')
  exec('def _rebuild_tensor_v2(*a): pass', utils.__dict__)
  exec('class FloatStorage: pass', torch.__dict__)
  rebuild, storage_kind = utils._rebuild_tensor_v2, torch.FloatStorage
  rebuild.__module__, storage_kind.__module__ = 'torch._utils', 'torch'
  stream = io.BytesIO()
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(sys.modules, 'torch', torch)
    patch.setitem(sys.modules, 'torch._utils', utils)
    Pickler(stream, 2).dump({'x': Tensor()})
  with zipfile.ZipFile(tmp_path / 'x.pt', 'w') as z:
    z.writestr('a/data.pkl', stream.getvalue())
    z.writestr('a/data/0', np.arange(8, dtype=np.float32).tobytes())
  with pytest.raises(BadInput, match='x.pt'):
    read_checkpoint(tmp_path / 'x.pt')


FLOATS = b'\x80\x02}X\x01\x00\x00\x00w'  # {'w': ..., in protocol 2
REBUILD = b'ctorch._utils\n_rebuild_tensor_v2\n'
STORAGE = b'(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x08tQ'


def of_shape(size: int, stride: int) -> bytes:
  """A tensor of (size,) floats, `stride` apart, of a storage of eight."""
  numbers = b''.join(b'\x8a\x08' + n.to_bytes(8, 'little') + b'\x85' for n in (size, stride))
  return REBUILD + b'(' + STORAGE + b'K\x00' + numbers + b'\x89NtR'


def doubled(times: int, last: bytes) -> bytes:
  """A tuple that holds one twice that holds one twice ..., or a list of such: memoized, so that it takes few bytes."""
  steps = b''.join(b'q' + bytes([i]) + b'h' + bytes([i]) + last for i in range(times))
  return b'N' + steps


LATIN = b'c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R'
BOMBS = {
  'repeated numbers': FLOATS + of_shape(10**10, 0) + b's.',
  'many views of one storage': b'\x80\x02](' + of_shape(8, 0) * 9 + b'e.',
  'memo slot': FLOATS + b'Nr\xff\xff\xff\x7fs.',
  'tuples in tuples': FLOATS + doubled(60, b'\x86') + b's.',
  'key that takes forever to hash': b'\x80\x02}' + doubled(60, b'\x86') + b'Ns.',
  'list in itself': b'\x80\x02}q\x00X\x01\x00\x00\x00wh\x00s.',
  'storage class called': FLOATS + b'ctorch\nFloatStorage\n' + doubled(60, b'\x86') + b'\x85Rs.',
  'text made to bytes again and again': FLOATS + b'(X\x00\x00\x10\x00' + b'a' * 2**20 + b'q\x00' + LATIN * 200 + b'ts.',
  'integer of a megabyte': FLOATS + b'\x8b\x00\x00\x10\x00' + b'\x01' * 2**20 + b's.',
  'buffer of terabytes': FLOATS + b'\x96' + (2**42).to_bytes(8, 'little') + b's.',
}


@pytest.mark.parametrize('kind', BOMBS)
def test_a_small_file_that_asks_for_any_amount_is_refused(tmp_path, kind):
  with zipfile.ZipFile(tmp_path / 'bomb.pt', 'w') as z:
    z.writestr('a/data.pkl', BOMBS[kind])
    z.writestr('a/data/0', np.arange(8, dtype=np.float32).tobytes())
  tracemalloc.start()
  try:
    with contextlib.suppress(BadInput):  # a list of views of 32 bytes is none
      read_checkpoint(tmp_path / 'bomb.pt')
      assert kind in ('tuples in tuples', 'many views of one storage', 'memo slot')  # which are read as they are
  finally:
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
  assert most < 300 << 20


@pytest.mark.parametrize('member', ['data.pkl', 'data/0'])
def test_an_archive_that_unpacks_to_far_more_than_it_holds_is_refused(tmp_path, member):
  parts = {'data.pkl': FLOATS + of_shape(4, 1) + b's.', 'data/0': bytes(32)} | {member: bytes(100 << 20)}
  with zipfile.ZipFile(tmp_path / 'bomb.pt', 'w', zipfile.ZIP_DEFLATED) as z:
    for name, data in parts.items():
      z.writestr(f'a/{name}', data)
  assert (tmp_path / 'bomb.pt').stat().st_size < 2 << 20
  with pytest.raises(BadInput, match='larger|too large'):
    read_checkpoint(tmp_path / 'bomb.pt')


def test_a_storage_of_the_older_container_is_no_larger_than_its_file(tmp_path):
  storage = STORAGE.replace(b'K\x08', b'\x8a\x04\x00\x00\x00\x10')
  tensors = b''.join(
    REBUILD
    + b'('
    + storage.replace(b'X\x01\x00\x00\x000', b'X\x01\x00\x00\x00%d' % i)
    + b'K\x00K\x08\x85K\x01\x85\x89NtR'
    for i in range(9)
  )
  (tmp_path / 'bomb.pt').write_bytes(
    pickle.dumps(MAGIC, 2) + pickle.dumps(1001, 2) * 2 + b'\x80\x02](' + tensors + b'e.'
  )
  with pytest.raises(BadInput, match='larger'):
    read_checkpoint(tmp_path / 'bomb.pt')


def test_a_state_dict_with_a_layer_of_any_number_is_refused():
  key = 'fusion_model.encoder.layer_stack.99999999.w'
  with pytest.raises(BadInput, match='100000000 layers'):
    config_of({key: np.zeros(1)}, 'x.pt')


def test_trusting_without_pytorch_says_what_to_install(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)
  with pytest.raises(BadInput, match=r'dubber_jax\[torch\]'):
    read_checkpoint(REFERENCE / 'torch_zip.pt', trust_pickle=True)


@needs_torch
def test_malicious_pickle_runs_only_when_trusted(tmp_path):
  path, made = tmp_path / 'bad.pt', tmp_path / 'made'
  write_torch_zip(path, {'generator': Malicious(made)})
  with pytest.warns(UserWarning, match='trusted'):
    read_checkpoint(path, trust_pickle=True)
  assert made.exists()


def test_part_of_a_checkpoint_is_found_and_its_parallel_prefix_taken_off():
  inside = {f'module.{k}': v for k, v in STATE.items()}
  assert state_dict({'generator': inside, 'steps': 3}, 'generator', 'x').keys() == STATE.keys()
  assert state_dict(STATE, 'generator', 'x').keys() == STATE.keys()
  with pytest.raises(BadInput, match='optimizer'):
    state_dict({'optimizer': {'lr': 1}}, 'generator', 'x.pt')


def test_survey_tells_each_key_and_the_worst_is_raised():
  rows = survey(STATE | {'old': np.zeros(1)}, {'a.weight': (2, 3), 'a.bias': (3,), 'b': (1,)}, lambda k: k == 'old')
  assert {k: s for k, s, _ in rows} == {'a.weight': 'mapped', 'a.bias': 'wrong shape', 'old': 'dead', 'b': 'missing'}
  with pytest.raises(BadInput, match='a.bias is wrong shape'):
    require_all(rows, 'x.pt')
