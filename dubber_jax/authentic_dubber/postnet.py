"""Postnet (spec section 4.9)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.norms import AdaptiveLayerNorm, TimeBatchNorm


class Postnet(nn.Module):
  """Convolutional postnet: mel (B, T, 80), speaker (B, C), visible (B, T) bool -> mel plus a residual, (B, T, 80).

  The four inner layers share one style-adaptive norm. `visible` marks the frames of convolutions and batch norm: up
  to the batch's longest item in the published system, so that padding takes part.
  """

  width: int = 256
  layers: int = 5
  kernel: int = 5
  dropout: float = 0.5

  @nn.compact
  def __call__(
    self, mel_btm: jax.Array, speaker_bc: jax.Array, visible_bt: jax.Array, train: bool = False
  ) -> jax.Array:
    bands = mel_btm.shape[-1]
    drop = nn.Dropout(self.dropout, deterministic=not train)
    style = AdaptiveLayerNorm(gain_offset=0.0, name='style')
    x = mel_btm
    for i in range(self.layers):
      last = i == self.layers - 1
      x = nn.Conv(bands if last else self.width, (self.kernel,), name=f'conv_{i}')(x * visible_bt[..., None])
      x = TimeBatchNorm(name=f'norm_{i}')(x, visible_bt, train)
      x = drop(x) if last else style(drop(jnp.tanh(x)), speaker_bc)
    return mel_btm + x
