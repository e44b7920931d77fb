"""Trains the critics: the director's, which scores takes, and the training critic, which guides the actor's training.

    python -m data_pipelines.speaker_augmentation cache/packed/*-???????? cache/teacher/shard_????             # 15 min
    python -m data_pipelines.degraded_speech cache/packed/*-???????? cache/teacher/shard_???? --model MODEL    # 30 min
    dubber train experiments/recipes/critic.py            # both, 2,400 steps, 25 min each of one CPU core
    # measured on unseen speech, and written as model directories:
    python experiments/recipes/critic.py runs/critic/training_critic -o runs/training_critic
    python experiments/recipes/critic.py runs/critic/critic -o runs/critic_model
    dubber release runs/first_voice/felt --critic runs/critic_model -o model/

MODEL is the model directory whose vocoder's and actor's artifacts the critics are to know: for the training critic,
that of the arm from which `felt` starts. The critics have different seeds and sizes, since an actor trained against one
always satisfies it (training/tasks/critic_guidance.py).

Of RAVDESS they are trained on actors 01-10 alone; judges on 11-18, and all are measured on 19-22. LibriSpeech (251
speakers of train-clean-100, without texts) is for speaker similarity and naturalness; the judge of speaker similarity
was trained on none of these sets (GE2E: train-other-500 and VoxCeleb). Judges: docs/results/judges.md.
"""

import argparse
import dataclasses
import functools
import json
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from data_pipelines.pack import pack_sound, pack_sources
from dubber_jax.config import Config, CriticTask
from dubber_jax.critic.config import CriticConfig
from dubber_jax.critic.inference import SCALED, CriticModel, raw_scores, write_critic
from dubber_jax.data.config import SourceConfig
from dubber_jax.data.packed import PackedSet
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.tasks.critic import CriticBatches, critic_sizes, critic_task, empty_batch

AUGMENTED, DEGRADED = 'cache/packed/augmented_speakers', 'cache/packed/degraded_speech'
SHARES = {
  'ravdess': 0.30,
  AUGMENTED: 0.16,
  DEGRADED: 0.2,
  'grid': 0.1,
  'kathleen': 0.05,
  'teacher': 0.04,
  'ljspeech': 0.01,
  'asterisk': 0.02,
  'cache/teacher': 0.07,
  'librispeech': 0.05,
}
WITHOUT_TEXT = ('librispeech',)
UNSEEN = ('validation', 'test', 'test_unseen')
EACH = 240  # at most so many unseen recordings of a data set are measured
DIFFERS = {'speaker_similarity': 'speaker', 'intelligibility': 'text'}  # what differs between wrong and right items
NEEDS = {'intelligibility': 'transcribed', 'av_sync': 'mouth_known'}  # what an item must have for a score
WORST = 0.4  # quality below which degraded speech counts as wrong


def arms() -> dict[str, Config]:
  training = Config(
    name='critic/training_critic',
    task=CriticTask(
      critic=CriticConfig(shares=tuple(SHARES.values())),
      data=SourceConfig(sources=tuple(SHARES)),
    ),
    train=TrainConfig(steps=2400, learning_rate=2e-3, warmup_steps=100, decay_steps=1400, ema=0.995, save_every=250),
  )
  other = dataclasses.replace(training.task.critic, width=144, opinion=48, dropout=0.4)
  return {'training_critic': training, 'critic': training.replace(name='critic/critic', seed=1).with_task(critic=other)}


def folders(names, config: Config) -> list[list]:
  """The packed folders of each source."""
  packed = config.task.data.packed
  return [
    [pack_sound(name, packed, workers=2)] if name in WITHOUT_TEXT else pack_sources([name], packed, workers=2)
    for name in names
  ]


def batches(config: Config, host) -> CriticBatches:
  return CriticBatches(config, folders(config.task.data.sources, config), host=host)


def task(config: Config):
  return critic_task(config)


def evenly(config: Config, groups: list, splits=None) -> CriticBatches:
  """Recordings of `splits` (None: of training) of packed folders, all groups with the same share."""
  config = config.with_task(critic=dataclasses.replace(config.task.critic, shares=(1.0,) * len(groups)))
  return CriticBatches(config, groups, splits=splits)


def chosen_items(source: CriticBatches) -> list[tuple[int, int]]:
  """(set, item) of at most EACH items of each data set, evenly spread."""
  own = {}
  for s, packed in enumerate(source.sets):
    for i in source.items[s]:
      own.setdefault(packed.rows[i]['set'], []).append((s, int(i)))
  return [item for items in own.values() for item in items[:: -(-len(items) // EACH)]]


def score(config: Config, params, source: CriticBatches, change=None) -> list[dict]:
  """Raw scores of the chosen items of `source`. change(batch, rng) -> another batch."""
  scores_of = compiled_scores(critic_sizes(config))
  c, rng, found = config.task.critic, np.random.default_rng(0), []
  items = chosen_items(source)
  for start in tqdm(range(0, len(items), c.items), desc='scores', unit='batch', leave=False):
    chosen = items[start : start + c.items]
    filled = (chosen * c.items)[: c.items]
    batch = empty_batch(config, c.items)
    for row, (s, i) in enumerate(filled):
      source.fill_item(batch, row, s, i, np.random.default_rng([1, s, i]), plain=True)
    batch = change(batch, rng) if change else batch
    raw = jax.device_get(scores_of(params, batch))
    for row, (s, i) in enumerate(chosen):
      scores = {name: float(raw[name][row]) for name in SCALED}
      known = {name: bool(batch[name][row]) for name in ('acted', 'mouth_known', 'transcribed', 'edited')}
      emotion = {'emotion': int(batch['emotion'][row]), 'predicted': int(raw['emotion'][row].argmax())}
      found.append(scores | known | emotion | {'row': source.sets[s].rows[i], 'quality': float(batch['quality'][row])})
  return found


@functools.cache
def compiled_scores(sizes):
  return jax.jit(functools.partial(raw_scores, sizes))


def rotated(*names):
  """A change of a batch: every item gets these arrays of its neighbor (another voice or mouth)."""
  return lambda batch, rng: batch | {name: np.roll(batch[name], 1, axis=0) for name in names}


def other_words(batch, rng):
  """A change of a batch: the phonemes of another item, stretched to this one's length."""
  from dubber_jax.actor.slot import largest_remainder

  phonemes, durations = (np.roll(batch[name], 1, axis=0) for name in ('phonemes', 'durations'))
  durations = np.stack(
    [largest_remainder(d, total) for d, total in zip(durations, batch['durations'].sum(1), strict=True)]
  )
  return batch | {'phonemes': phonemes, 'durations': durations}


def late(batch, rng):
  """A change of a batch: lips shifted by 8 frames."""
  return batch | {name: np.roll(batch[name], rng.choice((-8, 8)), axis=1) for name in ('lips', 'lip_mask')}


def measure(config: Config, params) -> tuple[dict[str, tuple[float, float]], dict]:
  """Scales of the scores, and metrics, all on speech unseen in training."""
  names = [name for name in config.task.data.sources if name not in (AUGMENTED, DEGRADED)]
  groups = [[f for f in group if has_unseen(f)] for group in folders(names, config)]
  source = evenly(config, [group for group in groups if group], UNSEEN)
  right = score(config, params, source)
  wrong = {
    'intelligibility': score(config, params, source, other_words),
    'speaker_similarity': score(config, params, source, rotated('reference', 'reference_mask')),
    'av_sync': score(config, params, source, late),
  }
  scales, figures = {}, {}
  for name, found in wrong.items():
    counted = [i for i, item in enumerate(right) if counts(name, item, neighbor(right, i, config.task.critic.items))]
    good = np.array([item[name] for item in right if can_be_wrong(name, item)])
    bad = np.array([found[i][name] for i in counted])
    scales[name] = (float(np.median(bad)), float(np.median(good)))
    figures[f'{name}: area under the curve, right against wrong'] = auc(good, bad)
  degraded = score(config, params, evenly(config, folders([DEGRADED], config)))
  worst = [item['naturalness'] for item in degraded if item['quality'] < WORST]
  unedited = [item['naturalness'] for item in right if not item['edited']]
  scales['naturalness'] = (float(np.median(worst)), float(np.median(unedited)))
  figures['emotion: accuracy, RAVDESS 19-22'] = accuracy([item for item in right if item['acted']])
  others = evenly(config, folders(['ravdess'], config), ('train_b',))
  figures['emotion: accuracy, RAVDESS 11-18'] = accuracy(score(config, params, others))
  return scales, figures


def can_be_wrong(name: str, item: dict) -> bool:
  """Whether a score is defined for an item: intelligibility needs a transcript, AV sync tracked lips."""
  return item[NEEDS[name]] if name in NEEDS else True


def counts(name: str, item: dict, other: dict) -> bool:
  """Whether an item with another's text or voice is wrong: a neighbor may have the same speaker or text."""
  if not can_be_wrong(name, item):
    return False
  if name == 'av_sync':
    return True
  return can_be_wrong(name, other) and other['row'][DIFFERS[name]] != item['row'][DIFFERS[name]]


def neighbor(found: list[dict], i: int, size: int) -> dict:
  """The item whose voice or text item i got."""
  first = i - i % size
  chosen = found[first : first + size]
  return (chosen * size)[(i % size - 1) % size]


def has_unseen(folder) -> bool:
  return any(row['split'] in UNSEEN for row in PackedSet(folder).rows)


def accuracy(found) -> float:
  return float(np.mean([item['predicted'] == item['emotion'] for item in found]))


def auc(good, bad) -> float:
  """Area under the ROC curve of right against wrong scores."""
  return float((good[:, None] > bad[None]).mean() + 0.5 * (good[:, None] == bad[None]).mean())


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('workdir')
  parser.add_argument('-o', '--out', required=True)
  given = parser.parse_args()
  from dubber_jax.training.checkpoints import load_weights, read_config

  config, params = read_config(given.workdir), load_weights(given.workdir)[1]
  scales, figures = measure(config, params)
  write_critic(CriticModel(critic_sizes(config), params, scales), given.out)
  (Path(given.out) / 'figures.json').write_text(json.dumps(figures, indent=1) + '\n')
  print(json.dumps({'scales': scales, **figures}, indent=1))


if __name__ == '__main__':
  main()
