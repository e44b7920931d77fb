"""Boolean masks of padded sequences: True marks a real position, False padding."""

import jax
import jax.numpy as jnp

from dubber_jax.nn.batch_axes import batch_mean


def length_mask(length_b: jax.Array, size: int) -> jax.Array:
  """Lengths (B,) int -> mask (B, size) bool: True at the positions below each item's length."""
  return jnp.arange(size) < length_b[:, None]


def frame_mask(durations_bn: jax.Array, num_frames: int) -> jax.Array:
  """Phoneme durations (B, N) int frames -> mask (B, T) bool of the frames that they cover."""
  return length_mask(durations_bn.sum(1), num_frames)


def zero_padding(x_btd: jax.Array, length_b: jax.Array | None) -> jax.Array:
  """(B, T, D) with zeros at the positions from each item's length (B,) on; None: unchanged."""
  if length_b is None:
    return x_btd
  return jnp.where(length_mask(length_b, x_btd.shape[1])[..., None], x_btd, 0)


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
  """Mean over the elements where `mask`, broadcastable to `values`, is true; 0 where it is true nowhere.

  Of a batch that is split over devices, the part's share: the mean of all parts' results is that of the whole batch.
  """
  weight = jnp.broadcast_to(mask, values.shape).astype(values.dtype)
  count = batch_mean(weight.sum())
  return (values * weight).sum() / jnp.where(count > 0, count, 1.0)
