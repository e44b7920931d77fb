"""Speech degraded by known amounts, packed, from which the critic learns naturalness.

    python -m data_pipelines.degraded_speech cache/packed/*-???????? cache/teacher/shard_???? --model DIR    # 30 min

Each recording is degraded in one way, by a share between 0 and 1: its row's `quality` is 1 less what the share costs.
`vocoded` goes through the model's vocoder up to three times; `flattened` too, with its F0 drawn toward its mean;
`smeared` is blurred over time and bands; `gta` goes toward the actor's teacher-forced mel; `noisy` has noise under it.
Vocoder and actor are those of --model, whose faults the critic thereby learns: when they are trained anew, run
gta_mels.py (a gta.npy that stands is used) and this again before the critic is trained.
"""

import argparse
import os
from pathlib import Path

import jax
import numpy as np
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from data_pipelines.gta_mels import write_gta_mels
from data_pipelines.pack import spread, with_sound
from dubber_jax.data.batches import HEARD_BY_JUDGES
from dubber_jax.data.packed import PackedSet, dequantize, quantize, write_packed
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import load
from dubber_jax.media.mel import LOG_FLOOR, mel_numpy
from dubber_jax.training.tasks.vocoder import fill_pitch
from dubber_jax.types import HOP

KINDS = ('vocoded', 'flattened', 'smeared', 'gta', 'noisy')
WORST = {'vocoded': 0.35, 'flattened': 0.8, 'smeared': 0.9, 'gta': 0.5, 'noisy': 0.8}  # what a whole share costs
PER_SET = 320  # recordings of a data set


def degrade(kind: str, share: float, found: dict[str, np.ndarray], model: Model, rng: np.random.Generator) -> dict:
  """found: mel (T, 80), pitch (T,) Hz and, for 'gta', gta (T, 80) -> the mel and pitch after it."""
  mel, pitch = found['mel'], found['pitch']
  if kind == 'smeared':
    return {'mel': gaussian_filter(mel, (3.0 * share, 2.0 * share)), 'pitch': pitch}
  if kind == 'gta':
    return {'mel': mel + share * (found['gta'] - mel), 'pitch': pitch}
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
  sound = _synthesize(vocoder.module)(vocoder.params, mel[None], np.pad(pitch, (0, frames - len(pitch)), 'edge')[None])
  return np.asarray(sound[0])[: frames * HOP]


_compiled = {}


def _synthesize(module):
  if module not in _compiled:
    _compiled[module] = jax.jit(lambda params, mel, pitch: module.apply({'params': params}, mel, None, pitch))
  return _compiled[module]


def degrade_set(folder, model: Model, count: int = PER_SET, seed: int = 0):
  """(row, features) of about `count` recordings of a packed set, each degraded in one way. Those without a text are
  degraded in the ways that need none; synthetic lines whose F0 and energy were changed are left out."""
  packed = PackedSet(folder)
  gta = None
  if packed.phonemes.any():
    path = packed.folder / 'gta.npy'
    gta = np.load(path if path.exists() else write_gta_mels(folder, model), mmap_mode='r')
  chosen = [i for i, row in enumerate(packed.rows) if row['split'] not in HEARD_BY_JUDGES and not row.get('edit')]
  chosen = chosen[:: max(1, len(chosen) // max(count, 1))]
  for i in tqdm(chosen, desc=f'degraded {packed.folder.name}', unit='clip'):
    rng = np.random.default_rng([seed, i])
    row, features = packed.rows[i], packed.features(i)
    first, last = row['spans']['mel']
    found, kinds = features, [kind for kind in KINDS if kind != 'gta']
    if len(features['phonemes']):
      found, kinds = features | {'gta': dequantize(gta[first:last])}, KINDS
    kind, share = kinds[rng.integers(len(kinds))], float(rng.random())
    made = degrade(kind, share, found, model, rng)
    made['mel'] = quantize(np.maximum(made['mel'][: last - first], LOG_FLOOR))
    row = {k: v for k, v in row.items() if k != 'spans'}
    yield (
      row | {'key': f'{row["key"]}~{kind}', 'degradation': kind, 'quality': round(1 - WORST[kind] * share, 3)},
      features | made | {'lips': np.zeros((0, 82)), 'lip_present': np.zeros(0, bool)},
    )


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folders', nargs='+', help='packed sets with their sound')
  parser.add_argument('--model', help='model directory; the shipped one by default')
  parser.add_argument('--per-set', type=int, default=PER_SET)
  parser.add_argument('-o', '--out', default='cache/packed/degraded_speech')
  given = parser.parse_args()
  os.makedirs(Path(given.out).parent, exist_ok=True)
  model = load(given.model)
  counts = spread(with_sound(given.folders), given.per_set).items()
  write_packed(given.out, (item for folder, count in counts for item in degrade_set(folder, model, count)))
  print(given.out)


if __name__ == '__main__':
  main()
