"""From recordings to packed features, the format that experiments read. Resumable, an item at a time."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from data_pipelines.extract import VERSION, Work, WorkFolder, extract_all
from data_pipelines.recordings import Recording, read_recordings
from dubber_jax.training.packed import write_packed


def pack_set(name: str, out, films: bool = True, root=None, workers: int = 1) -> Path:
  """Packs one data set under `out`/NAME-HASH and returns that folder; done already, it is only returned.

  `name` may also be the path of a prepared data set (prepare.py), which needs no packing. Recordings that fail are
  listed in skipped.jsonl with the reason. Killed, it goes on where it was.
  """
  if os.sep in str(name):
    return Path(name)
  return pack_recordings(name, [r for r in read_recordings(name, root) if r.text], out, films, workers)


def pack_recordings(
  name: str, recordings: list[Recording], out, films: bool = True, workers: int = 1, called: Callable | None = None
) -> Path:
  """The same of any recordings. `called` gives each a name; a set is packed anew where one has changed."""
  films = films and any(r.has_video for r in recordings)
  listing = '\n'.join(called(r) if called else f'{r.key} {r.text}' for r in recordings)
  digest = hashlib.sha256(f'{VERSION} {films} {listing}'.encode()).hexdigest()[:8]
  folder = Path(out) / f'{name}-{digest}'
  if (folder / 'items.jsonl').exists():
    return folder
  work = WorkFolder(Path(out) / f'{name}-{digest}.items')
  print(f'features of {name}')
  skipped = extract_all(recordings, Work(work, films), workers)
  done = ((r, work.load(r)) for r in recordings)
  write_packed(folder, ((describe(r), features) for r, features in done if features is not None))
  (folder / 'skipped.jsonl').write_text(''.join(json.dumps(s, ensure_ascii=False) + '\n' for s in skipped))
  return folder


def describe(r: Recording) -> dict:
  """What is kept of a recording besides its features."""
  row = {'key': r.key, 'set': r.set, 'speaker': r.speaker, 'text': r.text, 'emotion': r.emotion, 'split': r.split}
  return row if r.intensity is None else row | {'intensity': r.intensity}
