"""Fusion of the director's emotion nodes into the actor's frames, and the emotion classifier on the result."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.attention import Attention


class Aggregator(nn.Module):
  """Cross-attention from frames (B, T, D) to nodes (B, V, W) with mask (B, V) -> (B, T, D).

  The aggregator of spec section 4.6 with a residual: where every node is masked, frames pass unchanged.
  """

  heads: int = 2
  dropout: float = 0.0

  @nn.compact
  def __call__(self, frames_btd: jax.Array, nodes_bvw: jax.Array, mask_bv: jax.Array, train: bool = False) -> jax.Array:
    width = frames_btd.shape[-1]
    attention = Attention(self.heads, width, width, self.dropout)
    attended_btd, _ = attention(nn.LayerNorm()(frames_btd), nodes_bvw, mask_bv, train=train)
    return frames_btd + attended_btd


class EmotionHead(nn.Module):
  """Emotion classifier: mean over unmasked frames, then a linear map: (B, T, D), mask (B, T) -> logits (B, 8) in the
  order of EMOTIONS."""

  emotions: int = 8

  @nn.compact
  def __call__(self, frames_btd: jax.Array, mask_bt: jax.Array) -> jax.Array:
    weight = mask_bt[..., None].astype(frames_btd.dtype)
    mean_bd = (frames_btd * weight).sum(1) / jnp.maximum(weight.sum(1), 1.0)
    return nn.Dense(self.emotions)(mean_bd)
