"""The published aggregator of emotion nodes (spec section 4.6)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.attention import Attention


class ConcatAggregator(nn.Module):
  """Cross-attention from frames (B, T, D) to nodes (B, V, W), mask (B, V); [frames; attended] mapped to (B, T, D).

  One head, no residual, no norm.
  """

  heads: int = 1
  dropout: float = 0.1

  @nn.compact
  def __call__(self, frames_btd: jax.Array, nodes_bvw: jax.Array, mask_bv: jax.Array, train: bool = False) -> jax.Array:
    width = frames_btd.shape[-1]
    attention = Attention(self.heads, width, width, self.dropout, out_bias=True, name='attention')
    attended_btd, _ = attention(frames_btd, nodes_bvw, mask_bv, train=train)
    return nn.Dense(width, use_bias=False, name='out')(jnp.concatenate([frames_btd, attended_btd], axis=-1))
