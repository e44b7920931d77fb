"""Converts config.json files of earlier versions, in which every run carried the settings of every task.

    python -m dubber_jax.convert.old_config runs/first_voice/felt model/

Each folder is a workdir, a model directory or a serving artifact. Its config.json keeps its values; sections that the
run does not use go, and where there is a MANIFEST.json, the file's hash in it is renewed. The weights stay as they are.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from dubber_jax.config import KINDS, Config, from_json
from dubber_jax.errors import BadInput, exit_code
from dubber_jax.storage.atomic import atomic_file
from dubber_jax.storage.checked_folder import MANIFEST
from dubber_jax.storage.hashing import sha256_text

KIND_OF = {'voice': 'actor', 'vocoder': 'vocoder', 'critic': 'critic', 'published': 'published'}
OLD_NAMES = {'loss': 'published_loss', 'lr_multiplier': 'quicker', 'director_inputs': 'readings'}


def new_config(values: dict, where: str = 'config.json') -> Config:
  """The config of the values of an old config.json. Raises BadInput where they are none."""
  name = values.get('task') if isinstance(values, dict) else None
  if not isinstance(name, str):
    raise BadInput(f'{where}: not a config of an earlier version; there is nothing to convert')
  kind = 'adaptation' if name == 'voice' and values.get('name') == 'adapt_voice' else KIND_OF.get(name, 'experiment')
  task = {'kind': kind} | _known(KINDS[kind], values)
  if kind == 'experiment':
    task['network'] = name
  if kind == 'adaptation':
    task['recordings'] = values.get('tree', {}).get('root', '')
  whole = {k: v for k, v in values.items() if k in {f.name for f in dataclasses.fields(Config)}}
  return from_json(json.dumps(whole | {'task': task}), where)


def _known(kind: type, values: dict) -> dict:
  """Those of the values that `kind` has a field for, by their new names."""
  found = {}
  for f in dataclasses.fields(kind):
    old = f.name if f.name in values else OLD_NAMES.get(f.name, f.name)
    if old in values:
      found[f.name] = _known(f.type, values[old]) if dataclasses.is_dataclass(f.type) else values[old]
  return found


def convert_folder(folder: Path) -> None:
  """Converts a folder's config.json in place. Raises BadInput where it has none, or not an old one."""
  path, manifest = Path(folder) / 'config.json', Path(folder) / MANIFEST
  try:
    values = json.loads(path.read_text())
  except (OSError, json.JSONDecodeError) as e:
    raise BadInput(f'{path}: cannot be read as JSON ({e})') from e
  text = new_config(values, str(path)).to_json()
  if manifest.exists():
    text += '\n'
    hashes = json.loads(manifest.read_text()) | {'config.json': sha256_text(text)}
  with atomic_file(path) as new:
    new.write_text(text)
  if manifest.exists():
    with atomic_file(manifest) as new:
      new.write_text(json.dumps(hashes, indent=2) + '\n')


def main(arguments: list[str] | None = None) -> int:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folders', nargs='+', type=Path, metavar='FOLDER')
  given = parser.parse_args(arguments)

  def run():
    for folder in given.folders:
      convert_folder(folder)
      print(folder / 'config.json')

  return exit_code(run)


if __name__ == '__main__':
  sys.exit(main())
