"""Folders with a manifest of SHA-256 hashes: written once, checked when opened."""

import json
from pathlib import Path

from dubber_jax.errors import BadInput
from dubber_jax.storage.hashing import sha256


def write_manifest(folder: Path):
  """MANIFEST.json: the sha256 of every other file of the folder."""
  files = sorted(p for p in folder.rglob('*') if p.is_file() and p != folder / 'MANIFEST.json')
  hashes = {str(p.relative_to(folder)): sha256(p) for p in files}
  (folder / 'MANIFEST.json').write_text(json.dumps(hashes, indent=2) + '\n')


def check_files(path: Path, hashes: bool = True):
  """Raises BadInput where a file of the manifest is missing or, with `hashes`, not the one that was written."""
  if not (path / 'MANIFEST.json').exists():
    raise BadInput(f'{path} is not a model directory (no MANIFEST.json): give the folder that `dubber release` wrote')
  try:
    manifest = json.loads((path / 'MANIFEST.json').read_text())
  except json.JSONDecodeError as e:
    raise BadInput(f'{path}/MANIFEST.json is damaged: {e.msg}') from e
  for name, digest in manifest.items() if hashes else ():
    if not (path / name).exists():
      raise BadInput(f'{path}/{name} is missing; copy the model directory again')
    if sha256(path / name) != digest:
      raise BadInput(f'{path}/{name} is not the file that was released (its hash differs); copy it again')
