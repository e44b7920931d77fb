"""Files out: an output appears only when it is complete."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput


@contextlib.contextmanager
def complete_file(path, overwrite: bool = False) -> Iterator[Path]:
  """Yields a path beside `path` to write to, and moves it there when the block ends well.

  When the block fails nothing is left and what stood at `path` stays. Raises BadInput where `path` exists and
  `overwrite` is false, where its folder cannot be written, and where the disk is full.
  """
  path = Path(path)
  check_output(path, overwrite)
  part = path.with_name(f'.{path.stem}.{os.getpid()}.part{path.suffix}')
  try:
    yield part
    with open(part, 'rb') as file:
      os.fsync(file.fileno())  # a full disk may show only now
    check_output(path, overwrite)
    os.replace(part, path)
  except BadInput:
    raise
  except OSError as error:
    raise BadInput(
      f'{path}: cannot be written ({error.strerror or error}); free some space or choose another place'
    ) from error
  finally:
    with contextlib.suppress(OSError):
      part.unlink(missing_ok=True)


@contextlib.contextmanager
def complete_folder(path, overwrite: bool = False) -> Iterator[Path]:
  """The same for a folder: yields an empty one beside `path`, which takes its place when the block ends well."""
  path = Path(path).absolute()
  if path.exists() and not overwrite:
    raise BadInput(f'{path} exists: give --overwrite to replace it, or another folder')
  part = path.with_name(f'.{path.name}.{os.getpid()}.part')
  try:
    part.mkdir(parents=True)
    yield part
    if path.exists():
      shutil.rmtree(path)
    os.replace(part, path)
  except OSError as error:
    raise BadInput(
      f'{path}: cannot be written ({error.strerror or error}); free some space or choose another place'
    ) from error
  finally:
    shutil.rmtree(part, ignore_errors=True)


def check_output(path, overwrite: bool = False):
  """Raises BadInput where `path` could not be written: to be called before long work as well."""
  path = Path(path)
  if path.is_dir():
    raise BadInput(f'{path}: is a folder; name a file in it')
  if path.exists() and not overwrite:
    raise BadInput(f'{path}: exists already; pass --overwrite or choose another name')
  if not path.parent.is_dir():
    raise BadInput(f'{path}: its folder {path.parent} does not exist; make it first')
  if not os.access(path.parent, os.W_OK | os.X_OK):
    raise BadInput(f'{path}: its folder {path.parent} cannot be written; choose another place')


def write_json(result, path, overwrite: bool = False):
  """Writes what JSON can say of `result`, arrays as lists. Raises BadInput as `complete_file` does."""
  with complete_file(path, overwrite) as beside:
    beside.write_text(json.dumps(result, indent=2, ensure_ascii=False, default=_plain), encoding='utf-8')


def _plain(value):
  return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)
