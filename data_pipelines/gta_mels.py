"""Teacher-forced (ground-truth-aligned, GTA) mels of packed speech, on which a vocoder is finetuned.

    python -m data_pipelines.gta_mels cache/packed/*-???????? cache/teacher/shard_???? --model DIR

Writes `gta.npy` into each packed folder. The actor synthesizes each recording's text with the recording's durations, F0
and energy (of an edited synthetic line: the edited ones), so that its mel is aligned with the recording frame by frame.
The voice is that of another recording of the speaker, a neutral unedited one if there is one; the recording's emotion
is given as the direction where it is not neutral. Takes some minutes for an hour of speech. (Finetuning a vocoder on
GTA mels: Tacotron 2, 1712.05884; HiFi-GAN, 2010.05646.)
"""

import argparse
import functools
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from dubber_jax.data.batches import DEFAULT_INTENSITY, DOMAIN_OF, is_plain
from dubber_jax.data.packed import PackedSet, quantize
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape, empty_batch, fill_direction, fill_noise, fill_text, fill_voice, lip_frames
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import load
from dubber_jax.storage.atomic import atomic_file
from dubber_jax.types import EMOTIONS

ITEMS, STEP = 8, 128  # of a batch; mel frames that lengths are padded to


def write_gta_mels(folder: str | Path, model: Model, seed: int = 0) -> Path:
  """Writes `folder`/gta.npy (frames, 80) uint8, quantized as mel.npy is, and returns its path.

  An item without phonemes keeps the recording's mel. Raises BadInput where no item has phonemes, and for a language
  that the model does not support.
  """
  packed = PackedSet(folder)
  order = np.argsort(packed.frames, kind='stable')
  order = order[packed.phonemes[order] > 0]
  if not len(order):
    raise BadInput(f'{folder}: no recording has a text for the actor to synthesize')
  mels = np.array(packed.arrays['mel'])
  references = _references(packed)
  for start in tqdm(range(0, len(order), ITEMS), desc=f'GTA mels of {packed.folder.name}', unit='batch'):
    rows = order[start : start + ITEMS]
    frames, phonemes = (int(-(-lengths[rows].max() // STEP) * STEP) for lengths in (packed.frames, packed.phonemes))
    batch = empty_batch(model.config, Shape(ITEMS, frames, phonemes, lip_frames(frames), 256))
    for slot, i in enumerate(rows):
      rng, row = np.random.default_rng([seed, int(i)]), packed.rows[i]
      item, other = packed.features(i), packed.features(int(rng.choice(references[row['speaker']])))
      for name in ('mel', 'pitch', 'durations'):
        batch[name][slot, : len(item[name])] = item[name]
      fill_text(batch, slot, model.config, item['phonemes'], row.get('language', 'en'))
      batch['domain'][slot] = DOMAIN_OF.get(row['set'], 0) if model.config.task.actor.domains else 0
      fill_voice(batch, slot, other['speaker'], other['mel'])
      if row['emotion'] != 'neutral':
        emotion = np.eye(len(EMOTIONS))[EMOTIONS.index(row['emotion'])]
        fill_direction(batch, slot, emotion, row.get('intensity', DEFAULT_INTENSITY))
      fill_noise(batch, slot, len(item['mel']), rng)
    for i, mel in zip(rows, np.asarray(_decode(model.module, model.params, batch)), strict=False):
      first, last = packed.rows[i]['spans']['mel']
      mels[first:last] = quantize(mel[: last - first])
  out = packed.folder / 'gta.npy'
  with atomic_file(out) as partial:
    np.save(partial, mels)
  return out


@functools.partial(jax.jit, static_argnums=0)
def _decode(module, params, batch):
  return module.apply({'params': params}, batch)['finished']


def _references(packed: PackedSet) -> dict[str, np.ndarray]:
  """Item numbers of each speaker's reference recordings: neutral unedited ones, or all where there are none."""
  plain = np.array([is_plain(row) for row in packed.rows])
  own = {speaker: packed.speakers == speaker for speaker in set(packed.speakers)}
  return {speaker: np.flatnonzero(mine & plain if (mine & plain).any() else mine) for speaker, mine in own.items()}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folders', nargs='+', help='packed folders; those without texts or sound are skipped')
  parser.add_argument('--model', help='model directory; the shipped one by default')
  given = parser.parse_args()
  model = load(given.model)
  for folder in map(Path, given.folders):
    if (folder / 'waves.npy').exists() and PackedSet(folder).phonemes.any():
      print(write_gta_mels(folder, model))
    else:
      print(f'{folder}: skipped, it has no texts or no sound')


if __name__ == '__main__':
  main()
