import importlib.util
import os
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from dubber_jax.convert.checkpoints import read_checkpoint, require_all, state_dict, survey, write_state_dict
from dubber_jax.errors import BadInput

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
    path.write_bytes(pickle.dumps({'generator': Malicious(made)}))
  with pytest.raises(BadInput, match='bad.pt'):
    read_checkpoint(path)
  assert not made.exists()


def test_pickle_without_pytorch_says_what_to_install(tmp_path, monkeypatch):
  monkeypatch.setitem(__import__('sys').modules, 'torch', None)
  write_torch_zip(tmp_path / 'a.pt', {'x': 1})
  with pytest.raises(BadInput, match=r'dubber_jax\[torch\]'):
    read_checkpoint(tmp_path / 'a.pt')


@needs_torch
@pytest.mark.parametrize('new_form', [True, False], ids=['zip', 'legacy'])
def test_pytorch_files_become_numpy(tmp_path, new_form):
  import torch

  state = {k: torch.from_numpy(v) for k, v in STATE.items()} | {'half': torch.ones(2, dtype=torch.bfloat16)}
  torch.save({'generator': state, 'steps': 7}, tmp_path / 'g_02500000', _use_new_zipfile_serialization=new_form)
  read = read_checkpoint(tmp_path / 'g_02500000')
  assert read['steps'] == 7 and read['generator']['half'].dtype == np.float32
  np.testing.assert_array_equal(state_dict(read, 'generator', 'g')['a.weight'], STATE['a.weight'])
  whole = (tmp_path / 'g_02500000').read_bytes()
  (tmp_path / 'g_02500000').write_bytes(whole[: len(whole) // 2])
  with pytest.raises(BadInput, match='g_02500000'):
    read_checkpoint(tmp_path / 'g_02500000')


@needs_torch
def test_malicious_pickle_is_named_and_runs_only_when_trusted(tmp_path):
  path, made = tmp_path / 'bad.pt', tmp_path / 'made'
  write_torch_zip(path, {'generator': Malicious(made)})
  with pytest.raises(BadInput, match='mkdir.*--trust-pickle'):
    read_checkpoint(path)
  assert not made.exists()
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
