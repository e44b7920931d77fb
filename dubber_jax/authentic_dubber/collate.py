"""Collation of items in the published feature layout into a batch of PublishedDirectorActor (spec section 8)."""

from collections.abc import Mapping, Sequence

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.types import MODALITIES

# Our name: the published item's field. Padded with zeros at the end of the first axis to the longest item.
SEQUENCES = {
  'phonemes': 'text',
  'durations': 'duration',
  'mel': 'mel',
  'reference': 'ref_mel',
  'lips': 'lip_embedding',
  'pitch': 'pitch',
  'energy': 'energy',
  'reference_phonemes': 'ref_linguistic',
  'reference_order': 'Ref_reordered_array',
  'face_features': 'face_embedding',
}
LENGTHS = {
  'phoneme_length': 'text',
  'mel_length': 'mel',
  'reference_length': 'ref_mel',
  'lip_length': 'lip_embedding',
  'reference_order_length': 'Ref_reordered_array',
}
VECTORS = {'speaker': 'spk_embedding', 'emotion_features': 'emos_embedding'}
NUMBERS = {'speaker_number': 'speaker', 'emotion': 'emotion_id'}
# Fields that the model does not use and that items may lack.
UNUSED = (
  'pitch',
  'energy',
  'ref_linguistic',
  'Ref_reordered_array',
  'face_embedding',
  'emos_embedding',
  'speaker',
)


def collate(items: Sequence[dict], sizes: Mapping[str, int] | None = None) -> dict[str, np.ndarray]:
  """Batch of items in their order; integers are int64, all else float32. Raises BadInput where a field is missing
  or has another shape than that of the first item.

  Missing exemplars are zero vectors, as in the released code. `sizes`: padded lengths of phonemes, durations, lips,
  mel, reference and exemplars, by default those of the longest item.
  """
  if not items:
    raise BadInput('a batch needs at least one item')
  sizes = sizes or {}
  absent = [field for field in UNUSED if field not in items[0]]
  sequences, lengths, single = (
    {ours: field for ours, field in names.items() if field not in absent}
    for names in (SEQUENCES, LENGTHS, VECTORS | NUMBERS)
  )
  batch = {ours: _pad(items, field, sizes.get(ours)) for ours, field in sequences.items()}
  for ours, field in lengths.items():
    batch[ours] = np.array([len(_field(item, field, i)) for i, item in enumerate(items)], np.int64)
  for ours, field in single.items():
    batch[ours] = _typed(np.stack([_field(item, field, i) for i, item in enumerate(items)]))
  count = sizes.get('exemplars')
  for m in MODALITIES:
    batch[m] = _pad(items, f'{m}_emo_embedding')[:, 0]
    batch[f'{m}_refs'] = _pad(items, f'{m}_refs', count)
  batch['sounds'] = np.stack([_pad(items, f'{m}_ref_audios', count) for m in MODALITIES], axis=1)
  return batch


def _field(item: dict, field: str, number: int) -> np.ndarray:
  if field not in item:
    raise BadInput(f'item {number} of the batch has no {field}; index the data again')
  return np.asarray(item[field])


def _pad(items: Sequence[dict], field: str, size: int | None = None) -> np.ndarray:
  arrays = [_field(item, field, i) for i, item in enumerate(items)]
  for i, array in enumerate(arrays):
    if array.ndim == 0 or array.shape[1:] != arrays[0].shape[1:]:
      raise BadInput(f'item {i} of the batch has {field} of shape {array.shape}, the first {arrays[0].shape}')
  out = np.zeros((len(arrays), size or max(map(len, arrays)), *arrays[0].shape[1:]), arrays[0].dtype)
  for row, array in zip(out, arrays, strict=True):
    row[: len(array)] = array
  return _typed(out)


def _typed(array: np.ndarray) -> np.ndarray:
  return array.astype(np.int64 if array.dtype.kind in 'iu' else np.float32)
