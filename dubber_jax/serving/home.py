"""The home folder of a server, and names that lead to nothing outside of it.

voices/NAME/  voice.safetensors, voice.json, consent.json
dubs/ID/      dub.json, film.*, script.*, project/, dubbed.*
uploads/      what requests are uploading, a folder each, which goes with its request
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from dubber_jax.serving.errors import ApiError

VOICES, DUBS, UPLOADS = 'voices', 'dubs', 'uploads'
LONGEST_NAME = 64  # characters of a voice's name
_ID = re.compile(r'[0-9a-f]{12}')
_NAME = re.compile(r"[^\W_](?:[\w '.-]*[^\W_])?")


def project_id(folder: Path) -> str:
  """The name of a project in addresses: 12 hex digits of the SHA-256 of its folder's absolute path."""
  return hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:12]


def check_name(name: str, param: str = 'name') -> str:
  """A name in Unicode's NFC, which is the name of a folder too: letters and digits of any script with spaces and
  `_ ' . -` between them. Raises ApiError 400 for another."""
  name = unicodedata.normalize('NFC', name)
  if not 0 < len(name) <= LONGEST_NAME or not _NAME.fullmatch(name) or '..' in name:
    raise ApiError(
      400,
      f"{name[:80]!r} cannot be a name: give up to {LONGEST_NAME} letters and digits, with spaces, _, ', . or - "
      'between them',
      'invalid_name',
      param,
    )
  return name


def folder_of(parent: Path, name: str) -> Path | None:
  """The folder `name` in `parent`; None where there is none, where it is a link, and where the name is no ID or
  `check_name` would refuse it."""
  if not _ID.fullmatch(name) and (len(name) > LONGEST_NAME or not _NAME.fullmatch(name) or '..' in name):
    return None
  folder = parent / name
  return folder if folder.is_dir() and not folder.is_symlink() else None


def find_within(path: str, folders: Sequence[Path], param: str) -> Path:
  """The file that a request names, with its links followed, if that lies in one of the folders.

  A relative path is looked for in each of them. Raises ApiError 404 where there is none, whether outside or missing,
  so that nobody can ask which files there are.
  """
  if path and '\0' not in path and len(path) < 4096:
    for folder in folders:
      try:
        root = folder.resolve(strict=True)
        found = (root / path).resolve(strict=True)
        if found.is_relative_to(root) and found.is_file():
          return found
      except (OSError, RuntimeError, ValueError):
        continue
  where = 'in the folders of films that this server was given' if folders else ': this server was given no such folder'
  raise ApiError(404, f'no file {path[:200]!r} {where}; upload it, or correct the path', 'file_not_found', param)
