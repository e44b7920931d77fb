"""Compilation of an artifact's programs for a TPU that is not there: whether they fit, their memory and collectives."""

import json
from collections.abc import Iterator
from pathlib import Path

import jax.export

from dubber_jax.errors import BadInput
from dubber_jax.training.planning import compile_for

ITEMS = 8  # lines of a batch


def verify(artifact: str | Path, topology: str, items: int = ITEMS) -> Iterator[str]:
  """Compiles each program of an artifact for one chip of a topology ('v5e:2x2'), with batches of `items` lines, and
  yields the lines of a report. Call `compile_for.prepare_process` before. Raises BadInput where the folder is no
  artifact, has no program for TPUs, or one does not compile."""
  devices = compile_for.topology_devices(topology)
  warning = compile_for.other_version()
  if warning:
    yield warning
  folder = Path(artifact)
  try:
    facts = json.loads((folder / 'programs.json').read_text())
  except (OSError, ValueError) as e:
    raise BadInput(f'{folder} is no artifact: give one that `dubber export` wrote') from e
  if 'tpu' not in facts['platforms']:
    raise BadInput(f'{folder} is lowered for {", ".join(facts["platforms"])}: export it with --platforms tpu')
  for name in facts['programs']:
    exported = jax.export.deserialize(bytearray((folder / 'programs' / f'{name}.jaxexport').read_bytes()))
    program = compile_for.compile_exported(exported, items, topology, devices)
    yield f'{name} for {topology}, {items} lines: {compile_for.verdict(program)}'
    yield from compile_for.report_program(program)
    yield f'compiled in {program.seconds:.0f} CPU s'
