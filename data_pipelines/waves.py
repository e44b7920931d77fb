"""The sound behind packed features, for vocoders: `waves.npy` beside them, 256 samples a mel frame, frame for frame.

    python -m data_pipelines.waves cache/packed/*            # minutes; about 160 MB an hour of speech
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_pipelines.recordings import read_recordings
from dubber_jax.clip import HOP, SAMPLE_RATE
from dubber_jax.errors import BadInput
from dubber_jax.media.mel import WINDOW, mel_numpy
from dubber_jax.media.sound import read_sound
from dubber_jax.training.packed import FULL_SCALE, PackedSet

GRID = 0.01  # s: where trimmed recordings can start, the alignment's step
NEAR = 0.06  # mean difference of log mels, nearly all of it from their quantisation


def pack_waves(folder, root=None) -> Path:
  """Writes `folder`/waves.npy (frames * 256,) int16 and returns its path; there already, it is only returned.

  An item whose sound cannot be matched to its mel stays silent and is named in waves.skipped.jsonl.
  """
  folder = Path(folder)
  out = folder / 'waves.npy'
  if out.exists():
    return out
  packed = PackedSet(folder)
  paths = {r.key: r.path for r in read_recordings(packed.rows[0]['set'], root)}
  gains = json.loads((folder.with_name(f'{folder.name}.items') / 'gains.json').read_text())
  waves = np.zeros(len(packed.arrays['mel']) * HOP, np.int16)
  skipped = []
  for i, row in enumerate(tqdm(packed.rows, desc=f'sound of {folder.name}', unit='clip')):
    first, last = row['spans']['mel']
    try:
      wave = read_sound(paths[row['key']], SAMPLE_RATE) * gains[row['speaker']]
      cut = find(wave, packed.features(i)['mel'])
    except (KeyError, BadInput) as e:
      skipped.append({'key': row['key'], 'why': str(e)})
      continue
    waves[first * HOP : last * HOP] = np.clip(np.rint(cut * (32768 / FULL_SCALE)), -32768, 32767).astype(np.int16)
  beside = folder / f'waves.{os.getpid()}.npy'
  np.save(beside, waves)
  os.replace(beside, out)
  (folder / 'waves.skipped.jsonl').write_text(''.join(json.dumps(s) + '\n' for s in skipped))
  return out


def find(wave: np.ndarray, mel: np.ndarray) -> np.ndarray:
  """The part of `wave` (S,) whose mel is `mel` (T, 80), as (T * 256,). Raises BadInput where there is none."""
  wanted = np.log(np.exp(2 * mel).sum(1) + 1e-8)[:200]
  power = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
  starts = [int(k * GRID * SAMPLE_RATE) for k in range(int(len(wave) / SAMPLE_RATE / GRID))]
  starts = [s for s in starts if s + len(mel) * HOP <= len(wave)] or [0]

  def likeness(start):
    at = start + HOP // 2 + np.arange(len(wanted)) * HOP
    energy = power[np.minimum(at + WINDOW // 2, len(wave))] - power[np.clip(at - WINDOW // 2, 0, len(wave))]
    here = np.log(np.maximum(energy, 0) + 1e-6)
    return -np.mean(np.abs(here - here.mean() - wanted + wanted.mean()))

  best = np.inf
  for start in sorted(starts, key=likeness, reverse=True)[:6]:
    cut = wave[start : start + len(mel) * HOP]
    apart = np.abs(mel_numpy(cut)[: len(mel)] - mel[: len(cut) // HOP])[2:-2].mean()
    if apart < best:
      best, found = apart, cut
    if best < NEAR:
      return np.pad(found, (0, len(mel) * HOP - len(found)))
  raise BadInput(f'no part of the recording has this mel (nearest {best:.2f} apart)')


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folders', nargs='+')
  for folder in parser.parse_args().folders:
    if (Path(folder) / 'items.jsonl').exists():
      print(pack_waves(folder))


if __name__ == '__main__':
  main()
