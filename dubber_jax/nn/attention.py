"""Multi-head attention with masks that may leave nothing to attend to."""

import flax.linen as nn
import jax
import jax.numpy as jnp


def masked_softmax(scores: jax.Array, mask: jax.Array) -> jax.Array:
  """Softmax over the last axis where `mask` is true, in float32 or wider. A row with nothing to attend to is zeros."""
  wide = jnp.where(mask, scores.astype(jnp.promote_types(scores.dtype, jnp.float32)), -1e9)
  return jnp.where(mask, jax.nn.softmax(wide, axis=-1), 0.0).astype(scores.dtype)


def rotate(x_bhtd: jax.Array, position_bt: jax.Array) -> jax.Array:
  """Rotary positions (arXiv 2104.09864) on (B, H, T, D), D even; positions may be fractions."""
  half = x_bhtd.shape[-1] // 2
  frequency = 10000.0 ** (-jnp.arange(half) / half)
  angle = position_bt[:, None, :, None] * frequency
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  first, second = x_bhtd[..., :half], x_bhtd[..., half:]
  return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1).astype(x_bhtd.dtype)


class Attention(nn.Module):
  """Queries (B, Q, D) look at keys (B, K, E) where mask, (B, K) or (B, Q, K), -> (B, Q, out), weights (B, H, Q, K).

  The output has no bias, so attention over no key is exactly zero, unless `out_bias`. `query_position`
  (B, Q) and `key_position` (B, K), given together, add rotary positions. `values` (B, K, E), where given, are
  what is fetched instead of the keys.
  """

  heads: int
  width: int  # of all heads together
  out: int
  dropout: float = 0.0
  out_bias: bool = False
  scale: float | None = None  # of the scores; None: one over the root of a head's width

  @nn.compact
  def __call__(
    self, query_bqd, keys_bkd, mask, query_position=None, key_position=None, train: bool = False, values_bkd=None
  ):
    def split(x_btd):
      return x_btd.reshape(*x_btd.shape[:2], self.heads, -1).swapaxes(1, 2)

    query = split(nn.Dense(self.width, name='query')(query_bqd))
    key = split(nn.Dense(self.width, name='key')(keys_bkd))
    value = split(nn.Dense(self.width, name='value')(keys_bkd if values_bkd is None else values_bkd))
    if query_position is not None:
      query, key = rotate(query, query_position), rotate(key, key_position)
    if mask.ndim == 2:
      mask = mask[:, None]

    drop = nn.Dropout(self.dropout, deterministic=not train)

    def look(query, key, value):
      scores_bhqk = jnp.einsum('bhqd,bhkd->bhqk', query, key)
      scores_bhqk = scores_bhqk * self.scale if self.scale else scores_bhqk / jnp.sqrt(self.width / self.heads)
      weights_bhqk = masked_softmax(scores_bhqk, mask[:, None])
      return jnp.einsum('bhqk,bhkd->bqhd', drop(weights_bhqk), value), weights_bhqk

    if train and not self.dropout:
      look = jax.checkpoint(look)  # weights are as long as they are wide: made again for the gradient, not kept
    heads_bqhd, weights_bhqk = look(query, key, value)
    heads_bqd = heads_bqhd.reshape(*query_bqd.shape[:2], self.width)
    return nn.Dense(self.out, use_bias=self.out_bias, name='out')(heads_bqd), weights_bhqk
