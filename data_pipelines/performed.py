"""The actor's own mels of packed speech, for a vocoder to learn from: `performed.npy` beside the features.

    python -m data_pipelines.performed cache/packed/*-???????? --model DIR       # minutes an hour of speech

With the recording's durations, pitch and energy, so that the recording's sound goes with them; in the voice of another
recording of the same speaker. What the actor says otherwise than people do, the vocoder then learns to make up for.
"""

import argparse
import os
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from dubber_jax.batch import Shape, empty_batch, lay_noise, lay_voice, lip_frames
from dubber_jax.errors import BadInput
from dubber_jax.model_directory import Model, load
from dubber_jax.training.packed import PackedSet, quantise

ITEMS, STEP = 8, 128  # of a batch; mel frames that lengths are padded to


def perform_set(folder, model: Model, seed: int = 0) -> Path:
  """Writes `folder`/performed.npy (frames, 80) uint8, as mel.npy, and returns its path."""
  packed = PackedSet(folder)
  if not len(packed):
    raise BadInput(f'{folder} is empty: there is nothing to perform')
  module = model.module
  play = jax.jit(lambda params, batch: module.apply({'params': params}, batch)['finished'])
  performed = np.zeros_like(packed.arrays['mel'])
  order = np.argsort(packed.frames, kind='stable')
  same = {s: np.flatnonzero(packed.speakers == s) for s in set(packed.speakers)}
  for start in tqdm(range(0, len(order), ITEMS), desc=f'takes of {packed.folder.name}', unit='batch'):
    rows = order[start : start + ITEMS]
    frames, phonemes = (int(-(-lengths[rows].max() // STEP) * STEP) for lengths in (packed.frames, packed.phonemes))
    batch = empty_batch(model.config, Shape(ITEMS, frames, phonemes, lip_frames(frames), 256))
    for place, i in enumerate(rows):
      rng = np.random.default_rng([seed, int(i)])
      item, other = packed.features(i), packed.features(int(rng.choice(same[packed.speakers[i]])))
      for name in ('mel', 'pitch', 'phonemes', 'durations'):
        batch[name][place, : len(item[name])] = item[name]
      lay_voice(batch, place, other['speaker'], other['mel'])
      lay_noise(batch, place, len(item['mel']), rng)
    for i, mel in zip(rows, np.asarray(play(model.params, batch)), strict=False):
      first, last = packed.rows[i]['spans']['mel']
      performed[first:last] = quantise(mel[: last - first])
  out = packed.folder / 'performed.npy'
  beside = packed.folder / f'performed.{os.getpid()}.npy'
  np.save(beside, performed)
  os.replace(beside, out)
  return out


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folders', nargs='+')
  parser.add_argument('--model', help='model directory; the shipped one by default')
  given = parser.parse_args()
  model = load(given.model)
  for folder in given.folders:
    if (Path(folder) / 'waves.npy').exists():
      print(perform_set(folder, model))


if __name__ == '__main__':
  main()
