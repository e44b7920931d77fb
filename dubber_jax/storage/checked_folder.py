"""Folders with a manifest of SHA-256 hashes: written as a whole, checked when opened."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from etils import epath

from dubber_jax.errors import BadInput
from dubber_jax.storage.atomic import atomic_folder
from dubber_jax.storage.hashing import sha256_file

MANIFEST = 'MANIFEST.json'


@contextlib.contextmanager
def new_checked_folder(path: str | os.PathLike) -> Iterator[Path]:
  """Yields an empty folder to fill, which gets its manifest and replaces `path` when the block ends without an
  error."""
  with atomic_folder(path) as folder:
    yield folder
    write_manifest(folder)


def write_manifest(folder: Path) -> None:
  """Writes MANIFEST.json: the sha256 of every other file of the folder."""
  files = sorted(p for p in folder.rglob('*') if p.is_file() and p != folder / MANIFEST)
  hashes = {str(p.relative_to(folder)): sha256_file(p) for p in files}
  (folder / MANIFEST).write_text(json.dumps(hashes, indent=2) + '\n')


def check_files(
  folder: Path, hashes: bool = True, kind: str = 'a model directory', made_by: str = '`dubber release`'
) -> dict[str, str]:
  """The manifest {file: sha256} of a folder, its files checked against it unless `hashes` is false.

  Raises BadInput where there is no manifest or a damaged one, and where a file is missing or not the one that was
  written. `kind` and `made_by` say in the message what was expected and what writes it.
  """
  if not (folder / MANIFEST).is_file():
    raise BadInput(f'{folder} is not {kind} (no {MANIFEST}): give the folder that {made_by} wrote')
  try:
    manifest = json.loads((folder / MANIFEST).read_text())
  except (OSError, ValueError, RecursionError) as e:
    raise BadInput(f'{folder}/{MANIFEST} is damaged ({e}); copy the folder again') from e
  if not isinstance(manifest, dict) or not all(isinstance(digest, str) for digest in manifest.values()):
    raise BadInput(f'{folder}/{MANIFEST} is damaged; copy the folder again')
  try:
    if hashes and (fault := changed_file(folder, manifest)):
      raise BadInput(f'{folder}/{fault}; copy the folder again')
  except OSError as e:
    raise BadInput(f'{folder} cannot be read ({e}); copy the folder again') from e
  return manifest


def changed_file(folder: os.PathLike, hashes: Mapping[str, str], largest: int | None = None) -> str | None:
  """'NAME is missing' or 'NAME was changed or cut off ...' of the first such file, or None.

  Files of more than `largest` bytes are only asked whether they exist.
  """
  folder = epath.Path(folder)
  for name, digest in hashes.items():
    if not (folder / name).exists():
      return f'{name} is missing'
    if largest is not None and (folder / name).stat().length > largest:
      continue
    if sha256_file(folder / name) != digest:
      return f'{name} was changed or cut off (its hash differs)'
  return None
