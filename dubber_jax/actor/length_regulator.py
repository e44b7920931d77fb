"""Length regulator: phoneme encodings to mel frames (FastSpeech, arXiv 1905.09263)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.alignment import frame_to_phoneme
from dubber_jax.nn.masks import frame_mask


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
    # A matrix product: the gradient of a gather is a scatter, a hundred times as slow on a CPU.
    alignment_btn = frame_to_phoneme(durations_bn, num_frames)
    frames_btd = jnp.einsum('btn,bnd->btd', alignment_btn.astype(phonemes_bnd.dtype), phonemes_bnd, precision='highest')
    if not self.place:
      return frames_btd, mask_bt
    end_bt = jnp.einsum('btn,bn->bt', alignment_btn, ends_bn.astype(alignment_btn.dtype), precision='highest')
    duration_bt = jnp.einsum('btn,bn->bt', alignment_btn, durations_bn.astype(alignment_btn.dtype), precision='highest')
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
