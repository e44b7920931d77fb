"""Style encoder: condition vector of a voice from a reference mel and a speaker embedding."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.attention import Attention
from dubber_jax.nn.convolution import ConvGLU


class StyleEncoder(nn.Module):
  """Reference mel (B, R, 80) with mask (B, R), speaker (B, 256) -> condition (B, out), encoded frames (B, R, width).

  The mel style encoder of StyleSpeech (arXiv 2106.03153; spec section 3.3), pooled over time: spectral
  layers, gated convolutions, self-attention; then joined with the speaker embedding.
  """

  width: int
  out: int
  heads: int = 2
  dropout: float = 0.0

  @nn.compact
  def __call__(
    self, mel_brm: jax.Array, mask_br: jax.Array, speaker_bs: jax.Array, train: bool = False
  ) -> tuple[jax.Array, jax.Array]:
    drop = nn.Dropout(self.dropout, deterministic=not train)
    x = (mel_brm + 5.0) / 3.0  # about zero mean and unit variance for speech
    for i in range(2):
      x = drop(jax.nn.mish(nn.Dense(self.width, name=f'spectral_{i}')(x)))
    for i in range(2):
      x = ConvGLU(dropout=self.dropout, name=f'temporal_{i}')(x, mask_br, train)
    x = x + Attention(self.heads, self.width, self.width, self.dropout)(x, x, mask_br, train=train)[0]
    weight_br1 = mask_br[..., None].astype(x.dtype)
    style = (x * weight_br1).sum(1) / jnp.maximum(weight_br1.sum(1), 1.0)
    # A unit vector of 256 numbers, scaled to unit variance.
    speaker = nn.Dense(self.width, name='speaker')(speaker_bs * jnp.sqrt(speaker_bs.shape[-1]))
    joined = nn.LayerNorm()(jnp.concatenate([style, drop(speaker)], axis=-1))
    return nn.Dense(self.out, name='out')(jax.nn.mish(nn.Dense(self.out, name='join')(joined))), x
