"""Stored sounds of the separator's training: speech and background (music and effects), and the mixtures made of them.

    python -m data_pipelines.dialogue_mixtures speech -o cache/mixtures/speech
    python -m data_pipelines.dialogue_mixtures beds FOLDER ... -o cache/mixtures/beds     # folders of sound files

A store is a folder of `sound.npy`, all sounds one after the other as int16, mono, and `rows.jsonl`: name, split, kind,
start and end sample. Speech is kept at 24 kHz, without the silence at both ends; backgrounds at 48 kHz, at most 90 s of
a file. FOLDER's subfolders are the sources that a row names, as the packages that were unpacked there.

Splits: no speaker and no piece of music is in two of them. Test and development speakers are those of RAVDESS,
LibriSpeech, GRID and VCTK that nothing else is trained on; of backgrounds, a fifth of the files of each source by the
hash of its name.
"""

import argparse
import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_pipelines.recordings import Recording, read_recordings
from dubber_jax.errors import BadInput, exit_code
from dubber_jax.media.sound import read_sound
from dubber_jax.storage.atomic import atomic_folder

SPEECH_RATE = 24000  # Hz
BED_RATE = 48000  # Hz
SPEECH_SETS = ('ravdess', 'librispeech', 'teacher', 'kokoro', 'kathleen', 'ljspeech', 'asterisk', 'grid', 'vctk')
LONGEST_BED = 45.0  # s kept of a file
SHORTEST = 0.1  # s
AUDIO = frozenset('.ogg .oga .wav .mp3 .opus .flac'.split())
# Parts of the paths of effects that are voices: people and creatures that speak, cry or sing are no background.
VOICES = (
  'voice speech speak player announcer feedback taunt male human woman girl laugh scream yell talk voc_ dialog prince '
  'fairy first_contact start_attack death_sound tux_ cantrepair icantcarry not_enough thisitem thouart audio-channel '
  'dwarf elf- goblin lich ghoul groan grunt moan cultist necromancer vizier gardener rosebeauty troll hogchant '
  'hell_ yoohoo kiss homerun school sportscroud yeti_ greg orc- ogre merman mermaid naga saurian '
  'drake- wose nervous ghost'
).split()
DEVELOPMENT_SPEAKERS = ('ravdess_19', 'ravdess_20')
PEAK = 32000


@dataclass(frozen=True)
class Sound:
  """One sound to store: (S,) float32, its name, source (a data set or package), speaker, split and kind."""

  wave: np.ndarray
  name: str
  source: str
  split: str
  kind: str
  speaker: str = ''


@dataclass(frozen=True)
class Store:
  """A stored set of sounds: rows, and their samples (N,) int16, memory-mapped."""

  rows: tuple[dict, ...]
  samples: np.ndarray

  def piece(self, row: dict, start: int, length: int) -> np.ndarray:
    """(length,) float32 in -1..1 of a row, from its sample `start`; zeros beyond its ends."""
    first = row['start'] + max(start, 0)
    last = min(row['end'], row['start'] + start + length)
    piece = np.zeros(length, np.float32)
    if last > first:
      at = max(-start, 0)
      piece[at : at + last - first] = self.samples[first:last].astype(np.float32) / 32768
    return piece


def open_store(folder: str | Path, split: str) -> Store:
  """Opens the rows of one split of a store. Raises BadInput where it is missing or has none of the split."""
  folder = Path(folder)
  if not (folder / 'rows.jsonl').exists():
    raise BadInput(f'{folder}: no stored sounds; make them with python -m data_pipelines.dialogue_mixtures')
  rows = [json.loads(line) for line in (folder / 'rows.jsonl').read_text(encoding='utf-8').splitlines()]
  rows = tuple(row for row in rows if row['split'] == split)
  if not rows:
    raise BadInput(f'{folder}: no sound of the split {split!r}')
  return Store(rows, np.load(folder / 'sound.npy', mmap_mode='r'))


def write_store(sounds: Iterable[Sound], out: str | Path) -> int:
  """Writes a store, atomically, and returns the number of its sounds. Each is scaled to full scale, since mixtures set
  their own levels."""
  from numpy.lib.format import open_memmap

  count = 0
  with atomic_folder(out) as folder:
    raw = folder / 'sound.raw'
    with raw.open('wb') as file, (folder / 'rows.jsonl').open('w', encoding='utf-8') as listing:
      place = 0
      for sound in sounds:
        scaled = np.round(sound.wave * (PEAK / max(np.abs(sound.wave).max(), 1e-5))).astype('<i2')
        file.write(scaled.tobytes())
        row = {'name': sound.name, 'source': sound.source, 'split': sound.split, 'kind': sound.kind}
        row |= {'speaker': sound.speaker, 'start': place, 'end': place + len(scaled)}
        listing.write(json.dumps(row, ensure_ascii=False) + '\n')
        place, count = place + len(scaled), count + 1
    if not count:
      raise BadInput(f'{out}: there is no sound to store; give folders with {", ".join(sorted(AUDIO))}')
    data = open_memmap(folder / 'sound.npy', 'w+', np.int16, (place,))
    data[:] = np.memmap(raw, np.int16, 'r')
    data.flush()
    del data
    raw.unlink()
  return count


def speech_split(recording: Recording, development: frozenset[str]) -> str | None:
  """The split of a recording by its speaker; None for recordings of training speakers that other tests hold back."""
  if recording.split in ('train', 'train_a', 'train_b'):
    return 'train'
  if recording.speaker in development:
    return 'development'
  strangers = (
    recording.set == 'vctk'
    or (recording.set == 'librispeech' and recording.split == 'validation')
    or (recording.set == 'grid' and recording.split == 'test_unseen')
    or (recording.set == 'ravdess' and recording.split == 'test')
  )
  return 'test' if strangers else None


def speech_sounds(sets: Sequence[str] = SPEECH_SETS, root: str | None = None) -> Iterator[Sound]:
  """Recordings of the data sets at SPEECH_RATE, without the silence at their ends."""
  for name in sets:
    recordings = read_recordings(name, root)
    strangers = sorted({r.speaker for r in recordings if name == 'librispeech' and r.split == 'validation'})
    development = frozenset((*DEVELOPMENT_SPEAKERS, *strangers[:4]))
    for recording in recordings:
      split = speech_split(recording, development)
      wave = _read_or_none(recording.path, SPEECH_RATE) if split else None
      trimmed = None if wave is None else trim_silence(wave, SPEECH_RATE)
      if split and trimmed is not None and len(trimmed) > SHORTEST * SPEECH_RATE:
        yield Sound(trimmed, recording.key, name, split, 'speech', recording.speaker)


def bed_sounds(folders: Sequence[str | Path], tell: Callable[[str], None] = print) -> Iterator[Sound]:
  """Sound files under folders, whose subfolders are the sources, at BED_RATE: music (20 s and longer) and effects."""
  for folder in map(Path, folders):
    for source in sorted(p for p in folder.iterdir() if p.is_dir()):
      paths = sorted(
        p for p in source.rglob('*') if p.suffix.lower() in AUDIO and p.is_file() and not is_voice(p, source)
      )
      kept = 0
      for path in paths:
        wave = _read_or_none(path, BED_RATE, LONGEST_BED)
        if wave is None or len(wave) < SHORTEST * BED_RATE or np.abs(wave).max() < 1e-3:
          continue
        kept += 1
        name = str(path.relative_to(source))
        kind = 'music' if len(wave) >= 20 * BED_RATE else 'effect'
        yield Sound(wave, name, source.name, bed_split(source.name, path), kind)
      tell(f'{source.name}: {kept} of {len(paths)} files')


def is_voice(path: Path, source: Path) -> bool:
  """Whether the path of an effect tells of a voice."""
  parts = str(path.relative_to(source)).lower()
  return any(word in parts for word in VOICES)


def bed_split(source: str, path: Path) -> str:
  """The split of a file of music or effects by the hash of its source and stem: 80 % train, 8 % development, 12 %
  test. Variants of a file, whose names differ in digits alone, are in one split."""
  stem = path.stem.lower().rstrip('0123456789-_. ')
  share = int(hashlib.sha256(f'{source}/{stem}'.encode()).hexdigest()[:8], 16) / 2**32
  return 'train' if share < 0.8 else 'development' if share < 0.88 else 'test'


def trim_silence(wave: np.ndarray, rate: int) -> np.ndarray:
  """(S,) without the parts at both ends that are 40 dB below its loudest 20 ms."""
  block = rate // 50
  power = np.square(wave[: len(wave) // block * block]).reshape(-1, block).mean(1)
  loud = np.flatnonzero(power > 1e-4 * power.max(initial=0))
  return wave[loud[0] * block : (loud[-1] + 1) * block] if len(loud) else wave[:0]


def _read_or_none(path: Path, rate: int, longest: float | None = None) -> np.ndarray | None:
  """A file's sound, of one that is longer than `longest` + 5 s the part from 5 s on; None where it cannot be read."""
  if longest:
    with contextlib.suppress(BadInput):
      return read_sound(path, rate, 5.0, 5.0 + longest)
  try:
    wave = read_sound(path, rate)
  except BadInput:
    return None
  return wave[: round(longest * rate)] if longest else wave


def main(arguments: Sequence[str] | None = None) -> int:
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('what', choices=('speech', 'beds'))
  parser.add_argument('folders', nargs='*', help='of beds: folders whose subfolders hold sound files')
  parser.add_argument('-o', '--out', required=True)
  given = parser.parse_args(arguments)
  sounds = speech_sounds() if given.what == 'speech' else bed_sounds(given.folders)
  return exit_code(lambda: print(f'{write_store(sounds, given.out)} sounds in {given.out}'))


if __name__ == '__main__':
  sys.exit(main())
