"""Parity fixtures: inputs, outputs and weights of a run of the released code, one .npz file each.

Arrays `in/<name>`, `out/<name>` and `w/<torch key>`; `cfg`, settings in JSON; `recipe`, JSON rows by which weights
that are not stored are drawn again: uniform between lo and hi from a Mersenne Twister seeded by tag and key.
"""

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput

LARGEST = 2 << 30  # bytes of a fixture's arrays


@dataclass(frozen=True)
class Fixture:
  """A fixture's content; arrays by name without the prefixes."""

  name: str  # of the file, without its suffix
  inputs: dict[str, np.ndarray]
  outputs: dict[str, np.ndarray]
  weights: dict[str, np.ndarray]
  parts: dict[str, str]  # torch key -> 'model' or 'fusion', where the recipe says
  config: dict


def read_fixture(path: str | Path) -> Fixture:
  """Reads a fixture and draws the weights that it does not store. Raises BadInput where the file is damaged or no
  fixture, and where a weight's sums are not those of the recipe."""
  path = Path(path)
  try:
    with np.load(path, allow_pickle=False) as stored:
      taken = sum(part.file_size for part in stored.zip.infolist())
      if taken > LARGEST:
        raise ValueError(f'it unpacks to {taken >> 20} MiB')
      arrays = {key: stored[key] for key in stored.files}
  except AttributeError:
    raise BadInput(f'{path}: not a readable .npz file (it holds one array)') from None
  except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as e:
    raise BadInput(f'{path}: not a readable .npz file ({e})') from e

  def under(prefix):
    return {key[len(prefix) :]: value for key, value in arrays.items() if key.startswith(prefix)}

  try:
    recipe = json.loads(str(arrays['recipe'])) if 'recipe' in arrays else []
    config = json.loads(str(arrays['cfg'])) if 'cfg' in arrays else {}
    stored, weights = under('w/'), {}
    for row in recipe:
      key = row['key']
      weights[key] = _check_weight(stored[key] if key in stored else draw_weight(row), row, path)
  except BadInput:
    raise
  except (KeyError, TypeError, ValueError) as e:
    raise BadInput(f'{path}: its cfg or recipe cannot be read ({type(e).__name__}: {e}); the file is damaged') from e
  parts = {row['key']: row['part'] for row in recipe if 'part' in row}
  return Fixture(path.stem, under('in/'), under('out/'), weights, parts, config)


def _check_weight(weight: np.ndarray, row: dict, path: Path) -> np.ndarray:
  total, squares = weight.sum(dtype=np.float64), np.square(weight.astype(np.float64)).sum()
  if abs(total - row['sum']) > 1e-6 * (1 + abs(total)) or abs(squares - row['sumsq']) > 1e-6 * (1 + squares):
    raise BadInput(f'{path}: weight {row["key"]} is not the one that the reference used; the file is damaged')
  return weight


def draw_weight(row: dict) -> np.ndarray:
  """The float32 weight of a recipe's row."""
  seed = zlib.crc32(f'{row["tag"]}/{row["key"]}'.encode()) & 0x7FFFFFFF
  drawn = np.random.RandomState(seed).random_sample(tuple(row['shape']))
  weight = (row['lo'] + (row['hi'] - row['lo']) * drawn).astype(np.float32)
  if row['flag'] == 'saln_bias':
    weight[: len(weight) // 2] += np.float32(1)
  elif row['flag'] == 'row0':
    weight[0] = 0
  return weight
