"""What a vocoder is trained against: multi-period and multi-resolution discriminators.

Sources: HiFi-GAN (arXiv 2010.05646) for periods, UnivNet (arXiv 2106.07889) for resolutions. Narrower than there, and
written as matrix products, so that a step takes about a second on one CPU core.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = ((256, 64), (512, 128), (1024, 256), (2048, 512))  # FFT and hop, samples
LOUDER = 8.0  # brings speech at -23 LUFS to about unit size


class Discriminators(nn.Module):
  """Sound (B, S) -> a list of (scores, features) of each discriminator; features are of every layer.

  Those of periods are for the last polish, against a metallic tail; they cost as much as those of resolutions.
  """

  periods: tuple[int, ...] = PERIODS
  period_widths: tuple[int, ...] = (16, 32, 64, 128, 128)
  resolution_width: int = 32

  @nn.compact
  def __call__(self, sound_bs):
    answers = [Period(p, self.period_widths, name=f'period_{p}')(sound_bs) for p in self.periods]
    answers += [Resolution(f, h, self.resolution_width, name=f'resolution_{f}')(sound_bs) for f, h in RESOLUTIONS]
    return answers


class Period(nn.Module):
  """Hears the sound folded at a period: every p-th sample side by side."""

  period: int
  widths: tuple[int, ...]

  @nn.compact
  def __call__(self, sound_bs):
    whole = sound_bs.shape[1] // self.period * self.period
    x = LOUDER * sound_bs[:, :whole].reshape(len(sound_bs), -1, self.period).swapaxes(1, 2)
    x = x.reshape(-1, x.shape[2], 1)  # (B p, S / p, 1)
    features = []
    for i, width in enumerate(self.widths):
      x = nn.leaky_relu(StridedConv(width, 5, 1 if i == len(self.widths) - 1 else 3, name=f'conv_{i}')(x), 0.1)
      features.append(x)
    return StridedConv(1, 3, 1, name='score')(x), features


class StridedConv(nn.Module):
  """(B, T, D) -> (B, ceil(T / stride), features), zeros around, as one matrix product over shifted copies."""

  features: int
  kernel: int
  stride: int

  @nn.compact
  def __call__(self, x_btd):
    length = -(-x_btd.shape[1] // self.stride)
    reach = self.kernel // 2
    padded = jnp.pad(x_btd, ((0, 0), (reach, reach + self.stride), (0, 0)))
    ends = [i + (length - 1) * self.stride + 1 for i in range(self.kernel)]
    shifted = [padded[:, i : ends[i] : self.stride] for i in range(self.kernel)]
    return nn.Dense(self.features)(jnp.concatenate(shifted, axis=-1))


class Resolution(nn.Module):
  """Hears the log magnitudes of one STFT as a picture, cut into overlapping patches of 16 bins."""

  fft: int
  hop: int
  width: int

  @nn.compact
  def __call__(self, sound_bs):
    picture = (log_magnitude(sound_bs, self.fft, self.hop)[..., :-1] + 6.0) / 3.0  # (B, T, F), about unit size
    strips = picture.reshape(*picture.shape[:2], -1, 8)
    patches = jnp.concatenate([strips[:, :, :-1], strips[:, :, 1:]], axis=-1)
    features = []
    x = patches
    for i, (height, stride) in enumerate(((1, 1), (3, 2), (3, 1))):
      x = nn.leaky_relu(PictureConv(self.width, height, stride, name=f'conv_{i}')(x), 0.1)
      features.append(x)
    return PictureConv(1, 3, 1, name='score')(x), features


class PictureConv(nn.Module):
  """(B, T, F, D) -> (B, T, ceil(F / stride), features), over three frames and `height` places, as a matrix product."""

  features: int
  height: int
  stride: int

  @nn.compact
  def __call__(self, x_btfd):
    frames, count = x_btfd.shape[1], -(-x_btfd.shape[2] // self.stride)
    reach = self.height // 2
    padded = jnp.pad(x_btfd, ((0, 0), (1, 1), (reach, reach + self.stride), (0, 0)))
    ends = [j + (count - 1) * self.stride + 1 for j in range(self.height)]
    shifted = [padded[:, i : i + frames, j : ends[j] : self.stride] for i in range(3) for j in range(self.height)]
    return nn.Dense(self.features)(jnp.concatenate(shifted, axis=-1))


def log_magnitude(sound_bs: jax.Array, fft: int, hop: int) -> jax.Array:
  """(B, S) -> natural log magnitudes (B, 1 + (S - fft) // hop, fft / 2 + 1), Hann window, floor about 1e-5."""
  count = 1 + (sound_bs.shape[1] - fft) // hop
  parts = fft // hop
  blocks = sound_bs[:, : (count + parts - 1) * hop].reshape(len(sound_bs), -1, hop)
  windows = jnp.concatenate([blocks[:, i : i + count] for i in range(parts)], axis=-1)
  hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft) / fft)).astype(np.float32)
  spectrum = jnp.fft.rfft(windows * hann) / np.float32(np.sqrt(np.square(hann).sum()))
  return 0.5 * jnp.log(jnp.square(spectrum.real) + jnp.square(spectrum.imag) + 1e-10)
