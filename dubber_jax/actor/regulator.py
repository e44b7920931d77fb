"""From phonemes to frames."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class LengthRegulator(nn.Module):
  """Repeats each phoneme for its duration, and says where in the phoneme a frame lies.

  phonemes (B, N, D) and durations (B, N) int frames -> frames (B, T, D) and mask (B, T) bool, where T is
  `num_frames`, static. Frames past the end are zero. Durations that add up to more than T are cut.
  """

  @nn.compact
  def __call__(self, phonemes_bnd: jax.Array, durations_bn: jax.Array, num_frames: int) -> tuple[jax.Array, jax.Array]:
    ends_bn = jnp.cumsum(durations_bn, axis=1)
    index_bt = frame_to_phoneme(durations_bn, num_frames)
    frame_t = jnp.arange(num_frames)
    mask_bt = frame_t[None] < ends_bn[:, -1:]
    frames_btd = jnp.take_along_axis(phonemes_bnd, index_bt[..., None], axis=1)
    end_bt = jnp.take_along_axis(ends_bn, index_bt, axis=1)
    duration_bt = jnp.maximum(jnp.take_along_axis(durations_bn, index_bt, axis=1), 1)
    left_bt = end_bt - frame_t[None] - 0.5
    through_bt = 1.0 - left_bt / duration_bt
    place_bt4 = jnp.stack(
      [
        through_bt,
        jnp.minimum(duration_bt - left_bt, 10.0) / 10.0,
        jnp.minimum(left_bt, 10.0) / 10.0,
        jnp.log(duration_bt + 1.0) / 3.0,
      ],
      axis=-1,
    )
    frames_btd = frames_btd + nn.Dense(phonemes_bnd.shape[-1], name='place')(place_bt4)
    return frames_btd * mask_bt[..., None], mask_bt


def frame_to_phoneme(durations_bn: jax.Array, num_frames: int) -> jax.Array:
  """(B, N) -> (B, T) int: which phoneme a frame belongs to; frames past the end belong to the last."""
  ends_bn = jnp.cumsum(durations_bn, axis=1)
  frame_t = jnp.arange(num_frames)
  index_bt = jax.vmap(lambda ends_n: jnp.searchsorted(ends_n, frame_t, side='right'))(ends_bn)
  return jnp.minimum(index_bt, durations_bn.shape[1] - 1)
