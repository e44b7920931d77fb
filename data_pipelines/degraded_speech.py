"""Packed speech degraded by known amounts, on which the critic's naturalness head is trained.

    python -m data_pipelines.degraded_speech cache/packed/*-???????? cache/teacher/shard_???? --model DIR    # 30 min

Each recording gets one degradation of a random severity from 0 to 1; its row's `quality` is 1 minus the severity times
MAX_QUALITY_LOSS. `vocoded`: vocoder resynthesis, up to three times; `flattened`: resynthesis with F0 compressed toward
its mean; `smeared`: Gaussian blur over time and bands; `gta`: interpolation toward the actor's teacher-forced mel;
`noisy`: additive noise. Vocoder and actor are those of --model, so that the critic learns their artifacts: after
training them, run gta_mels.py (an existing gta.npy is reused) and this again before training the critic.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from data_pipelines.gta_mels import write_gta_mels
from data_pipelines.pack import folders_with_sound, items_per_folder
from dubber_jax.data.batches import HEARD_BY_JUDGES
from dubber_jax.data.packed import PackedSet, dequantize, quantize, write_packed
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import load
from dubber_jax.media.mel import LOG_FLOOR, mel_numpy
from dubber_jax.training.tasks.vocoder import fill_pitch
from dubber_jax.types import HOP

KINDS = ('vocoded', 'flattened', 'smeared', 'gta', 'noisy')
MAX_QUALITY_LOSS = {'vocoded': 0.35, 'flattened': 0.8, 'smeared': 0.9, 'gta': 0.5, 'noisy': 0.8}  # at severity 1
PER_SET = 320  # recordings used of a data set


def degrade(
  kind: str, severity: float, features: dict[str, np.ndarray], model: Model, rng: np.random.Generator
) -> dict[str, np.ndarray]:
  """The degraded mel and pitch of features mel (T, 80), pitch (T,) Hz and, for 'gta', gta (T, 80)."""
  mel, pitch = features['mel'], features['pitch']
  if kind == 'smeared':
    return {'mel': gaussian_filter(mel, (3.0 * severity, 2.0 * severity)), 'pitch': pitch}
  if kind == 'gta':
    return {'mel': mel + severity * (features['gta'] - mel), 'pitch': pitch}
  if kind == 'noisy':
    level = np.log(np.exp(mel).mean(0).mean()) - 4.0 * (1 - severity)  # 35 to 0 dB below the speech
    noise = level + 0.5 * rng.standard_normal(mel.shape) + rng.uniform(-1, 1) * np.linspace(1, -1, mel.shape[1])
    return {'mel': np.logaddexp(mel, noise), 'pitch': pitch}
  if kind == 'vocoded':
    for _ in range(1 + int(severity > 1 / 3) + int(severity > 2 / 3)):
      mel = mel_numpy(model.vocoder.vocode(mel))
    return {'mel': mel, 'pitch': pitch}
  filled = fill_pitch(pitch)
  middle = np.exp(np.log(filled[pitch > 0]).mean()) if (pitch > 0).any() else 150.0
  flat = middle * (filled / middle) ** (1 - severity)
  wave = _vocode_with_f0(model.vocoder, mel, flat)
  return {'mel': mel_numpy(wave), 'pitch': np.where(pitch > 0, flat, 0)}


def _vocode_with_f0(vocoder, mel, pitch):
  frames = -(-len(mel) // 64) * 64
  mel = np.pad(mel, ((0, frames - len(mel)), (0, 0)), constant_values=LOG_FLOOR)
  sound = _synthesize(vocoder.module)(vocoder.params, mel[None], np.pad(pitch, (0, frames - len(pitch)), 'edge')[None])
  return np.asarray(sound[0])[: frames * HOP]


_compiled = {}


def _synthesize(module):
  if module not in _compiled:
    _compiled[module] = jax.jit(lambda params, mel, pitch: module.apply({'params': params}, mel, None, pitch))
  return _compiled[module]


def degrade_set(
  folder: str | Path, model: Model, count: int = PER_SET, seed: int = 0
) -> Iterator[tuple[dict, dict[str, np.ndarray]]]:
  """Yields (row, features) of about `count` recordings of a packed set, each with one degradation.

  Recordings without a text are not degraded toward the actor's mel; test sets of the judges and synthetic lines with
  edited F0 and energy are skipped.
  """
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
    kinds = [kind for kind in KINDS if kind != 'gta']
    if len(features['phonemes']):
      features, kinds = features | {'gta': dequantize(gta[first:last])}, KINDS
    kind, severity = kinds[rng.integers(len(kinds))], float(rng.random())
    made = degrade(kind, severity, features, model, rng)
    made['mel'] = quantize(np.maximum(made['mel'][: last - first], LOG_FLOOR))
    row = {k: v for k, v in row.items() if k != 'spans'}
    quality = round(1 - MAX_QUALITY_LOSS[kind] * severity, 3)
    yield (
      row | {'key': f'{row["key"]}~{kind}', 'degradation': kind, 'quality': quality},
      features | made | {'lips': np.zeros((0, 82)), 'lip_present': np.zeros(0, bool)},
    )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folders', nargs='+', help='packed folders with waves.npy')
  parser.add_argument('--model', help='model directory; the shipped one by default')
  parser.add_argument('--per-set', type=int, default=PER_SET)
  parser.add_argument('-o', '--out', default='cache/packed/degraded_speech')
  given = parser.parse_args()
  os.makedirs(Path(given.out).parent, exist_ok=True)
  model = load(given.model)
  counts = items_per_folder(folders_with_sound(given.folders), given.per_set).items()
  write_packed(given.out, (item for folder, count in counts for item in degrade_set(folder, model, count)))
  print(given.out)


if __name__ == '__main__':
  main()
