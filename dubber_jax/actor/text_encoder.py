"""Text encoder: contextual phoneme encodings."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.attention import Attention
from dubber_jax.nn.convolution import ConvNeXtBlock
from dubber_jax.nn.scan import Stacking, scan_layers
from dubber_jax.script.symbols import BASE_OF, NUM_TONES, TONE_OF


class TextBlock(nn.Module):
  """ConvNeXt block, then pre-norm self-attention with rotary positions (B, N): x (B, N, D), mask (B, N)."""

  heads: int
  kernel: int = 7
  expansion: int = 3
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: jax.Array, mask_bn: jax.Array, position_bn: jax.Array, train: bool = False) -> jax.Array:
    width = x.shape[-1]
    x = ConvNeXtBlock(self.kernel, self.expansion, self.dropout, name='conv')(x, mask_bn, train=train)
    normed = nn.LayerNorm(name='norm')(x)
    attention = Attention(self.heads, width, width, self.dropout, name='attention')
    return (x + attention(normed, normed, mask_bn, position_bn, position_bn, train)[0]) * mask_bn[..., None]


class TextEncoder(nn.Module):
  """Symbol ids (B, N) int, mask (B, N) bool -> encodings (B, N, width); zero where masked.

  languages: number of languages, or 0 for a model of one. With several, embeddings of the line's language (B,) int, of
  the symbol's base and of its tone are added (script/symbols.py): stress variants of a vowel share a base, as do tone
  variants of a Mandarin final.
  """

  symbols: int
  width: int
  layers: int
  heads: int
  kernel: int = 7
  expansion: int = 3
  dropout: float = 0.0
  stacking: Stacking = Stacking()
  languages: int = 0

  @nn.compact
  def __call__(
    self, ids_bn: jax.Array, mask_bn: jax.Array, train: bool = False, language_b: jax.Array | None = None
  ) -> jax.Array:
    x = nn.Embed(self.symbols, self.width)(ids_bn)
    if self.languages:
      x += nn.Embed(self.symbols, self.width, name='base')(jnp.asarray(BASE_OF)[ids_bn])
      x += nn.Embed(NUM_TONES, self.width, name='tone')(jnp.asarray(TONE_OF)[ids_bn])
      x += nn.Embed(self.languages, self.width, name='language')(language_b)[:, None]
    x *= mask_bn[..., None]
    position = jnp.broadcast_to(jnp.arange(ids_bn.shape[1], dtype=jnp.float32), ids_bn.shape)
    block = TextBlock(self.heads, self.kernel, self.expansion, self.dropout, name='block')
    x = scan_layers(block, self.layers, x, mask_bn, position, train, stacking=self.stacking)
    return nn.LayerNorm(name='norm')(x) * mask_bn[..., None]
