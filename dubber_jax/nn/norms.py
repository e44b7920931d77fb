"""Normalization layers: layer norm, style-adaptive layer norm, masked batch norm."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.batch_axes import batch_moments

LayerNorm = partial(nn.LayerNorm, epsilon=1e-5, use_fast_variance=False)  # bit for bit as PyTorch's


class AdaptiveLayerNorm(nn.Module):
  """Style-adaptive layer norm (StyleSpeech, arXiv 2106.03153): LN(x) * (gain_offset + gain) + shift.

  x (B, T, D); gain and shift are linear in the condition (B, C). With None, an ordinary layer norm. Initialized to the
  identity. `gain_offset` 0 is the published form: the linear map gives the whole gain and its bias starts at 1.
  """

  epsilon: float = 1e-5
  gain_offset: float = 1.0

  @nn.compact
  def __call__(self, x_btd: jax.Array, condition_bc: jax.Array | None = None) -> jax.Array:
    if condition_bc is None:
      return nn.LayerNorm(epsilon=self.epsilon)(x_btd)
    width = x_btd.shape[-1]
    y = nn.LayerNorm(epsilon=self.epsilon, use_scale=False, use_bias=False)(x_btd)
    small = nn.initializers.variance_scaling(0.1, 'fan_in', 'normal')

    def identity(key, shape, dtype=jnp.float32):
      return jnp.concatenate([jnp.full((width,), 1.0 - self.gain_offset, dtype), jnp.zeros((width,), dtype)])

    both = nn.Dense(2 * width, kernel_init=small, bias_init=identity, name='gain_shift')(condition_bc)[:, None]
    return y * (self.gain_offset + both[..., :width]) + both[..., width:]


class TimeBatchNorm(nn.Module):
  """Batch norm per channel, (B, T, D) -> (B, T, D), over the frames that `mask` (B, T) marks, of items on all devices.

  Training normalizes by the biased variance and keeps running averages (collection `batch_stats`, momentum
  0.1) of the mean and of the unbiased variance, as PyTorch does. Otherwise the running averages are used.
  """

  epsilon: float = 1e-5
  momentum: float = 0.1

  @nn.compact
  def __call__(self, x_btd: jax.Array, mask_bt: jax.Array, train: bool = False) -> jax.Array:
    width = x_btd.shape[-1]
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, (width,))
    running_var = self.variable('batch_stats', 'var', jnp.ones, (width,))
    scale = self.param('scale', nn.initializers.ones, (width,))
    bias = self.param('bias', nn.initializers.zeros, (width,))
    mean, var = running_mean.value, running_var.value
    dtype = x_btd.dtype
    x_btd = x_btd.astype(jnp.promote_types(dtype, jnp.float32))
    if train:
      mean, var, count = batch_moments(x_btd, mask_bt[..., None].astype(x_btd.dtype))
      if not self.is_initializing() and self.is_mutable_collection('batch_stats'):
        unbiased = var * count / jnp.maximum(count - 1.0, 1.0)
        running_mean.value = (1 - self.momentum) * running_mean.value + self.momentum * mean
        running_var.value = (1 - self.momentum) * running_var.value + self.momentum * unbiased
    return ((x_btd - mean) * (jax.lax.rsqrt(var + self.epsilon) * scale) + bias).astype(dtype)
