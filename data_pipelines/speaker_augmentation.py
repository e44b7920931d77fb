"""Speaker augmentation by resampling: F0 and formants of packed speech shift together, which makes new speakers.

    python -m data_pipelines.speaker_augmentation cache/packed/*-???????? cache/teacher/shard_????    # minutes

Writes cache/packed/augmented_speakers. Each recording is shifted by two or four semitones up or down; the speaker
encoder separates such a voice from the original, so that each speaker becomes five. (Related: vocal tract length
perturbation, Jaitly and Hinton 2013; speed perturbation, Ko et al. 2015.)
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_pipelines.pack import folders_with_sound, items_per_folder
from dubber_jax.actor.slot import largest_remainder
from dubber_jax.data.batches import TRAINING_SPLITS
from dubber_jax.data.packed import FULL_SCALE, PackedSet, quantize, write_packed
from dubber_jax.media.mel import mel_numpy
from dubber_jax.media.sound import resample
from dubber_jax.perception.speaker import embed_speaker
from dubber_jax.types import HOP, SAMPLE_RATE

SEMITONES = (-4.0, -2.0, 2.0, 4.0)
PER_SET = 700  # recordings of a data set that are resampled, evenly spaced
SILENT = 1e-3  # peak below which a recording has no sound


def augment(features: dict[str, np.ndarray], wave: np.ndarray, semitones: float) -> dict[str, np.ndarray]:
  """Features of one item with F0, formants and rate raised by `semitones`, recomputed from its sound (T * 256,)."""
  factor = 2 ** (semitones / 12)
  resampled = resample(wave, round(SAMPLE_RATE * factor), SAMPLE_RATE)
  mel = mel_numpy(resampled)
  frames, spoken = len(mel), len(features['durations'])
  at = np.clip(((np.arange(frames) + 0.5) * factor).astype(int), 0, len(features['pitch']) - 1)
  return {
    'mel': quantize(mel),
    'pitch': features['pitch'][at] * factor,
    'phonemes': features['phonemes'],
    'durations': largest_remainder(features['durations'], frames) if spoken else features['durations'],
    'lips': features['lips'][:0],
    'lip_present': features['lip_present'][:0],
    'speaker': embed_speaker(resampled, SAMPLE_RATE),
  }


def augment_set(
  folder: str | Path, count: int = PER_SET, seed: int = 0
) -> Iterator[tuple[dict, dict[str, np.ndarray]]]:
  """Yields (row, features) of about `count` training recordings of a packed set with its sound (waves.npy)."""
  packed = PackedSet(folder)
  waves = packed.optional_array('waves')
  chosen = [i for i, row in enumerate(packed.rows) if row['split'] in TRAINING_SPLITS]
  chosen = chosen[:: max(1, len(chosen) // max(count, 1))]
  rng = np.random.default_rng(seed)
  for i in tqdm(chosen, desc=f'speakers of {packed.folder.name}', unit='clip'):
    row = packed.rows[i]
    first, last = row['spans']['mel']
    wave = np.array(waves[first * HOP : last * HOP], np.float32) * (FULL_SCALE / 32768)
    if np.abs(wave).max() < SILENT:
      continue
    semitones = float(rng.choice(SEMITONES))
    name = f'{semitones:+g}'
    changed = {'key': f'{row["key"]}{name}', 'speaker': f'{row["speaker"]}{name}'}
    yield row | changed, augment(packed.features(i), wave, semitones)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folders', nargs='+', help='packed folders with waves.npy')
  parser.add_argument('--out', help='by default augmented_speakers/ beside the first')
  parser.add_argument('--per-set', type=int, default=PER_SET)
  given = parser.parse_args()
  folders = folders_with_sound(given.folders)
  out = Path(given.out) if given.out else folders[0].parent / 'augmented_speakers'
  counts = items_per_folder(folders, given.per_set).items()
  write_packed(out, (item for folder, count in counts for item in augment_set(folder, count)))
  print(out)


if __name__ == '__main__':
  main()
