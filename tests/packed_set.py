"""Fixtures of the tests of data and training: a made-up packed set, and a config whose batches fit it."""

import numpy as np
import pytest

from dubber_jax.config import ActorTask, Config
from dubber_jax.data.config import DataConfig
from dubber_jax.data.packed import write_packed
from dubber_jax.training.config import TrainConfig


def random_item(rng, frames):
  phonemes = frames // 8
  cuts = np.sort(rng.integers(0, frames, phonemes - 1))
  return {
    'mel': rng.integers(0, 255, (frames, 80)),
    'pitch': rng.choice([0, 110, 220], frames),
    'phonemes': rng.integers(1, 90, phonemes),
    'durations': np.diff(np.concatenate([[0], cuts, [frames]])),
    'lips': rng.normal(0, 1, (frames // 4, 82)),
    'lip_present': np.ones(frames // 4, bool),
    'speaker': rng.normal(0, 1, 256),
  }


@pytest.fixture(scope='session')
def packed(tmp_path_factory):
  """A packed set of 40 random items, two of them held out."""
  rng = np.random.default_rng(0)
  folder = tmp_path_factory.mktemp('packed') / 'made-up'
  rows = [
    {
      'key': f'made-up/a/{i}',
      'set': 'made-up',
      'speaker': f'speaker_{i % 3}',
      'text': 'x',
      'emotion': 'neutral',
      'split': 'test' if i >= 38 else 'train',
    }
    for i in range(40)
  ]
  write_packed(folder, ((row, random_item(rng, int(rng.integers(20, 60)))) for row in rows))
  return folder


@pytest.fixture(scope='session')
def config():
  return Config(
    task=ActorTask(
      data=DataConfig(buckets=(32, 64), frames_per_batch=128, reference_frames=16),
    ),
    train=TrainConfig(steps=6, warmup_steps=1, decay_steps=0, log_every=1, save_every=3, sample_every=100),
  )
