"""Lip encoder, and the attention from phonemes to lip frames."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.attention import Attention
from dubber_jax.nn.convolution import ConvNeXtBlock
from dubber_jax.nn.scan import Stacking, scan_layers


class LipEncoder(nn.Module):
  """Lip features at 25 frames a second (B, L, 82), mask (B, L) -> encodings (B, L, width); zero where masked."""

  width: int
  layers: int
  kernel: int = 7
  expansion: int = 3
  dropout: float = 0.0
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(self, lips_bld: jax.Array, mask_bl: jax.Array, train: bool = False) -> jax.Array:
    weight = mask_bl[..., None].astype(lips_bld.dtype)
    # Movement matters more than the shape of the mouth: the clip's mean is subtracted and appended.
    mean = (lips_bld * weight).sum(1, keepdims=True) / jnp.maximum(weight.sum(1, keepdims=True), 1.0)
    moving = jnp.concatenate([(lips_bld - mean) * 10.0, jnp.broadcast_to(mean, lips_bld.shape)], axis=-1)
    x = nn.Dense(self.width)(moving) * weight
    block = ConvNeXtBlock(self.kernel, self.expansion, self.dropout, name='block')
    x = scan_layers(block, self.layers, x, mask_bl, None, train, stacking=self.stacking)
    return nn.LayerNorm()(x) * weight


class LipTextAttention(nn.Module):
  """Cross-attention from phonemes (B, N, D) to lip frames (B, L, E) -> context (B, N, D), weights (B, N, L).

  Rotary positions are in lip frames, those of phonemes as if spread evenly over the clip, which favors the diagonal.
  Without lips the context is zero. Weights are the mean over heads.
  """

  heads: int
  width: int
  dropout: float = 0.0

  @nn.compact
  def __call__(
    self, text_bnd: jax.Array, text_mask_bn: jax.Array, lips_ble: jax.Array, lip_mask_bl: jax.Array, train: bool = False
  ) -> tuple[jax.Array, jax.Array]:
    phonemes_b1 = jnp.maximum(text_mask_bn.sum(1, keepdims=True), 1)
    lip_frames_b1 = lip_mask_bl.sum(1, keepdims=True)
    phoneme_position = (jnp.arange(text_bnd.shape[1]) + 0.5) * lip_frames_b1 / phonemes_b1
    lip_position = jnp.broadcast_to(jnp.arange(lips_ble.shape[1]) + 0.5, lips_ble.shape[:2])
    attention = Attention(self.heads, self.width, text_bnd.shape[-1], self.dropout)
    context, weights_bhnl = attention(text_bnd, lips_ble, lip_mask_bl, phoneme_position, lip_position, train)
    return context * text_mask_bn[..., None], weights_bhnl.mean(1) * text_mask_bn[..., None]
