"""Atomic writes: a file or a folder appears under its name only when it is complete and on the disk.

`atomic_file` and `atomic_folder` are for a program's own state and raise what the file system raises. `complete_file`,
`complete_folder` and `complete_together` are for outputs that a user has named: they refuse to replace one unasked, and
raise BadInput. All write to a partial beside the target, named `.STEM.OWNER.part.SUFFIX` (of a folder
`.NAME.OWNER.part`), flush it to the disk, and rename it. A partial stays behind only where the process is killed; the
next write of the same target deletes it, and `remove_partials` deletes those of a whole folder.
"""

import contextlib
import ctypes
import errno
import glob
import json
import os
import re
import shutil
import socket
import sys
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from etils import epath

from dubber_jax.errors import BadInput
from dubber_jax.storage.hashing import sha256_text

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LONGEST_STEM = 160  # bytes
STAGED = 'staged.json'  # in a folder of outputs that appear together: those that did not exist before
HOST = sha256_text(socket.gethostname())[:6]
_OWNER = re.compile(r'\.([0-9a-f]{6})-(\d+)-[0-9a-f]{8}\.part')
_open: set[Path] = set()  # partials that this process is writing


def _as_path(path: str | os.PathLike) -> Path:
  """A Path of a text; a path in a bucket (epath), which has the same methods, stays as it is."""
  return Path(path) if isinstance(path, str) else cast(Path, path)


def partial_name(stem: str, suffix: str = '') -> str:
  """A new name of a partial: it says which host and process write it, so that those of killed ones can be told."""
  return f'.{short_stem(stem)}.{HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}.part{suffix}'


def short_stem(stem: str) -> str:
  """The stem of a target's partials: its own, of a long one the beginning and a hash, since names end at 255 bytes."""
  data = os.fsencode(stem)
  return stem if len(data) <= LONGEST_STEM else f'{data[:LONGEST_STEM].decode(errors="ignore")}-{sha256_text(stem)[:8]}'


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike, sync: bool = True) -> Iterator[Path]:
  """Yields a path beside `path`, with its suffix, and renames it to `path` when the block ends without an error.

  sync: flush it to the disk before, so that a power cut leaves the old file or the new one. After an error nothing is
  left of it and the old file stays. Paths in a bucket (epath) are written likewise.
  """
  path = _as_path(path)
  partial = path.with_name(partial_name(path.stem, path.suffix))
  _open.add(partial)
  try:
    yield partial
    if sync:
      _sync(partial)
    partial.replace(path)
    if sync:
      _sync_folder(path.parent)
  finally:
    _remove(partial)
    _open.discard(partial)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
  """The same for a folder: yields an empty one, made with its parents, which replaces `path` as a whole.

  The old folder is there until the new one has its name (the two are exchanged, where the system can), and stays where
  that fails. A link to a folder stays one: what it points to is replaced.
  """
  path = _as_path(path)
  if is_local(path) and os.path.islink(path):
    path = Path(os.path.realpath(path))
  partial = path.with_name(partial_name(path.name))
  missing = [folder for folder in path.parents if not folder.exists()]
  _open.add(partial)
  try:
    partial.mkdir(parents=True)
    yield partial
    if is_local(path):
      _sync_tree(partial)
    _put(partial, path)
    _sync_folder(path.parent)
  except BaseException:
    _remove(partial)
    for folder in missing:
      with contextlib.suppress(OSError):
        folder.rmdir()
    raise
  finally:
    _remove(partial)  # the old folder, where there was one
    _open.discard(partial)


def _put(partial, path) -> None:
  """Renames a folder to `path`; what is there is found under the name of the partial afterwards."""
  if not path.exists():
    partial.replace(path)
  elif not is_local(path):
    _remove(path)
    partial.replace(path)
  elif not exchange(partial, path):  # a system that cannot: the old one is back in its place if the rename fails
    old = path.with_name(partial_name(path.name))
    path.replace(old)
    try:
      partial.replace(path)
    except BaseException:
      old.replace(path)
      raise
    old.replace(partial)


def exchange(first: str | os.PathLike, second: str | os.PathLike) -> bool:
  """Exchanges two files or folders in one step. False, and nothing is done, where the system cannot."""
  names = os.fsencode(first), os.fsencode(second)
  try:
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == 'darwin':
      return library.renamex_np(*names, 2) == 0  # RENAME_SWAP
    return library.renameat2(-100, names[0], -100, names[1], 2) == 0  # AT_FDCWD, RENAME_EXCHANGE
  except (AttributeError, OSError):
    return False


def _sync(path) -> None:
  if is_local(path):
    with open(path, 'rb') as file:
      os.fsync(file.fileno())  # a full disk may show only now


def _sync_folder(path) -> None:
  if is_local(path):
    with contextlib.suppress(OSError):  # not every file system has it
      handle = os.open(path, os.O_RDONLY)
      try:
        os.fsync(handle)
      finally:
        os.close(handle)


def _sync_tree(folder) -> None:
  for root, _, names in os.walk(folder):
    for name in names:
      path = os.path.join(root, name)
      if os.path.isfile(path) and not os.path.islink(path):
        _sync(path)
    _sync_folder(root)


def is_local(path: str | os.PathLike) -> bool:
  """Whether a path is on a file system and not in a bucket."""
  return '://' not in os.fspath(path)


def _remove(path) -> None:
  with contextlib.suppress(OSError):
    if not is_local(path):
      path = epath.Path(path)
      path.rmtree(missing_ok=True) if path.is_dir() else path.unlink(missing_ok=True)
    elif os.path.isdir(path) and not os.path.islink(path):
      shutil.rmtree(path, ignore_errors=True)
    else:
      os.unlink(path)


def remove_partials(folder: str | os.PathLike, name: str = '*') -> None:
  """Deletes the partials that killed processes left in `folder`, of targets whose stem matches the glob `name`.

  For use under the folder's lock, or where no other process writes there.
  """
  for left in epath.Path(folder).glob(f'.{name}.*.part*'):
    left.rmtree() if left.is_dir() else left.unlink()


def remove_abandoned(path: Path) -> None:
  """Deletes the partials of the target `path` whose processes, on this host, have ended."""
  for stem in {path.stem, path.name}:
    for left in path.parent.glob(f'.{glob.escape(short_stem(stem))}.*.part*'):
      if is_partial(left.name) and not _is_running(left.name):
        _undo_staged(left)
        _remove(left)


def discard_open() -> None:
  """Deletes what this process is writing: to be called only where it ends at once, without its `finally` clauses."""
  for partial in list(_open):
    _remove(partial)


def is_partial(name: str) -> bool:
  """Whether a file's name is that of a partial."""
  return re.match(r'\..*\.[0-9a-f-]{8,}\.part(\.|$)', name) is not None


def _is_running(name: str) -> bool:
  owner = _OWNER.search(name)
  if owner is None or owner[1] != HOST:
    return True  # nobody can say from here
  try:
    os.kill(int(owner[2]), 0)
  except ProcessLookupError:
    return False
  except OSError:
    return True
  return True


@contextlib.contextmanager
def complete_file(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
  """`atomic_file` for an output that a user has named.

  Raises BadInput where `path` exists and `overwrite` is false, where its folder cannot be written, and where the disk
  is full.
  """
  path = Path(path)
  check_output(path, overwrite)
  remove_abandoned(path)
  with disk_errors(path), atomic_file(path) as partial:
    yield partial
    check_output(path, overwrite)


@contextlib.contextmanager
def complete_folder(path: str | os.PathLike, overwrite: bool = False, marks: Collection[str] = ()) -> Iterator[Path]:
  """`atomic_folder` for an output that a user has named. Raises BadInput as `complete_file` does.

  marks: names of which a folder with anything in it must hold one to be replaced, so that only what such a command
  wrote is ever removed.
  """
  path = Path(path).absolute()
  check_folder(path, overwrite, marks)
  remove_abandoned(path)
  with disk_errors(path), atomic_folder(path) as partial:
    yield partial


@contextlib.contextmanager
def complete_together(paths: Sequence[str | os.PathLike], overwrite: bool = False) -> Iterator[dict[Path, Path]]:
  """Yields {output: path to write it to}, with the outputs' own names, in a folder beside each; all appear when the
  block ends without an error, one rename after the other, and none after an error.

  Outputs that the block does not write are left out. Those that a process killed between two renames has already
  named are taken back by the next `check_outputs`. Raises BadInput as `complete_file` does.
  """
  paths = [Path(path).absolute() for path in paths]
  check_outputs(paths, overwrite)
  with contextlib.ExitStack() as stack:
    stack.enter_context(disk_errors(paths[0]))
    stages: dict[Path, Path] = {}
    for path in paths:
      if path.parent not in stages:
        stage = stages[path.parent] = path.with_name(partial_name(paths[0].name))
        _open.add(stage)
        stack.callback(_open.discard, stage)
        stack.callback(_remove, stage)
        stage.mkdir()
    staged = {path: stages[path.parent] / path.name for path in paths}
    try:
      yield staged
    except BadInput as error:  # in which no person should read of a folder that is gone
      text = str(error)
      for parent, stage in stages.items():
        text = text.replace(str(stage), str(parent))
      raise BadInput(text) from error
    written = [path for path in paths if staged[path].exists()]
    for path in written:
      _sync(staged[path])
    check_outputs(paths, overwrite)
    for parent, stage in stages.items():
      new = [path.name for path in written if path.parent == parent and not path.exists()]
      (stage / STAGED).write_text(json.dumps(new))
    _rename_all([(staged[path], path) for path in written])
    for parent in stages:
      _sync_folder(parent)


def _rename_all(pairs: list[tuple[Path, Path]]) -> None:
  """Renames each (from, to); where one fails, those before it are taken back."""
  done = []
  try:
    for staged, path in pairs:
      done.append((staged, path, path.exists() and exchange(staged, path)))
      if not done[-1][2]:
        staged.replace(path)
  except BaseException:
    for staged, path, exchanged in done:
      if exchanged:
        exchange(staged, path)
      elif not staged.exists():
        _remove(path)
    raise


def _undo_staged(stage: Path) -> None:
  """Takes back what a process, killed while it renamed its outputs, had already named of those that were new."""
  with contextlib.suppress(OSError, ValueError):
    new = json.loads((stage / STAGED).read_text())
    left = [name for name in new if (stage / name).exists()]
    for name in new if left else ():  # none left: all were renamed, and stay
      if not (stage / name).exists():
        _remove(stage.parent / name)


@contextlib.contextmanager
def disk_errors(path: str | os.PathLike) -> Iterator[None]:
  """Context that turns the file system's errors, and a full disk that a library reports in its own way, into BadInput
  about the output `path`."""
  try:
    yield
  except BadInput:
    raise
  except Exception as error:
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
      named = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ''
      if named and not _is_within(named, path) and not is_disk_full(error):
        raise BadInput(f'{named}: {error.strerror or error}') from error  # something else that the work needed
      raise BadInput(
        f'{path}: cannot be written ({error.strerror or error}); free some space or choose another place'
      ) from error
    if is_disk_full(error):
      raise BadInput(
        f'{path}: cannot be written (no space left on the disk); free some space or choose another place'
      ) from error
    raise


def _is_within(named: str, path: str | os.PathLike) -> bool:
  """Whether a file is the output, in it, or a partial."""
  return any(is_partial(part) for part in Path(named).parts) or Path(path).absolute() in (
    Path(named).absolute(),
    *Path(named).absolute().parents,
  )


def is_disk_full(error: BaseException | None) -> bool:
  """Whether an error, or one that it was raised from, is that of a full disk, a quota or a limit on files' sizes."""
  seen = 0
  while error is not None and seen < 20:
    text = str(error)
    if getattr(error, 'errno', None) in DISK_FULL or any(
      phrase in text for phrase in ('No space left', 'Disk quota exceeded', 'File too large', 'No free space')
    ):
      return True
    error, seen = error.__cause__ or error.__context__, seen + 1
  return False


def check_output(path: str | os.PathLike, overwrite: bool = False) -> None:
  """Raises BadInput where the file `path` could not be written: to be called before long work as well."""
  path = Path(path)
  if '\0' in str(path):
    raise BadInput(f'{str(path)!r}: holds a character that no name can have; name another file')
  with disk_errors(path):
    if path.is_dir():
      raise BadInput(f'{path}: is a folder; name a file in it')
    if path.exists() and not path.is_file():
      raise BadInput(f'{path}: is a device or a pipe; name a file')
    if path.exists() and not overwrite:
      raise BadInput(f'{path}: exists already; pass --overwrite or choose another name')
    if not path.parent.is_dir():
      raise BadInput(f'{path}: its folder {path.parent} does not exist; make it first')
    if not os.access(path.parent, os.W_OK | os.X_OK):
      raise BadInput(f'{path}: its folder {path.parent} cannot be written; choose another place')


def check_outputs(paths: Sequence[str | os.PathLike], overwrite: bool = False) -> None:
  """`check_output` of files that are to appear together, after what a killed process left of them is taken back."""
  remove_staged(paths)
  for path in map(Path, paths):
    check_output(path, overwrite)


def remove_staged(paths: Sequence[str | os.PathLike]) -> None:
  """Takes back what a killed process has written of outputs that were to appear together."""
  paths = [Path(path).absolute() for path in paths]
  for folder in {path.parent for path in paths}:
    if folder.is_dir():
      remove_abandoned(folder / paths[0].name)


def check_folder(path: str | os.PathLike, overwrite: bool = False, marks: Collection[str] = ()) -> None:
  """Raises BadInput where the folder `path` could not be written: to be called before long work as well.

  marks: as in `complete_folder`.
  """
  path = Path(path).absolute()
  with disk_errors(path):
    if path.exists() and not path.is_dir():
      raise BadInput(f'{path}: is a file; name a folder')
    if path.exists() and not overwrite:
      raise BadInput(f'{path} exists: give --overwrite to replace it, or another folder')
    if path.exists() and marks and any(path.iterdir()) and not any((path / mark).exists() for mark in marks):
      raise BadInput(f'{path} holds something else ({" or ".join(marks)} is not in it), so it is not replaced')
    there = next(folder for folder in path.parents if folder.exists())
    if not there.is_dir():
      raise BadInput(f'{path}: {there} is a file; name another folder')
    if not os.access(there, os.W_OK | os.X_OK):
      raise BadInput(f'{path}: {there} cannot be written; choose another place')


def write_json(value: object, path: str | os.PathLike, overwrite: bool = False) -> None:
  """Writes a value as indented JSON, arrays as lists and other objects as text. Raises BadInput as `complete_file`."""
  with complete_file(path, overwrite) as partial:
    partial.write_text(json.dumps(value, indent=2, ensure_ascii=False, default=_plain), encoding='utf-8')


def _plain(value):
  return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)
