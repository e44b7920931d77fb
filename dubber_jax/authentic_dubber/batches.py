"""Batches of the published features, grouped by length as in the released loader (spec section 7).

128 clips are drawn, sorted by their number of phonemes and cut into four batches of 32; the remainder is dropped. A
batch is a function of its index alone, whatever was read before and on however many hosts.
"""

import functools
from collections.abc import Sequence

import numpy as np

from dubber_jax.authentic_dubber.collate import collate
from dubber_jax.config import Config
from dubber_jax.data.batches import FRAMES_PER_PHONEME, BatchIterator
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape, lip_frames
from dubber_jax.types import MODALITIES

INPUTS = (
  'phonemes', 'durations', 'mel', 'reference', 'lips', 'phoneme_length', 'mel_length', 'reference_length',
  'lip_length', 'speaker', 'emotion', 'sounds', *MODALITIES, *(f'{m}_refs' for m in MODALITIES),
)  # fmt: skip
SHORTEST = 128  # mel frames of the smallest bucket; the others are 1.5, 2, 3, 4, 6, ... times as long


class TreeBatches:
  """A random-access source of whole batches.

  tree: `item(i, rng)` gives clip i with the published item's fields (data_pipelines.v2c_animation.FeatureTree).
  usable (M,): indices of the clips to use. lengths (M, 4): their phonemes, lip frames, mel frames and reference frames.
  `skipped` lists the clips that cannot be used. host = (its number, number of hosts): each collates its own rows.
  """

  def __init__(self, config: Config, tree, usable, lengths, skipped=(), host=(0, 1)):
    self.config, self.tree, self.host = config, tree, host
    self.usable, self.lengths, self.skipped = np.asarray(usable), np.asarray(lengths), list(skipped)
    size = config.task.tree.batch
    self.per_epoch = len(self.usable) // size
    if not self.per_epoch:
      raise BadInput(
        f'{config.task.tree.root}: {len(self.usable)} clips can be used, and a batch takes {size}: '
        'give more, or a smaller task.tree.batch'
      )
    if size % host[1]:
      raise BadInput(f'{host[1]} hosts cannot share a batch of {size} clips: change task.tree.batch')

  def __len__(self) -> int:
    return self.per_epoch * 1_000_000  # practically endless

  def members(self, index: int) -> np.ndarray:
    """Positions in `usable` of the clips of batch `index`, of all hosts, by descending number of phonemes."""
    size, drawn = self.config.task.tree.batch, self.config.task.tree.drawn
    epoch, place = divmod(int(index), self.per_epoch)
    group, part = divmod(place, drawn)
    chosen = self._order(epoch)[group * size * drawn : (group + 1) * size * drawn]
    chosen = chosen[np.argsort(-self.lengths[chosen, 0], kind='stable')]
    return chosen[part * size : (part + 1) * size]

  def _order(self, epoch: int) -> np.ndarray:
    return _permutation(len(self.usable), self.config.seed, epoch)

  def shape(self, index: int) -> Shape:
    """Padded shape of batch `index`."""
    members = self.members(index)
    longest = self.lengths[members].max(0)
    return bucket(longest, len(members)) if self.config.task.tree.buckets else _exact(longest, len(members))

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    members, shape = self.members(index), self.shape(index)
    epoch, (number, count) = int(index) // self.per_epoch, self.host
    rows = len(members) // count
    mine = self.usable[members[number * rows : (number + 1) * rows]]
    items = [self.tree.item(int(i), np.random.default_rng([self.config.seed, epoch, int(i)])) for i in mine]
    return collate_to_shape(items, shape, max(self.config.task.tree.exemplars, 1))

  def iterator(self, workers: int = 0) -> BatchIterator:
    """Iterator over all batches, whose state can be saved and restored."""
    return BatchIterator(self, workers)


def collate_to_shape(items: list[dict], shape: Shape, exemplars: int) -> dict[str, np.ndarray]:
  """Batch of PublishedDirectorActor from items, padded to `shape`; integers are int32."""
  sizes = {
    'phonemes': shape.phonemes,
    'durations': shape.phonemes,
    'lips': shape.lips,
    'mel': shape.frames,
    'reference': shape.reference,
    'exemplars': exemplars,
  }
  batch = collate(items, sizes)
  return {name: batch[name].astype(np.int32) if batch[name].dtype == np.int64 else batch[name] for name in INPUTS}


def empty_published(shape: Shape, exemplars: int) -> dict[str, np.ndarray]:
  """Batch of zeros with the arrays of `collate_to_shape`, in its order."""
  widths = {'scene': 1024, 'face': 1024, 'text': 2048}
  shapes = {
    'phonemes': (shape.phonemes,),
    'durations': (shape.phonemes,),
    'mel': (shape.frames, 80),
    'reference': (shape.reference, 80),
    'lips': (shape.lips, 512),
    'speaker': (256,),
    'sounds': (3, exemplars, 1024),
    **{m: (widths[m],) for m in MODALITIES},
    **{f'{m}_refs': (exemplars, widths[m]) for m in MODALITIES},
  }
  floats = set(shapes) - {'phonemes', 'durations'}
  return {
    name: np.zeros((shape.items, *shapes.get(name, ())), np.float32 if name in floats else np.int32) for name in INPUTS
  }


def bucket(longest: Sequence[int], items: int) -> Shape:
  """Smallest bucket that holds the given numbers of phonemes, lip frames, mel frames and reference frames."""
  phonemes, lips, frames, reference = map(int, longest)
  needed, size, half = max(frames, reference, FRAMES_PER_PHONEME * phonemes), SHORTEST, False
  while size < needed or lip_frames(size) < lips:
    size, half = (size * 4 // 3, False) if half else (size * 3 // 2, True)
  return Shape(items, size, size // FRAMES_PER_PHONEME, lip_frames(size), size)


def _exact(longest, items: int) -> Shape:
  phonemes, lips, frames, reference = map(int, longest)
  return Shape(items, frames, phonemes, lips, reference)


@functools.lru_cache(4)
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
  return np.random.default_rng([seed, epoch]).permutation(count)
