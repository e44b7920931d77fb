"""HiFi-GAN vocoder (arXiv 2010.05646), in the published configs. Weight norm is folded into the kernels."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.errors import BadInput
from dubber_jax.nn.masks import zero_padding
from dubber_jax.vocoder.upsampling import TransposedConv

SLOPE = 0.1  # of the leaky ReLUs except the last, 0.01


@dataclasses.dataclass(frozen=True)
class HiFiGANConfig:
  """The fields of a published config.json that matter for synthesis, under their own names."""

  resblock: str = '1'  # '1': two convolutions a residual block; '2': one
  upsample_rates: tuple[int, ...] = (8, 8, 2, 2)
  upsample_kernel_sizes: tuple[int, ...] = (16, 16, 4, 4)
  upsample_initial_channel: int = 512  # halved at each stage
  resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
  resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3
  num_mels: int = 80
  sampling_rate: int = 22050  # Hz
  n_fft: int = 1024  # samples; also the window
  fmin: float = 0.0  # Hz
  fmax: float | None = 8000.0  # Hz; None: half the sampling rate

  @property
  def hop(self) -> int:
    """Samples a mel frame."""
    hop = 1
    for rate in self.upsample_rates:
      hop *= rate
    return hop


PUBLISHED = {
  'hifigan_universal_v1': HiFiGANConfig(),
  'hifigan_v2': HiFiGANConfig(upsample_initial_channel=128),
  'hifigan_v3': HiFiGANConfig(
    resblock='2',
    upsample_rates=(8, 8, 4),
    upsample_kernel_sizes=(16, 16, 8),
    upsample_initial_channel=256,
    resblock_kernel_sizes=(3, 5, 7),
    resblock_dilation_sizes=((1, 2), (2, 6), (3, 12)),
  ),
}


class ResBlock(nn.Module):
  """For each dilation d: x + conv(lrelu(conv_d(lrelu(x)))), or without the second. (B, T, C) -> (B, T, C)."""

  kernel: int
  dilations: tuple[int, ...]
  second: bool

  @nn.compact
  def __call__(self, x_btc: jax.Array, length_b: jax.Array | None = None) -> jax.Array:
    width = x_btc.shape[-1]
    for i, dilation in enumerate(self.dilations):
      name = f'convs1_{i}' if self.second else f'convs_{i}'
      y = zero_padding(nn.leaky_relu(x_btc, SLOPE), length_b)
      y = nn.Conv(width, (self.kernel,), kernel_dilation=dilation, name=name)(y)
      if self.second:
        y = zero_padding(nn.leaky_relu(y, SLOPE), length_b)
        y = nn.Conv(width, (self.kernel,), name=f'convs2_{i}')(y)
      x_btc = x_btc + y
    return x_btc


class HiFiGAN(nn.Module):
  """Natural-log mel (B, T, bands) -> waveform (B, T * hop) within -1..1. `frames_b` as for BigVGAN."""

  config: HiFiGANConfig

  @nn.compact
  def __call__(self, mel_btm: jax.Array, frames_b: jax.Array | None = None) -> jax.Array:
    config = self.config
    if mel_btm.shape[-1] != config.num_mels:
      raise BadInput(f'this HiFi-GAN takes mels of {config.num_mels} bands, not {mel_btm.shape[-1]}')
    length_b, width = frames_b, config.upsample_initial_channel
    x = nn.Conv(width, (7,), name='conv_pre')(zero_padding(mel_btm, length_b))
    blocks = list(zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True))
    for stage, (rate, kernel) in enumerate(zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True)):
      width //= 2
      x = zero_padding(nn.leaky_relu(x, SLOPE), length_b)
      x = TransposedConv(width, kernel, rate, name=f'ups_{stage}')(x)
      length_b = None if length_b is None else length_b * rate
      x = sum(
        ResBlock(size, dilations, config.resblock == '1', name=f'resblocks_{stage * len(blocks) + i}')(x, length_b)
        for i, (size, dilations) in enumerate(blocks)
      ) / len(blocks)
    x = zero_padding(nn.leaky_relu(x, 0.01), length_b)
    return zero_padding(jnp.tanh(nn.Conv(1, (7,), name='conv_post')(x)), length_b)[..., 0]
