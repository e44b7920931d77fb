"""Directory of the published system, as `dubber convert` writes it from a checkpoint; hashes are checked on loading.

config.json         {'assembly': 'published', 'config': sizes, 'fresh': PyTorch names of weights drawn at random}
model.safetensors   'params/...' and 'batch_stats/...', float32
dead.safetensors    tensors of the checkpoint on which no output depends, by their PyTorch names
CARD.md  MANIFEST.json (sha256 of every other file)
"""

import dataclasses
import functools
import json
from pathlib import Path

import flax.traverse_util
import jax
import numpy as np

from dubber_jax.authentic_dubber.config import PublishedConfig
from dubber_jax.authentic_dubber.model import initialize
from dubber_jax.errors import BadInput
from dubber_jax.storage.checked_folder import check_files, write_manifest
from dubber_jax.storage.json_files import fields_of, read_json
from dubber_jax.storage.weights import check_shapes, flatten, read_arrays, unflatten, write_arrays


@dataclasses.dataclass(frozen=True)
class Published:
  """A loaded directory, for `synthesize(config, variables, batch)` of dubber_jax.authentic_dubber.model."""

  config: PublishedConfig
  variables: dict  # {'params': ..., 'batch_stats': ...}, float32
  dead: dict[str, np.ndarray]
  fresh: tuple[str, ...]


def write_published(folder: str | Path, model: Published, card: str) -> None:
  """Writes the directory's files into `folder`, which must exist."""
  folder = Path(folder)
  settings = {'assembly': 'published', 'config': dataclasses.asdict(model.config), 'fresh': list(model.fresh)}
  (folder / 'config.json').write_text(json.dumps(settings, indent=2) + '\n')
  (folder / 'CARD.md').write_text(card)
  for name, arrays in (('model', flatten(model.variables)), ('dead', model.dead)):
    write_arrays(folder / f'{name}.safetensors', arrays)
  write_manifest(folder)


def load_published(folder: str | Path, check: bool = True) -> Published:
  """Loads a directory of `write_published`.

  Raises BadInput where it is another kind of directory, a file's hash is not the manifest's or the weights do not fit.
  """
  folder = Path(folder)
  check_files(folder, hashes=check)
  settings = read_json(folder / 'config.json', 'copy it again, or convert the checkpoint again')
  try:
    if settings.get('assembly') != 'published':
      raise BadInput(f'{folder} is not of the published system; give a folder that `dubber convert` made of it')
    fields = fields_of(PublishedConfig, settings['config'], f'{folder}/config.json')
    config, fresh = PublishedConfig(**fields), tuple(settings['fresh'])
  except (AttributeError, KeyError, TypeError) as e:
    raise BadInput(f'{folder} cannot be read ({e}); copy it again, or convert the checkpoint again') from e
  flat, dead = (read_arrays(folder / f'{name}.safetensors') for name in ('model', 'dead'))
  check_shapes(flat, expected_shapes(config), folder / 'model.safetensors', 'convert the checkpoint again')
  return Published(config, unflatten(flat), dead, fresh)


@functools.lru_cache(maxsize=16)
def expected_shapes(config: PublishedConfig) -> dict[str, tuple[int, ...]]:
  """Shapes of the variables, {'params/mel/kernel': (256, 80), ...}, without initializing them."""
  try:
    tree = jax.eval_shape(lambda key: initialize(config, key), jax.random.key(0))
  except Exception as e:  # sizes that make no network: JAX and Flax raise many types
    reason = (str(e).strip() or type(e).__name__).splitlines()[0][:200]
    raise BadInput(f'the sizes of the config make no network ({reason})') from e
  return {k: tuple(v.shape) for k, v in flax.traverse_util.flatten_dict(tree, sep='/').items()}
