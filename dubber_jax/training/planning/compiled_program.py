"""Facts of a compiled program, read from its optimized HLO: collectives, and the largest arrays that it computes."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

KINDS = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all', 'collective-permute')
ITEMSIZE = {'pred': 1, 'bf16': 2, 'f16': 2, 'f8': 1, 's4': 0.5, 'u4': 0.5}  # others: the bits in the name

_COMPUTATION = re.compile(r'^(ENTRY )?%?([\w.-]+) \(.*\{$')
_INSTRUCTION = re.compile(r'^\s+(?:ROOT )?%?[\w.-]+ = (.*?) ([a-z][\w-]*)\(')
_CALLED = re.compile(r'(?:body|calls|to_apply|condition)=%?([\w.-]+)|branch_computations=\{([^}]*)\}')
_ARRAY = re.compile(r'([a-z]+\d*[a-z0-9]*)\[([\d,]*)\]')


@dataclass(frozen=True)
class Collectives:
  """Collectives of one kind in a program: how many are executed, and the bytes of their results on a device."""

  kind: str
  count: int
  bytes: int


@dataclass(frozen=True)
class Instruction:
  """An instruction of a computation."""

  shape: str
  operation: str
  text: str  # the whole line


def collectives(hlo: str) -> list[Collectives]:
  """Collectives of an optimized HLO module, of each of KINDS, also where there is none.

  Those in the body of a loop count as often as it runs, where its condition compares with a constant. TPU compilers
  split a collective into a chain of pieces, each fused with computation that hides it; a chain counts once.
  """
  counts, sizes, chains = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0), set()
  for instruction, times in _executed(_computations(hlo)):
    kind = instruction.operation.removesuffix('-start')
    if kind not in counts:
      continue
    chain = re.search(r'chain_id="(\d+)"', instruction.text)
    if chain:
      if (kind, chain[1]) in chains:
        continue
      chains.add((kind, chain[1]))
    counts[kind] += times
    arrays = [_bytes(*array) for array in _ARRAY.findall(instruction.shape)]
    started = instruction.operation.endswith('-start') and kind != 'all-reduce'  # shape: (operands, results, ...)
    sizes[kind] += times * int(max(arrays, default=0) if started else sum(arrays))
  return [Collectives(kind, counts[kind], sizes[kind]) for kind in KINDS]


def largest_arrays(hlo: str, count: int = 5) -> list[tuple[int, str, str]]:
  """The largest arrays that a module computes outside of its fusions: (bytes, shape, name of the operation in the
  program), largest first, equal ones once."""
  found = {}
  for name, instructions in _computations(hlo).items():
    if 'fus' in name:
      continue
    for instruction in instructions:
      if instruction.operation in ('parameter', 'tuple', 'get-tuple-element', 'while', 'bitcast', 'conditional'):
        continue
      source = re.search(r'op_name="([^"]*)"', instruction.text)
      for kind, sides in _ARRAY.findall(instruction.shape):
        found.setdefault((f'{kind}[{sides}]', source[1] if source else ''), int(_bytes(kind, sides)))
  rows = sorted(((size, shape, name) for (shape, name), size in found.items()), key=lambda row: -row[0])
  unique = {}
  for row in rows:
    unique.setdefault(row[1], row)
  return list(unique.values())[:count]


def _computations(hlo: str) -> dict[str, list[Instruction]]:
  """Instructions by computation; that of the entry has the name ''."""
  found, current = {}, None
  for line in hlo.splitlines():
    head = _COMPUTATION.match(line)
    if head:
      current = found.setdefault('' if head[1] else head[2], [])
    elif current is not None and (match := _INSTRUCTION.match(line)):
      current.append(Instruction(match[1], match[2], line))
  return found


def _executed(computations: dict[str, list[Instruction]], name: str = '', times: int = 1) -> Iterator:
  """Yields (instruction, how often it is executed) of a computation and those that it calls."""
  for instruction in computations.get(name, ()):
    yield instruction, times
    called = [one or several for one, several in _CALLED.findall(instruction.text)]
    names = [part.strip().lstrip('%') for several in called for part in several.split(',')]
    rounds = times * (_trip_count(computations, instruction.text) if instruction.operation == 'while' else 1)
    for inner in names:
      yield from _executed(computations, inner, rounds)


def _trip_count(computations: dict[str, list[Instruction]], loop: str) -> int:
  """How often a while loop runs: as the compiler knows it, or the constant that its condition compares with; else 1."""
  known = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', loop)
  if known:
    return int(known[1])
  condition = re.search(r'condition=%?([\w.-]+)', loop)
  text = '\n'.join(i.text for i in computations.get(condition[1], ())) if condition else ''
  limits = [int(n) for n in re.findall(r's32\[\][^ ]* constant\((\d+)\)', text)]
  return max(limits, default=1)


def _bytes(kind: str, sides: str) -> float:
  bits = re.search(r'\d+', kind)
  itemsize = ITEMSIZE.get(kind) or (int(bits[0]) / 8 if bits else 0)
  return itemsize * math.prod(int(side) for side in sides.split(',') if side)
