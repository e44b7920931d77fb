"""What the one training loop serves: a network with its loss, its optimizer and its samples."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dubber_jax.config import Config, TrainConfig
from dubber_jax.training.precision import in_precision
from dubber_jax.training.sharding import logical_axes, path_name
from dubber_jax.types import HOP, SAMPLE_RATE

DISCRIMINATORS = 'discriminators'


@dataclass(frozen=True)
class Task:
  """init(key, batch) -> params; loss(params, batch, key) -> (scalar, {name: scalar}); optimizer();
  samples(params, step, folder) draws and plays what has been learned, or None; speech(batch) -> its seconds of speech.

  A `stateful` network carries more than parameters, as running averages of its norms: init(key, batch) -> (params,
  extra); loss(params, extra, batch, key) -> (scalar, ({name: scalar}, new extra)).

  A loss that is a mean over what differs from item to item says how many there are: counts(batch) -> {name: number};
  it divides by batch['counts'] where that is given. So a batch taken in parts has the gradient of the whole.
  """

  init: Callable[[jax.Array, dict], Any]
  loss: Callable[..., tuple[jax.Array, Any]]
  optimizer: Callable[[], optax.GradientTransformation]
  samples: Callable[[Any, int, Path], None] | None = None
  stateful: bool = False
  speech: Callable[[dict], float] | None = None
  counts: Callable[[dict], dict[str, jax.Array]] | None = None


def learning_rate(config: TrainConfig) -> optax.Schedule:
  """Linear warm-up, constant, and linear decay to zero over the last `decay_steps`."""
  steady = max(config.steps - config.decay_steps, config.warmup_steps)
  parts = [optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps)]
  parts.append(optax.constant_schedule(config.learning_rate))
  parts.append(optax.linear_schedule(config.learning_rate, 0.0, max(config.decay_steps, 1)))
  return optax.join_schedules(parts, [config.warmup_steps, steady])


def adamw(config: TrainConfig) -> optax.GradientTransformation:
  """AdamW with clipping; decay on matrices only, a stack's vectors being no matrix."""

  def is_matrix(path, p):
    names = logical_axes(path_name(path), p.ndim) or ('',) * p.ndim
    return len(names) - ('layers' in names) > 1

  return optax.chain(
    optax.clip_by_global_norm(config.clip_norm),
    optax.adamw(
      learning_rate(config),
      b1=0.9,
      b2=0.99,
      weight_decay=config.weight_decay,
      mask=lambda params: jax.tree.map_with_path(is_matrix, params),
    ),
  )


def voice_task(config: Config, samples=None) -> Task:
  """DirectorActor, trained on batches of data/batches.py, and where the config says so against discriminators, whose
  weights lie in the same tree under 'discriminators'. Where it names a critic, that one's opinions count too."""
  from dubber_jax.actor.losses import adversarial_losses, voice_counts, voice_losses
  from dubber_jax.actor.mel_discriminators import MelDiscriminators
  from dubber_jax.critic.inference import read_critic
  from dubber_jax.model import DirectorActor
  from dubber_jax.training.tasks.critic_guidance import guidance_losses

  model, c, g = DirectorActor(config), config.adversarial, config.guidance
  critic = read_critic(g.critic) if g.critic else None
  apply = in_precision(config.train.precision, model.apply)
  judges = MelDiscriminators(c.width, c.band_width)

  def init(key, batch):
    params = model.init({'params': key}, batch)['params']
    if not c.weight:
      return params
    prosody = jnp.zeros((*batch['pitch'].shape, 4))
    return params | {DISCRIMINATORS: judges.init(key, batch['mel'], prosody, batch['speaker'])['params']}

  def loss(params, batch, key):
    outputs = apply({'params': drop_discriminators(params)}, batch, True, rngs={'dropout': key})
    losses = voice_losses(outputs, batch)
    if c.weight:
      losses |= adversarial_losses(judges, params[DISCRIMINATORS], outputs, batch)
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
    groups = {'actor': adamw(config.train), DISCRIMINATORS: optax.chain(adamw(config.train), optax.scale(c.quicker))}
    return optax.partition(groups, lambda params: {name: name if name in groups else 'actor' for name in params})

  def speech(batch):
    return batch['durations'].sum() * HOP / SAMPLE_RATE

  return Task(init, loss, optimizer, samples, speech=speech, counts=voice_counts)


def drop_discriminators(params: dict) -> dict:
  """A trained tree without what it was trained against."""
  return {name: part for name, part in params.items() if name != DISCRIMINATORS}
