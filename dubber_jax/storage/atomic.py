"""Atomic writes: a file or a folder appears under its name only when it is complete.

`atomic_file` and `atomic_folder` are for a program's own state and raise what the file system raises. `complete_file`
and `complete_folder` are for outputs that a user has named: they refuse to replace one unasked, and raise BadInput.
All write to a partial beside the target, named `.STEM.RANDOM.part.SUFFIX` (of a folder `.NAME.RANDOM.part`), and rename
it. A partial stays behind only where the process is killed; `remove_partials` deletes those.
"""

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from etils import epath

from dubber_jax.errors import BadInput


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[Path]:
  """Yields a path beside `path`, with its suffix, and renames it to `path` when the block ends without an error.

  After an error nothing is left of it and the old file stays. Paths in a bucket (epath) are written likewise.
  """
  path = Path(path) if isinstance(path, str) else path
  partial = path.with_name(f'.{path.stem}.{uuid.uuid4().hex[:12]}.part{path.suffix}')
  try:
    yield partial
    partial.replace(path)
  finally:
    with contextlib.suppress(OSError):
      partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
  """The same for a folder: yields an empty one, made with its parents, which replaces `path` as a whole."""
  path = Path(path) if isinstance(path, str) else path
  partial, old = (path.with_name(f'.{path.name}.{uuid.uuid4().hex[:12]}.part') for _ in range(2))
  try:
    partial.mkdir(parents=True)
    yield partial
    if path.exists():
      path.replace(old)
    partial.replace(path)
  finally:
    for left in (partial, old):
      with contextlib.suppress(OSError):
        epath.Path(left).rmtree(missing_ok=True)


def remove_partials(folder: str | os.PathLike, name: str = '*') -> None:
  """Deletes the partials that killed processes left in `folder`, of targets whose stem matches the glob `name`.

  For use under the folder's lock, or where no other process writes there.
  """
  for left in epath.Path(folder).glob(f'.{name}.*.part*'):
    left.rmtree() if left.is_dir() else left.unlink()


@contextlib.contextmanager
def complete_file(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
  """`atomic_file` for an output that a user has named, flushed to the disk before the rename.

  Raises BadInput where `path` exists and `overwrite` is false, where its folder cannot be written, and where the disk
  is full.
  """
  path = Path(path)
  check_output(path, overwrite)
  with _as_bad_input(path), atomic_file(path) as partial:
    yield partial
    with open(partial, 'rb') as file:
      os.fsync(file.fileno())  # a full disk may show only now
    check_output(path, overwrite)


@contextlib.contextmanager
def complete_folder(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
  """`atomic_folder` for an output that a user has named. Raises BadInput as `complete_file` does."""
  path = Path(path).absolute()
  if path.exists() and not overwrite:
    raise BadInput(f'{path} exists: give --overwrite to replace it, or another folder')
  with _as_bad_input(path), atomic_folder(path) as partial:
    yield partial


@contextlib.contextmanager
def _as_bad_input(path: Path) -> Iterator[None]:
  try:
    yield
  except OSError as error:
    raise BadInput(
      f'{path}: cannot be written ({error.strerror or error}); free some space or choose another place'
    ) from error


def check_output(path: str | os.PathLike, overwrite: bool = False) -> None:
  """Raises BadInput where the file `path` could not be written: to be called before long work as well."""
  path = Path(path)
  if path.is_dir():
    raise BadInput(f'{path}: is a folder; name a file in it')
  if path.exists() and not overwrite:
    raise BadInput(f'{path}: exists already; pass --overwrite or choose another name')
  if not path.parent.is_dir():
    raise BadInput(f'{path}: its folder {path.parent} does not exist; make it first')
  if not os.access(path.parent, os.W_OK | os.X_OK):
    raise BadInput(f'{path}: its folder {path.parent} cannot be written; choose another place')


def write_json(value: object, path: str | os.PathLike, overwrite: bool = False) -> None:
  """Writes a value as indented JSON, arrays as lists and other objects as text. Raises BadInput as `complete_file`."""
  with complete_file(path, overwrite) as partial:
    partial.write_text(json.dumps(value, indent=2, ensure_ascii=False, default=_plain), encoding='utf-8')


def _plain(value):
  return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)
