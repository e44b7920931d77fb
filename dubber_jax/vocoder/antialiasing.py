"""Anti-aliased SnakeBeta: upsample 2x, a periodic activation, downsample 2x, each with a 12-tap low-pass filter.

The filters are the same for every channel, so they are written as shifted multiply-adds on the two polyphase
components of the upsampled signal, which is never interleaved: on a CPU, tens of times as fast as depthwise
convolutions. The sine is a polynomial for the same reason.

Sources: BigVGAN (arXiv 2206.04658), StyleGAN3 (arXiv 2106.12423) for the filters; spec section 11.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.nn.masks import zero_padding

# A Kaiser-windowed sinc at a quarter of the doubled rate (attenuation 51 dB), bit for bit as the published code rounds
# it in float32: computed again here, it would differ by up to 8 units in the last place.
_HALF = ('0x1.09f0c2p-9', '0x1.33ac8cp-7', '-0x1.a28108p-6', '-0x1.d8544cp-5', '0x1.075110p-3', '0x1.c5d8cap-2')
FILTER = np.array([float.fromhex(tap) for tap in _HALF + _HALF[::-1]], np.float32)  # (12,), sums to 1
REACH = 6  # samples from an output to the furthest input that it depends on


def edge_pad(x_btc: jax.Array, left: int, right: int) -> jax.Array:
  return jnp.pad(x_btc, ((0, 0), (left, right), (0, 0)), mode='edge')


def upsample(x_btc: jax.Array) -> jax.Array:
  """Upsampling by 2: (B, T, C) -> (B, T, 2, C), samples 2t and 2t + 1 on the third axis."""
  length = x_btc.shape[1]
  padded = edge_pad(x_btc, 3, 3)
  even = sum(padded[:, i : i + length] * (2 * FILTER[11 - 2 * i]) for i in range(6))
  odd = sum(padded[:, i + 1 : i + 1 + length] * (2 * FILTER[10 - 2 * i]) for i in range(6))
  return jnp.stack([even, odd], axis=2)


def downsample(z_btpc: jax.Array) -> jax.Array:
  """Downsampling by 2: (B, T, 2, C) as `upsample` gives it -> (B, T, C)."""
  length = z_btpc.shape[1]
  first, last = z_btpc[:, :1, 0], z_btpc[:, -1:, 1]
  even = jnp.concatenate([first] * 2 + [z_btpc[:, :, 0]] + [last] * 3, axis=1)
  odd = jnp.concatenate([first] * 3 + [z_btpc[:, :, 1]] + [last] * 2, axis=1)
  return sum(even[:, i : i + length] * FILTER[2 * i + 1] + odd[:, i : i + length] * FILTER[2 * i] for i in range(6))


def _sine_polynomial() -> np.ndarray:
  """Coefficients of (sin r / r - 1) / r^2 in r^2 for |r| <= pi / 4, lowest first; within 1e-9."""
  r = np.cos(np.linspace(0, np.pi / 2 - 0.03, 2000)) * np.pi / 4
  fit = np.polynomial.chebyshev.Chebyshev.fit(r**2, (np.sin(r) / r - 1) / r**2, 3, domain=[0, np.pi**2 / 16])
  return fit.convert(kind=np.polynomial.Polynomial).coef


SINE_POLYNOMIAL = _sine_polynomial().astype(np.float32)


def squared_sine(x: jax.Array) -> jax.Array:
  """sin(x)^2 to 1e-7 for |x| up to 10,000, without the sine of the C library."""
  quarters = jnp.round(x * np.float32(2 / np.pi))
  # pi / 2 in three pieces: the first two have few enough bits for exact products with `quarters`.
  r = x - quarters * np.float32(1.5703125)
  r = r - quarters * np.float32(4.837512969970703125e-4) - quarters * np.float32(7.549789954891882e-8)
  square = r * r
  polynomial = SINE_POLYNOMIAL[-1]
  for c in SINE_POLYNOMIAL[-2::-1]:
    polynomial = polynomial * square + c
  sine = r + r * square * polynomial
  odd = jnp.abs(quarters - 2 * jnp.round(0.5 * quarters))  # 1 in odd quarters, where it is the squared cosine
  return odd + (1 - 2 * odd) * (sine * sine)


class AntiAliasedSnake(nn.Module):
  """x + sin(x e^alpha)^2 / (e^beta + 1e-9) at twice the rate: (B, T, C) -> (B, T, C).

  With `length_b` (B,), the output is zero from each length on and does not depend on what follows.
  """

  log_scale: bool = True

  @nn.compact
  def __call__(self, x_btc: jax.Array, length_b: jax.Array | None = None) -> jax.Array:
    start = nn.initializers.zeros if self.log_scale else nn.initializers.ones
    alpha = self.param('alpha', start, (x_btc.shape[-1],))
    beta = self.param('beta', start, (x_btc.shape[-1],))
    if self.log_scale:
      alpha, beta = jnp.exp(alpha), jnp.exp(beta)

    def snake(z_btpc):
      return z_btpc + squared_sine(z_btpc * alpha) * (1 / (beta + 1e-9))

    # Without the barrier XLA would compute each sine again for all six outputs that use it.
    y_btc = downsample(jax.lax.optimization_barrier(snake(upsample(x_btc))))
    if length_b is None:
      return y_btc
    # Only the last outputs of an item depend on what follows it: they are computed again, from a short window.
    window = min(4 * REACH, x_btc.shape[1])
    start_b = jnp.maximum(length_b - window, 0)
    place_bw = start_b[:, None] + jnp.arange(window)
    held_bwc = _window(x_btc, jnp.minimum(place_bw, length_b[:, None] - 1))
    end_bpc = snake(upsample(held_bwc))
    last_b1pc = jnp.take_along_axis(end_bpc[:, :, 1:], (length_b - 1 - start_b)[:, None, None, None], axis=1)
    end_bpc = jnp.where((place_bw < length_b[:, None])[..., None, None], end_bpc, last_b1pc)
    near_b = jnp.maximum(length_b - REACH, 0)
    near_br = near_b[:, None] + jnp.arange(min(REACH, window))
    end_brc = zero_padding(_window(downsample(end_bpc), near_br - start_b[:, None]), length_b - near_b)

    def write_end(item, y):
      end_1rc = jax.lax.dynamic_slice_in_dim(end_brc, item, 1)
      return jax.lax.dynamic_update_slice(y, end_1rc, (item, near_b[item], 0))

    # A loop, since a scatter would copy the whole array several times.
    return jax.lax.fori_loop(0, x_btc.shape[0], write_end, zero_padding(y_btc, length_b))


def _window(x_btc: jax.Array, place_bw: jax.Array) -> jax.Array:
  return jnp.take_along_axis(x_btc, place_bw[..., None], axis=1)
