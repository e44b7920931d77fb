"""Prepared data set of the published features, one split of it (`dubber prepare`, data_pipelines/builders.py)."""

import json

import numpy as np

from dubber_jax.data.records import Records
from dubber_jax.errors import BadInput


class PublishedRecords(Records):
  """One split of the prepared published features of V2C-Animation; `item(i, rng)` as of a FeatureTree.

  exemplars: number used of each modality; 0: the director sees zeros only; None: all that were prepared.
  """

  columns = {'phonemes': int, 'lips': int, 'frames': int}
  expected = {'published': True}

  def __init__(self, folder, split: str = 'train', exemplars: int | None = None):
    super().__init__(folder)
    self.split, self.exemplars, self.root = split, exemplars, self.folder
    prepared = json.loads((self.folder / 'metadata.json').read_text())['exemplars']
    if (exemplars or 0) > prepared:
      raise BadInput(
        f'{folder}: prepared with {prepared} exemplars a modality, and {exemplars} are asked for: prepare it '
        'from features that have them, or train an arm without'
      )
    self.chosen = np.flatnonzero(self.splits == split)
    if not len(self.chosen):
      raise BadInput(f'{folder} has no split {split!r}: it has {", ".join(self._names)}')
    self.lengths = np.stack([self.index[n][self.chosen] for n in (*self.columns, 'frames')], 1)  # the last: reference

  def __len__(self) -> int:
    return len(self.chosen) if hasattr(self, 'chosen') else super().__len__()

  def item(self, i: int, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
    """Fields of the published item. `rng` shuffles the phonemes of the reference, which is the clip itself."""
    record = self.read(self.chosen[i])
    ids, durations = record.pop('phonemes'), record['duration']
    order = np.arange(len(ids)) if rng is None else rng.permutation(len(ids))
    pieces = np.split(record['mel'], np.cumsum(durations)[:-1])
    item = {n: self._cut(n, x) for n, x in record.items() if n not in ('key', 'voice', 'text', 'emotion')}
    return item | {
      'id': record['key'].decode(),
      'text': ids,
      'emotion_id': np.int64(record['emotion']),
      'ref_mel': np.concatenate([pieces[k] for k in order]),
      'Ref_reordered_array': ids[order],
      'ref_linguistic': np.repeat(ids[order], durations[order]),
    }

  def _cut(self, name: str, value: np.ndarray) -> np.ndarray:
    if self.exemplars == 0 and name.endswith(('_emo_embedding', '_refs', '_ref_audios')):
      return np.zeros((1, value.shape[1]), np.float32)
    return value[: self.exemplars] if name.endswith(('_refs', '_ref_audios')) else value

  def _fit(self, record):
    if len(record['phonemes']) != len(record['duration']) or record['duration'].sum() != len(record['mel']):
      raise ValueError('its parts do not fit together')

  def _summary(self, record):
    return len(record['phonemes']), len(record['lip_embedding']), len(record['mel'])

  def __reduce__(self):
    return type(self), (self.folder, self.split, self.exemplars)
