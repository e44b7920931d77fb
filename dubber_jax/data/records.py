"""Data sets prepared as array_record: random access for training, by TFDS, without TensorFlow.

`dubber prepare` writes them (data_pipelines/builders.py). An index, `index.npz`, has lengths, speakers and splits, so
that training need not read every record to fill its length buckets; it is made when it is missing.
"""

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np

from dubber_jax.data.packed import KINDS, MEL_STEP, unpack
from dubber_jax.errors import BadInput
from dubber_jax.script.symbols import SYMBOLS
from dubber_jax.storage.atomic import atomic_file
from dubber_jax.types import EMOTIONS

REMEDY = "run 'dubber prepare --overwrite' to make the data set again"


class Records:
  """Prepared data set: records of all its splits, concatenated, and an index of them.

  Raises BadInput where it is half built, a shard is truncated, or it was made by another version. A record that does
  not parse raises when it is read; those found while the index was made are in `unreadable`.
  """

  columns: dict[str, type] = {}  # of the index, as `_summary` returns them
  expected: dict = {}  # required entries of metadata.json

  def __init__(self, folder):
    self.folder = Path(folder)
    self._check()
    path = self.folder / 'index.npz'
    if not path.exists():
      self._write_index(path)
    with np.load(path) as stored:
      self.index = {name: stored[name] for name in self.columns}
      self.splits = stored['splits']
      self.unreadable = json.loads(str(stored['unreadable']))
    if len(self.splits) != len(self):
      raise BadInput(f'{path} is of another version of the data set: delete it and it is made again')

  def __len__(self) -> int:
    return int(self._ends[-1])

  def read(self, i: int) -> dict:
    """Record i, decoded and checked. Raises BadInput where it does not parse or its lengths disagree."""
    split = int(np.searchsorted(self._ends, i, 'right'))
    place = int(i) - (int(self._ends[split - 1]) if split else 0)
    try:
      record = self._sources[split][place]
      self._fit(record)
    except Exception as e:  # noqa: BLE001 (protobuf, Riegeli and NumPy each have their own errors)
      why = str(e).splitlines()[0][:200] if str(e) else type(e).__name__
      raise BadInput(f'{self.folder}, {self._names[split]} record {place} does not parse ({why})') from None
    return record

  def _fit(self, record: dict):
    """Raises any error where the lengths of a record's features disagree."""

  def _summary(self, record: dict) -> tuple:
    """Row of a record in the index, in the order of `columns`."""
    return ()

  def _check(self):
    if not (self.folder / 'dataset_info.json').exists():
      half = sorted(self.folder.parent.glob(f'incomplete.*_{self.folder.name}'))
      raise BadInput(
        f'{self.folder}: no data set here'
        + (f', only a half-built one in {half[0].name}' if half else '')
        + "; run 'dubber prepare' (again) and give the folder that it prints"
      )
    try:
      metadata = json.loads((self.folder / 'metadata.json').read_text())
    except (OSError, ValueError) as e:
      raise BadInput(f'{self.folder}/metadata.json cannot be read ({e}); {REMEDY}') from None
    for name, here in self.expected.items():
      if metadata.get(name) != here:
        raise BadInput(f'{self.folder}: another kind of data set, or made with other {name}; {REMEDY}')
    for instruction in (i for name in self._names for i in self._builder.info.splits[name].file_instructions):
      _check_shard(Path(instruction.filename), instruction.examples_in_shard)

  @cached_property
  def _builder(self):
    import tensorflow_datasets as tfds

    try:
      return tfds.builder_from_directory(self.folder)
    except Exception as e:  # noqa: BLE001 (TFDS raises various errors for damaged metadata)
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

  def _write_index(self, path: Path):
    """Reads all records once. Those that do not parse get an empty split, which no run selects."""
    rows, unreadable = [], []
    splits = np.repeat(self._names, np.diff(self._ends, prepend=0))
    for i in range(len(self)):
      try:
        rows.append(self._summary(self.read(i)))
      except BadInput as e:
        unreadable.append(str(e))
        rows.append(tuple(kind() for kind in self.columns.values()))
        splits[i] = ''
    columns = {name: np.array([row[c] for row in rows], kind) for c, (name, kind) in enumerate(self.columns.items())}
    try:
      with atomic_file(path) as partial:
        np.savez(partial, **columns, splits=splits, unreadable=json.dumps(unreadable, ensure_ascii=False))
    except OSError as e:
      raise BadInput(f'{path} cannot be written ({e.strerror}); open the data set once where it can be') from e

  def __reduce__(self):
    return type(self), (self.folder,)  # worker processes open the shards themselves


class RecordSet(Records):
  """Prepared recordings with the package's features. Items are as those of packed.PackedSet."""

  columns = {'frames': int, 'phonemes': int, 'speakers': str}
  expected = {'symbols': list(SYMBOLS), 'mel_step': MEL_STEP}

  frames = property(lambda self: self.index['frames'])
  phonemes = property(lambda self: self.index['phonemes'])
  speakers = property(lambda self: self.index['speakers'])

  def item(self, i: int, names: Iterable[str] | None = None) -> tuple[dict, dict[str, np.ndarray]]:
    """Row (key, set, speaker, text, emotion, split, and where known language, source, speed, edit, intensity) and
    features (those of `names`; None: all) of item i, as of PackedSet. Raises BadInput where the record does not
    parse."""
    record = self.read(i)
    row = {name: record[name].decode() for name in ('key', 'set', 'text', 'split')}
    row |= {'speaker': record['voice'].decode(), 'emotion': EMOTIONS[record['emotion']]}
    row |= json.loads(record.get('details', b'{}'))  # sets made before 2026-12 have none
    return row, unpack({name: record[name] for name in names or KINDS})

  def _fit(self, record):
    json.loads(record.get('details', b'{}'))
    frames, phonemes = len(record['mel']), len(record['phonemes'])
    whole = len(record['pitch']) == frames == record['durations'].sum() and len(record['durations']) == phonemes
    if not whole or (phonemes and record['phonemes'].max() >= len(SYMBOLS)):
      raise ValueError('the lengths of its features disagree')

  def _summary(self, record):
    return len(record['mel']), len(record['phonemes']), record['voice'].decode()


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
