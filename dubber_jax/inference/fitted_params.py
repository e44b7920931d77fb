"""Parameters that speaker adaptation changes, and the hash that ties an adapted voice to its actor."""

from collections.abc import Mapping

import flax.traverse_util
import numpy as np

from dubber_jax.storage.hashing import sha256_bytes


def fitted_names(params: Mapping) -> list[str]:
  """Flattened names of the adapted parameters: decoder norm biases and the prosody output bias; [] for an actor without
  them, which cannot be adapted."""
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  norms = [k for k in flat if k.startswith('decoder/') and k.endswith('gain_shift/bias')]
  return sorted([*norms, 'prosody/out/bias']) if norms and 'prosody/out/bias' in flat else []


def moved_params(params: Mapping, moved: Mapping[str, np.ndarray]) -> dict:
  """The nested parameters with offsets added to some of them, by flattened names."""
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  return flax.traverse_util.unflatten_dict({k: v + moved[k] if k in moved else v for k, v in flat.items()}, sep='/')


def norms_hash(params: Mapping) -> str:
  """The first 16 hexadecimal digits of the SHA-256 of the parameters in `fitted_names`."""
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  parts = (name.encode() + np.ascontiguousarray(flat[name], np.float32).tobytes() for name in fitted_names(params))
  return sha256_bytes(*parts)[:16]
