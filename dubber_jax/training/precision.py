"""Computing in bfloat16 with parameters, norms, softmax and losses in float32."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dubber_jax.errors import BadInput


def in_precision(precision: str, apply: Callable) -> Callable:
  """`apply(variables, batch, ...)` of a Flax module, computed in `precision`.

  Floats of the parameters and of the batch go in as bfloat16, so that every matrix product is one of bfloat16; sums of
  norms and of the softmax are taken in float32 where they are written. What comes out is float32 again, for the
  losses, and so is the gradient. Collections other than `params` (running averages) are left as they are.
  """
  if precision == 'float32':
    return apply
  if precision != 'bfloat16':
    raise BadInput(f"train.precision is {precision!r}; 'float32' and 'bfloat16' are the two there are")

  def computed(variables, batch, *args, **kwargs):
    variables = variables | {'params': cast(variables['params'], jnp.bfloat16)}
    return cast(apply(variables, cast(batch, jnp.bfloat16), *args, **kwargs), jnp.float32)

  return computed


def cast(tree, dtype):
  """Floats of a tree as `dtype`; integers and booleans as they are."""
  return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)
