"""Recordings of a data set as its JSON-lines listing gives them. Original directory layouts: corpora.py."""

import dataclasses
import json
import os
from pathlib import Path

from dubber_jax.errors import BadInput


@dataclasses.dataclass(frozen=True)
class Recording:
  """One utterance: an audio or video file, or part of one, with its metadata."""

  set: str
  id: str
  speaker: str
  path: Path
  text: str
  emotion: str
  split: str
  has_video: bool
  words: tuple = ()  # GRID: (start s, end s, word)
  start: float | None = None  # s in the file; None: from its beginning, to its end
  end: float | None = None
  intensity: float | None = None  # 0 to 1, of an acted emotion
  sound: Path | None = None  # an audio file to be used instead of the video's sound
  details: dict = dataclasses.field(default_factory=dict, hash=False)  # fields of DETAILS that its listing gives

  @property
  def key(self) -> str:
    return f'{self.set}/{self.speaker}/{self.id}'


INTENSITIES = {'normal': 0.6, 'strong': 1.0}
DETAILS = ('language', 'source', 'speed', 'edit')  # of synthetic speech, see teacher_corpus.corpus_row
FILMS = frozenset('.mp4 .flv .mkv .mov .mpg .mpeg .webm .avi .m4v'.split())


def spoken_grid(text: str) -> str:
  """A GRID sentence with its letter capitalized, so that "a" is read as the letter and not as the article."""
  words = text.split()
  return ' '.join([*words[:3], words[3].upper(), *words[4:]]) if len(words) == 6 else text


def data_root(root: str | None = None) -> Path:
  """The folder of the data sets: `root`, else DUBBER_DATA, else shared/data beside the checkout (or, of an installed
  package, beside the working folder). Raises BadInput where there is none."""
  given = root or os.environ.get('DUBBER_DATA')
  places = [beside / 'shared' / 'data' for beside in (Path(__file__).resolve().parents[2], Path.cwd().parent)]
  path = Path(given) if given else next((place for place in places if place.is_dir()), places[-1])
  if not path.is_dir():
    raise BadInput(f'no data at {path}: set DUBBER_DATA to the folder that holds grid.jsonl and the other lists')
  return path


def read_recordings(name: str, root: str | None = None) -> list[Recording]:
  """All recordings of NAME.jsonl. Raises BadInput for a missing listing or a row that cannot be read."""
  listing = data_root(root) / f'{name}.jsonl'
  if not listing.exists():
    raise BadInput(f'no data set {name!r}: {listing} does not exist')
  recordings, write = [], spoken_grid if name == 'grid' else str
  for number, row in enumerate(listing.read_text(encoding='utf-8').splitlines(), 1):
    try:
      r = json.loads(row)
      recordings.append(
        Recording(
          name,
          r['id'],
          r['speaker'],
          listing.parent / r['file'],
          write(r.get('text') or ''),
          r.get('emotion', 'neutral'),
          r.get('split', 'train'),
          Path(r['file']).suffix in FILMS,
          tuple(tuple(w) for w in r.get('words', ())),
          intensity=INTENSITIES.get(r.get('intensity')),
          details={name: r[name] for name in DETAILS if name in r},
        )
      )
    except (json.JSONDecodeError, KeyError) as e:
      raise BadInput(f'{listing}, row {number}: {e!r}; each row needs id, speaker and file') from e
  return recordings
