"""Training task: a network with its loss, optimizer and samples, as the training loop takes it."""

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
  """Network, loss and optimizer of a run.

  init(key, batch) -> parameters.
  loss(params, batch, key) -> (scalar, {name: scalar}), the second for the log.
  optimizer() -> Optax transformation.
  samples(params, step, folder) writes plots and sound of the network's output into a folder.
  speech(batch) -> seconds of speech in a batch, for the log.

  A `stateful` network has Flax collections besides its parameters, as running averages of batch norms:
  init(key, batch) -> (params, collections);
  loss(params, collections, batch, key) -> (scalar, ({name: scalar}, new collections)).

  A loss whose terms are means over a number of elements that varies with the batch (frames, phonemes) gives that number
  by counts(batch) -> {name: number} and divides by batch['counts'] where the batch has it, so that accumulated
  gradients of parts of a batch equal the gradient of the whole; likewise of the parts that devices have.

  compares_items: the loss compares items of a batch with each other (contrastive losses), so that devices cannot take
  theirs alone. What else depends on all items uses nn/batch_axes.py.
  """

  init: Callable[[jax.Array, dict], Any]
  loss: Callable[..., tuple[jax.Array, Any]]
  optimizer: Callable[[], optax.GradientTransformation]
  samples: Callable[[Any, int, Path], None] | None = None
  stateful: bool = False
  speech: Callable[[dict], float] | None = None
  counts: Callable[[dict], dict[str, jax.Array]] | None = None
  compares_items: bool = False


def learning_rate(config: TrainConfig) -> optax.Schedule:
  """Learning rate schedule: linear warm-up, constant, and linear decay to zero over the last `decay_steps`."""
  steady = max(config.steps - config.decay_steps, config.warmup_steps)
  parts = [optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps)]
  parts.append(optax.constant_schedule(config.learning_rate))
  parts.append(optax.linear_schedule(config.learning_rate, 0.0, max(config.decay_steps, 1)))
  return optax.join_schedules(parts, [config.warmup_steps, steady])


def adamw(config: TrainConfig) -> optax.GradientTransformation:
  """AdamW with clipping by global norm and weight decay on matrices only; vectors stacked over layers are no matrix."""

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
  """Parameter tree without its discriminators."""
  return {name: part for name, part in params.items() if name != DISCRIMINATORS}
