"""Packed features: training data as a few flat arrays, memory-mapped.

A packed folder holds one set: `items.jsonl` (a row an item, with the spans of its frames, phonemes and lips) and
flat arrays `mel` (frames, 80) uint8, `pitch` (frames,) float16 Hz, `phonemes` and `durations` (phonemes,),
`lips` (lip frames, 82) float16, `lip_present`, `speaker` (items, 256) float16.

Optional arrays: `waves` (frames * 256,) int16, the waveform (2.0 is full scale), and `gta` (frames, 80) uint8, the
actor's teacher-forced (GTA) mels (data_pipelines/gta_mels.py).
"""

import json
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.script.symbols import SYMBOLS
from dubber_jax.storage.atomic import atomic_folder
from dubber_jax.types import HOP

MEL_STEP = 0.055  # nepers per level; 256 levels reach from 1e-5 to e^2.5
FULL_SCALE = 2.0  # of an int16 sample of `waves`: level normalization of quiet speakers may push peaks past 1
FRAMES, PHONEMES, LIPS = ('mel', 'pitch'), ('phonemes', 'durations'), ('lips', 'lip_present')
KINDS = {
  'mel': np.uint8,
  'pitch': np.float16,
  'phonemes': np.uint16,
  'durations': np.uint16,
  'lips': np.float16,
  'lip_present': np.bool_,
  'speaker': np.float16,
}
MADE_BY = {  # optional arrays, and how to make them where they are missing
  'waves': 'delete {folder} and pack the set again, which keeps the sound',
  'gta': 'run python -m data_pipelines.gta_mels {folder}',
}


def quantize(mel: np.ndarray) -> np.ndarray:
  """Log mel -> uint8 levels of MEL_STEP above the log floor, clipped."""
  return np.clip(np.rint((mel - LOG_FLOOR) / MEL_STEP), 0, 255).astype(np.uint8)


def dequantize(mel: np.ndarray) -> np.ndarray:
  """Log mel, float32, of uint8 levels: the inverse of `quantize` up to half a level."""
  return mel.astype(np.float32) * MEL_STEP + LOG_FLOOR


def quantize_wave(wave: np.ndarray, frames: int) -> np.ndarray:
  """Waveform (S,) in -FULL_SCALE..FULL_SCALE -> (frames * 256,) int16, cut or zero-padded."""
  levels = np.clip(np.rint(wave[: frames * HOP] * (32768 / FULL_SCALE)), -32768, 32767).astype(np.int16)
  return np.pad(levels, (0, frames * HOP - len(levels)))


def write_packed(folder: str | os.PathLike, items: Iterable[tuple[dict, dict[str, np.ndarray]]]):
  """Writes (row, features) pairs as one packed folder, atomically."""
  ends = {'mel': 0, 'phonemes': 0, 'lips': 0}
  parts = {name: [] for name in (*KINDS, 'waves')}
  rows = []
  for row, features in items:
    spans = {}
    for name in ends:
      spans[name] = [ends[name], ends[name] + len(features[name])]
      ends[name] = spans[name][1]
    rows.append(row | {'spans': spans})
    for name, kind in KINDS.items():
      parts[name].append(np.asarray(features[name]).astype(kind))
    if 'wave' in features:
      parts['waves'].append(np.asarray(features['wave'], np.int16))
  with atomic_folder(folder) as partial:
    for name, arrays in parts.items():
      if arrays:
        np.save(partial / f'{name}.npy', np.stack(arrays) if name == 'speaker' else np.concatenate(arrays))
    (partial / 'format.json').write_text(json.dumps({'symbols': SYMBOLS}))
    (partial / 'items.jsonl').write_text(''.join(json.dumps(r, ensure_ascii=False) + '\n' for r in rows))


class PackedSet:
  """Packed folder, opened: `rows` of items.jsonl, and the features of item i by `features(i)`.

  Raises BadInput for a folder that is not whole, or was packed with another symbol table.
  """

  def __init__(self, folder):
    self.folder = Path(folder)
    try:
      listing = (self.folder / 'items.jsonl').read_text(encoding='utf-8')
      self.rows = [json.loads(row) for row in listing.splitlines()]
      symbols = tuple(json.loads((self.folder / 'format.json').read_text())['symbols'])
      self.arrays = {name: np.load(self.folder / f'{name}.npy', mmap_mode='r') for name in KINDS}
    except (OSError, ValueError, KeyError) as e:
      raise BadInput(f'{self.folder}: not a whole packed set ({e}); delete it and it is made again') from e
    if symbols != SYMBOLS[: len(symbols)]:  # symbols are only ever appended
      raise BadInput(f'{self.folder}: packed with another symbol table; delete it and it is made again')
    short = [
      n
      for n, key in (('mel', 'mel'), ('pitch', 'mel'), ('phonemes', 'phonemes'), ('lips', 'lips'))
      if self.rows and len(self.arrays[n]) < self.rows[-1]['spans'][key][1]
    ]
    if short:
      raise BadInput(f'{self.folder}/{short[0]}.npy is shorter than items.jsonl says; delete the folder to remake it')

  def __len__(self) -> int:
    return len(self.rows)

  def optional_array(self, name: str) -> np.ndarray:
    """`waves` or `gta`, memory-mapped. Raises BadInput where it has not been made."""
    path = self.folder / f'{name}.npy'
    if not path.exists():
      raise BadInput(f'{path} is missing: {MADE_BY[name].format(folder=self.folder)}')
    return np.load(path, mmap_mode='r')

  @cached_property
  def frames(self) -> np.ndarray:
    return self._lengths('mel')

  @cached_property
  def phonemes(self) -> np.ndarray:
    return self._lengths('phonemes')

  def _lengths(self, kind: str) -> np.ndarray:
    return np.array([row['spans'][kind] for row in self.rows], np.int64).reshape(-1, 2) @ [-1, 1]

  @cached_property
  def speakers(self) -> np.ndarray:
    return np.array([row['speaker'] for row in self.rows], str)

  @cached_property
  def splits(self) -> np.ndarray:
    return np.array([row['split'] for row in self.rows], str)

  def item(self, i: int, names: Iterable[str] | None = None) -> tuple[dict, dict[str, np.ndarray]]:
    """Row and features (those of `names`; None: all) of item i."""
    return self.rows[i], self.features(i, names)

  def features(self, i: int, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """mel (T, 80) float32, pitch (T,) Hz, phonemes (N,), durations (N,), lips (L, 82), lip_present (L,),
    speaker (256,)."""
    spans = self.rows[i]['spans']
    cut = {name: slice(*spans['mel']) for name in FRAMES}
    cut |= {name: slice(*spans['phonemes']) for name in PHONEMES} | {name: slice(*spans['lips']) for name in LIPS}
    cut['speaker'] = i
    return unpack({name: self.arrays[name][cut[name]] for name in names or KINDS})

  def __reduce__(self):
    return PackedSet, (self.folder,)  # worker processes map the arrays themselves


def unpack(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Features in the types of computation, from the types of storage (KINDS)."""
  types = {'phonemes': np.int32, 'durations': np.int32, 'lip_present': bool}
  return {n: dequantize(x) if n == 'mel' else np.array(x, types.get(n, np.float32)) for n, x in stored.items()}
