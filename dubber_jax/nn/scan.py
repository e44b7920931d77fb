"""Stacks of blocks of one shape, scanned, so that compile time does not grow with depth."""

import re
from typing import NamedTuple

import flax.linen as nn
import numpy as np


class Stacking(NamedTuple):
  """How a stack is computed; neither changes its parameters."""

  remat: bool = False  # what a layer computes is computed again for its gradient, not kept
  unroll: bool = False  # written out layer by layer


SCANNED = Stacking()


def scan_layers(block: nn.Module, layers: int, x, *inputs, stacking: Stacking = SCANNED):
  """x -> block(x, *inputs), `layers` times, each with parameters of its own, stacked on a first axis."""

  def layer(block, x, _):
    return block(x, *inputs), None

  body = nn.remat(layer, prevent_cse=False) if stacking.remat else layer
  scan = nn.scan(
    body,
    variable_axes={'params': 0},
    split_rngs={'params': True, 'dropout': True},
    length=layers,
    unroll=layers if stacking.unroll else 1,
  )
  return scan(block, x, None)[0]


def stack_stored(stored: dict, expected) -> dict:
  """Weights by path, where layers lie one by one ('lips/conv_0/up/kernel'), as the scanned model has them
  ('lips/block/up/kernel'). What is stacked, or not in `expected`, passes through."""
  stacked = dict(stored)
  for path in expected:
    stack, found, rest = path.partition('/block/')
    if not found or path in stored:
      continue
    first, _, last = rest.partition('/')
    for one in (rf'{stack}/conv_(\d+)/{rest}', rf'{stack}/{first}_(\d+)/{last}'):
      layers = {int(m[1]): name for name in stacked if (m := re.fullmatch(one, name))}
      if layers:
        stacked[path] = np.stack([stacked.pop(layers[i]) for i in sorted(layers)])
        break
  return stacked
