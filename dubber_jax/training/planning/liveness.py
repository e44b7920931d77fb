"""Peak of the bytes that a program's intermediate values take, estimated from its jaxpr without compiling it.

Values are live from the equation that makes them to the last one that reads them, in program order. What a compiler
fuses takes no memory: broadcasts, casts and other changes of form, and elementwise results that are read once; their
operands are live until the reader has run. Schedules, layouts and workspaces of the compiler are not known, so the
estimate is rough: a compiled program says more (`dubber train --compile-for`).
"""

import math
from collections.abc import Iterable

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var

FORMS = frozenset(
  'broadcast_in_dim convert_element_type copy expand_dims iota optimization_barrier pvary reshape rev '
  'sharding_constraint slice squeeze stop_gradient transpose'.split()
)
ELEMENTWISE = frozenset(
  'abs add add_any and ceil clamp cos div eq erf exp exp2 expm1 floor ge gt integer_pow is_finite le log log1p '
  'logistic lt max min mul ne neg not or pow rem round rsqrt select_n shift_left shift_right_logical sign sin sqrt '
  'square sub tanh xor'.split()
)


def peak_bytes(program: Jaxpr | ClosedJaxpr) -> int:
  """Most bytes of intermediate values and results that are live at once; arguments and constants are not counted."""
  jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
  reads: dict[Var, int] = {}
  for eqn in jaxpr.eqns:
    for v in _variables(eqn.invars):
      reads[v] = reads.get(v, 0) + 1
  last = dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))
  fused = set()
  for i in reversed(range(len(jaxpr.eqns))):
    eqn, until = jaxpr.eqns[i], i
    once = all(reads.get(v, 0) <= 1 for v in eqn.outvars)
    name = eqn.primitive.name
    if (name in FORMS or (name in ELEMENTWISE and once)) and not any(v in jaxpr.outvars for v in eqn.outvars):
      fused.update(eqn.outvars)
      until = max((last.get(v, i) for v in eqn.outvars), default=i)
    for v in _variables(eqn.invars):
      last[v] = max(last.get(v, -1), until)
  given = {*jaxpr.invars, *jaxpr.constvars}
  freed: dict[int, int] = {}
  live = peak = 0
  for i, eqn in enumerate(jaxpr.eqns):
    inner = max((peak_bytes(p) for p in _programs(eqn.params.values())), default=0)
    made = 0
    for v in eqn.outvars:
      if v not in fused and v not in given and v in last:
        size = _size(v)
        made += size
        freed[last[v]] = freed.get(last[v], 0) + size
    # An inner program's results are the equation's own.
    peak = max(peak, live + max(made, inner))
    live += made - freed.pop(i, 0)
  return peak


def _variables(atoms: Iterable) -> list[Var]:
  return [v for v in atoms if not isinstance(v, Literal)]


def _programs(params: Iterable) -> list:
  leaves = jax.tree.leaves(list(params), is_leaf=lambda x: isinstance(x, Jaxpr | ClosedJaxpr))
  return [x for x in leaves if isinstance(x, Jaxpr | ClosedJaxpr)]


def _size(v: Var) -> int:
  aval = v.aval
  shape, dtype = getattr(aval, 'shape', ()), getattr(aval, 'dtype', None)
  return math.prod(shape) * getattr(dtype, 'itemsize', 0)
