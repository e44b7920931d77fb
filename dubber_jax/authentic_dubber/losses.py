"""Training task of the published system: its losses and its optimizer (spec sections 6 and 7)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dubber_jax.authentic_dubber.config import PublishedLossConfig
from dubber_jax.authentic_dubber.optimizer import published_optimizer
from dubber_jax.config import Config
from dubber_jax.nn.batch_axes import batch_mean
from dubber_jax.nn.masks import length_mask, masked_mean
from dubber_jax.nn.random_bits import training_key
from dubber_jax.nn.scan import Stacking
from dubber_jax.training.precision import in_precision
from dubber_jax.training.task import Task
from dubber_jax.types import HOP, SAMPLE_RATE


def published_task(config: Config, samples: Callable | None = None) -> Task:
  """Training task of PublishedDirectorActor, on batches of authentic_dubber/batches.py."""
  from dubber_jax.authentic_dubber.model import PublishedDirectorActor, initialize

  stacking = Stacking(config.train.remat, config.train.unroll)
  model = PublishedDirectorActor(config.task.published, stacking)
  apply = in_precision(config.train.precision, model.apply)

  def init(key, batch):
    variables = initialize(config.task.published, key)
    return variables['params'], {'batch_stats': variables['batch_stats']}

  def loss(params, collections, batch, key):
    variables = {'params': params, **collections}
    outputs, collections = apply(variables, batch, True, rngs={'dropout': training_key(key)}, mutable=['batch_stats'])
    losses = published_losses(outputs, batch, config.task.loss)
    return losses['total'], (losses, collections)

  def speech(batch):
    return batch['mel_length'].sum() * HOP / SAMPLE_RATE

  return Task(init, loss, published_optimizer, samples, stateful=True, speech=speech)


def published_losses(outputs: dict, batch: dict, weights: PublishedLossConfig | None = None) -> dict[str, jax.Array]:
  """Named, weighted losses of a teacher-forced pass of PublishedDirectorActor; `total` is their sum.

  Each is a mean over the batch's valid elements. `emotion` takes probabilities as logits, as released: at chance it is
  5 ln 8, and its minimum is 6.37.
  """
  weights = weights or PublishedLossConfig()
  valid_bt1 = length_mask(batch['mel_length'], batch['mel'].shape[1])[..., None]
  losses = {name: masked_mean(jnp.abs(outputs[name] - batch['mel']), valid_bt1) for name in ('mel', 'finished')}
  losses['speaker'] = (1.0 - cosine(outputs['utterance_style'], batch['speaker'])).mean()
  spoken_bn = length_mask(batch['phoneme_length'], batch['durations'].shape[1])
  log_durations = jnp.log(batch['durations'] + 1.0)
  losses['duration'] = masked_mean(jnp.square(outputs['log_durations'] - log_durations), spoken_bn)
  rate_b = diagonal_share(outputs['alignment'], batch['phoneme_length'], batch['lip_length'], weights.band)
  losses['diagonal'] = -jnp.log(batch_mean(rate_b.mean()))
  entropy = optax.softmax_cross_entropy_with_integer_labels(outputs['emotion'], batch['emotion'])
  losses['emotion'] = entropy.mean()
  losses = {name: getattr(weights, name) * value for name, value in losses.items()}
  return losses | {'total': sum(losses.values())}


def cosine(a_bd: jax.Array, b_bd: jax.Array) -> jax.Array:
  """Cosine similarity (B,), each norm at least 1e-6."""
  norms = (jnp.maximum(jnp.linalg.norm(x, axis=-1), 1e-6) for x in (a_bd, b_bd))
  return (a_bd * b_bd).sum(-1) / (next(norms) * next(norms))


def diagonal_band(
  phonemes: int, lips: int, phoneme_length_b: jax.Array, lip_length_b: jax.Array, part: int = 10
) -> jax.Array:
  """Diagonal band (B, N, L) bool: lip frames within 1 / `part` of the clip from each phoneme's position, phonemes being
  spread evenly over the clip.

  Edges are truncated toward zero from float32 values, product and sum each rounded.
  """
  count_b1 = jnp.maximum(phoneme_length_b, 1).astype(jnp.float32)[:, None]
  lip_b1 = lip_length_b.astype(jnp.float32)[:, None]
  center_bn = lip_b1 / count_b1 * jnp.arange(phonemes, dtype=jnp.float32)
  # A table, since XLA turns a division by a constant into a product, which rounds differently.
  reach_b1 = jnp.asarray(np.arange(lips + 1, dtype=np.float32) / np.float32(part))[lip_length_b][:, None]
  first_bn = jnp.trunc(jnp.maximum(center_bn - reach_b1, 0.0))[..., None]
  end_bn = jnp.trunc(center_bn + reach_b1)[..., None]
  frame_l = jnp.arange(lips)
  spoken_bn1 = length_mask(phoneme_length_b, phonemes)[..., None]
  return (frame_l >= first_bn) & (frame_l < end_bn) & spoken_bn1


def diagonal_share(
  alignment_bnl: jax.Array, phoneme_length_b: jax.Array, lip_length_b: jax.Array, part: int = 10
) -> jax.Array:
  """Share of the attention that lies in the diagonal band, (B,)."""
  phonemes, lips = alignment_bnl.shape[1:]
  band_bnl = diagonal_band(phonemes, lips, phoneme_length_b, lip_length_b, part)
  valid_bnl = length_mask(phoneme_length_b, phonemes)[..., None]
  valid_bnl = valid_bnl & length_mask(lip_length_b, lips)[:, None]
  attended_bnl = jnp.where(valid_bnl, alignment_bnl, 0.0)
  return (attended_bnl * band_bnl).sum((1, 2)) / attended_bnl.sum((1, 2))
