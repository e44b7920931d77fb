"""Convolutions over time whose output does not depend on padding."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.norms import AdaptiveLayerNorm
from dubber_jax.nn.platforms import on_cpu


class DepthwiseConv(nn.Module):
  """Depthwise convolution, (B, T, D) -> (B, T, D), "same" zero padding.

  On CPUs written as shifted multiply-adds: eight times as fast there, gradient included, as a grouped convolution.
  """

  kernel: int

  @nn.compact
  def __call__(self, x_btd: jax.Array) -> jax.Array:
    width, length, reach = x_btd.shape[-1], x_btd.shape[1], self.kernel // 2
    filter_kd = self.param('kernel', nn.initializers.normal(self.kernel**-0.5), (self.kernel, width))
    bias = self.param('bias', nn.initializers.zeros, (width,))
    if on_cpu():
      padded = jnp.pad(x_btd, ((0, 0), (reach, reach), (0, 0)))
      return sum(padded[:, i : i + length] * filter_kd[i] for i in range(self.kernel)) + bias
    dtype = jnp.result_type(x_btd, filter_kd)
    return _convolve(x_btd.astype(dtype), filter_kd[:, None].astype(dtype), groups=width) + bias


def convolve(x_btd: jax.Array, kernel_kdf: jax.Array) -> jax.Array:
  """Convolution of (B, T, D) with a kernel (K, D, F), K odd -> (B, T, F), "same" zero padding.

  On CPUs the gradient is written out as a convolution and matrix products: inside a scan, XLA's own takes 25 times as
  long there.
  """
  return _convolve_with_own_gradient(x_btd, kernel_kdf) if on_cpu() else _convolve(x_btd, kernel_kdf)


def _convolve(x_btd, kernel_kdf, groups=1):
  reach = kernel_kdf.shape[0] // 2
  return jax.lax.conv_general_dilated(
    x_btd,
    kernel_kdf,
    (1,),
    [(reach, reach)],
    dimension_numbers=('NWC', 'WIO', 'NWC'),
    feature_group_count=groups,
  )


@jax.custom_vjp
def _convolve_with_own_gradient(x_btd, kernel_kdf):
  return _convolve(x_btd, kernel_kdf)


def _convolve_forward(x_btd, kernel_kdf):
  return _convolve(x_btd, kernel_kdf), (x_btd, kernel_kdf)


def _convolve_backward(residuals, gradient_btf):
  x_btd, kernel_kdf = residuals
  size, length = kernel_kdf.shape[0], x_btd.shape[1]
  padded = jnp.pad(x_btd, ((0, 0), (size // 2, size // 2), (0, 0)))
  shifts = [jnp.einsum('btd,btf->df', padded[:, i : i + length], gradient_btf) for i in range(size)]
  return _convolve(gradient_btf, kernel_kdf[::-1].swapaxes(1, 2)), jnp.stack(shifts)


_convolve_with_own_gradient.defvjp(_convolve_forward, _convolve_backward)


class TimeConv(nn.Module):
  """Convolution over time, (B, T, D) -> (B, T, features), odd kernel, "same" zero padding; parameters as those of
  nn.Conv. Uses `convolve`, whose gradient is fast inside a scan."""

  features: int
  kernel: int

  @nn.compact
  def __call__(self, x_btd: jax.Array) -> jax.Array:
    shape = (self.kernel, x_btd.shape[-1], self.features)
    kernel = self.param('kernel', nn.linear.default_kernel_init, shape)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    x_btd, kernel, bias = nn.dtypes.promote_dtype(x_btd, kernel, bias)
    return convolve(x_btd, kernel) + bias


class ConvNeXtBlock(nn.Module):
  """ConvNeXt block (arXiv 2201.03545) over time: depthwise convolution, layer norm, inverted bottleneck, residual.

  x (B, T, D), mask (B, T); `condition` (B, C) or None modulates the norm. Padding stays zero.
  """

  kernel: int = 7
  expansion: int = 3
  dropout: float = 0.0

  @nn.compact
  def __call__(
    self, x_btd: jax.Array, mask_bt: jax.Array, condition_bc: jax.Array | None = None, train: bool = False
  ) -> jax.Array:
    width = x_btd.shape[-1]
    y = DepthwiseConv(self.kernel)(x_btd)
    y = AdaptiveLayerNorm()(y, condition_bc)
    y = nn.gelu(nn.Dense(width * self.expansion, name='up')(y))
    y = nn.Dense(width, name='down', kernel_init=nn.initializers.variance_scaling(0.3, 'fan_in', 'normal'))(y)
    y = nn.Dropout(self.dropout, deterministic=not train)(y)
    return (x_btd + y) * mask_bt[..., None]


class ConvGLU(nn.Module):
  """Gated convolution with a residual: x + a * sigmoid(b), [a; b] = conv(x) (StyleSpeech, arXiv 2106.03153)."""

  kernel: int = 5
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x_btd: jax.Array, mask_bt: jax.Array, train: bool = False) -> jax.Array:
    width = x_btd.shape[-1]
    both = nn.Conv(2 * width, (self.kernel,))(x_btd * mask_bt[..., None])
    gated = both[..., :width] * nn.sigmoid(both[..., width:])
    return (x_btd + nn.Dropout(self.dropout, deterministic=not train)(gated)) * mask_bt[..., None]
