"""Compiles the training steps of the published system and of the actor for TPU slices that are not there, and tabulates
memory, collectives, compile time and roofline bounds.

    python experiments/timing/pods.py docs/results/pods.json            # in an environment with libtpu
    python experiments/timing/pods.py docs/results/pods.json --table    # prints the table of what is there

Rows that the file has are not compiled again. Each takes minutes of one thread, in a process of its own.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

from dubber_jax.storage.atomic import atomic_file

EXPERIMENTS = {
  'published': ('experiments/recipes/v2c_animation.py', 'bfloat16'),
  'stage': ('experiments/recipes/first_voice.py', 'speech'),
}
MESHES = {
  'v5e:4x4': ('data=16', 'data=4,fsdp=4', 'data=8,tensor=2'),
  'v5p:2x2x2': ('data=8', 'data=4,fsdp=2', 'data=4,tensor=2'),
  'v6e:4x4': ('data=16', 'data=4,fsdp=4', 'data=8,tensor=2'),
}


def compile_row(name: str, topology: str, mesh: str) -> dict:
  """Facts of a compiled step, in bfloat16."""
  from dubber_jax.training.planning import compile_for

  compile_for.prepare_process()
  devices = compile_for.topology_devices(topology)
  from dubber_jax.training.experiment import read_experiment
  from dubber_jax.training.planning.dry_run import example_batch
  from dubber_jax.training.sharding import read_mesh
  from dubber_jax.training.tasks.actor import voice_task

  path, arm = EXPERIMENTS[name]
  experiment = read_experiment(path)
  config = experiment.arms[arm]
  train = dataclasses.replace(config.train, precision='bfloat16')
  config = config.replace(mesh=read_mesh(mesh), train=train)
  task = experiment.task(config) if experiment.task else voice_task(config)
  step = compile_for.compile_step(config, task, example_batch(config, experiment.batches), topology, devices)
  facts = dataclasses.asdict(step)
  bounds = {name: getattr(step.estimate, name) for name in ('shortest', 'longest', 'bound')}
  return facts.pop('program') | facts | bounds


def table(rows: dict[str, dict]) -> str:
  """Markdown table of compiled steps."""
  columns = (
    'step', 'topology', 'mesh', 'items', 'state, GB a chip', 'temporaries, GB', 'all-reduce', 'all-gather',
    'reduce-scatter', 'other', 'collectives, MB', 'compiled in, CPU s', 'TFLOP', 'roofline bound, ms', 'bound by',
  )  # fmt: skip
  lines = [' | '.join(columns), ' | '.join(['---'] * 3 + ['---:'] * 11 + ['---'])]
  for key, row in rows.items():
    count = {c['kind']: c['count'] for c in row['collectives']}
    cells = [
      *key.split(' '),
      row['items'],
      f'{row["arguments"] / 1e9:.2f}',
      f'{row["temporaries"] / 1e9:.2f}',
      *(count[kind] for kind in ('all-reduce', 'all-gather', 'reduce-scatter')),
      count['all-to-all'] + count['collective-permute'],
      f'{sum(c["bytes"] for c in row["collectives"]) / 1e6:.0f}',
      f'{row["seconds"]:.0f}',
      f'{row["product_flops"] / 1e12:.3g}',
      f'{row["shortest"] * 1e3:.2g} to {row["longest"] * 1e3:.2g}',
      row['bound'],
    ]
    lines.append(' | '.join(map(str, cells)))
  lines = [f'| {line} |' for line in lines]
  return '\n'.join(lines)


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('json', type=Path)
  parser.add_argument('--table', action='store_true', help='print the table, compile nothing')
  parser.add_argument(
    '--row', nargs=3, metavar=('STEP', 'TOPOLOGY', 'MESH'), help='compile one row and print it as JSON'
  )
  given = parser.parse_args()
  if given.row:
    print(json.dumps(compile_row(*given.row)))
    return
  rows = json.loads(given.json.read_text()) if given.json.exists() else {}
  if given.table:
    print(table(rows))
    return
  wanted = [(name, topology, mesh) for topology in MESHES for name in EXPERIMENTS for mesh in MESHES[topology]]
  for row in tqdm(wanted, unit='program'):
    if ' '.join(row) in rows:
      continue
    done = subprocess.run([sys.executable, __file__, str(given.json), '--row', *row], stdout=subprocess.PIPE, text=True)
    if done.returncode:
      print(f'{" ".join(row)}: not compiled', file=sys.stderr)
      continue
    rows[' '.join(row)] = json.loads(done.stdout.splitlines()[-1])
    with atomic_file(given.json) as partial:
      partial.write_text(json.dumps(rows, indent=1))


if __name__ == '__main__':
  main()
