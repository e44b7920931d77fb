"""Recordings spoilt by degrees, packed, for the critic to learn what is natural.

    python -m data_pipelines.degraded cache/packed/*-????????    # 1,600 recordings, minutes

Each is spoilt in one way, by a share between 0 and 1: its row's `quality` is 1 less the share. `vocoded` goes through
the shipped vocoder up to three times; `flattened` too, with its pitch course drawn towards its mean; `smeared` is
blurred over time and bands; `performed` goes towards the actor's own mel; `noisy` has noise under it.
"""

import argparse
import os
from pathlib import Path

import jax
import numpy as np
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from data_pipelines.performed import perform_set
from dubber_jax.clip import HOP
from dubber_jax.media.mel import LOG_FLOOR, mel_numpy
from dubber_jax.model_directory import Model, load
from dubber_jax.training.packed import FULL_SCALE, PackedSet, dequantise, quantise, write_packed
from dubber_jax.training.vocoder import fill_pitch

KINDS = ('vocoded', 'flattened', 'smeared', 'performed', 'noisy')
WORST = {'vocoded': 0.35, 'flattened': 0.8, 'smeared': 0.9, 'performed': 0.5, 'noisy': 0.8}  # what a whole share costs
PER_SET = 320
HEARD_BY_JUDGES = ('train_b', 'test')  # splits whose speakers the judges learned from or are tested on


def spoil(kind: str, share: float, found: dict[str, np.ndarray], model: Model, rng: np.random.Generator) -> dict:
  """found: mel (T, 80), pitch (T,) Hz, wave (T * 256,), performed (T, 80) -> the mel and pitch after it."""
  mel, pitch = found['mel'], found['pitch']
  if kind == 'smeared':
    return {'mel': gaussian_filter(mel, (3.0 * share, 2.0 * share)), 'pitch': pitch}
  if kind == 'performed':
    return {'mel': mel + share * (found['performed'] - mel), 'pitch': pitch}
  if kind == 'noisy':
    level = np.log(np.exp(mel).mean(0).mean()) - 4.0 * (1 - share)  # 35 dB below the speech, and up
    noise = level + 0.5 * rng.standard_normal(mel.shape) + rng.uniform(-1, 1) * np.linspace(1, -1, mel.shape[1])
    return {'mel': np.logaddexp(mel, noise), 'pitch': pitch}
  if kind == 'vocoded':
    for _ in range(1 + int(share > 1 / 3) + int(share > 2 / 3)):
      mel = mel_numpy(model.vocoder.vocode(mel))
    return {'mel': mel, 'pitch': pitch}
  filled = fill_pitch(pitch)
  middle = np.exp(np.log(filled[pitch > 0]).mean()) if (pitch > 0).any() else 150.0
  flat = middle * (filled / middle) ** (1 - share)
  wave = _vocode_at(model.vocoder, mel, flat)
  return {'mel': mel_numpy(wave), 'pitch': np.where(pitch > 0, flat, 0)}


def _vocode_at(vocoder, mel, pitch):
  frames = -(-len(mel) // 64) * 64
  mel = np.pad(mel, ((0, frames - len(mel)), (0, 0)), constant_values=LOG_FLOOR)
  sound = _synthesise(vocoder.module)(vocoder.params, mel[None], np.pad(pitch, (0, frames - len(pitch)), 'edge')[None])
  return np.asarray(sound[0])[: frames * HOP]


_compiled = {}


def _synthesise(module):
  if module not in _compiled:
    _compiled[module] = jax.jit(lambda params, mel, pitch: module.apply({'params': params}, mel, None, pitch))
  return _compiled[module]


def spoil_set(folder, model: Model, per_set: int = PER_SET, seed: int = 0):
  """(row, features) of about `per_set` recordings of a packed set that has its sound, each spoilt in one way."""
  packed = PackedSet(folder)
  waves = packed.beside('waves')
  if not (packed.folder / 'performed.npy').exists():
    perform_set(folder, model)
  performed = packed.beside('performed')
  chosen = [i for i, row in enumerate(packed.rows) if row['split'] not in HEARD_BY_JUDGES]
  for i in tqdm(chosen[:: max(1, len(chosen) // per_set)], desc=f'spoilt {packed.folder.name}', unit='clip'):
    rng = np.random.default_rng([seed, i])
    row, features = packed.rows[i], packed.features(i)
    first, last = row['spans']['mel']
    found = features | {
      'performed': dequantise(performed[first:last]),
      'wave': waves[first * HOP : last * HOP] * np.float32(FULL_SCALE / 32768),
    }
    kind, share = KINDS[rng.integers(len(KINDS))], float(rng.random())
    made = spoil(kind, share, found, model, rng)
    made['mel'] = quantise(np.maximum(made['mel'][: last - first], LOG_FLOOR))
    row = {k: v for k, v in row.items() if k != 'spans'}
    yield (
      row | {'key': f'{row["key"]}~{kind}', 'spoilt': kind, 'quality': round(1 - WORST[kind] * share, 3)},
      features | made | {'lips': np.zeros((0, 82)), 'lip_present': np.zeros(0, bool)},
    )


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folders', nargs='+')
  parser.add_argument('--model', help='model directory; the shipped one by default')
  parser.add_argument('-o', '--out', default='cache/packed/degraded')
  given = parser.parse_args()
  os.makedirs(Path(given.out).parent, exist_ok=True)
  model = load(given.model)
  folders = [f for f in given.folders if (Path(f) / 'waves.npy').exists()]
  write_packed(given.out, [item for f in folders for item in spoil_set(f, model)])
  print(given.out)


if __name__ == '__main__':
  main()
