"""Feed-forward transformer blocks (FastSpeech, arXiv 1905.09263; spec sections 3.1 and 4.8)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.attention import Attention
from dubber_jax.nn.convolution import TimeConv
from dubber_jax.nn.norms import AdaptiveLayerNorm, LayerNorm
from dubber_jax.nn.scan import Stacking, scan_layers


class FFTBlock(nn.Module):
  """FFT block: self-attention, then a convolution of `kernel` to `filter` channels and a pointwise one back.

  x (B, T, D), mask (B, T) bool, `condition` (B, C) or None; with a condition each of the two norms is followed
  by a style-adaptive one. Padding is zeroed before the convolution and at the end, so no output depends on it.
  """

  heads: int
  filter: int
  kernel: int = 9
  dropout: float = 0.0

  @nn.compact
  def __call__(
    self, x_btd: jax.Array, mask_bt: jax.Array, condition_bc: jax.Array | None = None, train: bool = False
  ) -> jax.Array:
    width = x_btd.shape[-1]
    drop = nn.Dropout(self.dropout, deterministic=not train)

    def finish(name, y):
      y = LayerNorm(name=f'{name}_norm')(y)
      if condition_bc is not None:
        y = AdaptiveLayerNorm(gain_offset=0.0, name=f'{name}_style')(y, condition_bc)
      return jnp.where(mask_bt[..., None], y, 0.0)

    attended, _ = Attention(self.heads, width, width, out_bias=True, name='attention')(
      x_btd, x_btd, mask_bt, train=train
    )
    y = finish('attention', drop(attended) + x_btd)
    inner = nn.relu(TimeConv(self.filter, self.kernel, name='up')(y))
    return finish('feed', drop(nn.Dense(width, name='down')(inner)) + y)


class FFTStack(nn.Module):
  """`layers` FFT blocks as a scan, with parameters stacked on a first axis."""

  layers: int
  heads: int
  filter: int
  kernel: int = 9
  dropout: float = 0.0
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(
    self, x_btd: jax.Array, mask_bt: jax.Array, condition_bc: jax.Array | None = None, train: bool = False
  ) -> jax.Array:
    block = FFTBlock(self.heads, self.filter, self.kernel, self.dropout, name='block')
    return scan_layers(block, self.layers, x_btd, mask_bt, condition_bc, train, stacking=self.stacking)
