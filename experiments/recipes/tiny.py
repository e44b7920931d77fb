"""A network that trains in seconds on random data: checks that a machine, or several, are set up correctly.

    dubber train experiments/recipes/tiny.py --workdir /tmp/tiny               # 200 steps: 16 s of CPU time, then 8 s
    dubber train experiments/recipes/tiny.py --workdir /tmp/half --steps 100
    dubber train experiments/recipes/tiny.py --workdir /tmp/half               # resumes, to the same bits
    dubber digest /tmp/tiny; dubber digest /tmp/half

It learns a spectrum for each phoneme. Expect a loss below 0.02 at the end (1.0 at the start).
"""

import flax.linen as nn
import grain
import jax.numpy as jnp
import numpy as np

from dubber_jax.config import Config, ExperimentTask
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.task import Task, adamw

ITEMS, SYMBOLS, BANDS = 16, 40, 80
LENGTHS = (8, 12)  # phonemes


def arms() -> dict[str, Config]:
  train = TrainConfig(
    steps=200, learning_rate=1e-2, warmup_steps=10, decay_steps=50, ema=0.9, log_every=10, save_every=20
  )
  return {'tiny': Config(name='tiny', task=ExperimentTask('tiny'), train=train)}


class Spectra(nn.Module):
  """Embedding and MLP: phonemes (B, N) -> spectra (B, N, 80)."""

  @nn.compact
  def __call__(self, phonemes, train: bool):
    hidden = nn.Embed(SYMBOLS, 64)(phonemes)
    hidden = nn.Dropout(0.05, deterministic=not train)(nn.gelu(nn.Dense(128)(hidden)))
    return nn.Dense(BANDS)(hidden)


def task(config: Config) -> Task:
  model = Spectra()

  def init(key, batch):
    return model.init(key, batch['phonemes'], False)['params']

  def loss(params, batch, key):
    made = model.apply({'params': params}, batch['phonemes'], True, rngs={'dropout': key})
    error = jnp.square(made - batch['mel']).mean()
    return error, {'total': error}

  return Task(init, loss, lambda: adamw(config.train))


class Batches:
  """Batch i depends on its number alone; lengths alternate."""

  def __init__(self, config: Config, host, lengths):
    self.seed, self.lengths, (self.host, self.hosts) = config.seed, lengths, host
    self.spectra = np.random.default_rng(0).normal(size=(SYMBOLS, BANDS)).astype(np.float32)

  def __len__(self):
    return 1_000_000_000

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([self.seed, int(index)])
    phonemes = rng.integers(SYMBOLS, size=(ITEMS, self.lengths[int(index) % len(self.lengths)]), dtype=np.int32)
    part = np.split(phonemes, self.hosts)[self.host]
    return {'phonemes': part, 'mel': self.spectra[part]}

  def iterator(self):
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return iter(grain.MapDataset.source(self).to_iter_dataset(options))


def batches(config: Config, host, lengths=LENGTHS) -> Batches:
  return Batches(config, host, lengths)
