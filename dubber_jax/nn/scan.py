"""Stacks of equal blocks as a scan over layers, so that compile time does not grow with depth."""

import re
from collections.abc import Iterable
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np

from dubber_jax.nn.platforms import on_cpu


class Stacking(NamedTuple):
  """How a stack of layers is computed; neither field changes its parameters."""

  remat: bool = False  # rematerialize activations for the gradient
  unroll: bool = False  # unroll the scan on CPUs, where XLA's loops are slow


SCANNED = Stacking()


def scan_layers(block: nn.Module, layers: int, x: jax.Array, *inputs, stacking: Stacking = SCANNED) -> jax.Array:
  """Applies x -> block(x, *inputs) `layers` times, each with its own parameters, stacked on a first axis."""

  def layer(block, x, _):
    return block(x, *inputs), None

  body = nn.remat(layer, prevent_cse=False) if stacking.remat else layer
  scan = nn.scan(
    body,
    variable_axes={'params': 0},
    split_rngs={'params': True, 'dropout': True},
    length=layers,
    unroll=layers if stacking.unroll and on_cpu() else 1,
  )
  return scan(block, x, None)[0]


def stack_stored(stored: dict, expected: Iterable[str]) -> dict:
  """Weights by path, with the layers stored one by one ('lips/conv_0/up/kernel') stacked as the scanned model has them
  ('lips/block/up/kernel'). Paths that are stacked already, or not in `expected`, pass through."""
  stacked = dict(stored)
  for path in expected:
    stack, found, rest = path.partition('/block/')
    if not found or path in stored:
      continue
    first, _, last = rest.partition('/')
    for pattern in (rf'{stack}/conv_(\d+)/{rest}', rf'{stack}/{first}_(\d+)/{last}'):
      layers = {int(m[1]): name for name in stacked if (m := re.fullmatch(pattern, name))}
      if layers:
        stacked[path] = np.stack([stacked.pop(layers[i]) for i in sorted(layers)])
        break
  return stacked
