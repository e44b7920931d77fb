"""Prosody predictor and mel decoder: F0, voicing and energy of frames, then the mel and its postnet residual."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.convolution import ConvNeXtBlock
from dubber_jax.nn.scan import Stacking, scan_layers

PITCH_CENTER = 5.2  # natural log of Hz: 181 Hz
PITCH_SCALE = 0.35  # about one standard deviation over speakers and sentences
SEMITONE = 0.05776  # natural log of 2 ** (1 / 12)


class ProsodyPredictor(nn.Module):
  """F0, voicing and energy per frame: frames (B, T, D), mask, condition (B, C) -> pitch, voicing logit, energy, (B, T).

  Pitch is (ln Hz - 5.2) / 0.35; energy is that of `energy_of_mel`.
  """

  width: int
  layers: int
  kernel: int = 7
  dropout: float = 0.0
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(
    self, frames_btd: jax.Array, mask_bt: jax.Array, condition_bc: jax.Array, train: bool = False
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    x = nn.Dense(self.width)(frames_btd) * mask_bt[..., None]
    block = ConvNeXtBlock(self.kernel, dropout=self.dropout, name='block')
    x = scan_layers(block, self.layers, x, mask_bt, condition_bc, train, stacking=self.stacking)
    pitch, voicing, energy = jnp.moveaxis(nn.Dense(3, name='out')(x), -1, 0)
    return pitch, voicing, energy


def energy_of_mel(mel_btm: jax.Array) -> jax.Array:
  """Frame energy of a natural-log mel (..., T, 80) -> (..., T): mean over bands, shifted and scaled to about unit
  variance."""
  return (mel_btm.mean(-1) + 6.0) / 2.0


def join_prosody(pitch_bt: jax.Array, voiced_bt: jax.Array, energy_bt: jax.Array) -> jax.Array:
  """Prosody features (B, T, 4) of the decoder and the discriminators: pitch and its square, zero where unvoiced,
  voicing, energy."""
  return jnp.stack([pitch_bt * voiced_bt, jnp.square(pitch_bt) * voiced_bt, voiced_bt, energy_bt], axis=-1)


def scale_pitch(hertz_bt: jax.Array) -> jax.Array:
  """Standardized log F0: Hz -> (ln Hz - 5.2) / 0.35; finite for 0 Hz, unvoiced."""
  return (jnp.log(jnp.maximum(hertz_bt, 1.0)) - PITCH_CENTER) / PITCH_SCALE


class MelDecoder(nn.Module):
  """Mel decoder: frames (B, T, D), pitch, voicing (0 to 1) and energy (B, T) -> mel (B, T, 80) before and after the
  postnet.

  Blocks are modulated by the condition (B, C), as in StyleSpeech. Padding frames are zero. `noise` (B, T, any) is the
  random input by which takes of a line differ.
  """

  bands: int
  layers: int
  kernel: int
  expansion: int
  postnet_width: int
  postnet_layers: int
  dropout: float = 0.0
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(
    self,
    frames_btd: jax.Array,
    pitch_bt: jax.Array,
    voiced_bt: jax.Array,
    energy_bt: jax.Array,
    mask_bt: jax.Array,
    condition_bc: jax.Array,
    train: bool = False,
    noise_btn: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    width = frames_btd.shape[-1]
    x = frames_btd + nn.Dense(width, name='prosody')(join_prosody(pitch_bt, voiced_bt, energy_bt))
    if noise_btn is not None:
      x += nn.Dense(width, use_bias=False, kernel_init=nn.initializers.normal(0.05), name='noise')(noise_btn)
    x *= mask_bt[..., None]
    block = ConvNeXtBlock(self.kernel, self.expansion, self.dropout, name='block')
    x = scan_layers(block, self.layers, x, mask_bt, condition_bc, train, stacking=self.stacking)
    bias = nn.initializers.constant(-5.0)
    mel = nn.Dense(self.bands, bias_init=bias, name='mel')(nn.LayerNorm()(x)) * mask_bt[..., None]
    residual = mel
    for i in range(self.postnet_layers):
      out = self.bands if i == self.postnet_layers - 1 else self.postnet_width
      residual = nn.Conv(out, (5,), name=f'postnet_{i}')(residual * mask_bt[..., None])
      if out != self.bands:
        residual = nn.Dropout(self.dropout, deterministic=not train)(jnp.tanh(residual))
    return mel, (mel + residual) * mask_bt[..., None]
