"""Duration predictor."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.convolution import ConvNeXtBlock
from dubber_jax.nn.scan import Stacking, scan_layers


class DurationPredictor(nn.Module):
  """Duration predictor: text (B, N, D), lip context (B, N, D), condition (B, C) -> log(frames + 1), (B, N)."""

  width: int
  layers: int
  kernel: int = 5
  dropout: float = 0.0
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(
    self, text_bnd: jax.Array, lips_bnd: jax.Array, mask_bn: jax.Array, condition_bc: jax.Array, train: bool = False
  ) -> jax.Array:
    x = nn.Dense(self.width)(jnp.concatenate([text_bnd, lips_bnd], axis=-1)) * mask_bn[..., None]
    block = ConvNeXtBlock(self.kernel, dropout=self.dropout, name='block')
    x = scan_layers(block, self.layers, x, mask_bn, condition_bc, train, stacking=self.stacking)
    return nn.softplus(nn.Dense(1, bias_init=nn.initializers.constant(1.5), name='out')(x)[..., 0]) * mask_bn
