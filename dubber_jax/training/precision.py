"""Mixed precision: computation in bfloat16, with parameters, norms, softmax and losses in float32."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dubber_jax.errors import BadInput


def in_precision(precision: str, apply: Callable) -> Callable:
  """`apply(variables, batch, ...)` of a Flax module, computed in `precision` ('float32' or 'bfloat16').

  In bfloat16, parameters and batch are cast to it, so that every matrix product is in bfloat16; the modules take the
  sums of norms and softmax in float32. Outputs, and so the gradient, are float32. Collections other than `params`
  (running averages) are not cast. Raises BadInput for another precision.
  """
  if precision == 'float32':
    return apply
  if precision != 'bfloat16':
    raise BadInput(f"train.precision is {precision!r}; 'float32' and 'bfloat16' are the two there are")

  def computed(variables, batch, *args, **kwargs):
    variables = variables | {'params': cast(variables['params'], jnp.bfloat16)}
    return cast(apply(variables, cast(batch, jnp.bfloat16), *args, **kwargs), jnp.float32)

  return computed


def cast(tree: Any, dtype: Any) -> Any:
  """Tree with its floating-point arrays cast to `dtype`; integers and booleans are unchanged."""
  return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)
