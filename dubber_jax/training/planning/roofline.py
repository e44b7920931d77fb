"""Roofline model of a training step: lower bound of its time from matrix products, memory traffic and collectives.

The products are counted from the jaxpr, because XLA's `cost_analysis` counts the body of a loop once, however often it
runs (the layers of a stack and the parts of an accumulated batch are loops), and gives one sum for the whole program,
while the model needs the sides of each product.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

from dubber_jax.training.planning.accelerators import Accelerator


@dataclass(frozen=True)
class Product:
  """Batched matrix product: `times` times `batch` pairs of matrices (m, k) and (k, n)."""

  batch: int
  m: int
  k: int
  n: int
  itemsize: int  # bytes of a number
  times: int

  @property
  def flops(self) -> float:
    return 2.0 * self.times * self.batch * self.m * self.k * self.n

  def seconds(self, chip: Accelerator) -> float:
    """Time on a chip: the larger of arithmetic, with k and n padded to the chip's tile, and memory traffic, with every
    operand read and every result written once. float32 runs at a quarter of bfloat16's rate."""
    tile = chip.tile
    k, n = (-(-side // tile) * tile for side in (self.k, self.n))
    arithmetic = 2.0 * self.batch * self.m * k * n / chip.flops * (4 if self.itemsize > 2 else 1)
    moved = self.batch * (self.m * self.k + self.k * self.n + self.m * self.n) * self.itemsize
    return self.times * max(arithmetic, moved / chip.bandwidth)


def products(jaxpr: Jaxpr | ClosedJaxpr, times: int = 1) -> Iterator[Product]:
  """Matrix products and convolutions of a program. Those of a scan count as often as it runs, of a conditional the
  longest branch counts, and a while loop, whose trip count is unknown, counts once."""
  for eqn, inner, rounds in _walk(jaxpr):
    if inner is not None:
      yield from products(inner, times * rounds)
    elif eqn.primitive.name == 'dot_general':
      (contract, _), (over, _) = eqn.params['dimension_numbers']
      left, right = (v.aval for v in eqn.invars)
      k, batch = (math.prod(left.shape[i] for i in axes) for axes in (contract, over))
      sides = (a.size // max(k * batch, 1) for a in (left, right))
      yield Product(batch, next(sides), k, next(sides), left.dtype.itemsize, times)
    elif eqn.primitive.name == 'conv_general_dilated':
      left, right = (v.aval for v in eqn.invars)
      groups, (out,) = eqn.params['feature_group_count'] * eqn.params['batch_group_count'], eqn.outvars
      channels = right.shape[eqn.params['dimension_numbers'].rhs_spec[0]]
      k = right.size // channels
      yield Product(groups, out.aval.size // channels, k, channels // groups, left.dtype.itemsize, times)


def _walk(jaxpr):
  """Yields (equation, inner program or None, trip count of the inner program)."""
  for eqn in (jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr).eqns:
    values = jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_program)
    inner = max(filter(_is_program, values), key=lambda program: len(program.eqns), default=None)
    yield eqn, inner, eqn.params['length'] if eqn.primitive.name == 'scan' else 1


def _is_program(value) -> bool:
  return isinstance(value, Jaxpr | ClosedJaxpr)


@dataclass(frozen=True)
class Estimate:
  """Seconds of a step on one chip of a mesh."""

  arithmetic: float  # matrix products, limited by the chip's peak or its memory
  update: float  # reading and writing gradients and state once
  exchange: dict[str, float]  # collectives over the links, by axis of the mesh

  @property
  def shortest(self) -> float:
    """Time if all collectives overlap with computation."""
    return max(self.arithmetic + self.update, sum(self.exchange.values()))

  @property
  def longest(self) -> float:
    """Time if no collective overlaps with computation."""
    return self.arithmetic + self.update + sum(self.exchange.values())

  @property
  def bound(self) -> str:
    """Name of the largest part."""
    parts = {'products': self.arithmetic, 'the update': self.update} | {
      f'exchange over {axis}': seconds for axis, seconds in self.exchange.items()
    }
    return max(parts, key=parts.get)


def estimate(
  forward: list[Product],
  whole: list[Product],
  params: dict[str, tuple[tuple[int, ...], tuple, int]],
  state_bytes: float,
  mesh: dict[str, int],
  chip: Accelerator,
  itemsize: int,
  parts: int = 1,
) -> Estimate:
  """Roofline estimate of a step.

  forward, whole: products of the loss and of the whole step on one chip's items, before tensor parallelism.
  params: by path, (shape, partition, bytes on a chip). state_bytes: on a chip. itemsize: bytes of a number in
  computation. parts: train.accumulate.
  Ring collectives: an axis of d chips moves (d - 1) / d of what it gathers or scatters, and twice that in an
  all-reduce.
  """
  data, fsdp, tensor = (mesh[axis] for axis in ('data', 'fsdp', 'tensor'))
  divided = {}  # (k, n) of kernels sharded over `tensor` -> the side that is reduced over it
  for shape, spec, _ in params.values():
    if 'tensor' in spec and len(shape) > 1:
      matrix = (int(np.prod(shape[-3:-1])) if spec[-1] == 'tensor' and len(shape) > 3 else shape[-2], shape[-1])
      divided[matrix] = matrix[1] if spec[-2] == 'tensor' else matrix[0]
  inside = sum(p.flops for p in forward if (p.k, p.n) in divided) / max(sum(p.flops for p in forward), 1)
  arithmetic = sum(p.seconds(chip) for p in whole) * (1 - inside + inside / tensor)
  gradient = sum(size for _, _, size in params.values())  # bytes on a chip
  summed = sum(p.times * p.batch * p.m * divided[p.k, p.n] for p in forward if (p.k, p.n) in divided)
  gathered = sum(size * fsdp for _, spec, size in params.values() if 'fsdp' in spec)

  def ring(chips, size):
    return (chips - 1) / chips * size / chip.link

  exchange = {
    'data': ring(data, 2 * gradient),
    # Parameters are gathered for the forward and again for the backward pass; gradients are scattered once a part.
    'fsdp': parts * ring(fsdp, gathered * (2 * itemsize / 4 + 1)),
    'tensor': ring(tensor, 2 * summed * itemsize),
  }
  update = (2 * state_bytes + 2 * gradient) / chip.bandwidth
  return Estimate(arithmetic, update, {axis: s for axis, s in exchange.items() if mesh[axis] > 1})
