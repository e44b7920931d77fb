"""Layer norm, plain or shaped by a condition."""

import flax.linen as nn
import jax


class AdaptiveLayerNorm(nn.Module):
  """LN(x) * (1 + gain) + shift, both linear in the condition (B, C); with None, an ordinary layer norm.

  x (B, T, D). The style-adaptive norm of StyleSpeech (arXiv 2106.03153), started at the identity.
  """

  epsilon: float = 1e-5

  @nn.compact
  def __call__(self, x_btd: jax.Array, condition_bc: jax.Array | None = None) -> jax.Array:
    if condition_bc is None:
      return nn.LayerNorm(epsilon=self.epsilon)(x_btd)
    width = x_btd.shape[-1]
    y = nn.LayerNorm(epsilon=self.epsilon, use_scale=False, use_bias=False)(x_btd)
    small = nn.initializers.variance_scaling(0.1, 'fan_in', 'normal')
    both = nn.Dense(2 * width, kernel_init=small, name='gain_shift')(condition_bc)[:, None]
    return y * (1 + both[..., :width]) + both[..., width:]
