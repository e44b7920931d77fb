"""Multi-head attention with masks that may leave a query no key.

On accelerators by `jax.nn.dot_product_attention`, whose result for a query without a key, the mean of all values, is
replaced by the zeros that the modules here rely on. It has no dropout of the attention weights: with dropout, and on
CPUs, where outputs are compared with those of the released code, attention is written out.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.platforms import on_cpu


def masked_softmax(scores: jax.Array, mask: jax.Array) -> jax.Array:
  """Softmax over the last axis where `mask` is true, in float32 or wider. A row without a true entry is zeros."""
  wide = jnp.where(mask, scores.astype(jnp.promote_types(scores.dtype, jnp.float32)), -1e9)
  return jnp.where(mask, jax.nn.softmax(wide, axis=-1), 0.0).astype(scores.dtype)


def rotary_embedding(x_bhtd: jax.Array, position_bt: jax.Array) -> jax.Array:
  """Rotary position embedding (arXiv 2104.09864) of (B, H, T, D), D even, at positions (B, T), int or float."""
  half = x_bhtd.shape[-1] // 2
  frequency = 10000.0 ** (-jnp.arange(half) / half)
  angle = position_bt[:, None, :, None] * frequency
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  first, second = x_bhtd[..., :half], x_bhtd[..., half:]
  return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1).astype(x_bhtd.dtype)


class Attention(nn.Module):
  """Multi-head scaled dot-product attention: queries (B, Q, D), keys (B, K, E) -> (B, Q, out), weights (B, H, Q, K).

  mask, (B, K) or (B, Q, K): the keys that a query may attend to. The output has no bias, so attention over no key is
  exactly zero, unless `out_bias`. `query_position` (B, Q) and `key_position` (B, K), given together, add rotary
  position embeddings. `values` (B, K, E): what is averaged; None: the keys.
  """

  heads: int
  width: int  # of all heads together
  out: int
  dropout: float = 0.0
  out_bias: bool = False
  scale: float | None = None  # of the scores; None: 1 / sqrt(width of a head)

  @nn.compact
  def __call__(
    self,
    query_bqd: jax.Array,
    keys_bkd: jax.Array,
    mask: jax.Array,
    query_position: jax.Array | None = None,
    key_position: jax.Array | None = None,
    train: bool = False,
    values_bkd: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    def split(x_btd):
      return x_btd.reshape(*x_btd.shape[:2], self.heads, -1).swapaxes(1, 2)

    query = split(nn.Dense(self.width, name='query')(query_bqd))
    key = split(nn.Dense(self.width, name='key')(keys_bkd))
    value = split(nn.Dense(self.width, name='value')(keys_bkd if values_bkd is None else values_bkd))
    if query_position is not None:
      query, key = rotary_embedding(query, query_position), rotary_embedding(key, key_position)
    if mask.ndim == 2:
      mask = mask[:, None]

    drop = nn.Dropout(self.dropout, deterministic=not train)

    def weigh(query, key):
      scores_bhqk = jnp.einsum('bhqd,bhkd->bhqk', query, key)
      scores_bhqk = scores_bhqk * self.scale if self.scale else scores_bhqk / jnp.sqrt(self.width / self.heads)
      return masked_softmax(scores_bhqk, mask[:, None])

    def attend(query, key, value):
      weights_bhqk = weigh(query, key)
      return jnp.einsum('bhqk,bhkd->bqhd', drop(weights_bhqk), value), weights_bhqk

    def attend_by_library(query, key, value):
      heads_first = (x_bhtd.swapaxes(1, 2) for x_bhtd in (query, key, value))
      attended_bqhd = jax.nn.dot_product_attention(*heads_first, mask=mask[:, None], scale=self.scale)
      weights_bhqk = weigh(query, key)  # removed by the compiler where nobody reads them
      return jnp.where(mask.any(-1)[..., None, None], attended_bqhd, 0), weights_bhqk

    if train and not self.dropout:
      attend = jax.checkpoint(attend if on_cpu() else attend_by_library)  # rematerialize the (Q, K) weights
    elif not train and not on_cpu():
      attend = attend_by_library
    heads_bqhd, weights_bhqk = attend(query, key, value)
    heads_bqd = heads_bqhd.reshape(*query_bqd.shape[:2], self.width)
    return nn.Dense(self.out, use_bias=self.out_bias, name='out')(heads_bqd), weights_bhqk
