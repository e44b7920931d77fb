"""Alignment matrix of phonemes and frames, from phoneme durations."""

import jax
import jax.numpy as jnp


def frame_to_phoneme(durations_bn: jax.Array, num_frames: int) -> jax.Array:
  """Durations (B, N) int frames -> alignment matrix (B, T, N) float: 1 where a frame belongs to a phoneme, all zeros
  past the end."""
  ends_bn = jnp.cumsum(durations_bn, axis=1)[:, None]
  starts_bn = ends_bn - durations_bn[:, None]
  frame_t1 = jnp.arange(num_frames)[None, :, None]
  return ((frame_t1 >= starts_bn) & (frame_t1 < ends_bn)).astype(jnp.float32)
