"""Transposed convolution over time, as an ordinary convolution with one output channel a phase (sub-pixel)."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class TransposedConv(nn.Module):
  """(B, T, C) -> (B, T * stride, features): kernel k, padding (k - stride) / 2 on both sides.

  The kernel parameter is (k, C, features). Avoids multiplications by the zeros that a stride inserts.
  """

  features: int
  kernel: int
  stride: int

  @nn.compact
  def __call__(self, x_btc: jax.Array) -> jax.Array:
    batch, length, width = x_btc.shape
    kernel = self.param('kernel', nn.initializers.lecun_normal(), (self.kernel, width, self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    reach = -(-self.kernel // self.stride)  # input samples in the receptive field of an output sample
    kernel = jnp.pad(kernel, ((0, reach * self.stride - self.kernel), (0, 0), (0, 0)))
    kernel = kernel.reshape(reach, self.stride, width, self.features)[::-1]
    kernel = kernel.transpose(0, 2, 1, 3).reshape(reach, width, self.stride * self.features)
    phases = jax.lax.conv_general_dilated(
      x_btc, kernel, (1,), [(reach - 1, reach - 1)], dimension_numbers=('NWC', 'WIO', 'NWC')
    )
    y = phases.reshape(batch, -1, self.features)
    cut = (self.kernel - self.stride) // 2
    return y[:, cut : cut + length * self.stride] + bias
