"""Discriminators of the vocoder: multi-period (HiFi-GAN, arXiv 2010.05646) and multi-resolution (UnivNet, arXiv
2106.07889).

Narrower than published, and written as matrix products, so that a step takes about a second on one CPU core.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = ((256, 64), (512, 128), (1024, 256), (2048, 512))  # FFT and hop, samples
INPUT_GAIN = 8.0  # brings speech at -23 LUFS to about unit variance


class Discriminators(nn.Module):
  """Waveforms (B, S) -> [(scores, features of every layer), ...], one pair a discriminator.

  The multi-period ones remove metallic artifacts late in training, at the cost of the multi-resolution ones again.
  """

  periods: tuple[int, ...] = PERIODS
  period_widths: tuple[int, ...] = (16, 32, 64, 128, 128)
  resolution_width: int = 32

  @nn.compact
  def __call__(self, wave_bs: jax.Array) -> list[tuple[jax.Array, list[jax.Array]]]:
    outputs = [PeriodDiscriminator(p, self.period_widths, name=f'period_{p}')(wave_bs) for p in self.periods]
    outputs += [
      ResolutionDiscriminator(f, h, self.resolution_width, name=f'resolution_{f}')(wave_bs) for f, h in RESOLUTIONS
    ]
    return outputs


class PeriodDiscriminator(nn.Module):
  """Discriminator on the waveform reshaped at a period p, so that convolutions run over every p-th sample."""

  period: int
  widths: tuple[int, ...]

  @nn.compact
  def __call__(self, wave_bs: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
    whole = wave_bs.shape[1] // self.period * self.period
    x = INPUT_GAIN * wave_bs[:, :whole].reshape(len(wave_bs), -1, self.period).swapaxes(1, 2)
    x = x.reshape(-1, x.shape[2], 1)  # (B p, S / p, 1)
    features = []
    for i, width in enumerate(self.widths):
      x = nn.leaky_relu(StridedConv(width, 5, 1 if i == len(self.widths) - 1 else 3, name=f'conv_{i}')(x), 0.1)
      features.append(x)
    return StridedConv(1, 3, 1, name='score')(x), features


class StridedConv(nn.Module):
  """Strided convolution, (B, T, D) -> (B, ceil(T / stride), features), zero padding, as one matrix product over shifted
  copies."""

  features: int
  kernel: int
  stride: int

  @nn.compact
  def __call__(self, x_btd: jax.Array) -> jax.Array:
    length = -(-x_btd.shape[1] // self.stride)
    reach = self.kernel // 2
    padded = jnp.pad(x_btd, ((0, 0), (reach, reach + self.stride), (0, 0)))
    ends = [i + (length - 1) * self.stride + 1 for i in range(self.kernel)]
    shifted = [padded[:, i : ends[i] : self.stride] for i in range(self.kernel)]
    return nn.Dense(self.features)(jnp.concatenate(shifted, axis=-1))


class ResolutionDiscriminator(nn.Module):
  """Discriminator on the log-magnitude spectrogram of one STFT, in overlapping patches of 16 bins."""

  fft: int
  hop: int
  width: int

  @nn.compact
  def __call__(self, wave_bs: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
    scaled = (log_magnitude(wave_bs, self.fft, self.hop)[..., :-1] + 6.0) / 3.0  # (B, T, F), about unit variance
    strips = scaled.reshape(*scaled.shape[:2], -1, 8)
    patches = jnp.concatenate([strips[:, :, :-1], strips[:, :, 1:]], axis=-1)
    features = []
    x = patches
    for i, (height, stride) in enumerate(((1, 1), (3, 2), (3, 1))):
      x = nn.leaky_relu(SpectrogramConv(self.width, height, stride, name=f'conv_{i}')(x), 0.1)
      features.append(x)
    return SpectrogramConv(1, 3, 1, name='score')(x), features


class SpectrogramConv(nn.Module):
  """2-D convolution, (B, T, F, D) -> (B, T, ceil(F / stride), features), kernel (3, height), as one matrix product."""

  features: int
  height: int
  stride: int

  @nn.compact
  def __call__(self, x_btfd: jax.Array) -> jax.Array:
    frames, count = x_btfd.shape[1], -(-x_btfd.shape[2] // self.stride)
    reach = self.height // 2
    padded = jnp.pad(x_btfd, ((0, 0), (1, 1), (reach, reach + self.stride), (0, 0)))
    ends = [j + (count - 1) * self.stride + 1 for j in range(self.height)]
    shifted = [padded[:, i : i + frames, j : ends[j] : self.stride] for i in range(3) for j in range(self.height)]
    return nn.Dense(self.features)(jnp.concatenate(shifted, axis=-1))


def log_magnitude(wave_bs: jax.Array, fft: int, hop: int) -> jax.Array:
  """Log-magnitude STFT, (B, S) -> natural logs (B, 1 + (S - fft) // hop, fft / 2 + 1), Hann window, floor
  about 1e-5."""
  count = 1 + (wave_bs.shape[1] - fft) // hop
  parts = fft // hop
  blocks = wave_bs[:, : (count + parts - 1) * hop].reshape(len(wave_bs), -1, hop)
  windows = jnp.concatenate([blocks[:, i : i + count] for i in range(parts)], axis=-1)
  hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft) / fft)).astype(np.float32)
  spectrum = jnp.fft.rfft(windows * hann) / np.float32(np.sqrt(np.square(hann).sum()))
  return 0.5 * jnp.log(jnp.square(spectrum.real) + jnp.square(spectrum.imag) + 1e-10)
