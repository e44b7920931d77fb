"""Training task of the actor and the director's graphs, with mel discriminators and critic guidance."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import optax

from dubber_jax.config import Config
from dubber_jax.data.batches import VoiceBatches
from dubber_jax.training.distributed import host_share
from dubber_jax.training.loop import train
from dubber_jax.training.precision import in_precision
from dubber_jax.training.sharding import make_mesh
from dubber_jax.training.step import TrainState
from dubber_jax.training.task import DISCRIMINATORS, Task, adamw, drop_discriminators
from dubber_jax.training.tasks.actor_samples import voice_samples
from dubber_jax.training.weight_export import initial_weights
from dubber_jax.types import HOP, SAMPLE_RATE


def train_voice(
  config: Config,
  workdir: str | os.PathLike,
  folders: Sequence[str | os.PathLike],
  director_inputs: Any = None,
  **options,
) -> TrainState:
  """Trains the actor of a config.

  folders: data sets. director_inputs: DirectorInputs (data/director_inputs.py); None: the director's inputs are masked.
  options: those of loop.train. Records that cannot be read are listed in the workdir's unreadable.jsonl.
  """
  listing = None if '://' in str(workdir) else Path(workdir) / 'unreadable.jsonl'
  batches = VoiceBatches(config, folders, director_inputs, host=host_share(make_mesh(config.mesh)), listing=listing)
  task = voice_task(config, voice_samples(config, batches[0]))
  return train(config, task, batches, workdir, initial_weights(config, workdir), **options)


def voice_task(config: Config, samples: Callable | None = None) -> Task:
  """DirectorActor on batches of data/batches.py: supervised losses, and where the config has them adversarial losses,
  with the discriminators' parameters under 'discriminators' in the same tree, and critic guidance."""
  from dubber_jax.actor.losses import actor_losses, adversarial_losses, loss_counts
  from dubber_jax.actor.mel_discriminators import MelDiscriminators
  from dubber_jax.critic.inference import read_critic
  from dubber_jax.model import DirectorActor
  from dubber_jax.training.tasks.critic_guidance import guidance_losses

  model, c, g = DirectorActor(config), config.task.adversarial, config.task.guidance
  critic = read_critic(g.critic) if g.critic else None
  apply = in_precision(config.train.precision, model.apply)
  discriminators = MelDiscriminators(c.width, c.band_width)

  def init(key, batch):
    params = model.init({'params': key}, batch)['params']
    if not c.weight:
      return params
    prosody = jnp.zeros((*batch['pitch'].shape, 4))
    return params | {DISCRIMINATORS: discriminators.init(key, batch['mel'], prosody, batch['speaker'])['params']}

  def loss(params, batch, key):
    outputs = apply({'params': drop_discriminators(params)}, batch, True, rngs={'dropout': key})
    losses = actor_losses(outputs, batch)
    if c.weight:
      losses |= adversarial_losses(discriminators, params[DISCRIMINATORS], outputs, batch)
      losses['total'] += c.weight * losses['adversarial'] + c.feature_weight * losses['features']
      losses['total'] += losses['discriminators']
    if critic:
      count = max(1, round(g.share * len(batch['mel'])))
      few = {name: value[:count] for name, value in batch.items() if name != 'counts'}
      synthesize = functools.partial(apply, {'params': drop_discriminators(params)}, method='synthesize')
      losses |= guidance_losses(synthesize, critic, few, key)
      losses['total'] += g.weight * losses['guidance']
    return losses['total'], losses

  def optimizer():
    if not c.weight:
      return adamw(config.train)
    groups = {
      'actor': adamw(config.train),
      DISCRIMINATORS: optax.chain(adamw(config.train), optax.scale(c.lr_multiplier)),
    }
    return optax.partition(groups, lambda params: {name: name if name in groups else 'actor' for name in params})

  def speech(batch):
    return batch['durations'].sum() * HOP / SAMPLE_RATE

  return Task(init, loss, optimizer, samples, speech=speech, counts=loss_counts)
