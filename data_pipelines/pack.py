"""Packing: features of recordings in the packed format that training reads (dubber_jax.data.packed). Resumable."""

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from data_pipelines.extract import VERSION, ExtractionJob, WorkFolder, extract, extract_all, extract_sound
from data_pipelines.recordings import Recording, read_recordings
from dubber_jax.data.packed import PackedSet, write_packed
from dubber_jax.errors import BadInput
from dubber_jax.storage.hashing import sha256_text


def pack_set(name: str, out: str | Path, films: bool = True, root: str | Path | None = None, workers: int = 1) -> Path:
  """Packs one data set into the folder `out`/NAME-HASH, unless it exists, and returns it.

  `name` may also be the path of a prepared data set (prepare.py), which needs no packing. Recordings that cannot be
  used are listed in skipped.jsonl with the reason. A killed run resumes.
  """
  if os.sep in str(name):
    return Path(name)
  return pack_recordings(name, [r for r in read_recordings(name, root) if r.text], out, films, workers)


def pack_sources(names: Iterable[str], out: str | Path, workers: int = 1) -> list[Path]:
  """The packed folders of several data sets, packed where they are not yet; of a folder of shards (teacher_corpus.py),
  the finished shards. Raises BadInput for a path without any."""
  folders = []
  for name in names:
    path = pack_set(name, out, workers=workers)
    shards = sorted(shard for shard in path.glob('shard_????') if (shard / 'items.jsonl').exists())
    if not shards and not path.is_dir():
      raise BadInput(f'{path}: no such data set; make it first (data_pipelines/teacher_corpus.py or dubber prepare)')
    folders += shards or [path]
  return folders


def pack_sound(name: str, out: str | Path, root: str | Path | None = None, workers: int = 1) -> Path:
  """Packs one data set without its texts, for vocoder training, into `out`/NAME-sound-HASH, and returns that."""
  if os.sep in str(name):
    return Path(name)
  return pack_recordings(f'{name}-sound', read_recordings(name, root), out, False, workers, features=extract_sound)


def folders_with_sound(folders: Sequence[str | Path]) -> list[Path]:
  """The packed folders that have waves.npy. Raises BadInput where none has."""
  found = [Path(f) for f in folders if (Path(f) / 'waves.npy').exists()]
  if not found:
    raise BadInput(f'no waves.npy in {", ".join(map(str, folders))}: pack the sets again, which keeps their sound')
  return found


def items_per_folder(folders: Iterable[str | Path], per_set: int) -> dict[Path, int]:
  """How many items to take of each packed folder for about `per_set` of each data set.

  A set that lies in several folders is sampled in proportion to their items. A folder of pack_sound is not counted
  where its set is packed with texts too.
  """
  packed = {Path(folder): PackedSet(folder) for folder in folders}
  name = {folder: found.rows[0]['set'] for folder, found in packed.items() if found.rows}
  spoken = {folder for folder in name if packed[folder].phonemes.any()}
  with_text = {name[folder] for folder in spoken}
  counted = [folder for folder in name if folder in spoken or name[folder] not in with_text]
  sizes = Counter()
  for folder in counted:
    sizes[name[folder]] += len(packed[folder])
  return {folder: math.ceil(per_set * len(packed[folder]) / sizes[name[folder]]) for folder in counted}


def pack_recordings(
  name: str,
  recordings: list[Recording],
  out: str | Path,
  films: bool = True,
  workers: int = 1,
  called: Callable | None = None,
  features: Callable = extract,
) -> Path:
  """Packs recordings as `pack_set` does. `called` gives each a name, and a changed name makes another folder.
  `features` computes the features of one: `extract` or `extract_sound`."""
  films = films and any(r.has_video for r in recordings)
  listing = '\n'.join(called(r) if called else f'{r.key} {r.text}' for r in recordings)
  digest = sha256_text(f'{VERSION} {films} {listing}')[:8]
  folder = Path(out) / f'{name}-{digest}'
  if (folder / 'items.jsonl').exists():
    return folder
  work = WorkFolder(Path(out) / f'{name}-{digest}.items')
  print(f'features of {name}')
  skipped = extract_all(recordings, ExtractionJob(work, films, features), workers)
  done = ((r, work.load(r)) for r in recordings)
  write_packed(folder, ((recording_row(r), found) for r, found in done if found is not None))
  (folder / 'skipped.jsonl').write_text(''.join(json.dumps(s, ensure_ascii=False) + '\n' for s in skipped))
  return folder


def recording_row(r: Recording) -> dict:
  """A recording's row of items.jsonl: its metadata."""
  row = {'key': r.key, 'set': r.set, 'speaker': r.speaker, 'text': r.text, 'emotion': r.emotion, 'split': r.split}
  return row | r.details | ({} if r.intensity is None else {'intensity': r.intensity})
