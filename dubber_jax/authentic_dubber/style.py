"""Style encoders: frame-level style of a reference mel, and its downsampled local style (spec sections 3.3, 3.4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.attention import Attention
from dubber_jax.nn.convolution import ConvGLU
from dubber_jax.nn.masks import length_mask
from dubber_jax.nn.norms import TimeBatchNorm


class MelStyleEncoder(nn.Module):
  """Reference mel (B, R, 80) -> style of every frame (B, R, width) (StyleSpeech, arXiv 2106.03153, without pooling).

  length (B,): the item's own frames, the keys of the attention. visible (B,): the frames that the convolutions see, the
  batch's longest in the published system.
  """

  width: int = 256
  kernel: int = 5
  heads: int = 2
  dropout: float = 0.1

  @nn.compact
  def __call__(self, mel_brm: jax.Array, length_b: jax.Array, visible_b: jax.Array, train: bool = False) -> jax.Array:
    frames = mel_brm.shape[1]
    drop = nn.Dropout(self.dropout, deterministic=not train)
    visible = length_mask(visible_b, frames)
    x = mel_brm
    for i in range(2):
      x = drop(jax.nn.mish(nn.Dense(self.width, name=f'spectral_{i}')(x)))
    for i in range(2):
      x = ConvGLU(self.kernel, self.dropout, name=f'temporal_{i}')(x, visible, train)
    mask_br = length_mask(length_b, frames)
    x = jnp.where(mask_br[..., None], x, 0.0)
    # Divided by the root of the whole width, not of a head's, as in the released code.
    attention = Attention(
      self.heads, self.width, self.width, self.dropout, out_bias=True, scale=self.width**-0.5, name='attention'
    )
    x = drop(attention(x, x, mask_br, train=train)[0]) + x
    return nn.Dense(self.width, name='out')(x)


class DownsamplingEncoder(nn.Module):
  """Style of frames (B, R, D) -> local style (B, R // 16, out) and how many of its steps are visible (B,)."""

  widths: tuple[int, ...] = (128, 256, 512, 512)
  kernel: int = 3
  out: int = 256
  dropout: float = 0.2

  @nn.compact
  def __call__(self, style_brd: jax.Array, visible_b: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
    x = style_brd
    for i, width in enumerate(self.widths):
      visible = length_mask(visible_b, x.shape[1])
      x = nn.relu(nn.Conv(width, (self.kernel,), name=f'conv_{i}')(x * visible[..., None]))
      x = TimeBatchNorm(name=f'norm_{i}')(x, visible, train)
      x = nn.Dropout(self.dropout, deterministic=not train)(x)
      half = x.shape[1] // 2
      x = x[:, : 2 * half].reshape(len(x), half, 2, width).mean(2)
      visible_b = visible_b // 2
    return jnp.tanh(nn.Dense(self.out, name='out')(x)), visible_b


def utterance_style(local_bvd: jax.Array, length_b: jax.Array) -> jax.Array:
  """Utterance style, the mean of local style over the item's own steps (16 frames each, at least one): (B, V, D) ->
  (B, D)."""
  steps_b = jnp.maximum(length_b // 16, 1)
  weight = length_mask(steps_b, local_bvd.shape[1])[..., None]
  return (local_bvd * weight).sum(1) / steps_b[:, None]
