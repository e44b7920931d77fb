"""Phonemes in context."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.blocks.attention import Attention
from dubber_jax.blocks.convolution import ConvNeXtBlock
from dubber_jax.blocks.fft import FFTStack


class TextEncoder(nn.Module):
  """ids (B, N) int, mask (B, N) bool -> (B, N, width); zero where masked."""

  symbols: int
  width: int
  layers: int
  heads: int
  kernel: int = 7
  expansion: int = 3
  dropout: float = 0.0

  @nn.compact
  def __call__(self, ids_bn: jax.Array, mask_bn: jax.Array, train: bool = False) -> jax.Array:
    x = nn.Embed(self.symbols, self.width)(ids_bn) * mask_bn[..., None]
    position = jnp.broadcast_to(jnp.arange(ids_bn.shape[1], dtype=jnp.float32), ids_bn.shape)
    for i in range(self.layers):
      x = ConvNeXtBlock(self.kernel, self.expansion, self.dropout, name=f'conv_{i}')(x, mask_bn, train=train)
      attention = Attention(self.heads, self.width, self.width, self.dropout, name=f'attention_{i}')
      normed = nn.LayerNorm(name=f'norm_{i}')(x)
      x = (x + attention(normed, normed, mask_bn, position, position, train)[0]) * mask_bn[..., None]
    return nn.LayerNorm(name='norm')(x) * mask_bn[..., None]


class FFTTextEncoder(nn.Module):
  """ids (B, N) int, mask (B, N) bool -> (B, N, width), zero where masked; no positions (spec section 3.2)."""

  symbols: int = 88
  width: int = 256
  layers: int = 12
  heads: int = 8
  filter: int = 1024
  dropout: float = 0.2

  @nn.compact
  def __call__(self, ids_bn: jax.Array, mask_bn: jax.Array, train: bool = False) -> jax.Array:
    x = nn.Embed(self.symbols, self.width, name='symbols')(ids_bn) * (ids_bn != 0)[..., None]  # row 0 stays untrained
    x = nn.Dense(self.width, use_bias=False, name='project')(x)
    return FFTStack(self.layers, self.heads, self.filter, dropout=self.dropout, name='stack')(x, mask_bn, train=train)
