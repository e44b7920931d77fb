"""Retrieval lists of the published system: one JSON file a clip and modality (spec section 9).

Each is a list of objects, best first, of which only "file_name" is read. The release has no program for making them;
`retrieve` and `write_lists` follow the paper: cosine similarity, 100 clips of other speakers.

    python -m data_pipelines.v2c_animation --lists TREE      # for a tree of the published features
"""

import json
import os
from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath

from dubber_jax.errors import BadInput
from dubber_jax.retrieval.library import HALVES
from dubber_jax.retrieval.search import ExactSearch, unit_rows
from dubber_jax.storage.atomic import atomic_file

LISTED = 100
LIST_NAMES = {
  'scene': '{name}-scene_attri_emo.npy_top_100.json',
  'face': '{name}-face_caption.npy_top_100.json',
  'text': '{name}_top_100.json',
}
ENDINGS = {'scene': '-scene_attri_emo', 'face': '-face_caption', 'text': '-text_emo'}  # of a clip's name in them


def list_name(modality: str, name: str) -> str:
  """The file name of a clip's list."""
  return LIST_NAMES[modality].format(name=name)


def read_list(path: str | os.PathLike, modality: str) -> list[str]:
  """Names of clips, best first. Raises BadInput for a list that is missing, damaged or empty."""
  path = epath.Path(path)
  try:
    rows = json.loads(path.read_text())
    names = [row['file_name'].split(ENDINGS[modality])[0] for row in rows]
  except FileNotFoundError:
    raise BadInput(
      f'{path}: no such retrieval list; make the lists with `python -m data_pipelines.v2c_animation --lists TREE`'
    ) from None
  except (OSError, ValueError, TypeError, KeyError, AttributeError) as e:
    raise BadInput(f'{path}: not a list of objects with a file_name ({type(e).__name__}: {e}); make it again') from None
  if not names:
    raise BadInput(f'{path}: the list is empty; make it again with a larger pool')
  return names


def retrieve(
  queries: Mapping[str, np.ndarray],
  names: Sequence[str],
  speakers: Sequence[str],
  pool: Mapping[str, np.ndarray],
  pool_names: Sequence[str],
  pool_speakers: Sequence[str],
  count: int = LISTED,
) -> dict[str, list[list[tuple[str, float]]]]:
  """Exact nearest-neighbor retrieval: by modality, for each of B queries the `count` most similar clips of the pool by
  other speakers, with similarities.

  queries (B, D) and pool (N, D) by modality. For text the cosines of the halves are averaged, as in the paper. The clip
  itself is excluded. Raises BadInput where a clip has no other speakers to retrieve from.
  """
  own = np.array(speakers)[:, None] == np.array(pool_speakers)[None]
  own |= np.array(names)[:, None] == np.array(pool_names)[None]
  if own.all(1).any():
    alone = names[int(own.all(1).argmax())]
    raise BadInput(f'{alone}: there are no clips of other speakers to retrieve; give a pool with more speakers')
  retrieved = {}
  for m in queries:
    halves = HALVES.get(m, 1)
    search = ExactSearch(unit_rows(pool[m], halves))
    rows, scores = search(unit_rows(queries[m], halves), min(count, len(pool_names)), ~own)
    retrieved[m] = [
      [(pool_names[j], float(score)) for j, score in zip(row, near, strict=True) if j >= 0]
      for row, near in zip(rows, scores, strict=True)
    ]
  return retrieved


def write_lists(
  folder: str | os.PathLike, retrieved: Mapping[str, list[list[tuple[str, float]]]], names: Sequence[str]
) -> None:
  """Writes the lists that `retrieve` found for the clips `names`; each file is written atomically."""
  folder = epath.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  for m, lists in retrieved.items():
    for name, found in zip(names, lists, strict=True):
      rows = [{'file_name': f'{clip}{ENDINGS[m]}.npy', 'similarity': round(score, 6)} for clip, score in found]
      with atomic_file(folder / list_name(m, name)) as partial:
        partial.write_text(json.dumps(rows, indent=1))
