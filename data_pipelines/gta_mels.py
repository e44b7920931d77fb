"""Teacher-forced (ground-truth-aligned, GTA) mels of packed speech, for a vocoder: `gta.npy` beside the features.

    python -m data_pipelines.gta_mels cache/packed/*-???????? cache/teacher/shard_???? --model DIR

The actor speaks each recording's text with its durations, F0 and energy (those of a synthetic line whose F0 and energy
were changed are the changed ones), so that frame for frame the recording's sound is the target; in the voice of another
recording of the same speaker, a plain one where there is one, and directed to the recording's emotion where that is not
neutral. Some minutes an hour of speech. (Finetuning a vocoder on them: Tacotron 2, 1712.05884; HiFi-GAN, 2010.05646.)
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from dubber_jax.data.batches import DOMAIN_OF, USUAL_INTENSITY, is_plain
from dubber_jax.data.packed import PackedSet, quantize
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape, empty_batch, fill_direction, fill_noise, fill_text, fill_voice, lip_frames
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import load
from dubber_jax.storage.atomic import atomic_file
from dubber_jax.types import EMOTIONS

ITEMS, STEP = 8, 128  # of a batch; mel frames that lengths are padded to


def write_gta_mels(folder, model: Model, seed: int = 0) -> Path:
  """Writes `folder`/gta.npy (frames, 80) uint8, as mel.npy, and returns its path.

  An item without phonemes keeps the recording's mel. Raises BadInput where no item has any, and for a language that
  the model does not speak.
  """
  packed = PackedSet(folder)
  order = np.argsort(packed.frames, kind='stable')
  order = order[packed.phonemes[order] > 0]
  if not len(order):
    raise BadInput(f'{folder}: no recording has a text, so that there is nothing for the actor to say')
  module = model.module
  decode = jax.jit(lambda params, batch: module.apply({'params': params}, batch)['finished'])
  mels = np.array(packed.arrays['mel'])
  references = _references(packed)
  for start in tqdm(range(0, len(order), ITEMS), desc=f'GTA mels of {packed.folder.name}', unit='batch'):
    rows = order[start : start + ITEMS]
    frames, phonemes = (int(-(-lengths[rows].max() // STEP) * STEP) for lengths in (packed.frames, packed.phonemes))
    batch = empty_batch(model.config, Shape(ITEMS, frames, phonemes, lip_frames(frames), 256))
    for place, i in enumerate(rows):
      rng, row = np.random.default_rng([seed, int(i)]), packed.rows[i]
      item, other = packed.features(i), packed.features(int(rng.choice(references[row['speaker']])))
      for name in ('mel', 'pitch', 'durations'):
        batch[name][place, : len(item[name])] = item[name]
      fill_text(batch, place, model.config, item['phonemes'], row.get('language', 'en'))
      batch['domain'][place] = DOMAIN_OF.get(row['set'], 0) if model.config.task.actor.domains else 0
      fill_voice(batch, place, other['speaker'], other['mel'])
      if row['emotion'] != 'neutral':
        emotion = np.eye(len(EMOTIONS))[EMOTIONS.index(row['emotion'])]
        fill_direction(batch, place, emotion, row.get('intensity', USUAL_INTENSITY))
      fill_noise(batch, place, len(item['mel']), rng)
    for i, mel in zip(rows, np.asarray(decode(model.params, batch)), strict=False):
      first, last = packed.rows[i]['spans']['mel']
      mels[first:last] = quantize(mel[: last - first])
  out = packed.folder / 'gta.npy'
  with atomic_file(out) as partial:
    np.save(partial, mels)
  return out


def _references(packed: PackedSet) -> dict[str, np.ndarray]:
  """Items by which each speaker is known: neutral ones whose F0 and energy nobody changed, else all."""
  plain = np.array([is_plain(row) for row in packed.rows])
  own = {speaker: packed.speakers == speaker for speaker in set(packed.speakers)}
  return {speaker: np.flatnonzero(mine & plain if (mine & plain).any() else mine) for speaker, mine in own.items()}


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folders', nargs='+', help='packed sets; those without texts or sound are left out')
  parser.add_argument('--model', help='model directory; the shipped one by default')
  given = parser.parse_args()
  model = load(given.model)
  for folder in map(Path, given.folders):
    if (folder / 'waves.npy').exists() and PackedSet(folder).phonemes.any():
      print(write_gta_mels(folder, model))
    else:
      print(f'{folder}: left out, it has no texts or no sound')


if __name__ == '__main__':
  main()
