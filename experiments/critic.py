"""The critic that the director listens with.

    python -m data_pipelines.waves cache/packed/*                   # the sound behind the packed features, minutes
    python -m data_pipelines.warped cache/packed/*-????????         # more voices
    python -m data_pipelines.degraded cache/packed/*-????????       # recordings spoilt by degrees
    dubber train experiments/critic.py                              # both, 1,600 steps, 15 min each of one CPU core
    python experiments/critic.py runs/critic/coach -o coach/        # measured on unseen speech, and made a folder
    python experiments/critic.py runs/critic/critic -o critic/
    dubber release runs/first_voice/sharp --critic critic/ -o model/

There are two: the actor learns from `coach` (training/guidance.py), the director listens with `critic`.
Of RAVDESS it hears actors 01-10 alone; judges learned from 11-18, and all are measured on 19-22.
"""

import argparse
import dataclasses
import functools
import json
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from data_pipelines.pack import pack_set
from dubber_jax.config import Config, CriticConfig, DataConfig, TrainConfig
from dubber_jax.director.listening import Listener, opinions, write_critic
from dubber_jax.training.critic import CriticBatches, critic_sizes, critic_task

SHARES = {
  'ravdess': 0.34, 'cache/packed/warped': 0.18, 'cache/packed/degraded': 0.2, 'grid': 0.1, 'kathleen': 0.06,
  'teacher': 0.06, 'ljspeech': 0.03, 'asterisk': 0.03,
}  # fmt: skip
UNSEEN = ('validation', 'test', 'test_unseen')
TOLD = {'voice': 'speaker', 'words': 'text'}  # what differs in speech that is wrong


def arms() -> dict[str, Config]:
  coach = Config(
    name='critic/coach',
    task='critic',
    data=DataConfig(sources=tuple(SHARES)),
    critic=CriticConfig(shares=tuple(SHARES.values())),
    train=TrainConfig(steps=1600, learning_rate=2e-3, warmup_steps=100, decay_steps=1000, ema=0.995, save_every=250),
  )
  # Another ear, of another beginning and shape: an actor who has learned to please one has not pleased the other.
  other = dataclasses.replace(coach.critic, width=144, opinion=48, dropout=0.4)
  return {'coach': coach, 'critic': coach.replace(name='critic/critic', critic=other, seed=1)}


def folders(config: Config) -> list:
  return [pack_set(name, config.data.packed, workers=2) for name in config.data.sources]


def batches(config: Config, host) -> CriticBatches:
  return CriticBatches(config, folders(config), host=host)


def task(config: Config):
  return critic_task(config)


def heard(config: Config, params, source: CriticBatches, sets, change=None) -> list[dict]:
  """Raw opinions of every item of the sets that `source` has for them. change(batch, rng) -> another batch."""
  listen = listener(critic_sizes(config))
  c, rng, found = config.critic, np.random.default_rng(0), []
  items = [(s, int(i)) for s in sets for i in source.items[s]]
  for start in tqdm(range(0, len(items), c.items), desc='heard', unit='batch', leave=False):
    chosen = items[start : start + c.items]
    filled = (chosen * c.items)[: c.items]
    batch = source.empty(c.items)
    for row, (s, i) in enumerate(filled):
      source.lay(batch, row, s, i, np.random.default_rng([1, s, i]), plain=True)
    batch = change(batch, rng) if change else batch
    raw = jax.device_get(listen(params, batch))
    for row, (s, i) in enumerate(chosen):
      facts = {name: float(raw[name][row]) for name in ('natural', 'words', 'voice', 'together')}
      said = {'emotion': int(batch['emotion'][row]), 'heard': raw['emotion'][row], 'acted': bool(batch['acted'][row])}
      extra = {'row': source.sets[s].rows[i], 'mouth_known': bool(batch['mouth_known'][row])}
      found.append(facts | said | extra | {'quality': float(batch['quality'][row])})
  return found


@functools.cache
def listener(sizes):
  return jax.jit(functools.partial(opinions, sizes))


def rotated(*names):
  """Every item gets its neighbour's: another text, voice or mouth."""
  return lambda batch, rng: batch | {name: np.roll(batch[name], 1, axis=0) for name in names}


def other_words(batch, rng):
  """The phonemes of another item, stretched to this one's length."""
  from dubber_jax.actor.duration import largest_remainder

  phonemes, durations = (np.roll(batch[name], 1, axis=0) for name in ('phonemes', 'durations'))
  durations = np.stack([
    largest_remainder(d, total) for d, total in zip(durations, batch['durations'].sum(1), strict=True)
  ])
  return batch | {'phonemes': phonemes, 'durations': durations}


def late(batch, rng):
  return batch | {name: np.roll(batch[name], rng.choice((-8, 8)), axis=1) for name in ('lips', 'lip_mask')}


def measure(config: Config, params) -> tuple[dict[str, tuple[float, float]], dict]:
  """The scales of the opinions, and figures, all on speech that the critic has not heard."""
  sources = tuple(name for name in config.data.sources if 'warped' not in name and 'degraded' not in name)
  wanted = config.replace(
    data=dataclasses.replace(config.data, sources=sources),
    critic=dataclasses.replace(config.critic, shares=(1.0,) * len(sources)),
  )
  paths = [pack_set(name, config.data.packed, workers=2) for name in sources]
  kept = [i for i, p in enumerate(paths) if has_unseen(p, UNSEEN)]
  wanted = wanted.replace(
    data=dataclasses.replace(wanted.data, sources=tuple(sources[i] for i in kept)),
    critic=dataclasses.replace(wanted.critic, shares=(1.0,) * len(kept)),
  )
  source = CriticBatches(wanted, [paths[i] for i in kept], splits=UNSEEN)
  everything = range(len(source.sets))
  right = heard(wanted, params, source, everything)
  wrong = {
    'words': heard(wanted, params, source, everything, other_words),
    'voice': heard(wanted, params, source, everything, rotated('reference', 'reference_mask')),
    'together': heard(wanted, params, source, everything, late),
  }
  films = [h['mouth_known'] for h in right]
  scales, figures = {}, {}
  for name, found in wrong.items():
    counted = [i for i in range(len(right)) if films[i] or name != 'together']
    good, bad = (np.array([x[i][name] for i in counted]) for x in (right, found))
    if name in ('voice', 'words'):  # a neighbour may be the same speaker, or say the same
      told, size = TOLD[name], config.critic.items
      bad = bad[[i for i in counted if neighbour(right, i, size)[told] != right[i]['row'][told]]]
    scales[name] = (float(np.median(bad)), float(np.median(good)))
    figures[f'{name}: area under the curve, right against wrong'] = auc(good, bad)
  spoilt = wanted.replace(
    data=dataclasses.replace(wanted.data, sources=('cache/packed/degraded',)),
    critic=dataclasses.replace(wanted.critic, shares=(1.0,)),
  )
  ruined = heard(spoilt, params, CriticBatches(spoilt, [pack_set('cache/packed/degraded', '')]), [0])
  spoilt_most = [h['natural'] for h in ruined if h['quality'] < 0.4]
  scales['natural'] = float(np.median(spoilt_most)), float(np.median([h['natural'] for h in right]))
  acted = [h for h in right if h['acted']]
  figures['emotion: accuracy, RAVDESS 19-22'] = accuracy(acted)
  actors = wanted.replace(
    data=dataclasses.replace(wanted.data, sources=('ravdess',)),
    critic=dataclasses.replace(wanted.critic, shares=(1.0,)),
  )
  others = CriticBatches(actors, [pack_set('ravdess', config.data.packed)], splits=('train_b',))
  figures['emotion: accuracy, RAVDESS 11-18'] = accuracy(heard(actors, params, others, [0]))
  return scales, figures


def neighbour(found, i, size) -> dict:
  """The row whose voice or words item i got."""
  first = i - i % size
  chosen = found[first : first + size]
  return (chosen * size)[(i % size - 1) % size]['row']


def has_unseen(folder, splits) -> bool:
  from dubber_jax.training.packed import PackedSet

  return any(row['split'] in splits for row in PackedSet(folder).rows)


def accuracy(found) -> float:
  return float(np.mean([int(h['heard'].argmax()) == h['emotion'] for h in found]))


def auc(good, bad) -> float:
  """How often a right one is above a wrong one."""
  return float((good[:, None] > bad[None]).mean() + 0.5 * (good[:, None] == bad[None]).mean())


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('workdir')
  parser.add_argument('-o', '--out', required=True)
  given = parser.parse_args()
  from dubber_jax.training.checkpoints import load_weights, read_config

  config, params = read_config(given.workdir), load_weights(given.workdir)[1]
  scales, figures = measure(config, params)
  write_critic(Listener(critic_sizes(config), params, scales), given.out)
  (Path(given.out) / 'figures.json').write_text(json.dumps(figures, indent=1) + '\n')
  print(json.dumps({'scales': scales, **figures}, indent=1))


if __name__ == '__main__':
  main()
