"""Duration predictor, and scaling of predicted durations to a slot (spec sections 4.3 and 4.4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.norms import LayerNorm


class PointwiseDurationPredictor(nn.Module):
  """Lip context (B, N, D), mask (B, N) -> log(frames + 1), (B, N); no phoneme depends on others (spec 4.3)."""

  width: int = 256
  dropout: float = 0.5

  @nn.compact
  def __call__(self, context_bnd: jax.Array, mask_bn: jax.Array, train: bool = False) -> jax.Array:
    x = context_bnd
    for i in range(2):
      x = LayerNorm(name=f'norm_{i}')(nn.relu(nn.Dense(self.width, name=f'dense_{i}')(x)))
      x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return jnp.where(mask_bn, nn.softplus(nn.Dense(1, name='out')(x)[..., 0]), 0.0)


def spread_over_slot(log_durations_bn: jax.Array, slot_b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Durations from predicted log durations, scaled to `slot` (B,) mel frames and rounded half to even (spec 4.4).

  Returns durations (B, N) int32, whose sum is near the slot but need not equal it, and the same before rounding. Where
  every prediction is 0, for which the released code gives NaN, they are 0.
  """
  frames_bn = jnp.maximum(jnp.exp(log_durations_bn) - 1.0, 0.0)
  total_b1 = frames_bn.sum(1, keepdims=True)
  share_bn = frames_bn / jnp.where(total_b1 > 0, total_b1, 1.0)
  unrounded_bn = share_bn * slot_b[:, None].astype(frames_bn.dtype)
  return jnp.round(unrounded_bn).astype(jnp.int32), unrounded_bn
