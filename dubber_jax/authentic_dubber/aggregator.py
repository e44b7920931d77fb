"""The published aggregator of emotion nodes (spec section 4.6)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.attention import Attention


class ConcatAggregator(nn.Module):
  """Frames (B, T, D) look at nodes (B, V, W), mask (B, V); [frames; what they found] mapped to (B, T, D).

  The published form (spec section 4.6): one head, no residual, no norm.
  """

  heads: int = 1
  dropout: float = 0.1

  @nn.compact
  def __call__(self, frames_btd, nodes_bvw, mask_bv, train: bool = False) -> jax.Array:
    width = frames_btd.shape[-1]
    attention = Attention(self.heads, width, width, self.dropout, out_bias=True, name='attention')
    looked_btd, _ = attention(frames_btd, nodes_bvw, mask_bv, train=train)
    return nn.Dense(width, use_bias=False, name='out')(jnp.concatenate([frames_btd, looked_btd], axis=-1))
