"""Voices that nobody has: packed speech, resampled, so that its pitch and its vocal tract are another's.

    python -m data_pipelines.warped cache/packed/*-????????          # minutes; makes cache/packed/warped

A speaker encoder tells a voice resampled by two semitones or more from the one it was made of, so each speaker becomes
five. It is how a corpus of few speakers teaches an actor to follow a voice that it has never heard (vocal tract length
perturbation, Jaitly and Hinton 2013; speed perturbation, Ko et al. 2015, make speakers in the same way).
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dubber_jax.actor.duration import largest_remainder
from dubber_jax.clip import HOP, SAMPLE_RATE
from dubber_jax.media.mel import mel_numpy
from dubber_jax.media.sound import resample
from dubber_jax.perception.speaker import embed_speaker
from dubber_jax.training.data import TRAINING_SPLITS
from dubber_jax.training.packed import FULL_SCALE, PackedSet, quantise, write_packed

SEMITONES = (-4.0, -2.0, 2.0, 4.0)
PER_SET = 700  # recordings of a set that are warped, spread over all it has


def warp(features: dict[str, np.ndarray], wave: np.ndarray, semitones: float) -> dict[str, np.ndarray]:
  """Features (training/packed.py) and sound (T * 256,) of one item, higher and quicker by `semitones`."""
  factor = 2 ** (semitones / 12)
  warped = resample(wave, round(SAMPLE_RATE * factor), SAMPLE_RATE)
  mel = mel_numpy(warped)
  frames = len(mel)
  at = np.clip(((np.arange(frames) + 0.5) * factor).astype(int), 0, len(features['pitch']) - 1)
  return {
    'mel': quantise(mel),
    'pitch': features['pitch'][at] * factor,
    'phonemes': features['phonemes'],
    'durations': largest_remainder(features['durations'], frames),
    'lips': features['lips'][:0],
    'lip_present': features['lip_present'][:0],
    'speaker': embed_speaker(warped, SAMPLE_RATE),
  }


def warp_set(folder, per_set: int = PER_SET, seed: int = 0):
  """(row, features) of about `per_set` training recordings of a packed set that has its sound (waves.npy)."""
  packed = PackedSet(folder)
  waves = packed.beside('waves')
  chosen = [i for i, row in enumerate(packed.rows) if row['split'] in TRAINING_SPLITS]
  chosen = chosen[:: max(1, len(chosen) // per_set)]
  rng = np.random.default_rng(seed)
  for i in tqdm(chosen, desc=f'voices of {packed.folder.name}', unit='clip'):
    row = packed.rows[i]
    first, last = row['spans']['mel']
    wave = np.array(waves[first * HOP : last * HOP], np.float32) * (FULL_SCALE / 32768)
    if np.abs(wave).max() < 1e-3:
      continue
    semitones = float(rng.choice(SEMITONES))
    name = f'{semitones:+g}'
    changed = {'key': f'{row["key"]}{name}', 'speaker': f'{row["speaker"]}{name}'}
    yield row | changed, warp(packed.features(i), wave, semitones)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folders', nargs='+', help='packed sets with their sound')
  parser.add_argument('--out', help='by default warped/ beside the first')
  parser.add_argument('--per-set', type=int, default=PER_SET)
  given = parser.parse_args()
  folders = [Path(f) for f in given.folders if (Path(f) / 'waves.npy').exists()]
  if not folders:
    raise SystemExit('none of the folders has waves.npy: run python -m data_pipelines.waves on them')
  out = Path(given.out) if given.out else folders[0].parent / 'warped'
  write_packed(out, (item for folder in folders for item in warp_set(folder, given.per_set)))
  print(out)


if __name__ == '__main__':
  main()
