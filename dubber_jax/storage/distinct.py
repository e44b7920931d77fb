"""A command's inputs and outputs compared as files, before it does anything: no output may be an input or another
output, by whatever name, link or spelling."""

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dubber_jax.errors import BadInput

Named = Mapping[str, str | os.PathLike | Sequence[str | os.PathLike] | None]


def check_distinct(inputs: Named, outputs: Named, folders: Named | None = None) -> None:
  """Raises BadInput where writing an output would destroy an input or another output.

  All are {what it is, as 'the film' or '--json': its path, several, or None}. outputs: files that are written or
  replaced; folders: folders that are replaced as a whole, in which no input may lie and to which no output may be
  written. Existing ones are compared by their file systems (links, hard links, names in other cases); of outputs that
  do not exist yet, two whose names differ only in case or Unicode form count as one.
  """
  read, written, replaced = _each(inputs), _each(outputs), _each(folders or {})
  for what, path in written:
    for other, source in read:
      if same_file(path, source):
        raise BadInput(f'{what} {path} is {_the(other)} too, which would be lost: name another file')
      if source.is_dir() and path.exists() and is_within(path, source):
        raise BadInput(f'{what} {path} is part of {_the(other)} ({source}), which would be lost: name another file')
  for i, (what, path) in enumerate(written):
    for other, earlier in written[:i]:
      if same_file(path, earlier) or same_name(path, earlier):
        raise BadInput(f'{what} {path} and {other} {earlier} are one file: name another')
  for what, folder in replaced:
    for other, path in (*read, *written):
      if is_within(path, folder):
        raise BadInput(f'{what} {folder} holds {_the(other)} ({path}), which would be lost: name another folder')
  for i, (what, folder) in enumerate(replaced):
    for other, earlier in replaced[:i]:
      if is_within(folder, earlier) or is_within(earlier, folder) or same_name(folder, earlier):
        raise BadInput(f'{what} {folder} and {other} {earlier} are one folder, or one in the other: name another')


def same_file(first: str | os.PathLike, second: str | os.PathLike) -> bool:
  """Whether two existing paths are one file or folder; of paths that do not exist, whether they lead to one place."""
  try:
    return os.path.samefile(first, second)
  except (OSError, ValueError):
    return os.path.realpath(first) == os.path.realpath(second)


def same_name(first: str | os.PathLike, second: str | os.PathLike) -> bool:
  """Whether two paths, one of which does not exist, may be one file where case or Unicode form does not count."""
  a, b = Path(os.path.realpath(first)), Path(os.path.realpath(second))
  if a.exists() and b.exists():
    return False  # the file system has told them apart
  return _plain(a.name) == _plain(b.name) and same_file(a.parent, b.parent)


def is_within(path: str | os.PathLike, folder: str | os.PathLike) -> bool:
  """Whether a path is a folder, or lies in it."""
  place = Path(os.path.realpath(path))
  return any(same_file(part, folder) for part in (place, *place.parents))


def _each(named: Named) -> list[tuple[str, Path]]:
  return [*_flat(named)]


def _flat(named: Named) -> Iterator[tuple[str, Path]]:
  for what, given in named.items():
    if given is None:
      continue
    for path in [given] if isinstance(given, str | os.PathLike) else given:
      if str(path) and '://' not in os.fspath(path):
        yield what, Path(path)


def _the(what: str) -> str:
  return f'the file of {what}' if what.startswith('-') else what


def _plain(name: str) -> str:
  return unicodedata.normalize('NFC', unicodedata.normalize('NFC', name).casefold())
