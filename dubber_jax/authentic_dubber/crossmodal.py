"""The cross-modal transformer (MulT, arXiv 1906.00295; spec section 3.5)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.nn.attention import Attention
from dubber_jax.nn.norms import LayerNorm
from dubber_jax.nn.scan import Stacking, scan_layers


def sinusoids(length: int, width: int) -> np.ndarray:
  """(length, width) float32: positions 1, 2, ... as [all sines; all cosines]; position 0 is kept for padding."""
  half = width // 2
  frequency = np.exp(-np.arange(half, dtype=np.float32) * np.float32(np.log(10000.0) / (half - 1)))
  angle = np.arange(1, length + 1, dtype=np.float32)[:, None] * frequency
  return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


def future_mask(queries: int, keys: int, query_extent_b: jax.Array, key_extent_b: jax.Array) -> jax.Array:
  """(B, Q, K) bool, what a query may look at: key j of those that exist, j - i < 1 + |keys - queries|."""
  offset_b11 = 1 + jnp.abs(key_extent_b - query_extent_b)[:, None, None]
  i, j = jnp.arange(queries)[None, :, None], jnp.arange(keys)[None, None, :]
  return (j - i < offset_b11) & (j < key_extent_b[:, None, None])


class CrossModalLayer(nn.Module):
  """Pre-norm attention from x (B, Q, D) to keys and values (B, K, D), one norm for the three; then a dense part."""

  heads: int
  expansion: int = 4
  dropout: float = 0.1

  @nn.compact
  def __call__(self, x_bqd, key_bkd, value_bkd, mask_bqk, train: bool = False):
    width = x_bqd.shape[-1]
    drop = nn.Dropout(self.dropout, deterministic=not train)
    norm = LayerNorm(name='attention_norm')
    attention = Attention(self.heads, width, width, out_bias=True, name='attention')
    looked, _ = attention(norm(x_bqd), norm(key_bkd), mask_bqk, values_bkd=norm(value_bkd))
    x = x_bqd + drop(looked)
    inner = drop(nn.relu(nn.Dense(self.expansion * width, name='up')(LayerNorm(name='feed_norm')(x))))
    return x + drop(nn.Dense(width, name='down')(inner))


class CrossModalTransformer(nn.Module):
  """Queries (B, Q, D) look `layers` times at the same keys (B, K, D) -> (B, Q, D).

  `query_extent` and `key_extent` (B,) int say how many positions exist; they set how far ahead may be looked.
  The published system gives every item the batch's longest; an item's own lengths make it independent
  of its batch. A position whose first channel is exactly 0 gets no sinusoid, as published.
  """

  layers: int
  heads: int
  embed_dropout: float = 0.25
  dropout: float = 0.1
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(self, query_bqd, key_bkd, query_extent_b, key_extent_b, train: bool = False) -> jax.Array:
    width = query_bqd.shape[-1]
    drop = nn.Dropout(self.embed_dropout, deterministic=not train)

    def embed(z):
      position = sinusoids(z.shape[1], width) * (z[..., :1] != 0)
      return drop(width**0.5 * z + position.astype(z.dtype))

    mask_bqk = future_mask(query_bqd.shape[1], key_bkd.shape[1], query_extent_b, key_extent_b)
    x, key, value = embed(query_bqd), embed(key_bkd), embed(key_bkd)

    layer = CrossModalLayer(self.heads, dropout=self.dropout, name='layer')
    x = scan_layers(layer, self.layers, x, key, value, mask_bqk, train, stacking=self.stacking)
    return LayerNorm(name='norm')(x)
