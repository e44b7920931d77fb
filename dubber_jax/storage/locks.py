"""One process at a time in a folder: a lock that is never waited for and that ends with its process.

The lock is the operating system's (flock, by the package filelock) on `.lock` in the folder, so that a killed process
leaves the folder free. A bucket has no such locks: processes of one host exclude each other there, those of several
hosts do not.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from dubber_jax.errors import BadInput, FolderBusy
from dubber_jax.storage.hashing import sha256_text


def acquire_lock(folder: str | os.PathLike, busy: str) -> FileLock:
  """Locks a folder, made where it is missing, until `.release()` or the end of the process.

  Keep the returned lock: it is released when nothing refers to it. Raises FolderBusy with '`folder`: `busy`'
  where another process has it, and BadInput where the folder cannot be written.
  """
  path = lock_path(folder)
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0, thread_local=False)
    lock.acquire()
  except Timeout:
    raise FolderBusy(f'{os.fspath(folder)}: {busy}') from None
  except OSError as error:
    raise BadInput(
      f'{os.fspath(folder)}: cannot be written ({error.strerror or error}); choose another place'
    ) from None
  return lock


@contextlib.contextmanager
def locked(folder: str | os.PathLike, busy: str) -> Iterator[None]:
  """Holds the lock of a folder for a block. Raises BadInput as `acquire_lock` does."""
  lock = acquire_lock(folder, busy)
  try:
    yield
  finally:
    lock.release()


def lock_path(folder: str | os.PathLike) -> Path:
  """`.lock` in a local folder; of a folder in a bucket, a file of this host's temporary folder."""
  name = os.fspath(folder)
  if '://' in name:
    return Path(tempfile.gettempdir()) / f'dubber-{sha256_text(name)[:16]}.lock'
  return Path(name) / '.lock'
