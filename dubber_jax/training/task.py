"""What the one training loop serves: a network with its loss, its optimizer and its samples."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import optax

from dubber_jax.training.config import TrainConfig
from dubber_jax.training.sharding import logical_axes, path_name

DISCRIMINATORS = 'discriminators'


@dataclass(frozen=True)
class Task:
  """init(key, batch) -> params; loss(params, batch, key) -> (scalar, {name: scalar}); optimizer();
  samples(params, step, folder) draws and plays what has been learned, or None; speech(batch) -> its seconds of speech.

  A `stateful` network carries more than parameters, as running averages of its norms: init(key, batch) -> (params,
  collections); loss(params, collections, batch, key) -> (scalar, ({name: scalar}, new collections)).

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


def drop_discriminators(params: dict) -> dict:
  """A trained tree without what it was trained against."""
  return {name: part for name, part in params.items() if name != DISCRIMINATORS}
