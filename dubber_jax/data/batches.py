"""Training batches of the actor: length buckets of fixed shape, shuffled each epoch, deterministic in seed and step.

Grain reads them, in threads or processes; the position of its iterator is saved in the checkpoint. A batch is a
function of its index alone, whatever was read before and by however many processes and hosts.
"""

import functools
import json
import logging
import os
from pathlib import Path
from typing import Any

import grain
import numpy as np
from absl import flags
from grain.experimental import index_shuffle

from dubber_jax.config import Config
from dubber_jax.data.packed import PackedSet
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import (
  Shape,
  empty_batch,
  fill_direction,
  fill_lips,
  fill_noise,
  fill_text,
  fill_voice,
  lip_frames,
)
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.types import EMOTIONS, MODALITIES

TRAINING_SPLITS = ('train', 'train_a', 'train_b')
HEARD_BY_JUDGES = ('train_b', 'test', 'validation', 'test_unseen')  # splits that the critic is never trained on
FRAMES_PER_PHONEME = 4  # mel frames per phoneme of a bucket's shape; speech has about seven
NAMED_EMOTION_SHARE = 0.8  # of items with director inputs: conditioned on the named emotion too
GUIDED_EMOTIONS = len(EMOTIONS) - 1  # emotions of critic guidance: all but 'others'
GUIDED_NODES_SHARE = 0.5  # of items under critic guidance: with director inputs beside the named emotion
DOMAIN_OF = {'kathleen': 1, 'ravdess': 2, 'grid': 3, 'asterisk': 4}  # room, booth, film, telephone; others: 0, studio
DOMAINS = 5
TILT = 0.5  # nepers: standard deviation of the spectral tilt of a damaged reference
NOISE = (1.0, 5.0)  # nepers below the signal: range of the noise level of a damaged reference
DEFAULT_INTENSITY = 0.5  # of recordings without a label of intensity
MAX_PERMUTATION = 2**17  # longest permutation that is kept in memory; longer ones are computed by a cipher
ROUNDS = 4  # of that cipher
PLAIN_ATTEMPTS = 4  # draws of a reference recording until one is neutral, unedited speech
MAX_UNREADABLE = 20  # unreadable items in a row, after which reading fails


def bucket_shapes(config: Config) -> list[Shape]:
  """Batch shape of each length bucket; items are a multiple of the devices times accumulated parts."""
  data, shapes = config.task.data, []
  for frames in data.buckets:
    items = max(1, data.frames_per_batch // frames)
    devices = config.mesh.data * config.mesh.fsdp * config.train.accumulate
    items = max(devices, items // devices * devices)
    shapes.append(Shape(items, frames, frames // FRAMES_PER_PHONEME, lip_frames(frames), data.reference_frames))
  return shapes


def director_input_names() -> tuple[str, ...]:
  """Names of a batch's arrays that are inputs of the director."""
  return ('present', *MODALITIES, *(f'{m}_refs' for m in MODALITIES), 'refs_present', 'sounds', 'sounds_present')


def damage_reference(mel_tm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Augmented log mel (T, 80): random level, spectral tilt and curvature, and additive noise, as of another microphone
  in a noisier room."""
  bands = np.linspace(-1.0, 1.0, mel_tm.shape[1])
  level = np.log(np.exp(mel_tm).mean()) - rng.uniform(*NOISE)
  noise = level + rng.normal(0, TILT) * bands + 0.4 * rng.standard_normal(mel_tm.shape)
  tone = rng.normal(0, TILT / 2) + rng.normal(0, TILT) * bands + rng.normal(0, TILT / 2) * (np.square(bands) - 1 / 3)
  return np.maximum(np.logaddexp(mel_tm, noise) + tone, LOG_FLOOR).astype(np.float32)


def is_plain(row: dict) -> bool:
  """Whether a recording is neutral speech with its original F0 and energy."""
  return row['emotion'] == 'neutral' and not row.get('edit')


def open_set(folder: str | os.PathLike) -> Any:
  """Data set of a folder, packed (data/packed.py) or prepared as array_record (data/records.py)."""
  if (Path(folder) / 'items.jsonl').exists() or (Path(folder) / 'mel.npy').exists():
    return PackedSet(folder)
  from dubber_jax.data.records import RecordSet

  return RecordSet(folder)


def shuffled(place: int, count: int, *key: int) -> int:
  """Element `place` of a pseudo-random permutation of range(count), which depends on `key`."""
  if count <= MAX_PERMUTATION:
    return int(_permutation(count, key)[place])
  seed = np.random.SeedSequence(key).generate_state(1)[0]
  return index_shuffle(int(place), max_index=count - 1, seed=int(seed), rounds=ROUNDS)


@functools.lru_cache(64)
def _permutation(count: int, key: tuple[int, ...]) -> np.ndarray:
  return np.random.default_rng(key).permutation(count)


class VoiceBatches:
  """Random-access source of the actor's batches; batch i does not depend on what was read before.

  folders: data sets, packed or prepared.
  director_inputs: DirectorInputs (data/director_inputs.py); None: all inputs of the director are masked.
  host: (i, n): only the i-th of n equal parts of each batch is filled; the parts in order are the batch.
  listing: JSON-lines file to which unreadable records are appended, with the reason, as to `unreadable`.

  Items too long for every bucket are left out and counted in `left_out`. An item that cannot be read is replaced by
  another of its bucket, deterministically. Raises BadInput where the hosts do not divide a batch, or there are too few
  recordings for one.
  """

  def __init__(self, config: Config, folders, director_inputs=None, splits=TRAINING_SPLITS, host=(0, 1), listing=None):
    self.config, self.director_inputs, self.host, self.listing = config, director_inputs, host, listing
    self.sets = [open_set(f) for f in folders]
    self.shapes = bucket_shapes(config)
    self.unreadable: dict[str, str] = {}
    for shape in self.shapes:
      if shape.items % host[1]:
        raise BadInput(
          f'{host[1]} hosts cannot share a batch of {shape.items} items ({shape.frames} frames each): '
          'change task.data.frames_per_batch'
        )

    # Items are numbered over all sets; `starts` are the sets' first numbers.
    sizes = [len(s) for s in self.sets]
    self.starts = np.concatenate([[0], np.cumsum(sizes)])
    frames, phonemes, split, speaker = (
      np.concatenate([getattr(s, name) for s in self.sets]) if self.sets else np.zeros(0)
      for name in ('frames', 'phonemes', 'splits', 'speakers')
    )
    wanted = np.isin(split, splits)
    limits = np.array([(s.frames, s.phonemes) for s in self.shapes])
    fits = (frames[:, None] <= limits[:, 0]) & (phonemes[:, None] <= limits[:, 1])  # (items, buckets)
    bucket = np.where(wanted & fits.any(1), fits.argmax(1), -1)
    self.left_out = int((wanted & ~fits.any(1)).sum())
    self.buckets = [np.flatnonzero(bucket == b) for b in range(len(self.shapes))]
    kept = np.flatnonzero(bucket >= 0)
    names, self.speaker_of = np.unique(speaker, return_inverse=True)
    order = kept[np.argsort(self.speaker_of[kept], kind='stable')]
    self.by_speaker = np.split(order, np.searchsorted(self.speaker_of[order], np.arange(1, len(names))))

    counts = [len(b) // shape.items for b, shape in zip(self.buckets, self.shapes, strict=True)]
    self.ends = np.cumsum(counts)  # last batch of each bucket, plus one, in the unshuffled order
    self.per_epoch = int(self.ends[-1])
    if not self.per_epoch:
      raise BadInput(f'not enough recordings for one batch in {", ".join(str(f) for f in folders)}')

  def __len__(self) -> int:
    return self.per_epoch * 1_000_000  # practically endless

  def members(self, index: int) -> tuple[int, np.ndarray]:
    """Bucket of batch `index`, and the numbers of its items, of all hosts."""
    epoch, place = divmod(int(index), self.per_epoch)
    place = shuffled(place, self.per_epoch, self.config.seed, epoch, 0)
    bucket = int(np.searchsorted(self.ends, place, 'right'))
    first = place - (self.ends[bucket - 1] if bucket else 0)
    items, size = self.buckets[bucket], self.shapes[bucket].items
    chosen = [shuffled(first * size + j, len(items), self.config.seed, epoch, bucket + 1) for j in range(size)]
    return bucket, items[chosen]

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    bucket, members = self.members(index)
    epoch, (number, count) = int(index) // self.per_epoch, self.host
    rows = len(members) // count
    shape = self.shapes[bucket]
    batch = empty_batch(self.config, Shape(rows, shape.frames, shape.phonemes, shape.lips, shape.reference))
    guided = self.director_inputs is not None and self.config.task.guidance.critic
    if guided:
      batch |= {f'guided_{name}': np.zeros_like(batch[name]) for name in ('emotion', *director_input_names())}
    for row, item in enumerate(members[number * rows : (number + 1) * rows]):
      rng = np.random.default_rng([self.config.seed, epoch, int(item)])  # keyed by item, not by place
      info = self.fill_item(batch, row, int(item), self.buckets[bucket], rng)
      if guided:
        self._fill_guided(batch, row, info['speaker'], rng)
    return batch

  def _fill_guided(self, batch, row: int, speaker: str, rng: np.random.Generator):
    """Draws the emotion of critic guidance, and for a share of the items director inputs of that emotion."""
    emotion = int(rng.integers(GUIDED_EMOTIONS))
    batch['guided_emotion'][row] = emotion
    if rng.random() < GUIDED_NODES_SHARE:
      acted = {'emotion': EMOTIONS[emotion], 'set': 'ravdess', 'speaker': speaker}
      for name, value in self.director_inputs.draw(acted, rng).items():
        batch[f'guided_{name}'][row] = value

  def fill_item(self, batch: dict[str, Any], row: int, item: int, others: np.ndarray, rng: np.random.Generator) -> dict:
    """Fills a row of the batch with item number `item`, or one of `others` where it cannot be read; returns the item's
    row of the data set."""
    item, info, found = self._read_item(item, others, rng)
    same = self.by_speaker[self.speaker_of[item]]
    _, known, reference = self._read_item(int(same[rng.integers(len(same))]), same, rng, ('mel', 'speaker'))
    for _ in range(PLAIN_ATTEMPTS):  # prefer neutral speech; some speakers have none
      if is_plain(known):
        break
      _, known, reference = self._read_item(int(same[rng.integers(len(same))]), same, rng, ('mel', 'speaker'))
    batch['reference_plain'][row] = is_plain(known)
    batch['pace'][row], batch['edited'][row] = info.get('speed', 1.0), bool(info.get('edit'))
    frames, phonemes = len(found['mel']), len(found['phonemes'])
    batch['mel'][row, :frames] = found['mel']
    batch['pitch'][row, :frames] = found['pitch']
    fill_text(batch, row, self.config, found['phonemes'], info.get('language', 'en'))
    batch['durations'][row, :phonemes] = found['durations']
    if self.config.task.data.films and len(found['lips']) and rng.random() > 0.2:
      fill_lips(batch, row, found['lips'], found['lip_present'])
    start = rng.integers(max(len(reference['mel']) - batch['reference'].shape[1], 0) + 1)
    reference_mel = reference['mel'][start:]
    batch['domain'][row] = DOMAIN_OF.get(info['set'], 0) if self.config.task.actor.domains else 0
    if self.config.task.data.reference_damage > rng.random() and info['set'] not in DOMAIN_OF:
      reference_mel = damage_reference(reference_mel, rng)
    fill_voice(batch, row, reference['speaker'], reference_mel)
    batch['emotion'][row] = EMOTIONS.index(info['emotion'])
    if self.director_inputs is not None and rng.random() >= self.config.task.data.director_dropout:
      nodes = self.director_inputs.draw(info, rng)
      if nodes is not None:
        for name, value in nodes.items():
          batch[name][row] = value
        batch['emotion_known'][row] = True
      if rng.random() < NAMED_EMOTION_SHARE:
        emotion = np.eye(len(EMOTIONS))[batch['emotion'][row]]
        fill_direction(batch, row, emotion, info.get('intensity', DEFAULT_INTENSITY))
    fill_noise(batch, row, frames, rng)
    return info

  def _read_item(self, item: int, others: np.ndarray, rng: np.random.Generator, names=None):
    """Number, row and features of an item, or of one of `others` where it cannot be read."""
    for _ in range(MAX_UNREADABLE):
      s = int(np.searchsorted(self.starts, item, 'right')) - 1
      try:
        return item, *self.sets[s].item(item - int(self.starts[s]), names)
      except BadInput as e:
        self._list_unreadable(f'{self.sets[s].folder} {item - int(self.starts[s])}', str(e))
        item = int(others[rng.integers(len(others))])
    raise BadInput(
      f'{MAX_UNREADABLE} records in a row cannot be read ({next(reversed(self.unreadable.values()))}): '
      'prepare the data set again'
    )

  def _list_unreadable(self, record: str, why: str):
    if record in self.unreadable:
      return
    self.unreadable[record] = why
    logging.getLogger(__name__).warning('skipped, %d so far: %s', len(self.unreadable), why)
    if self.listing:
      Path(self.listing).parent.mkdir(parents=True, exist_ok=True)
      with open(self.listing, 'a', encoding='utf-8') as file:  # shared by the worker processes
        file.write(json.dumps({'record': record, 'why': why}, ensure_ascii=False) + '\n')

  def iterator(self, workers: int = 0) -> 'BatchIterator':
    """Iterator over all batches, read by `workers` processes (0: by a thread). Its state can be saved and restored,
    also with another number of workers or hosts."""
    return BatchIterator(self, workers)


class BatchIterator:
  """Grain iterator over the batches of a random-access source; its state is the index of the next batch."""

  def __init__(self, source: VoiceBatches, workers: int):
    self.source, self.workers = source, workers
    self._next, self._reader = 0, None

  def __iter__(self):
    return self

  def __next__(self) -> dict[str, np.ndarray]:
    if self._reader is None:
      batches = grain.MapDataset.source(self.source)[self._next :]
      batches = batches.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=4))
      if self.workers:
        if not flags.FLAGS.is_parsed():  # Grain's workers need absl flags, which only absl apps parse
          flags.FLAGS.mark_as_parsed()
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=self.workers))
      self._reader = iter(batches)
    batch = next(self._reader)
    self._next += 1
    return batch

  def get_state(self) -> dict[str, int]:
    return {'next_index': self._next}

  def set_state(self, state: dict[str, int]):
    self.close()
    self._next = int(state['next_index'])

  def close(self):
    """Stops prefetching; the next call starts it again."""
    if self._reader is not None:
      self._reader.close()
    self._reader = None
