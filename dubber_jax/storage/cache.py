"""What perception found, kept by the hash of what it looked at: the same clip is read once.

Entries lie under the folder DUBBER_CACHE (default ~/.cache/dubber_jax; empty: nothing is kept). An extractor's
name and version are part of the key, so a new version never meets an old result. A damaged entry is computed
afresh, and a folder that cannot be written is done without.
"""

import contextlib
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np


def digest(*parts) -> str:
  """Arrays, strings and numbers -> a hash of their content, shapes and types."""
  state = hashlib.blake2b(digest_size=20)
  for part in parts:
    if isinstance(part, np.ndarray):
      state.update(f'{part.dtype}{part.shape}'.encode())
      state.update(np.ascontiguousarray(part).data)
    else:
      state.update(f'{type(part).__name__}:{part!r}'.encode())
    state.update(b'\0')
  return state.hexdigest()


def cached(extractor, parts: tuple, compute: Callable[[], dict]) -> dict:
  """`compute()`, or what it gave for the same extractor and the same `parts` before.

  compute -> {name: array, number or string}; strings and numbers come back as they were.
  """
  folder = cache_folder()
  if folder is None:
    return compute()
  path = folder / extractor.name / f'{digest(extractor.name, extractor.version, *parts)}.npz'
  found = _load(path)
  if found is None:
    found = compute()
    _save(path, found)
  return found


def cache_folder() -> Path | None:
  """Where results are kept, or None where they are not."""
  named = os.environ.get('DUBBER_CACHE')
  if named == '':
    return None
  return Path(named) if named else Path.home() / '.cache' / 'dubber_jax'


def _load(path):
  try:
    with np.load(path, allow_pickle=False) as file:
      return {name: value if value.ndim else value.item() for name, value in file.items()}
  except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
    return None


def _save(path, values):
  with contextlib.suppress(OSError):  # a cache is a convenience: no room, no right to write, no matter
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(suffix='.npz', dir=path.parent)
    try:
      with os.fdopen(handle, 'wb') as file:
        np.savez(file, **values)
      os.replace(fresh, path)
    except OSError:
      os.unlink(fresh)
      raise
