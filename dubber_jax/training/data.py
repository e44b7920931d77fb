"""Batches for the voice: length buckets of fixed shape, shuffled anew each epoch, the same for a given seed and step.

Grain reads them; the position of its iterator is saved in the checkpoint.
"""

from pathlib import Path

import grain
import numpy as np

from dubber_jax.batch import Shape, empty_batch, lay_lips, lay_voice, lip_frames
from dubber_jax.clip import EMOTIONS
from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.training.packed import PackedSet

TRAINING_SPLITS = ('train', 'train_a', 'train_b')
FRAMES_PER_PHONEME = 4  # room for phonemes in a bucket; speech has about seven


def bucket_shapes(config: Config) -> list[Shape]:
  shapes = []
  for frames in config.data.buckets:
    items = max(1, config.data.frames_per_batch // frames)
    devices = config.mesh.data * config.mesh.fsdp
    items = max(devices, items // devices * devices)
    shapes.append(Shape(items, frames, frames // FRAMES_PER_PHONEME, lip_frames(frames), config.data.reference_frames))
  return shapes


class VoiceBatches:
  """A random-access source of whole batches: batch i is the same whatever was read before it.

  `folders` are packed sets. `readings` (see training/readings.py) gives the director its nodes; without
  it the director is silent. Items too long for every bucket are left out; `left_out` counts them.
  """

  def __init__(self, config: Config, folders, readings=None, splits=TRAINING_SPLITS):
    self.config, self.readings = config, readings
    self.sets = [PackedSet(f) for f in folders]
    self.shapes = bucket_shapes(config)
    self.buckets: list[list[tuple[int, int]]] = [[] for _ in self.shapes]
    self.by_speaker: dict[str, list[tuple[int, int]]] = {}
    self.left_out = 0
    for s, packed in enumerate(self.sets):
      for i, row in enumerate(packed.rows):
        if row['split'] not in splits:
          continue
        frames, phonemes = (row['spans'][k][1] - row['spans'][k][0] for k in ('mel', 'phonemes'))
        fits = [b for b, shape in enumerate(self.shapes) if frames <= shape.frames and phonemes <= shape.phonemes]
        if not fits:
          self.left_out += 1
          continue
        self.buckets[fits[0]].append((s, i))
        self.by_speaker.setdefault(row['speaker'], []).append((s, i))
    self.per_epoch = sum(len(b) // shape.items for b, shape in zip(self.buckets, self.shapes, strict=True))
    if not self.per_epoch:
      raise BadInput(f'not enough recordings for one batch in {", ".join(str(Path(f)) for f in folders)}')
    self._plan = (-1, [])

  def __len__(self) -> int:
    return self.per_epoch * 1_000_000  # epochs without end

  def plan(self, epoch: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """(bucket, items) of every batch of an epoch, shuffled."""
    if self._plan[0] != epoch:
      rng = np.random.default_rng([self.config.seed, epoch])
      batches = []
      for b, (items, shape) in enumerate(zip(self.buckets, self.shapes, strict=True)):
        order = rng.permutation(len(items))
        for k in range(len(items) // shape.items):
          batches.append((b, [items[j] for j in order[k * shape.items : (k + 1) * shape.items]]))
      rng.shuffle(batches)
      self._plan = (epoch, batches)
    return self._plan[1]

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    epoch, place = divmod(int(index), self.per_epoch)
    bucket, members = self.plan(epoch)[place]
    shape = self.shapes[bucket]
    batch = empty_batch(self.config, shape)
    for row, (s, i) in enumerate(members):
      rng = np.random.default_rng([self.config.seed, epoch, s, i])  # keyed by item, not by place
      self.lay(batch, row, s, i, rng)
    return batch

  def lay(self, batch, row: int, s: int, i: int, rng: np.random.Generator):
    """Writes item (s, i) into a row of the batch."""
    info, item = self.sets[s].rows[i], self.sets[s].features(i)
    frames, phonemes = len(item['mel']), len(item['phonemes'])
    batch['mel'][row, :frames] = item['mel']
    batch['pitch'][row, :frames] = item['pitch']
    batch['phonemes'][row, :phonemes] = item['phonemes']
    batch['durations'][row, :phonemes] = item['durations']
    if self.config.data.films and len(item['lips']) and rng.random() > 0.2:
      lay_lips(batch, row, item['lips'], item['lip_present'])
    others = self.by_speaker[info['speaker']]
    other = others[rng.integers(len(others))]
    reference = self.sets[other[0]].features(other[1])
    start = rng.integers(max(len(reference['mel']) - batch['reference'].shape[1], 0) + 1)
    lay_voice(batch, row, reference['speaker'], reference['mel'][start:])
    batch['emotion'][row] = EMOTIONS.index(info['emotion'])
    if self.readings is not None and rng.random() >= self.config.data.director_dropout:
      nodes = self.readings.draw(info, rng)
      if nodes is not None:
        for name, value in nodes.items():
          batch[name][row] = value
        batch['emotion_known'][row] = True

  def iterator(self) -> grain.DatasetIterator:
    """Grain's iterator over all batches from the first; its state can be saved and restored."""
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return iter(grain.MapDataset.source(self).to_iter_dataset(options))
