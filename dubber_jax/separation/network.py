"""Mask network of the dialogue separator: power spectrum of a film's sound -> the share of each time-frequency bin that
is background.

Dilated convolutions over time as in Conv-TasNet (Luo and Mesgarani 2019), on the power of 336 bands, single STFT bins
up to 4.9 kHz; no recurrent layers, so that a chunk is computed in parallel. The mask is real: the background is the
mask times the mixture, the dialogue the rest, so that both add up to the film's sound.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.separation.config import SeparatorConfig

RATE = 48000  # Hz
WINDOW = 2048  # samples of the STFT: 42.7 ms
HOP = 1024  # samples between two frames: 21.3 ms
BINS = WINDOW // 2 + 1
# (number of features, bins that each averages): single bins up to 4.9 kHz, where harmonics are resolved
BANDS = ((208, 1), (64, 3), (48, 6), (16, 21))
FEATURES = sum(count for count, _ in BANDS)
LEVEL_FRAMES = 93  # to both sides of a frame, 2 s, whose mean power is its level
FLOOR = 0.01  # least share of a bin that is kept: -40 dB, so that a film without music does not fall silent
QUIET = 1e-9  # power added to a bin, of a full-scale sine's about 2.6e5
MARGIN = 1e-4  # the same, relative to the level: 40 dB below it


def feature_bins() -> np.ndarray:
  """(FEATURES + 1,) first bin of each feature, and one past the last. The last bin, 24 kHz, has no feature."""
  widths = np.concatenate([np.full(count, bins) for count, bins in BANDS])
  return np.concatenate([[0], np.cumsum(widths)])


def averaging() -> np.ndarray:
  """(BINS, FEATURES) float32 matrix that averages power over the bins of each feature."""
  edges = feature_bins()
  matrix = np.zeros((BINS, FEATURES), np.float32)
  for i, (first, last) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
    matrix[first:last, i] = 1 / (last - first)
  return matrix


def expanding() -> np.ndarray:
  """(FEATURES, BINS) float32 matrix that interpolates values of features linearly to bins."""
  edges = feature_bins()
  centers = (edges[:-1] + edges[1:] - 1) / 2
  return np.stack([np.interp(np.arange(BINS), centers, row) for row in np.eye(FEATURES)]).astype(np.float32)


def features(power_btf: jax.Array) -> jax.Array:
  """Log power of features relative to the sound's level around each frame: (B, T, FEATURES) -> the same.

  The level is the mean power of the 4 s around a frame, fewer at the ends: features do not change with the gain.
  """
  total = power_btf.mean(-1)
  frames = total.shape[1]
  sums = jnp.pad(jnp.cumsum(total.astype(jnp.float32), 1), ((0, 0), (1, 0)))
  first = np.maximum(np.arange(frames) - LEVEL_FRAMES, 0)
  last = np.minimum(np.arange(frames) + LEVEL_FRAMES + 1, frames)
  level = jnp.maximum((sums[:, last] - sums[:, first]) / (last - first), 0)[..., None]
  # Spectra of sounds fall by about 6 dB an octave; this levels them.
  slope = np.square(1 + feature_bins()[:-1] * (RATE / WINDOW) / 500.0).astype(np.float32)
  relative = (power_btf * slope + QUIET) / (level * 4 + QUIET)
  return 0.25 * jnp.log(relative + MARGIN)


class Block(nn.Module):
  """Residual block: a dilated convolution over time in every channel, then two layers over the channels."""

  hidden: int
  dilation: int

  @nn.compact
  def __call__(self, x_btd: jax.Array) -> jax.Array:
    _, t, d = x_btd.shape
    x = nn.LayerNorm(name='norm')(x_btd)
    taps = self.param('taps', nn.initializers.normal(0.5), (3, d))
    padded = jnp.pad(x, ((0, 0), (self.dilation, self.dilation), (0, 0)))
    x = padded[:, :t] * taps[0] + x * (1 + taps[1]) + padded[:, 2 * self.dilation :] * taps[2]
    return x_btd + nn.Dense(d, name='down')(nn.relu(nn.Dense(self.hidden, name='up')(x)))


class MaskNetwork(nn.Module):
  """(B, T, FEATURES) power -> (B, T, FEATURES) share that is background, FLOOR to 1.

  Two layers over neighboring bands and frames, with the same weights for all bands, find peaks and edges. They go to a
  stack of blocks over time that sees all bands, and beside it to the mask, so that it is as sharp as the spectrum.
  """

  config: SeparatorConfig

  @nn.compact
  def __call__(self, power_btf: jax.Array) -> jax.Array:
    c = self.config
    x = features(power_btf)
    b, t, _ = x.shape
    around = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
    times = jnp.stack([around[:, :-2], x, around[:, 2:]], -1)
    position = self.param('position', nn.initializers.normal(0.1), (FEATURES, c.local))
    local = nn.relu(nn.Dense(c.local, name='local')(neighbors(times, 4)) + position)
    local = nn.relu(nn.Dense(c.local, name='local_2')(neighbors(local, 1)))
    paired = nn.Dense(c.paired, name='pair')(local.reshape(b, t, FEATURES // 2, 2 * c.local))
    x = nn.Dense(c.width, name='embed')(paired.reshape(b, t, -1))
    for i, dilation in enumerate(c.dilations):
      x = Block(c.hidden, dilation, name=f'block_{i}')(x)
    x = nn.Dense(FEATURES * c.spread, name='spread')(nn.LayerNorm(name='norm')(x)).reshape(b, t, FEATURES, c.spread)
    x = nn.relu(nn.Dense(c.local, name='joined')(jnp.concatenate([local, x], -1)))
    logits = nn.Dense(1, name='mask')(x)[..., 0]
    return FLOOR + (1 - FLOOR) * jax.nn.sigmoid(logits)


def neighbors(x_btfc: jax.Array, reach: int) -> jax.Array:
  """(B, T, F, C) -> (B, T, F, (2 reach + 1) C): each band with those below and above it."""
  bands = x_btfc.shape[2]
  padded = jnp.pad(x_btfc, ((0, 0), (0, 0), (reach, reach), (0, 0)))
  return jnp.concatenate([padded[:, :, i : i + bands] for i in range(2 * reach + 1)], -1)


def window() -> np.ndarray:
  """Square root of a Hann window, for analysis and for synthesis: their products at HOP add up to 1."""
  return np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def stft(wave_bs: jax.Array) -> jax.Array:
  """(B, (T + 1) * HOP) -> (B, T, BINS) complex64; frame t covers the samples from t * HOP on."""
  halves = wave_bs.reshape(wave_bs.shape[0], -1, HOP)
  return jnp.fft.rfft(jnp.concatenate([halves[:, :-1], halves[:, 1:]], -1) * window())
