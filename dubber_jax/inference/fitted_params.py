"""The parameters that speaker adaptation changes, and the hash by which an adapted voice knows its actor."""

import flax.traverse_util
import numpy as np

from dubber_jax.storage.hashing import sha256_bytes


def fitted_names(params) -> list[str]:
  """Names of the parameters by which alone a fitted voice shapes an actor; none in those that cannot be fitted."""
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  norms = [k for k in flat if k.startswith('decoder/') and k.endswith('gain_shift/bias')]
  return sorted([*norms, 'prosody/out/bias']) if norms and 'prosody/out/bias' in flat else []


def moved_params(params, moved):
  """Parameters with what is added to some of them, by their flattened names."""
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  return flax.traverse_util.unflatten_dict({k: v + moved[k] if k in moved else v for k, v in flat.items()}, sep='/')


def norms_hash(params) -> str:
  """Sixteen hex digits of the parameters that a voice is fitted by."""
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  parts = (name.encode() + np.ascontiguousarray(flat[name], np.float32).tobytes() for name in fitted_names(params))
  return sha256_bytes(*parts)[:16]
