"""Trains an arm whose task is the voice: features, batches, loop."""

from pathlib import Path

from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.training.checkpoints import load_weights
from dubber_jax.training.data import VoiceBatches
from dubber_jax.training.loop import train
from dubber_jax.training.samples import voice_samples
from dubber_jax.training.step import TrainState
from dubber_jax.training.task import voice_task


def train_voice(config: Config, workdir, folders, readings=None, progress: bool = True) -> TrainState:
  """`folders`: packed sets; `readings`: see training/readings.py, or None for a silent director."""
  batches = VoiceBatches(config, folders, readings)
  initial = None
  if config.train.init_from and not (Path(workdir) / 'checkpoints').exists():
    if (Path(config.train.init_from) / 'checkpoints').exists():
      _, initial = load_weights(config.train.init_from)
    elif (Path(config.train.init_from) / 'MANIFEST.json').exists():
      from dubber_jax.model_directory import load

      initial = load(config.train.init_from).params
    else:
      raise BadInput(f'train.init_from: {config.train.init_from} holds no weights; train that arm first')
  task = voice_task(config, voice_samples(config, batches[0]))
  return train(config, task, batches, workdir, initial, progress=progress)
