"""Length regulator: phoneme encodings to mel frames (FastSpeech, arXiv 1905.09263)."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.alignment import frame_to_phoneme
from dubber_jax.nn.masks import frame_mask
from dubber_jax.nn.platforms import on_cpu


class LengthRegulator(nn.Module):
  """Repeats each phoneme for its duration and adds an embedding of the frame's position within the phoneme.

  phonemes (B, N, D) and durations (B, N) int frames -> frames (B, T, D) and mask (B, T) bool, where T is
  `num_frames`, static. Frames past the end are zero. Durations that add up to more than T are cut. Without
  `place`, as in the published system, no position is added: the frames of a phoneme are copies.
  """

  place: bool = True

  @nn.compact
  def __call__(self, phonemes_bnd: jax.Array, durations_bn: jax.Array, num_frames: int) -> tuple[jax.Array, jax.Array]:
    ends_bn = jnp.cumsum(durations_bn, axis=1)
    frame_t = jnp.arange(num_frames)
    mask_bt = frame_mask(durations_bn, num_frames)
    if on_cpu():  # by matrix products: the gradient of a gather is a scatter, a hundred times as slow there
      alignment_btn = frame_to_phoneme(durations_bn, num_frames)
      spread = partial(jnp.einsum, 'btn,bn...->bt...', precision='highest')
      frames_btd = spread(alignment_btn.astype(phonemes_bnd.dtype), phonemes_bnd)
      end_bt = spread(alignment_btn, ends_bn.astype(alignment_btn.dtype))
      duration_bt = spread(alignment_btn, durations_bn.astype(alignment_btn.dtype))
    else:
      own_bt = jax.vmap(partial(jnp.searchsorted, side='right'), (0, None))(ends_bn, frame_t)
      own_bt = jnp.minimum(own_bt, durations_bn.shape[1] - 1)
      frames_btd = jnp.where(mask_bt[..., None], jnp.take_along_axis(phonemes_bnd, own_bt[..., None], axis=1), 0)
      end_bt = jnp.where(mask_bt, jnp.take_along_axis(ends_bn, own_bt, axis=1), 0).astype(jnp.float32)
      duration_bt = jnp.where(mask_bt, jnp.take_along_axis(durations_bn, own_bt, axis=1), 0).astype(jnp.float32)
    if not self.place:
      return frames_btd, mask_bt
    duration_bt = jnp.maximum(duration_bt, 1.0)
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
    ).astype(phonemes_bnd.dtype)
    frames_btd = frames_btd + nn.Dense(phonemes_bnd.shape[-1], name='place')(place_bt4)
    return frames_btd * mask_bt[..., None], mask_bt
