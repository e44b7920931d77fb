"""Lip encoder, and the cross-attention that aligns phonemes with lip frames (spec sections 4.1 and 4.2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.authentic_dubber.fft import FFTStack
from dubber_jax.nn.attention import Attention
from dubber_jax.nn.norms import LayerNorm
from dubber_jax.nn.scan import Stacking


def interleaved_sinusoids(length: int, width: int) -> np.ndarray:
  """Sinusoidal position embeddings (length, width) float32 from position 0: sin, cos, sin, cos, ... of
  position / 10000 ** (2c / width)."""
  angle = np.arange(length)[:, None] / 10000.0 ** (2 * (np.arange(width) // 2) / width)
  table = np.where(np.arange(width) % 2 == 0, np.sin(angle), np.cos(angle))
  return table.astype(np.float32)


class PositionedLipEncoder(nn.Module):
  """Lip features (B, L, 512), mask (B, L) -> encodings (B, L, out). Padding comes out as the bias of the last layer."""

  out: int = 256
  layers: int = 4
  heads: int = 2
  filter: int = 1024
  dropout: float = 0.2
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(self, lips_bld: jax.Array, mask_bl: jax.Array, train: bool = False) -> jax.Array:
    x = LayerNorm(name='norm')(lips_bld)
    x = x + interleaved_sinusoids(*lips_bld.shape[1:]).astype(x.dtype)
    stack = FFTStack(self.layers, self.heads, self.filter, 9, self.dropout, self.stacking, name='stack')
    x = stack(x, mask_bl, train=train)
    return nn.Dense(self.out, name='out')(x)


class FocusedLipTextAttention(nn.Module):
  """Cross-attention from phonemes (B, N, D) to lips (B, L, D) -> context (B, N, D), alignment (B, N, L), weights of all
  heads (B, H, N, L).

  The alignment is the weights of the head with the highest focus rate.
  """

  heads: int = 8
  dropout: float = 0.2

  @nn.compact
  def __call__(
    self, text_bnd: jax.Array, text_mask_bn: jax.Array, lips_bld: jax.Array, lip_mask_bl: jax.Array, train: bool = False
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    width = text_bnd.shape[-1]
    mask_bnl = text_mask_bn[:, :, None] & lip_mask_bl[:, None, :]
    attention = Attention(self.heads, width, width, out_bias=True, name='attention')
    attended, weights_bhnl = attention(text_bnd, lips_bld, mask_bnl)
    context = LayerNorm(name='norm')(nn.Dropout(self.dropout, deterministic=not train)(attended))
    head_b = jnp.argmax(focus_rate(weights_bhnl, lip_mask_bl), axis=1)
    aligned_bnl = jnp.take_along_axis(weights_bhnl, head_b[:, None, None, None], axis=1)[:, 0]
    return context, aligned_bnl, weights_bhnl


def focus_rate(weights_bhnl: jax.Array, lip_mask_bl: jax.Array) -> jax.Array:
  """Focus rate of each head (FastSpeech, arXiv 1905.09263), (B, H): mean over lip frames of the largest weight that any
  phoneme gives the frame."""
  return weights_bhnl.max(2).sum(-1) / jnp.maximum(lip_mask_bl.sum(-1), 1)[:, None]
