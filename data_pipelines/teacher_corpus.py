"""Synthetic training corpus: packed features of the teacher's speech, with its durations as alignment. Resumable.

    npm pack kokoro-js@1.2.1
    pip install --no-deps -r requirements-teacher.txt
    OMP_NUM_THREADS=1 python -m data_pipelines.teacher_corpus --voices kokoro-js-1.2.1.tgz --out cache/teacher

Each row of the plan (teacher_plan.py) is synthesized and its features are computed; every 250 rows become one packed
folder, cache/teacher/shard_0000 and so on, written atomically: training can start on finished shards. English is
shards 0 to 32, Mandarin 33 to 38; `--shards 33:39 0:33` makes Mandarin first. Rows that cannot be used are listed in
skipped.jsonl with the reason.
"""

import argparse
import contextlib
import dataclasses
import errno
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_pipelines.extract import LEAD, TAIL, ExtractionJob, WorkFolder, speaker_gain
from data_pipelines.recordings import data_root
from data_pipelines.teacher_mandarin import mandarin_phonemes, map_mandarin
from data_pipelines.teacher_plan import Row, english_plan, mandarin_plan, plan_hash
from data_pipelines.teacher_speech import RATE, VOICES_FILE, Teacher, accent_of, clean_text, english_phonemes
from data_pipelines.teacher_symbols import map_english, place
from dubber_jax.data.packed import FULL_SCALE, quantize, quantize_wave, write_packed
from dubber_jax.errors import BadInput, exit_code
from dubber_jax.perception.config import FeatureConfig
from dubber_jax.script.alignment import Alignment, durations_in_frames
from dubber_jax.script.g2p import encode
from dubber_jax.script.symbols import SILENCES
from dubber_jax.storage.atomic import complete_file, remove_partials, write_json
from dubber_jax.storage.locks import locked
from dubber_jax.types import SAMPLE_RATE

VERSION = 1  # increased when the features of a row change
SHARD_ROWS = 250  # rows of a packed folder
LOUDNESS_ROWS = 10  # first rows of a stock voice whose loudness is measured


@dataclasses.dataclass(frozen=True)
class Language:
  """Text to teacher symbols, and teacher symbols to the actor's, of one language."""

  phonemes: Callable[[str, dict[str, float]], str]  # text, shares of the voice -> the teacher's symbols
  symbols: Callable[..., tuple[list[str], np.ndarray]]  # text, those, their durations -> our symbols (N,), steps (N,)
  sample: str  # a text that can be converted if the language's packages are installed


LANGUAGES = {
  'en': Language(
    lambda text, shares: english_phonemes(clean_text(text), accent_of(shares)),
    lambda text, phonemes, durations: map_english(phonemes, durations),
    'Yes.',
  ),
  'zh': Language(
    lambda text, shares: mandarin_phonemes(text)[0],
    lambda text, phonemes, durations: map_mandarin(phonemes, durations, mandarin_phonemes(text)[1]),
    '好。',
  ),
}


class Corpus:
  """The corpus in folder `out`, from `rows` of a plan. `teacher` loads the Teacher when the first row needs it."""

  def __init__(
    self,
    out: str | Path,
    rows: list[Row],
    teacher: Callable[[], Teacher],
    root: str | Path | None = None,
    keep: bool = False,
  ):
    self.out, self.rows, self.root, self.keep = Path(out), rows, data_root(root), keep
    self.make_teacher, self.teacher = teacher, None
    self.sounds = ExtractionJob(WorkFolder(self.out / 'items' / 'sounds'), False, self._speak)
    self.features = ExtractionJob(WorkFolder(self.out / 'items' / 'features'), False, self._features)
    self.known: set[str] = set()  # languages whose packages are installed
    self.rows_of: dict[str, list[Row]] = {}
    for row in rows:
      self.rows_of.setdefault(row.voice, []).append(row)

  def build(self, shards: Sequence[int] | None = None) -> None:
    """Builds the missing shards among `shards` (numbers; None: all), in the order given.

    Raises BadInput for a folder with another plan's corpus or one that another process is building, for missing parts
    of the teacher, and for a full disk.
    """
    count = -(-len(self.rows) // SHARD_ROWS)
    shards = range(count) if shards is None else shards
    missing = [number for number in shards if not 0 <= number < count]
    if missing:
      raise BadInput(f'there is no shard {missing[0]}: the plan has {count}, 0:{count}')
    try:
      with self._alone():
        for number in shards:
          if not (self.shard(number) / 'items.jsonl').exists():
            self._build_shard(number)
    except OSError as e:
      if e.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise
      raise BadInput(f'{self.out}: the disk is full; free some space, and the same command goes on') from e

  def shard(self, number: int) -> Path:
    return self.out / f'shard_{number:04d}'

  @contextlib.contextmanager
  def _alone(self):
    """Holds the folder's lock, after checking its plan; removes the partial files of a killed process."""
    with locked(self.out, 'another process is building this corpus; wait for it'):
      self._check_plan()
      remove_partials(self.out)
      for work in (self.sounds, self.features):
        work.folder.path.mkdir(parents=True, exist_ok=True)
        remove_partials(work.folder.path)
      yield

  def _check_plan(self):
    """Raises BadInput for a folder made from other rows of a language or by another version. Languages may be added."""
    path, languages = self.out / 'corpus.json', {row.language for row in self.rows}
    about = {n: plan_hash([row for row in self.rows if row.language == n]) for n in sorted(languages)}
    about['version'] = VERSION
    there = json.loads(path.read_text()) if path.exists() else {}
    if any(there[name] != about[name] for name in there.keys() & about.keys()):
      raise BadInput(f'{self.out} holds the corpus of another plan or version; give another folder, or delete it')
    write_json(there | about, path, overwrite=True)

  def _build_shard(self, number: int):
    rows = self.rows[number * SHARD_ROWS : (number + 1) * SHARD_ROWS]
    with tqdm(rows, desc=self.shard(number).name, unit='row') as bar:
      for row in bar:
        self._do(row)
    done = ((row, self.features.folder.load(row)) for row in rows)
    write_packed(self.shard(number), ((corpus_row(row), features) for row, features in done if features is not None))
    self._note_skipped(rows)
    if not self.keep:
      for work in (self.sounds, self.features):
        for row in rows:
          work.folder.file(row).unlink(missing_ok=True)

  def _do(self, row: Row):
    if self.features.folder.done(row):
      return
    if not row.file and row.language not in self.known:  # without its packages every row would fail
      LANGUAGES[row.language].phonemes(LANGUAGES[row.language].sample, dict(row.shares))
      self.known.add(row.language)
    self._sound(row)
    if not self.sounds.folder.reason(row).exists():
      self.features(row, self.gain(dict(row.shares)))

  def _note_skipped(self, rows):
    path, keys = self.out / 'skipped.jsonl', {row.key for row in rows}
    old = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    new = self.sounds.folder.skipped(rows) + self.features.folder.skipped(rows)
    with complete_file(path, overwrite=True) as beside:
      listed = [s for s in old if s['key'] not in keys] + new
      beside.write_text(''.join(json.dumps(s, ensure_ascii=False) + '\n' for s in listed), 'utf-8')

  def gain(self, shares: dict[str, float]) -> float:
    """Linear gain that brings a voice to -23 LUFS, one for all its rows, so that their relative levels stay.

    The gain of a stock voice is measured on its first rows and kept in gains.json; that of a blend is the weighted mean
    of its stock voices' gains in dB. (Rows of one voice differ by 0.6 dB; 35 blends differed from that mean by 0.5 dB.)
    """
    path = self.out / 'gains.json'
    gains = json.loads(path.read_text()) if path.exists() else {}
    for voice in shares:
      if voice not in gains:
        gains[voice] = speaker_gain([self._loudness(row) for row in self.rows_of.get(voice, ())[:LOUDNESS_ROWS]])
        write_json(gains, path, overwrite=True)
    return float(np.exp(np.average(np.log([gains[v] for v in shares]), weights=list(shares.values()))))

  def _loudness(self, row: Row) -> float:
    from dubber_jax.media.loudness import integrated_loudness

    sound = self._sound(row)
    return integrated_loudness(sound['wave'], RATE) if sound else -np.inf

  def _sound(self, row: Row) -> dict | None:
    """wave (S,) float32 at 24 kHz, phonemes and durations (N + 2,) of a row, or None where synthesis failed."""
    if row.file:
      from dubber_jax.media.sound import read_sound

      durations = np.array(row.durations)
      wave = read_sound(self.root / row.file, RATE)
      return {'wave': wave, 'phonemes': row.phonemes, 'durations': durations}
    if not self.sounds.folder.done(row):
      self.teacher = self.teacher or self.make_teacher()
      self.sounds(row, 1.0)
    sound = self.sounds.folder.load(row)
    if sound is None:
      return None
    wave = sound['wave'].astype(np.float32) * (FULL_SCALE / 32768)
    return {'wave': wave, 'phonemes': str(sound['phonemes']), 'durations': sound['durations']}

  def _speak(self, row: Row, gain: float, films: bool) -> dict:
    phonemes = LANGUAGES[row.language].phonemes(row.text, dict(row.shares))
    speech = self.teacher.speak(phonemes, dict(row.shares), row.speed, row.edit)
    wave = np.clip(np.rint(speech.wave * (32768 / FULL_SCALE)), -32768, 32767).astype(np.int16)
    return {'wave': wave, 'phonemes': phonemes, 'durations': speech.durations}

  def _features(self, row: Row, gain: float, films: bool) -> dict:
    sound = self._sound(row)
    symbols, steps = LANGUAGES[row.language].symbols(row.text, sound['phonemes'], sound['durations'])
    return features_of(sound['wave'] * gain, place(sound['wave'], symbols, steps))


def features_of(wave24k: np.ndarray, alignment: Alignment) -> dict[str, np.ndarray]:
  """Features of an utterance (S,) float32 at 24 kHz and at its final level, named as those of data_pipelines.extract.

  It is trimmed to its speech, with 0.2 s before and 0.3 s after it. Durations add up to the mel's frames.
  """
  from dubber_jax.media.mel import mel_numpy
  from dubber_jax.media.sound import resample
  from dubber_jax.perception.prosody import track_pitch
  from dubber_jax.perception.speaker import embed_speaker

  wave = resample(wave24k, RATE, SAMPLE_RATE)
  spoken = [i for i, symbol in enumerate(alignment.phonemes) if symbol not in SILENCES]
  start = max(alignment.starts[spoken[0]] - LEAD, 0.0)
  end = min(alignment.ends[spoken[-1]] + TAIL, len(wave) / SAMPLE_RATE)
  wave = wave[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
  times = {name: np.clip(getattr(alignment, name) - start, 0, end - start) for name in ('starts', 'ends')}
  mel = mel_numpy(wave)
  return {
    'mel': quantize(mel),
    'pitch': track_pitch(wave, SAMPLE_RATE, len(mel)),
    'phonemes': encode(alignment.phonemes),
    'durations': durations_in_frames(dataclasses.replace(alignment, **times), len(mel)),
    'lips': np.zeros((0, FeatureConfig.lip_width)),
    'lip_present': np.zeros(0, bool),
    'speaker': embed_speaker(wave, SAMPLE_RATE),
    'wave': quantize_wave(wave, len(mel)),
  }


def corpus_row(row: Row) -> dict:
  """A row's metadata in items.jsonl. Its emotion is neutral, since the teacher's speech does not express the text's."""
  return {
    'key': row.key,
    'set': 'kokoro',
    'speaker': row.speaker,
    'text': row.text,
    'emotion': 'neutral',
    'split': row.split,
    'language': row.language,
    'source': row.source,
    'line_emotion': row.emotion,
    'speed': row.speed,
    'edit': dataclasses.asdict(row.edit) if row.edit else None,
  }


def _shards(text: str) -> range:
  first, _, last = text.partition(':')
  return range(int(first), int(last) if last else int(first) + 1)


def corpus_plan() -> list[Row]:
  """The rows of both languages. The English rows fill whole shards, so that Mandarin begins with a new one."""
  return english_plan() + mandarin_plan()


def main(arguments: Sequence[str] | None = None) -> int:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--parts', default='.', help='folder with the tarball, and with packages if not installed')
  parser.add_argument('--voices', help=f'path of {VOICES_FILE} (default: in --parts)')
  parser.add_argument('--out', default='cache/teacher')
  parser.add_argument(
    '--shards',
    type=_shards,
    nargs='+',
    metavar='FIRST:END',
    help='in this order, as 33:39 0:33; English is 0:33, Mandarin 33:39; default all',
  )
  parser.add_argument('--threads', type=int, default=1)
  parser.add_argument('--keep', action='store_true', help='keep the sound and features of single rows')
  g = parser.parse_args(arguments)
  sys.path.append(str(Path(g.parts) / 'site'))
  voices = g.voices or Path(g.parts) / VOICES_FILE
  shards = [number for part in g.shards for number in part] if g.shards else None
  return exit_code(lambda: Corpus(g.out, corpus_plan(), lambda: Teacher(voices, g.threads), keep=g.keep).build(shards))


if __name__ == '__main__':
  sys.exit(main())
