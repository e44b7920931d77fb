"""Cache of extracted features on disk, keyed by the extractor and by the content that it was given.

Entries are .npz files under the folder DUBBER_CACHE (default ~/.cache/dubber_jax; empty: no cache). An extractor's
name and version are part of the key, so that a new version never reads an old result. A damaged entry is computed
again; where the folder cannot be written, nothing is stored.
"""

import contextlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dubber_jax.storage.atomic import atomic_file
from dubber_jax.storage.hashing import content_key


def cached(extractor: Any, parts: tuple, compute: Callable[[], dict]) -> dict:
  """`compute()`, or its stored result for the same extractor and the same `parts`.

  compute -> {name: array, number or string}; strings and numbers come back with their types.
  """
  folder = cache_folder()
  if folder is None:
    return compute()
  path = folder / extractor.name / f'{content_key(extractor.name, extractor.version, *parts)}.npz'
  found = _load(path)
  if found is None:
    found = compute()
    _save(path, found)
  return found


def cache_folder() -> Path | None:
  """The cache's folder, or None where DUBBER_CACHE is set to nothing."""
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
  with contextlib.suppress(OSError):  # the cache is optional: a full or read-only disk is no error
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as partial:
      np.savez(partial, **values)
