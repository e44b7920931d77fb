"""Learning-rate schedule and optimizer of the published system (spec section 7)."""

import jax
import jax.numpy as jnp
import optax

PEAK_STEP = 4000
DROPS = (300_000, 400_000, 500_000)  # updates after which the rate is multiplied by 0.3


def learning_rate(step: jax.Array) -> jax.Array:
  """Learning rate of update `step`, counted from 1: linear warmup to 9.88e-5 at 4000, then inverse square root."""
  step = jnp.asarray(step, jnp.float32)
  rate = 0.00625 * jnp.minimum(step**-0.5, step * PEAK_STEP**-1.5)
  return rate * 0.3 ** sum((step > drop).astype(jnp.float32) for drop in DROPS)


def clip_by_norm(limit: float = 1.0) -> optax.GradientTransformation:
  """Gradient clipping as PyTorch's clip_grad_norm_: by limit / (norm + 1e-6) where that is below 1."""

  def update(updates, state, params=None):
    scale = jnp.minimum(limit / (optax.tree.norm(updates) + 1e-6), 1.0)
    return jax.tree.map(lambda g: g * scale, updates), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def published_optimizer(restore_step: int = 0, clip: float | None = 1.0) -> optax.GradientTransformation:
  """Two Adam optimizers with one schedule: for `fusion`, and for all else, with clipping and other coefficients."""

  def rate(count):
    return learning_rate(count + 1 + restore_step)

  model = optax.adam(rate, b1=0.9, b2=0.98, eps=1e-9)
  model = optax.chain(clip_by_norm(clip), model) if clip else model
  fusion = optax.adam(rate, b1=0.9, b2=0.999, eps=1e-8)

  def groups(params):
    return {name: 'fusion' if name == 'fusion' else 'model' for name in params}

  return optax.multi_transform({'model': model, 'fusion': fusion}, groups)
