import fcntl
import subprocess
import sys

import pytest

from dubber_jax.errors import BadInput
from dubber_jax.storage.locks import acquire_lock, lock_path, locked

HOLDER = """
import sys
from dubber_jax.storage.locks import acquire_lock
lock = acquire_lock(sys.argv[1], 'busy')
print('held', flush=True)
sys.stdin.read()
"""


def test_a_second_holder_is_refused_at_once_and_the_folder_is_free_afterwards(tmp_path):
  folder = tmp_path / 'new' / 'folder'
  with (
    locked(folder, 'busy'),
    pytest.raises(BadInput, match='folder: it is in use; wait'),
    locked(folder, 'it is in use; wait'),
  ):
    pass
  lock = acquire_lock(folder, 'busy')
  lock.release()
  with locked(folder, 'busy'):
    pass


def test_the_lock_ends_with_its_process_however_that_ends(tmp_path):
  holder = subprocess.Popen(
    [sys.executable, '-c', HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
  )
  try:
    assert holder.stdout.readline() == 'held\n'
    with pytest.raises(BadInput, match='busy'):
      acquire_lock(tmp_path, 'busy')
  finally:
    holder.kill()
    holder.wait()
  acquire_lock(tmp_path, 'busy').release()


def test_it_is_the_lock_of_the_operating_system(tmp_path):
  with open(tmp_path / '.lock', 'w') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    with pytest.raises(BadInput, match='busy'):
      acquire_lock(tmp_path, 'busy')


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / 'file').write_text('in the way')
  with pytest.raises(BadInput, match='cannot be written'):
    acquire_lock(tmp_path / 'file' / 'folder', 'busy')


def test_buckets_are_locked_within_a_host_each_by_its_own_file():
  first, second = (lock_path(f'gs://bucket/{name}') for name in ('run', 'other'))
  assert first != second and first.parent.is_dir() and first == lock_path('gs://bucket/run')
