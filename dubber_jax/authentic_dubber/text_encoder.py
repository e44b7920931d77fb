"""Text encoder (spec section 3.1)."""

import flax.linen as nn
import jax

from dubber_jax.authentic_dubber.fft import FFTStack
from dubber_jax.nn.scan import Stacking


class FFTTextEncoder(nn.Module):
  """Symbol ids (B, N) int, mask (B, N) bool -> encodings (B, N, width), zero where masked; no position embedding (spec
  section 3.2)."""

  symbols: int = 88
  width: int = 256
  layers: int = 12
  heads: int = 8
  filter: int = 1024
  dropout: float = 0.2
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(self, ids_bn: jax.Array, mask_bn: jax.Array, train: bool = False) -> jax.Array:
    x = nn.Embed(self.symbols, self.width, name='symbols')(ids_bn) * (ids_bn != 0)[..., None]  # row 0 is not trained
    x = nn.Dense(self.width, use_bias=False, name='project')(x)
    stack = FFTStack(self.layers, self.heads, self.filter, 9, self.dropout, self.stacking, name='stack')
    return stack(x, mask_bn, train=train)
