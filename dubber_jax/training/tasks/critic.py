"""Training task of the critic: batches of recordings, degraded speech and mismatched lips, and the task's loss.

Recordings without a transcript (or in another language than English) train the speaker embedding, naturalness, F0 and
voicing outputs alone: losses that need phonemes leave them out, and so does that of the emotion, whose features need
phonemes too. Synthetic lines with changed F0 and energy are left out of naturalness and emotion.
"""

from typing import Any

import grain
import numpy as np

from dubber_jax.config import Config
from dubber_jax.critic.losses import critic_losses
from dubber_jax.critic.model import Critic, CriticSizes
from dubber_jax.data.batches import HEARD_BY_JUDGES, is_plain
from dubber_jax.data.packed import PackedSet
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import REFERENCE, empty_critic_batch, fill_lips, fill_reference, lip_frames
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.script.g2p import encode
from dubber_jax.training.task import Task, adamw
from dubber_jax.training.tasks.vocoder import fill_pitch
from dubber_jax.types import EMOTIONS, HOP, LIP_RATE, SAMPLE_RATE

SHORTEST = 40  # mel frames of an item
MIN_EXCERPT = 0.6  # share of the longest possible excerpt, from which on an excerpt may be drawn
ONLY_RECORDING = 0.6  # at most this share of a speaker's only recording is the item; the reference is cut from the rest
REFERENCE_SHORTEST = 64  # mel frames, of what is left of such a recording
SHIFTS = (3, 15)  # lip frames by which mismatched lips are early or late: 0.12 to 0.6 s


def empty_batch(config: Config, rows: int) -> dict[str, np.ndarray]:
  """A batch of padding, with neutral labels."""
  frames, single = config.task.critic.frames, np.float32
  return empty_critic_batch(rows, frames, frames // 4, lip_frames(frames)) | {
    'pitch': np.full((rows, frames), 150.0, single),
    'voiced': np.zeros((rows, frames), bool),
    'emotion': np.zeros(rows, np.int32),
    'acted': np.zeros(rows, bool),
    'quality': np.ones(rows, single),
    'in_sync': np.zeros(rows, bool),
    'mouth_known': np.zeros(rows, bool),
    'speaker': np.zeros(rows, np.int32),
    'transcribed': np.zeros(rows, bool),
    'edited': np.zeros(rows, bool),
  }


class CriticBatches:
  """Random-access source of critic batches, drawn from packed sets by the share of each of task.data.sources.

  Batch i is the same whatever was read before it. `folders` has a packed folder for each source, or a list of folders,
  which divide the source's share by their number of items. A recording longer than critic.frames gives an excerpt that
  begins and ends between phonemes.

  A batch is what Critic takes, and pitch (B, T) Hz, interpolated, voiced (B, T), emotion (B,), acted (B,) bool, quality
  (B,) from 0 to 1, in_sync (B,) bool with mouth_known (B,), speaker (B,) index, transcribed (B,) bool where phonemes
  are known (else it is one silence), edited (B,) bool where its F0 and energy were changed.
  """

  def __init__(self, config: Config, folders, splits=None, host=(0, 1)):
    c = config.task.critic
    self.config, self.host = config, host
    groups = [group if isinstance(group, (list, tuple)) else [group] for group in folders]
    self.sets = [PackedSet(f) for group in groups for f in group]
    self.items, self.plain, names = [], {}, {}
    for s, packed in enumerate(self.sets):
      wanted = [
        splits is None and row['split'] not in HEARD_BY_JUDGES or row['split'] in (splits or ()) for row in packed.rows
      ]
      self.items.append(np.flatnonzero(np.array(wanted, bool) & (packed.frames >= SHORTEST)))
      for i in self.items[-1]:
        row = packed.rows[i]
        names.setdefault(row['speaker'], len(names))
        if is_plain(row) and row.get('quality', 1.0) == 1.0:
          self.plain.setdefault(row['speaker'], []).append((s, int(i)))
    self.shares, first = np.zeros(len(self.sets)), 0
    for share, group in zip(c.shares, groups, strict=True):
      counts = np.array([len(items) for items in self.items[first : first + len(group)]], float)
      if not counts.sum():
        raise BadInput(f'{group[0]}: no recording of {SHORTEST} mel frames or more that the critic may hear')
      self.shares[first : first + len(group)] = share * counts / counts.sum()
      first += len(group)
    self.shares /= self.shares.sum()
    self.numbers = names

  def __len__(self) -> int:
    return 1_000_000_000

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    c, (number, hosts) = self.config.task.critic, self.host
    rows = c.items // hosts
    batch = empty_batch(self.config, rows)
    for row in range(rows):
      rng = np.random.default_rng([self.config.seed, int(index), number * rows + row])
      s = int(rng.choice(len(self.sets), p=self.shares))
      self.fill_item(batch, row, s, int(rng.choice(self.items[s])), rng)
    return batch

  def fill_item(
    self, batch: dict[str, Any], row: int, s: int, item: int, rng: np.random.Generator, plain: bool = False
  ):
    """Writes an item into a row of the batch. plain: without augmentation, with its own lips."""
    info, found = self.sets[s].item(item)
    others = [p for p in self.plain.get(info['speaker'], ()) if p != (s, item)]
    transcribed = info.get('language', 'en') == 'en' and len(found['phonemes']) > 0
    most = self.config.task.critic.frames
    if not others:
      most = min(most, max(SHORTEST, int(ONLY_RECORDING * len(found['mel']))))
    first, found = excerpt(found, most, self.config.task.critic.frames // 4, transcribed, rng)
    reference = self.reference(s, item, others, first, first + len(found['mel']), rng)
    gain = 0.0 if plain else rng.uniform(-1.0, 0.5)  # nepers: augmentation of the level
    frames, phonemes = len(found['mel']), len(found['phonemes'])
    tilt = (0.0 if plain else rng.normal(0, 0.3)) * np.linspace(-1, 1, 80) + gain  # augmentation of the spectral tilt
    batch['mel'][row, :frames] = np.maximum(found['mel'] + tilt, LOG_FLOOR)
    fill_reference(batch, row, np.maximum(reference + tilt, LOG_FLOOR))
    batch['phonemes'][row, :phonemes] = found['phonemes']
    batch['durations'][row, :phonemes] = found['durations']
    batch['pitch'][row, :frames] = fill_pitch(found['pitch'])
    batch['voiced'][row, :frames] = found['pitch'] > 0
    batch['emotion'][row] = EMOTIONS.index(info['emotion'])
    batch['acted'][row] = info['set'] == 'ravdess'
    batch['quality'][row] = info.get('quality', 1.0)
    batch['speaker'][row] = self.numbers[info['speaker']]
    batch['transcribed'][row], batch['edited'][row] = transcribed, bool(info.get('edit'))
    if len(found['lips']) and found['lip_present'].mean() > 0.7:
      lips, present = found['lips'], found['lip_present']
      in_sync = plain or rng.random() < 0.5
      if not in_sync:
        lips, present = self.mismatched_lips(s, item, lips, present, frames, rng)
      fill_lips(batch, row, lips, present)
      batch['in_sync'][row], batch['mouth_known'][row] = in_sync, True

  def reference(self, s: int, item: int, others: list, first: int, last: int, rng: np.random.Generator) -> np.ndarray:
    """Reference mel (<= R, 80) of the speaker: of another recording, or of this one outside `first` to `last`."""
    source, number = others[rng.integers(len(others))] if others else (s, item)
    mel = self.sets[source].features(number, ('mel',))['mel']
    if not others:
      side = max(mel[:first], mel[last:], key=len)
      mel = side if len(side) >= REFERENCE_SHORTEST else mel
    start = rng.integers(max(len(mel) - REFERENCE, 0) + 1)
    return mel[start : start + REFERENCE]

  def mismatched_lips(
    self, s: int, item: int, lips: np.ndarray, present: np.ndarray, frames: int, rng: np.random.Generator
  ) -> Any:
    """Lips and mask out of sync with the sound: of another recording, or the same ones early or late."""
    if rng.random() < 0.3:
      other = int(rng.choice(self.items[s]))
      if other != item:
        found = self.sets[s].features(other, ('lips', 'lip_present'))
        lips, present = found['lips'], found['lip_present']
        return lips[: round(frames * HOP / SAMPLE_RATE * LIP_RATE)], present
    shift = int(rng.integers(*SHIFTS) * rng.choice((-1, 1)))
    return np.roll(lips, shift, axis=0), np.roll(present, shift)

  def iterator(self) -> grain.DatasetIterator:
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return iter(grain.MapDataset.source(self).to_iter_dataset(options))


def excerpt(found: dict, frames: int, phonemes: int, transcribed: bool, rng: np.random.Generator) -> tuple[int, dict]:
  """Random excerpt of an item, of at most so many mel frames and phonemes -> (first mel frame, features).

  It begins and ends between phonemes; an item that is not transcribed becomes one silence of its length, cut anywhere.
  """
  total, durations = len(found['mel']), found['durations']
  if transcribed and (total > frames or len(durations) > phonemes):
    ends = np.cumsum(durations)
    starts = ends - durations
    after = np.minimum(np.searchsorted(ends, starts + frames, 'right'), np.arange(len(ends)) + phonemes)
    lengths = np.where(after > np.arange(len(ends)), ends[after - 1] - starts, 0)
    begin = int(rng.choice(np.flatnonzero(lengths >= MIN_EXCERPT * lengths.max())))
    cut, last = slice(begin, after[begin]), int(starts[begin] + lengths[begin])
    first = int(starts[begin])
    found = found | {'phonemes': found['phonemes'][cut], 'durations': durations[cut]}
  else:
    first = int(rng.integers(total - frames + 1)) if total > frames else 0
    last = min(first + frames, total)
  if not transcribed:
    found = found | {'phonemes': encode(('@sil',)), 'durations': np.array([last - first])}
  lips = slice(None)
  if last - first < total:
    lips = slice(*(round(at * HOP / SAMPLE_RATE * LIP_RATE) for at in (first, last)))
  parts = {'mel': slice(first, last), 'pitch': slice(first, last), 'lips': lips, 'lip_present': lips}
  return first, found | {name: found[name][part] for name, part in parts.items()}


def critic_sizes(config: Config) -> CriticSizes:
  """The network sizes of a training config."""
  c = config.task.critic
  return CriticSizes(c.width, c.layers, c.opinion, c.embedding, c.dropout)


def critic_task(config: Config) -> Task:
  """The training task: initialization, loss with dropout, and AdamW."""
  critic = Critic(critic_sizes(config))

  def init(key, batch):
    return critic.init(key, batch)['params']

  def loss(params, batch, key):
    outputs = critic.apply({'params': params}, batch, True, rngs={'dropout': key})
    losses = critic_losses(outputs, batch)
    return losses['total'], losses

  return Task(init, loss, lambda: adamw(config.train), compares_items=True)
