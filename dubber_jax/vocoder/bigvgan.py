"""BigVGAN vocoder (arXiv 2206.04658, versions 1 and 2; spec section 11), in any of the published configs.

Weight norm is folded: parameters are the plain convolution kernels. `dubber_jax.convert.vocoders` reads the
published checkpoints.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.errors import BadInput
from dubber_jax.nn.masks import zero_padding
from dubber_jax.vocoder.antialiasing import AntiAliasedSnake
from dubber_jax.vocoder.upsampling import TransposedConv


@dataclasses.dataclass(frozen=True)
class BigVGANConfig:
  """The fields of a published config.json that matter for synthesis, under their own names."""

  upsample_rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2)
  upsample_kernel_sizes: tuple[int, ...] = (8, 8, 4, 4, 4, 4)
  upsample_initial_channel: int = 1536  # halved at each stage
  resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
  resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3
  snake_logscale: bool = True
  use_tanh_at_final: bool = True  # else the waveform is clipped to -1..1
  use_bias_at_final: bool = True
  num_mels: int = 80
  sampling_rate: int = 22050  # Hz
  n_fft: int = 1024  # samples; also the window
  fmin: float = 0.0  # Hz
  fmax: float | None = None  # Hz; None: half the sampling rate

  @property
  def hop(self) -> int:
    """Samples a mel frame."""
    hop = 1
    for rate in self.upsample_rates:
      hop *= rate
    return hop


_V2 = dict(use_tanh_at_final=False, use_bias_at_final=False)
_BASE = dict(upsample_rates=(8, 8, 2, 2), upsample_kernel_sizes=(16, 16, 4, 4), upsample_initial_channel=512)
_HZ24 = dict(num_mels=100, sampling_rate=24000)
_HZ44 = dict(num_mels=128, sampling_rate=44100)
_RATES512 = dict(upsample_rates=(8, 4, 2, 2, 2, 2), upsample_kernel_sizes=(16, 8, 4, 4, 4, 4))
PUBLISHED = {
  'bigvgan_v2_44khz_128band_512x': BigVGANConfig(**_V2, **_HZ44, **_RATES512, n_fft=2048),
  'bigvgan_v2_44khz_128band_256x': BigVGANConfig(**_V2, **_HZ44),
  'bigvgan_v2_24khz_100band_256x': BigVGANConfig(**_V2, **_HZ24),
  'bigvgan_v2_22khz_80band_256x': BigVGANConfig(**_V2),
  'bigvgan_v2_22khz_80band_fmax8k_256x': BigVGANConfig(**_V2, fmax=8000.0),
  'bigvgan_24khz_100band': BigVGANConfig(**_HZ24, fmax=12000.0),
  'bigvgan_base_24khz_100band': BigVGANConfig(**_HZ24, **_BASE, fmax=12000.0),
  'bigvgan_22khz_80band': BigVGANConfig(fmax=8000.0),
  'bigvgan_base_22khz_80band': BigVGANConfig(**_BASE, fmax=8000.0),
}


class AMPBlock(nn.Module):
  """For each dilation d: x + conv(snake(conv_d(snake(x)))), "same" padding. (B, T, C) -> (B, T, C)."""

  kernel: int
  dilations: tuple[int, ...]
  log_scale: bool

  @nn.compact
  def __call__(self, x_btc: jax.Array, length_b: jax.Array | None = None) -> jax.Array:
    width = x_btc.shape[-1]
    for i, dilation in enumerate(self.dilations):
      y = AntiAliasedSnake(self.log_scale, name=f'activations_{2 * i}')(x_btc, length_b)
      y = nn.Conv(width, (self.kernel,), kernel_dilation=dilation, name=f'convs1_{i}')(y)
      y = AntiAliasedSnake(self.log_scale, name=f'activations_{2 * i + 1}')(y, length_b)
      x_btc = x_btc + nn.Conv(width, (self.kernel,), name=f'convs2_{i}')(y)
    return x_btc


class BigVGAN(nn.Module):
  """Natural-log mel (B, T, bands) -> waveform (B, T * hop) within -1..1.

  With lengths `frames_b` (B,) ints >= 1, each item is exactly what it would be alone, and zero after its length.
  """

  config: BigVGANConfig

  @nn.compact
  def __call__(self, mel_btm: jax.Array, frames_b: jax.Array | None = None) -> jax.Array:
    config = self.config
    if mel_btm.shape[-1] != config.num_mels:
      raise BadInput(f'this BigVGAN takes mels of {config.num_mels} bands, not {mel_btm.shape[-1]}')
    length_b, width = frames_b, config.upsample_initial_channel
    x = nn.Conv(width, (7,), name='conv_pre')(zero_padding(mel_btm, length_b))
    blocks = list(zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True))
    for stage, (rate, kernel) in enumerate(zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True)):
      width //= 2
      x = TransposedConv(width, kernel, rate, name=f'ups_{stage}')(zero_padding(x, length_b))
      length_b = None if length_b is None else length_b * rate
      x = sum(
        AMPBlock(size, dilations, config.snake_logscale, name=f'resblocks_{stage * len(blocks) + i}')(x, length_b)
        for i, (size, dilations) in enumerate(blocks)
      ) / len(blocks)
    x = AntiAliasedSnake(config.snake_logscale, name='activation_post')(x, length_b)
    wave_btc = nn.Conv(1, (7,), use_bias=config.use_bias_at_final, name='conv_post')(x)
    wave_btc = jnp.tanh(wave_btc) if config.use_tanh_at_final else jnp.clip(wave_btc, -1.0, 1.0)
    return zero_padding(wave_btc, length_b)[..., 0]
