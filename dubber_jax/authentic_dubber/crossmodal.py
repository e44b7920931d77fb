"""Cross-modal transformer (MulT, arXiv 1906.00295; spec section 3.5)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.nn.attention import Attention
from dubber_jax.nn.norms import LayerNorm
from dubber_jax.nn.scan import Stacking, scan_layers


def sinusoids(length: int, width: int) -> np.ndarray:
  """Sinusoidal position embeddings (length, width) float32 of positions 1, 2, ..., [all sines; all cosines]; position 0
  is reserved for padding."""
  half = width // 2
  frequency = np.exp(-np.arange(half, dtype=np.float32) * np.float32(np.log(10000.0) / (half - 1)))
  angle = np.arange(1, length + 1, dtype=np.float32)[:, None] * frequency
  return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


def future_mask(queries: int, keys: int, query_count_b: jax.Array, key_count_b: jax.Array) -> jax.Array:
  """Attention mask (B, Q, K) bool: query i may attend to the existing keys j with j - i < 1 + |keys - queries|."""
  offset_b11 = 1 + jnp.abs(key_count_b - query_count_b)[:, None, None]
  i, j = jnp.arange(queries)[None, :, None], jnp.arange(keys)[None, None, :]
  return (j - i < offset_b11) & (j < key_count_b[:, None, None])


class CrossModalLayer(nn.Module):
  """Pre-norm cross-attention from x (B, Q, D) to keys and values (B, K, D), one norm for the three; then a
  feed-forward layer."""

  heads: int
  expansion: int = 4
  dropout: float = 0.1

  @nn.compact
  def __call__(
    self, x_bqd: jax.Array, key_bkd: jax.Array, value_bkd: jax.Array, mask_bqk: jax.Array, train: bool = False
  ) -> jax.Array:
    width = x_bqd.shape[-1]
    drop = nn.Dropout(self.dropout, deterministic=not train)
    norm = LayerNorm(name='attention_norm')
    attention = Attention(self.heads, width, width, out_bias=True, name='attention')
    attended, _ = attention(norm(x_bqd), norm(key_bkd), mask_bqk, values_bkd=norm(value_bkd))
    x = x_bqd + drop(attended)
    inner = drop(nn.relu(nn.Dense(self.expansion * width, name='up')(LayerNorm(name='feed_norm')(x))))
    return x + drop(nn.Dense(width, name='down')(inner))


class CrossModalTransformer(nn.Module):
  """`layers` of cross-attention from queries (B, Q, D) to the same keys (B, K, D) -> (B, Q, D).

  `query_count` and `key_count` (B,) int: the positions that exist, which set how far ahead a query may attend. The
  published system uses the batch's longest for every item; an item's own lengths make it independent of its batch. A
  position whose first channel is exactly 0 gets no position embedding, as published.
  """

  layers: int
  heads: int
  embed_dropout: float = 0.25
  dropout: float = 0.1
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(
    self,
    query_bqd: jax.Array,
    key_bkd: jax.Array,
    query_count_b: jax.Array,
    key_count_b: jax.Array,
    train: bool = False,
  ) -> jax.Array:
    width = query_bqd.shape[-1]
    drop = nn.Dropout(self.embed_dropout, deterministic=not train)

    def embed(z):
      position = sinusoids(z.shape[1], width) * (z[..., :1] != 0)
      return drop(width**0.5 * z + position.astype(z.dtype))

    mask_bqk = future_mask(query_bqd.shape[1], key_bkd.shape[1], query_count_b, key_count_b)
    x, key, value = embed(query_bqd), embed(key_bkd), embed(key_bkd)

    layer = CrossModalLayer(self.heads, dropout=self.dropout, name='layer')
    x = scan_layers(layer, self.layers, x, key, value, mask_bqk, train, stacking=self.stacking)
    return LayerNorm(name='norm')(x)
