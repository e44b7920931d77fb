"""Packing of a folder with recordings of one speaker, for voice adaptation (`experiments/recipes/adapt_voice.py`).

Texts are read from NAME.txt beside NAME.wav, or from the folder's metadata.csv or metadata.jsonl. Recordings without a
text are transcribed once by pocketsphinx (script/asr.py), never by the Whisper model that measures word error rate.
Long recordings are split at pauses between words.
"""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from data_pipelines.extract import content_name
from data_pipelines.pack import pack_recordings
from data_pipelines.recordings import Recording
from dubber_jax.data.packed import PackedSet
from dubber_jax.errors import BadInput
from dubber_jax.retrieval.build import MEDIA
from dubber_jax.script.asr import (  # LONGEST fits a bucket of 640 frames
  MAX_PIECE,
  Word,
  recognize,
  split_at_pauses,
  transcript,
)
from dubber_jax.storage.atomic import complete_file
from dubber_jax.types import HOP, SAMPLE_RATE

SOUNDS = MEDIA | {'.aac', '.aif', '.aiff', '.oga', '.wma'}
TABLES = ('metadata.jsonl', 'metadata.csv')
FILE_COLUMNS = ('file_name', 'file', 'path', 'audio', 'id')
TEXT_COLUMNS = ('text', 'transcription', 'transcript', 'sentence')
MARGIN = 0.4  # s kept before and after a piece, at most half the pause
MAX_ALIGNED = 60.0  # s: longest recording whose automatic transcript is aligned again
MIN_SPEECH, RECOMMENDED_SPEECH = 10.0, 60.0  # s of speech: required, and enough for a good adaptation

Transcriber = Callable[[np.ndarray, int], list[Word]]  # (S,) and its sample rate -> its words with times


def pack_voice(
  folder: str | Path,
  out: str | Path,
  workers: int = 1,
  transcriber: Transcriber | None = None,
  say: Callable[[str], None] = print,
) -> Path:
  """Packs the recordings in `folder`, named by it, under `out`, and returns the packed folder.

  `transcriber` transcribes recordings without a text, by default pocketsphinx. Its transcripts are kept in
  OUT/NAME.heard.jsonl, where they may be corrected. Recordings that cannot be used are reported by `say`, a line each.
  Raises BadInput for less than MIN_SPEECH s of speech.
  """
  folder, out = Path(folder).resolve(), Path(out)
  recordings = find_voice_recordings(folder, out / f'{folder.name}.heard.jsonl', transcriber, say)
  packed = pack_recordings(folder.name, recordings, out, workers=workers, called=content_name)
  for row in map(json.loads, (packed / 'skipped.jsonl').read_text().splitlines()):
    say(f'skipped: {_with_path(row["file"], row["why"])}')
  pieces = PackedSet(packed)
  seconds = float(pieces.frames.sum()) * HOP / SAMPLE_RATE
  if seconds < MIN_SPEECH:
    raise BadInput(
      f'{folder}: {seconds:.1f} s of speech can be used and {MIN_SPEECH:g} s are needed, better '
      f'{RECOMMENDED_SPEECH:g} s or more; add recordings'
    )
  few = '' if seconds >= RECOMMENDED_SPEECH else f'; {RECOMMENDED_SPEECH:g} s or more would sound more like the speaker'
  say(f'{folder.name}: {seconds:.0f} s of speech in {len(pieces)} pieces{few}')
  return packed


def find_voice_recordings(
  folder: str | Path, stored: str | Path, transcriber: Transcriber | None = None, say: Callable[[str], None] = print
) -> list[Recording]:
  """Utterances of at most MAX_PIECE s, with their texts, of every audio file under `folder`.

  stored: the JSON-lines file of automatic transcripts. A file that cannot be read is reported and skipped. Raises
  BadInput for a folder without audio, and for a table of texts that cannot be read.
  """
  from dubber_jax.media.sound import read_sound

  folder = Path(folder)
  if not folder.is_dir():
    raise BadInput(f'{folder}: no such folder; give the one with the recordings of the voice')
  paths = sorted(p for p in folder.rglob('*') if p.suffix.lower() in SOUNDS and not p.name.startswith('.'))
  if not paths:
    raise BadInput(f'{folder}: no recording in it; put some there (wav, flac, mp3, opus, m4a ...)')
  texts = read_texts(folder, paths)
  transcripts = Transcripts(Path(stored), folder, transcriber, say, len(paths) - len(texts))
  recordings = []
  for path in paths:
    try:
      wave = read_sound(path, SAMPLE_RATE)
      seconds = len(wave) / SAMPLE_RATE
      text = texts.get(path) or transcript(transcripts.words(path, wave))
      if seconds <= MAX_PIECE + 2 * MARGIN:
        parts = [(None, None, text)] if text else []
      else:
        words = align_words(wave, text) if path in texts else refine_times(wave, transcripts.words(path, wave))
        parts = [(*piece_span(part, seconds), transcript(part)) for part in split_at_pauses(words)]
    except BadInput as e:
      say(f'skipped: {_with_path(path, e)}')
      continue
    if not parts:
      say(f'skipped: {path}: no speech was found in it')
    name = '_'.join(path.relative_to(folder).with_suffix('').parts)
    for i, (start, end, text) in enumerate(parts):
      recordings.append(
        Recording(
          'voice', f'{name}{path.suffix}_{i}', folder.name, path, text, 'neutral', 'train', False, (), start, end
        )
      )
  if not recordings:
    raise BadInput(f'{folder}: none of {len(paths)} recordings can be used, for the reasons above')
  return recordings


def _with_path(path, why) -> str:
  """A reason that begins with the file's path."""
  return str(why) if str(path) in str(why) else f'{path}: {why}'


def read_texts(folder: Path, paths: Iterable[Path]) -> dict[Path, str]:
  """Texts by recording; NAME.txt takes precedence over a table."""
  rows = {}
  for table in (folder / name for name in TABLES):
    if table.exists():
      rows |= dict(_read_table(table))
  texts = {}
  for path in paths:
    inside = path.relative_to(folder)
    called = (str(inside), str(inside.with_suffix('')), path.name, path.stem)
    text = next((rows[name] for name in called if name in rows), '')
    beside = path.with_suffix('.txt')
    if beside.exists():
      try:
        text = beside.read_text(encoding='utf-8-sig')
      except (OSError, UnicodeDecodeError) as e:
        raise BadInput(f'{beside}: cannot be read as UTF-8 text ({e}); save it as such') from e
    if text.split():
      texts[path] = ' '.join(text.split())
  return texts


def _read_table(path: Path):
  """Yields (file, text) of each row of JSON lines, of a CSV with a header, or of LJ Speech's rows id|text."""
  try:
    lines = [row for row in path.read_text(encoding='utf-8-sig').splitlines() if row.strip()]
    if path.suffix == '.jsonl':
      rows = [json.loads(row) for row in lines]
    elif lines and '|' in lines[0]:
      rows = [row.split('|') for row in lines]
    else:
      rows = list(csv.reader(lines))
  except (OSError, ValueError, csv.Error) as e:
    raise BadInput(f'{path}: cannot be read ({e}); give UTF-8, a row a recording, as file_name,text') from e
  if rows and isinstance(rows[0], list):
    header = rows.pop(0) if set(rows[0]) & set(FILE_COLUMNS) else None
    rows = [dict(zip(header, row, strict=False)) if header else {'file': row[0], 'text': row[-1]} for row in rows]
  for number, row in enumerate(rows, 1):
    file, text = (next((row[c] for c in names if row.get(c)), None) for names in (FILE_COLUMNS, TEXT_COLUMNS))
    if file is None:
      raise BadInput(f'{path}, entry {number}: names no file; give file_name and text in each')
    yield str(file), str(text or '')


def align_words(wave: np.ndarray, text: str) -> list[Word]:
  """Words of the text with their times, by forced alignment. Raises BadInput where the text does not fit the sound."""
  from dubber_jax.media.sound import resample
  from dubber_jax.script.alignment import RATE, align

  return list(align(resample(wave, SAMPLE_RATE, RATE), text).words)


def refine_times(wave: np.ndarray, found: list[Word]) -> list[Word]:
  """An automatic transcript with the more accurate times of forced alignment, where that finds all its words."""
  if not found or len(wave) > MAX_ALIGNED * SAMPLE_RATE:
    return found
  try:
    return align_words(wave, transcript(found))
  except BadInput:
    return found


def piece_span(words: list[Word], seconds: float) -> tuple[float, float]:
  """(start s, end s) of a piece of a recording, with MARGIN on both sides."""
  return max(words[0][0] - MARGIN, 0.0), min(words[-1][1] + MARGIN, seconds)


def transcribe(wave: np.ndarray, sample_rate: int) -> list[Word]:
  """Automatic transcript of (S,), by the recognizer that also serves `--voice FILE`.

  The evaluation's Whisper must not transcribe training data: a voice trained on its errors would be scored by a judge
  that makes the same ones.
  """
  from dubber_jax.media.sound import resample
  from dubber_jax.script.alignment import RATE

  return recognize(resample(wave, sample_rate, RATE))


class Transcripts:
  """Automatic transcripts of recordings, kept in a JSON-lines file that may be corrected by hand."""

  def __init__(self, path: Path, folder: Path, transcriber: Transcriber | None, say: Callable[[str], None], count: int):
    self.path, self.folder, self.transcriber, self.say, self.count = path, folder, transcriber, say, count
    try:
      rows = [json.loads(row) for row in path.read_text(encoding='utf-8').splitlines()] if path.exists() else []
      self.rows = {row['file']: row for row in rows}
    except (OSError, ValueError, KeyError) as e:
      raise BadInput(f'{path}: cannot be read ({e}); correct it, or delete it and it is made again') from e

  def words(self, path: Path, wave: np.ndarray) -> list[Word]:
    """Words with times of a recording, transcribed unless its unchanged file was before."""
    file = str(path.relative_to(self.folder))
    state = [path.stat().st_size, path.stat().st_mtime_ns]
    row = self.rows.get(file)
    if row is None or row['state'] != state:
      words = [[round(start, 2), round(end, 2), word] for start, end, word in self._transcribe(wave)]
      row = self.rows[file] = {'file': file, 'words': words, 'state': state}
      self.path.parent.mkdir(parents=True, exist_ok=True)
      with complete_file(self.path, overwrite=True) as beside:
        beside.write_text(''.join(json.dumps(r, ensure_ascii=False) + '\n' for r in self.rows.values()), 'utf-8')
    return [tuple(word) for word in row['words']]

  def _transcribe(self, wave):
    if self.transcriber is None:
      self.say(
        f'{self.count} recordings have no text (NAME.txt beside NAME.wav): pocketsphinx transcribes them into '
        f'{self.path}, where the text may be corrected'
      )
      self.transcriber = transcribe
    return self.transcriber(wave, SAMPLE_RATE)
