import contextlib
import errno
import json
import shutil

import jax
import numpy as np
import pytest
from processes import Child, devices, reshard, tiny_config

from dubber_jax.errors import BadInput
from dubber_jax.training import checkpoints
from dubber_jax.training.checkpoints import Workdir, best_step, digest, last_step, load_weights
from dubber_jax.training.config import MeshConfig
from dubber_jax.training.weight_export import initial_weights, read_weights, write_weights
from dubber_jax.training.weight_export import main as export_weights

STATE = {'params': {'w': np.arange(6.0).reshape(2, 3)}, 'ema': {'w': np.ones((2, 3))}, 'optimizer': {'n': np.int32(1)}}


@contextlib.contextmanager
def opened(path, **train):
  with contextlib.closing(Workdir(path, tiny_config(**train))) as run:
    yield run


def fill(path, losses, **train):
  with opened(path, **train) as run:
    for step, loss in losses.items():
      run.save(step, jax.device_put(STATE), {'next_index': step}, {'eval/total': loss} if loss else None)


def test_the_last_and_the_best_are_kept(tmp_path):
  fill(tmp_path, {1: 5.0, 2: 1.0, 3: 4.0, 4: 3.0, 5: 2.0}, keep=2, best='eval/total')
  assert sorted(int(p.name) for p in (tmp_path / 'checkpoints').glob('[0-9]*')) == [2, 4, 5]
  assert (best_step(tmp_path), last_step(tmp_path)) == (2, 5)


def test_a_step_half_deleted_by_a_kill_does_not_keep_a_run_from_opening(tmp_path):
  fill(tmp_path, {1: 5.0, 2: 1.0, 3: 4.0}, keep=3, best='eval/total')
  shutil.rmtree(tmp_path / 'checkpoints' / '1' / 'state')
  (tmp_path / 'checkpoints' / '1' / '_CHECKPOINT_METADATA').unlink()
  fill(tmp_path, {4: 2.0}, keep=1, best='eval/total')
  assert (best_step(tmp_path), last_step(tmp_path)) == (2, 4)


def flip(path, at=0.5):
  """Flips one bit of a file."""
  data = bytearray(path.read_bytes())
  data[int(len(data) * at)] ^= 1
  path.write_bytes(data)


def cut(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize('damage', [flip, cut, lambda path: path.unlink()], ids=['bit', 'cut', 'missing'])
def test_a_damaged_step_gives_way_to_the_newest_whole_one(tmp_path, damage, caplog):
  fill(tmp_path / 'whole', {1: None, 2: None, 3: None}, keep=3)
  last = tmp_path / 'whole' / 'checkpoints' / '3'
  arrays = [file for file in (last / 'state').rglob('*') if file.is_file()]
  largest = max(arrays, key=lambda file: file.stat().st_size)
  for i, file in enumerate((largest, last / 'data' / 'metadata')):
    run_at = tmp_path / str(i)
    shutil.copytree(tmp_path / 'whole', run_at)
    damage(run_at / 'checkpoints' / '3' / file.relative_to(last))
    caplog.clear()
    assert load_weights(run_at)[0] == 2 and 'step 2 is taken' in caplog.text
    with opened(run_at, keep=3) as run:
      step, state, position = run.restore(jax.device_put(STATE))
      assert (step, position) == (2, {'next_index': 2}) and 'going on from step 2' in caplog.text
      np.testing.assert_array_equal(state['params']['w'], STATE['params']['w'])
      run.save(3, jax.device_put(STATE), {'next_index': 3})
    assert last_step(run_at) == 3 and (run_at / 'damaged' / '3').is_dir() and load_weights(run_at)[0] == 3


def test_a_run_without_a_whole_step_is_refused_and_loses_nothing(tmp_path):
  fill(tmp_path, {1: None, 2: None}, keep=2)
  for step in '12':
    flip(tmp_path / 'checkpoints' / step / 'hashes.json')
  with opened(tmp_path) as run, pytest.raises(BadInput, match='every other step'):
    run.restore(jax.device_put(STATE))
  for asked in (load_weights, digest):
    with pytest.raises(BadInput, match='no step is whole'):
      asked(tmp_path)
  with pytest.raises(BadInput, match='step|damaged'):
    load_weights(tmp_path, step=2)
  assert sorted(p.name for p in (tmp_path / 'checkpoints').iterdir()) == ['1', '2']


def test_damage_to_the_records_of_a_step_does_not_keep_a_run_from_opening(tmp_path):
  fill(tmp_path / 'whole', {1: None, 2: None}, keep=2)
  for i, file in enumerate(p for p in sorted((tmp_path / 'whole' / 'checkpoints' / '2').iterdir()) if p.is_file()):
    shutil.copytree(tmp_path / 'whole', tmp_path / str(i))
    cut(tmp_path / str(i) / 'checkpoints' / '2' / file.name)
    with opened(tmp_path / str(i)) as run:
      assert run.restore(jax.device_put(STATE))[0] in (1, 2)


def test_a_damaged_step_of_before_there_were_hashes_gives_way_too(tmp_path):
  fill(tmp_path, {1: None, 2: None}, keep=2)
  for step in '12':
    (tmp_path / 'checkpoints' / step / 'hashes.json').unlink()
  (tmp_path / 'checkpoints' / '2' / 'data' / 'metadata').write_text('{"next')
  with opened(tmp_path) as run:
    assert run.restore(jax.device_put(STATE))[0] == 1


def test_digest_differs_with_each_of_its_parts_alone(tmp_path):
  fill(tmp_path / 'a', {1: None})
  other = jax.tree.map(np.copy, STATE)
  other['optimizer']['n'] += 1
  with opened(tmp_path / 'b') as run:
    run.save(1, jax.device_put(other), {'next_index': 7})
  a, b = digest(tmp_path / 'a'), digest(tmp_path / 'b')
  assert [a[k] == b[k] for k in ('parameters', 'optimizer', 'data')] == [True, False, False]


def test_learning_rate_may_not_change_in_a_run_but_where_and_how_long_may(tmp_path):
  fill(tmp_path, {1: None})
  with opened(tmp_path, mesh=MeshConfig(data=2), steps=900, minutes=1.0, save_every=3):
    pass
  with pytest.raises(BadInput, match=r'train.learning_rate: 0.01 / 0.5'), opened(tmp_path, learning_rate=0.5):
    pass


def test_a_full_disk_is_said_before_the_first_step(tmp_path, monkeypatch):
  with opened(tmp_path) as run:
    free = type('Found', (), {'f_bavail': 1, 'f_frsize': 8})
    monkeypatch.setattr(checkpoints.os, 'statvfs', lambda path: free)
    with pytest.raises(BadInput, match='make room'):
      run.check_space(STATE)


def test_a_save_without_room_says_so_and_leaves_the_one_before(tmp_path, monkeypatch):
  fill(tmp_path, {1: None})
  with opened(tmp_path) as run:

    def full(*_, **__):
      raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(run.manager, 'save', full)
    with pytest.raises(BadInput, match='goes on from step 1'):
      run.save(2, STATE, {})
  assert load_weights(tmp_path)[0] == 1


def test_weights_of_any_size_survive_small_files(tmp_path, monkeypatch):
  from dubber_jax.training import weight_export

  monkeypatch.setattr(weight_export, 'LIMIT', 1000)
  rng = np.random.default_rng(0)
  params = {'a': {'w': rng.normal(size=(40, 30)).astype(np.float32)}, 'b': np.float32(2), 'c': np.zeros((0, 3))}
  write_weights(tmp_path / 'w', params, {'mean': np.ones(5, np.float32), 'count': np.int32(70001)}, step=9)
  assert max(p.stat().st_size for p in (tmp_path / 'w').glob('*.safetensors')) < 2000
  config = tiny_config(init_from=str(tmp_path / 'w'))
  again = initial_weights(config, tmp_path / 'run')
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2**-8), again.params, params)
  assert again.collections['count'] == 70001 and again.ema is None and read_weights(tmp_path / 'w').step == 9


def test_weights_that_lack_a_file_are_refused(tmp_path):
  write_weights(tmp_path / 'w', {'a': np.ones(3, np.float32)})
  next((tmp_path / 'w').glob('*.safetensors')).unlink()
  with pytest.raises(BadInput, match='not a whole folder'):
    read_weights(tmp_path / 'w')


@pytest.mark.slow
def test_parameters_are_identical_on_one_eight_and_four_devices(tmp_path):
  child = Child(reshard, tmp_path, errors=tmp_path / 'stderr', environment=devices(8))
  assert [child.said() for _ in range(2)] == [8, 4], child.errors()
  assert child.finish() == 0, child.errors()
  digests = [digest(tmp_path / str(i), i + 1) | {'step': 0} for i in range(3)]
  assert all(d == digests[0] for d in digests)


def test_the_config_lies_beside_the_state(tmp_path):
  fill(tmp_path, {1: None})
  stored = json.loads((tmp_path / 'checkpoints' / '1' / 'config' / 'metadata').read_text())
  assert stored == json.loads(tiny_config().to_json())


def test_an_export_of_weights_does_not_replace_its_run_or_anything_else(tmp_path, capsys):
  fill(tmp_path / 'run', {1: None})
  (tmp_path / 'photos').mkdir()
  (tmp_path / 'photos' / 'holiday.jpg').touch()
  for out, told in (('run', 'holds the run'), ('.', 'holds the run'), ('photos', 'something else')):
    assert export_weights([str(tmp_path / 'run'), '-o', str(tmp_path / out)]) == 2
    assert told in capsys.readouterr().err
  for _ in range(2):  # an earlier export is replaced
    assert export_weights([str(tmp_path / 'run'), '-o', str(tmp_path / 'weights')]) == 0
  assert load_weights(tmp_path / 'run')[0] == 1 and (tmp_path / 'photos' / 'holiday.jpg').exists()
