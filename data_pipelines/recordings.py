"""The recordings of a data set, as its JSON-lines list names them."""

import dataclasses
import json
import os
from pathlib import Path

from dubber_jax.errors import BadInput


@dataclasses.dataclass(frozen=True)
class Recording:
  """One row: a file of sound, or of pictures and sound, with what is known of it."""

  set: str
  id: str
  speaker: str
  path: Path
  text: str
  emotion: str
  split: str
  has_video: bool
  words: tuple = ()  # GRID: (start s, end s, word)

  @property
  def key(self) -> str:
    return f'{self.set}/{self.speaker}/{self.id}'


def data_root(root: str | None = None) -> Path:
  """The folder with the data sets: `root`, else DUBBER_DATA, else ../shared/data beside the checkout."""
  given = root or os.environ.get('DUBBER_DATA')
  path = Path(given) if given else Path(__file__).resolve().parents[2] / 'shared' / 'data'
  if not path.is_dir():
    raise BadInput(f'no data at {path}: set DUBBER_DATA to the folder that holds grid.jsonl and the other lists')
  return path


def read_recordings(name: str, root: str | None = None) -> list[Recording]:
  """All rows of the set `name`. Raises BadInput for a set that is not there or a row that cannot be read."""
  listing = data_root(root) / f'{name}.jsonl'
  if not listing.exists():
    raise BadInput(f'no data set {name!r}: {listing} does not exist')
  recordings = []
  for number, row in enumerate(listing.read_text(encoding='utf-8').splitlines(), 1):
    try:
      r = json.loads(row)
      recordings.append(
        Recording(
          name, r['id'], r['speaker'], listing.parent / r['file'], r.get('text') or '', r.get('emotion', 'neutral'),
          r.get('split', 'train'), Path(r['file']).suffix in ('.mp4', '.flv', '.mkv', '.mov', '.mpg', '.webm'),
          tuple(tuple(w) for w in r.get('words', ())),
        )
      )  # fmt: skip
    except (json.JSONDecodeError, KeyError) as e:
      raise BadInput(f'{listing}, row {number}: {e!r}; each row needs id, speaker and file') from e
  return recordings
