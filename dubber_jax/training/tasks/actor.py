"""Trains an arm whose task is the voice: features, batches, loop."""

from pathlib import Path

from dubber_jax.config import Config
from dubber_jax.data.batches import VoiceBatches
from dubber_jax.training.distributed import host_share
from dubber_jax.training.loop import train
from dubber_jax.training.sharding import make_mesh
from dubber_jax.training.step import TrainState
from dubber_jax.training.task import voice_task
from dubber_jax.training.tasks.actor_samples import voice_samples
from dubber_jax.training.weight_export import initial_weights


def train_voice(config: Config, workdir, folders, readings=None, **options) -> TrainState:
  """`folders`: data sets; `readings`: see data/director_inputs.py, or None for a silent director; `options` are
  those of loop.train. Records that cannot be read are listed in the workdir's unreadable.jsonl."""
  listing = None if '://' in str(workdir) else Path(workdir) / 'unreadable.jsonl'
  batches = VoiceBatches(config, folders, readings, host=host_share(make_mesh(config.mesh)), listing=listing)
  task = voice_task(config, voice_samples(config, batches[0]))
  return train(config, task, batches, workdir, initial_weights(config, workdir), **options)
