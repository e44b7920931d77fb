"""Data sets prepared as array_record: random access for training, by TFDS, without TensorFlow.

`dubber prepare` writes them (data_pipelines/builders.py). An index beside the shards, `index.npz`, tells lengths,
speakers and splits, so that training need not read every record to fill its buckets; it is made when it is missing.
"""

import json
import os
from functools import cached_property
from pathlib import Path

import numpy as np

from dubber_jax.clip import EMOTIONS
from dubber_jax.errors import BadInput
from dubber_jax.script.phonemes import SYMBOLS
from dubber_jax.training.packed import KINDS, MEL_STEP, unpack

INDEX = ('frames', 'phonemes', 'speakers', 'splits')
REMEDY = "run 'dubber prepare --overwrite' to make the data set again"


class RecordSet:
  """One prepared data set, all its splits one after the other. Items are as those of packed.PackedSet.

  Raises BadInput where it is half built, a shard is cut off, or its phonemes or mels are of another version. A record
  that does not parse is found when it is read; those that were found while the index was made are in `unreadable`.
  """

  def __init__(self, folder):
    self.folder = Path(folder)
    self._check()
    index = self.folder / 'index.npz'
    if not index.exists():
      self._write_index(index)
    with np.load(index) as stored:
      self.frames, self.phonemes, self.speakers, self.splits = (stored[name] for name in INDEX)
      self.unreadable = json.loads(str(stored['unreadable']))
    if len(self.frames) != len(self):
      raise BadInput(f'{index} is of another version of the data set: delete it and it is made again')

  def _check(self):
    if not (self.folder / 'dataset_info.json').exists():
      half = sorted(self.folder.parent.glob(f'incomplete.*_{self.folder.name}'))
      raise BadInput(f'{self.folder}: no data set here' + (f', only a half-built one in {half[0].name}' if half else '')
                     + "; run 'dubber prepare' (again) and give the folder that it prints")  # fmt: skip
    metadata = json.loads((self.folder / 'metadata.json').read_text())
    for name, here in (('symbols', list(SYMBOLS)), ('mel_step', MEL_STEP)):
      if metadata.get(name) != here:
        raise BadInput(f'{self.folder}: made with other {name}; {REMEDY}')
    for instruction in (i for name in self._names for i in self._builder.info.splits[name].file_instructions):
      _check_shard(Path(instruction.filename), instruction.examples_in_shard)

  @cached_property
  def _builder(self):
    import tensorflow_datasets as tfds

    try:
      return tfds.builder_from_directory(self.folder)
    except Exception as e:  # noqa: BLE001 (whatever TFDS makes of damaged metadata)
      raise BadInput(f'{self.folder}: its description is damaged ({e}); {REMEDY}') from e

  @cached_property
  def _names(self) -> list[str]:
    return sorted(self._builder.info.splits)

  @cached_property
  def _sources(self) -> list:
    return [self._builder.as_data_source(split=name) for name in self._names]

  @cached_property
  def _ends(self) -> np.ndarray:
    return np.cumsum([self._builder.info.splits[name].num_examples for name in self._names])

  def __len__(self) -> int:
    return int(self._ends[-1])

  def item(self, i: int, names=None) -> tuple[dict, dict[str, np.ndarray]]:
    """Row (key, set, speaker, text, emotion, split) and features (those of `names`; None: all) of item i, as of
    PackedSet. Raises BadInput where the record does not parse, or its parts do not fit together."""
    split = int(np.searchsorted(self._ends, i, 'right'))
    place = i - (int(self._ends[split - 1]) if split else 0)
    try:
      record = self._sources[split][place]
      row = {name: record[name].decode() for name in ('key', 'set', 'text', 'split')}
      row |= {'speaker': record['voice'].decode(), 'emotion': EMOTIONS[record['emotion']]}
      frames, phonemes = len(record['mel']), len(record['phonemes'])
      fits = len(record['pitch']) == frames == record['durations'].sum() and len(record['durations']) == phonemes
      if not fits or (phonemes and record['phonemes'].max() >= len(SYMBOLS)):
        raise ValueError('its parts do not fit together')
    except Exception as e:  # noqa: BLE001 (protobuf, Riegeli and NumPy each have their own errors)
      why = str(e).splitlines()[0][:200] if str(e) else type(e).__name__
      raise BadInput(f'{self.folder}, {self._names[split]} record {place} does not parse ({why})') from None
    return row, unpack({name: record[name] for name in names or KINDS})

  def _write_index(self, path: Path):
    """Reads all records once. Those that do not parse get length 0 and no split, so that nothing asks for them."""
    rows, unreadable = [], []
    for i in range(len(self)):
      try:
        row, features = self.item(i, ('mel', 'phonemes'))
        rows.append((len(features['mel']), len(features['phonemes']), row['speaker'], row['split']))
      except BadInput as e:
        unreadable.append(str(e))
        rows.append((0, 0, '', ''))
    columns = dict(zip(INDEX, (np.array(c) for c in zip(*rows, strict=True)), strict=True))
    beside = path.with_suffix(f'.{os.getpid()}.npz')
    try:
      np.savez(beside, **columns, unreadable=json.dumps(unreadable, ensure_ascii=False))
      os.replace(beside, path)
    except OSError as e:
      raise BadInput(f'{path} cannot be written ({e.strerror}); open the data set once where it can be') from e

  def __reduce__(self):
    return RecordSet, (self.folder,)  # a process that reads along opens the shards itself


def _check_shard(path: Path, records: int):
  from array_record.python.array_record_module import ArrayRecordReader

  if not path.exists():
    raise BadInput(f'{path} is missing; {REMEDY}')
  try:
    reader = ArrayRecordReader(str(path), 'readahead_buffer_size:0,max_parallelism:0')
    found = reader.num_records()
    reader.close()
  except Exception as e:  # noqa: BLE001 (Riegeli's own)
    raise BadInput(f'{path}: cut off or damaged ({str(e).splitlines()[0][:100]}); {REMEDY}') from None
  if found != records:
    raise BadInput(f'{path}: holds {found} of {records} records; {REMEDY}')
