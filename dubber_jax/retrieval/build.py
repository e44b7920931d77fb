"""Builds a footage library: finds clips, extracts their embeddings and prosody, resumes after an interruption."""

import contextlib
import dataclasses
import functools
import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from etils import epath

from dubber_jax.errors import BadInput
from dubber_jax.perception.extractors import extractor_identity
from dubber_jax.perception.prosody import measure_prosody
from dubber_jax.retrieval.library import EMBEDDINGS, Library, LibraryClip, check_absent
from dubber_jax.storage.atomic import atomic_file, disk_errors, is_local, remove_abandoned, remove_partials
from dubber_jax.storage.hashing import sha256_json, sha256_text
from dubber_jax.storage.locks import locked
from dubber_jax.types import EMOTIONS, MODALITIES, SAMPLE_RATE, Clip, Line

logger = logging.getLogger(__name__)

MEDIA = frozenset('.mp4 .mkv .mov .mpg .mpeg .webm .flv .avi .m4v .wav .flac .opus .ogg .mp3 .m4a'.split())
SUBTITLES = ('.srt', '.vtt', '.ass')
HELD_OUT = ('test', 'validation')  # prefixes of splits that a library must not contain
SAVE_SECONDS = 30  # of work that an interruption may lose
SAVE_CLIPS = 64


@dataclass(frozen=True)
class Footage:
  """A clip on disk to be processed. `start` and `end` in s; None: the whole file."""

  key: str  # set/speaker/id
  path: str
  media: str  # path relative to the data folder
  speaker: str = ''
  text: str = ''
  emotion: str = ''
  start: float | None = None
  end: float | None = None


@dataclass(frozen=True)
class Entry:
  """Features of a clip: embeddings (D,) by modality and 'sound', those it has; prosody."""

  clip: LibraryClip
  embeddings: dict[str, np.ndarray]
  prosody: dict[str, float]


def build_library(
  data: str | os.PathLike,
  out: str | os.PathLike,
  progress: bool = True,
  overwrite: bool = False,
  only: Mapping[str, str] | None = None,
  licence: str = '',
  portable: bool = False,
  reader: 'FootageReader | None' = None,
) -> Library:
  """Extracts features of the clips of `data` and writes a library directory to `out`, atomically.

  data: a .jsonl (rows with id, speaker, file, text, emotion, as docs/how-to/footage.md says), a folder of such files,
  or a folder of clips with a .txt (the line) or .srt, .vtt, .ass (a line each) of the same name beside them;
  a subfolder names the speaker. only: required values of fields, as {'split': 'train_a'}; by default
  rows of test and validation splits are excluded. licence: of the clips. portable: for
  distribution; contains neither the clips' words nor their media folder, media are then looked up under DUBBER_DATA.
  reader: extracts the features of a clip (FootageReader by default).

  An interrupted run resumes from its progress folder next to `out`. Clips that cannot be read are skipped and listed in
  the library's skipped.jsonl. Raises BadInput where there is no clip or none that can be read, where `out` exists
  and `overwrite` is false, where another process indexes into it, and where the disk is full.
  """
  out = epath.Path(out)
  check_absent(out, overwrite)
  root, found = find_footage(Path(data), only)
  found, repeats = _without_repeats(found)
  reader = reader or FootageReader()
  extractors = {m: extractor_identity(e) for m, e in reader.extractors.items()}
  with _ProgressFolder.opened(out.parent / f'.{out.name}.index', extractors, found) as work:
    if is_local(out):
      remove_abandoned(Path(out))
    check_absent(out, overwrite)  # it may have come from another run that has just ended
    entries, skipped = _read_all(work, reader, found, progress)
    if not entries:
      work.remove()
      raise BadInput(f'none of the {len(found)} clips of {data} can be read; the first: {skipped[0]["reason"]}')
    library = Library.build(
      out,
      [dataclasses.replace(entry.clip, text='') if portable else entry.clip for entry in entries],
      {m: _stack(entries, m, extractors[m]['width']) for m in EMBEDDINGS},
      [entry.prosody for entry in entries],
      extractors,
      licence=licence,
      media_root='' if portable else str(root),
      overwrite=overwrite,
      skipped=skipped + repeats,
    )
    work.remove()
  return library


def _read_all(work: '_ProgressFolder', reader, found: list[Footage], progress: bool) -> tuple[list[Entry], list[dict]]:
  """Entries of all clips, and rows of skipped ones; those that the progress folder has not are read and added."""
  entries, skipped = work.read()
  done = {entry.clip.key for entry in entries} | {row['key'] for row in skipped}
  left = [footage for footage in found if footage.key not in done]
  fresh, fresh_skipped, saved = [], [], time.monotonic()
  try:
    for footage in _with_progress(left, len(found), progress):
      try:
        fresh.append(reader(footage))
      except Exception as error:  # a faulty clip must not end a long run
        reason = ' '.join(str(error).split()) or type(error).__name__
        fresh_skipped.append({'key': footage.key, 'file': footage.media, 'reason': reason})
      if len(fresh) + len(fresh_skipped) >= SAVE_CLIPS or time.monotonic() - saved > SAVE_SECONDS:
        work.add(fresh, fresh_skipped)
        fresh, fresh_skipped, saved = [], [], time.monotonic()
  finally:
    work.add(fresh, fresh_skipped)
  return work.read()


def find_footage(data: Path, only: Mapping[str, str] | None = None) -> tuple[Path, list[Footage]]:
  """Data folder or .jsonl -> root of the media paths, and the clips. Raises BadInput where there are none."""
  if not data.exists():
    raise BadInput(f'there is no data at {data}: give a .jsonl file or a folder of clips')
  tables = [data] if data.is_file() else sorted(data.glob('*.jsonl'))
  if data.is_file() and data.suffix != '.jsonl':
    raise BadInput(f'{data} is not a .jsonl file: give one, or a folder of clips')
  root = data.parent if data.is_file() else data
  root = root.resolve()
  if tables:
    rows = [(table, number, row) for table in tables for number, row in _rows(table)]
    kept = [(table, number, row) for table, number, row in rows if _is_selected(row, only)]
    if rows and not kept:
      splits = sorted({str(row.get('split')) for _, _, row in rows})
      raise BadInput(f'no row of {data} is wanted (splits: {", ".join(splits)}): choose with --only split=NAME')
    found = [_from_row(root, table, number, row) for table, number, row in kept]
  else:
    found = [footage for path in sorted(root.rglob('*')) for footage in _from_file(root, path)]
  if not found:
    raise BadInput(f'no clip in {data}: give a .jsonl file or a folder of clips ({", ".join(sorted(MEDIA))})')
  return root, found


def _without_repeats(found: list[Footage]) -> tuple[list[Footage], list[dict]]:
  """Removes duplicate keys -> the first clip of each key, and rows of skipped.jsonl for the others."""
  first, repeats = {}, []
  for footage in found:
    if footage.key in first:
      reason = f'{first[footage.key].media} has the same key: keys are set/speaker/id'
      repeats.append({'key': footage.key, 'file': footage.media, 'reason': reason})
    first.setdefault(footage.key, footage)
  return list(first.values()), repeats


class FootageReader:
  """Extracts the features of a clip with the offline extractors.

  Clips with video are analyzed by words and pixels, as targets are; for clips without video (speech corpora) captions
  are generated from the emotion label.
  """

  def __init__(self):
    from dubber_jax.perception.analyze import Extractors

    self.perception = Extractors()
    self.extractors = {m: getattr(self.perception, m) for m in EMBEDDINGS}

  def __call__(self, footage: Footage) -> Entry:
    from dubber_jax.media.sound import read_sound
    from dubber_jax.media.video import probe

    info = probe(footage.path)
    if info.has_video:
      seconds, captions, embeddings = self._from_pictures(footage)
    else:
      seconds, captions, embeddings = info.seconds, *self._from_label(footage)
    prosody = {}
    if info.has_sound:
      wave = read_sound(footage.path, SAMPLE_RATE, footage.start, footage.end)
      seconds = len(wave) / SAMPLE_RATE
      with contextlib.suppress(BadInput):  # silent: the video is still of use
        embeddings['sound'], _ = self.extractors['sound'].read(wave, SAMPLE_RATE)
      prosody = measure_prosody(wave, SAMPLE_RATE, _alignment_or_count(footage, wave))
    if not any(m in embeddings for m in MODALITIES):
      raise BadInput(f'{footage.media}: has no pictures, words or emotion to retrieve it by')
    clip = LibraryClip(
      footage.key,
      footage.speaker,
      footage.text,
      footage.emotion,
      footage.media,
      footage.start,
      footage.end,
      round(seconds, 3),
      captions,
      tuple(m for m in EMBEDDINGS if m in embeddings),
    )
    return Entry(clip, embeddings, prosody)

  def _from_pictures(self, footage):
    from dubber_jax.media.video import read_frames
    from dubber_jax.perception.analyze import read_clip

    frames, seconds = read_frames(footage.path, footage.start, footage.end)
    line = Line(footage.text or '...', footage.start, footage.end)
    clip = Clip(frames, seconds, footage.path, footage.key)
    reading = read_clip(clip, line, extractors=self.perception)
    seen = dict(zip(MODALITIES, reading.present.tolist(), strict=True))
    seen['text'] = seen['text'] and bool(footage.text)
    captions = {m: c for m, c in reading.captions.items() if seen.get(m)}
    return seconds, captions, {m: reading.embedding(m) for m in MODALITIES if seen[m]}

  def _from_label(self, footage):
    from dubber_jax.perception.captions import label_captions
    from dubber_jax.perception.text import read_text

    if footage.emotion not in EMOTIONS:
      if not footage.text:
        return {}, {}
      embedding, _, reaction = read_text(footage.text)
      return {'text': reaction}, {'text': embedding}
    rng = np.random.default_rng(int.from_bytes(bytes.fromhex(sha256_text(footage.key)[:16]), 'little'))
    captions = {m: label_captions(footage.emotion, m, rng) for m in MODALITIES if m != 'text' or footage.text}
    vectors = {m: _embed(caption) for m, caption in captions.items()}
    if footage.text:
      vectors['text'] = np.concatenate([_embed(footage.text), vectors['text']])
    return captions, vectors


@functools.lru_cache(10_000)  # sentences of a corpus and generated captions repeat
def _embed(sentence):
  from dubber_jax.perception.text import embed_text

  return embed_text([sentence])[0]


def _alignment_or_count(footage, wave):
  """The Alignment of the line to its sound, or its number of phonemes where alignment fails; None without a text."""
  from dubber_jax.media.sound import resample
  from dubber_jax.script.alignment import align
  from dubber_jax.script.g2p import phonemize
  from dubber_jax.script.symbols import SILENCES

  if not footage.text:
    return None
  try:
    phonemes = phonemize(footage.text)
  except BadInput:
    return None
  try:
    return align(resample(wave, SAMPLE_RATE, 16000), phonemes)
  except BadInput:
    return sum(symbol not in SILENCES for symbol in phonemes.symbols)


class _ProgressFolder:
  """Resumable progress: entries on disk in parts. Parts of other clips, files or extractors are deleted, and so are
  those that cannot be read, whose clips are read again."""

  def __init__(self, folder: epath.Path, extractors: Mapping, found: list[Footage]):
    self.folder = folder
    files = [(f.key, f.text, f.emotion, f.start, f.end, *_size_and_mtime(f.path)) for f in found]
    identity = sha256_json([extractors, files])
    stated = folder / 'identity'
    try:
      if not (stated.exists() and stated.read_bytes() == identity.encode()):
        for part in self._parts():
          part.unlink()
        with atomic_file(stated) as partial:
          partial.write_text(identity)
    except OSError as error:
      raise BadInput(f'cannot write beside the library, {folder}: {error.strerror or error}') from None
    self.number = max((int(re.sub(r'\D', '', part.name) or 0) + 1 for part in self._parts()), default=0)

  @classmethod
  @contextlib.contextmanager
  def opened(cls, folder: epath.Path, extractors: Mapping, found: list[Footage]) -> Iterator['_ProgressFolder']:
    """The folder, for a block in which no other process has it. Raises BadInput where another one has it."""
    with locked(folder, 'another dubber is indexing into this library; wait for it, or name another folder'):
      remove_partials(folder)
      yield cls(folder, extractors, found)

  def _parts(self) -> list:
    return sorted(self.folder.glob('part-*.npz'))

  def read(self) -> tuple[list[Entry], list[dict]]:
    entries, skipped = [], []
    for path in self._parts():
      try:
        own = _read_part(path)
      except Exception as error:  # cut off or damaged: NumPy and zipfile raise many types
        logger.warning(f'{path} is damaged ({type(error).__name__}); its clips are read again')
        path.unlink()
        continue
      entries += own[0]
      skipped += own[1]
    return entries, skipped

  def add(self, entries: list[Entry], skipped: list[dict]) -> None:
    if not entries and not skipped:
      return
    rows = {'entries': [(vars(e.clip), e.prosody) for e in entries], 'skipped': skipped}
    arrays = {f'{i}/{m}': e.embeddings[m] for i, e in enumerate(entries) for m in e.clip.present}
    path = self.folder / f'part-{self.number:05}.npz'
    with disk_errors(path), atomic_file(path) as partial, partial.open('wb') as file:
      np.savez(file, rows=np.array(json.dumps(rows)), **arrays)
    self.number += 1

  def remove(self) -> None:
    self.folder.rmtree()


def _read_part(path) -> tuple[list[Entry], list[dict]]:
  entries = []
  with path.open('rb') as file, np.load(file, allow_pickle=False) as part:
    rows = json.loads(str(part['rows']))
    for i, (clip, prosody) in enumerate(rows['entries']):
      clip = LibraryClip(**{**clip, 'present': tuple(clip['present'])})
      entries.append(Entry(clip, {m: part[f'{i}/{m}'] for m in clip.present}, prosody))
  return entries, rows['skipped']


def _size_and_mtime(path):
  try:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns
  except OSError:
    return 0, 0


def _stack(entries, modality, width) -> np.ndarray:
  rows = np.zeros((len(entries), width), np.float32)
  for i, entry in enumerate(entries):
    if modality in entry.embeddings:
      rows[i] = entry.embeddings[modality]
  return rows


def _with_progress(left, total, progress):
  from tqdm import tqdm

  return tqdm(left, desc='reading', unit='clip', total=total, initial=total - len(left), disable=not progress)


def _rows(table: Path):
  try:
    lines = table.read_text(encoding='utf-8').splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise BadInput(f'{table} cannot be read: {error}') from None
  for number, line in enumerate(lines, 1):
    if not line.strip():
      continue
    try:
      row = json.loads(line)
    except ValueError as error:
      raise BadInput(f'{table}, line {number}: not JSON ({error})') from None
    if not isinstance(row, dict) or not {'id', 'file'} <= row.keys():
      raise BadInput(f'{table}, line {number}: needs at least the fields id and file')
    yield number, row


def _is_selected(row, only) -> bool:
  if only:
    return all(str(row.get(name)) == str(value) for name, value in only.items())
  return not str(row.get('split', '')).startswith(HELD_OUT)


def _from_row(root, table, number, row) -> Footage:
  speaker = str(row.get('speaker', ''))
  try:
    start, end = (None if row.get(edge) is None else float(row[edge]) for edge in ('start', 'end'))
  except (TypeError, ValueError):
    raise BadInput(f'{table}, line {number}: start and end must be seconds') from None
  return Footage(
    f'{table.stem}/{speaker}/{row["id"]}',
    str(root / row['file']),
    str(row['file']),
    speaker,
    str(row.get('text') or ''),
    str(row.get('emotion') or ''),
    start,
    end,
  )


def _from_file(root: Path, path: Path) -> list[Footage]:
  if path.suffix.lower() not in MEDIA or not path.is_file():
    return []
  media = path.relative_to(root)
  speaker = media.parts[-2] if len(media.parts) > 1 else ''
  key = f'{root.name}/{speaker}/{path.stem}'
  script = next((path.with_suffix(s) for s in SUBTITLES if path.with_suffix(s).exists()), None)
  if script:
    from dubber_jax.script.subtitles import read_lines

    return [
      Footage(f'{key}#{i}', str(path), str(media), line.character or speaker, line.text, '', line.start, line.end)
      for i, line in enumerate(read_lines(script), 1)
    ]
  words = path.with_suffix('.txt')
  text = ' '.join(words.read_text(encoding='utf-8', errors='replace').split()) if words.exists() else ''
  return [Footage(key, str(path), str(media), speaker, text)]
