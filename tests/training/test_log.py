from etils import epath

from dubber_jax.training import log as log_module
from dubber_jax.training.log import Log, read_log


def write(folder, start, steps):
  log = Log(epath.Path(folder), start, 10, progress=False)
  for step in steps:
    log.add(16, 2.0)
    log.write(step, {'total': 1.0 / step})
    (log.local / 'samples').mkdir(exist_ok=True)
    (log.local / 'samples' / f'{step}.txt').write_text('sound')
  log.publish()
  log.close()


def test_log_of_a_bucket_is_copied_there_and_gone_on_with(tmp_path, monkeypatch):
  monkeypatch.setattr(log_module, 'is_local', lambda path: False)
  write(tmp_path, 0, [1, 2, 3])
  write(tmp_path, 2, [3, 4])
  assert [row['step'] for row in read_log(tmp_path)] == [1, 2, 3, 4]
  assert {p.name for p in (tmp_path / 'samples').iterdir()} == {'1.txt', '2.txt', '3.txt', '4.txt'}
  assert (tmp_path / 'loss.png').read_bytes()[:4] == b'\x89PNG'
  assert list((tmp_path / 'tensorboard').iterdir())


def test_a_process_that_is_not_the_first_writes_nothing(tmp_path):
  log = Log(epath.Path(tmp_path), 0, 10, progress=False, active=False)
  log.write(1, {'total': 1.0})
  log.publish()
  log.close()
  assert log.values['total'] == 1.0 and not list(tmp_path.iterdir())
