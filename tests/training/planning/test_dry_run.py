import math

import pytest
from meshes import TINY, small_batch
from processes import TINY as TINY_EXPERIMENT
from processes import Child, train_command

from dubber_jax.errors import BadInput
from dubber_jax.training.config import MeshConfig
from dubber_jax.training.planning.accelerators import find_accelerator
from dubber_jax.training.planning.dry_run import dry_run, report
from dubber_jax.training.tasks.actor import voice_task


@pytest.mark.slow
def test_mesh_of_64_chips_is_looked_at_on_one_cpu():
  config = TINY.replace(mesh=MeshConfig(data=4, fsdp=8, tensor=2))
  chip = find_accelerator('v5p')
  run = dry_run(config, voice_task(config), small_batch(config, items=32), chip)
  rows = {row.path: row for row in run.rows}
  up = rows['decoder/block/up/kernel']
  assert (up.axes, up.spec) == (('layers', 'embed', 'mlp'), (None, 'fsdp', 'tensor'))
  assert up.bytes == 4 * math.prod(up.shape) // 16
  assert run.bytes['parameters'] == sum(row.bytes for row in run.rows) == run.bytes['moving average']
  assert 2 * run.bytes['parameters'] <= run.bytes['optimizer'] < 2 * run.bytes['parameters'] + 100
  assert run.product_flops > 0
  assert 0 < run.estimate.shortest <= run.estimate.longest
  assert run.activations > run.bytes['gradient'] // 16
  summary, whole = list(report(run, config, chip)), list(report(run, config, chip, parameters=True))
  assert not any(row.path in line for row in run.rows for line in summary)
  assert whole[: len(summary) - 1] == summary[:-1]  # first
  assert [line.split()[0] for line in whole[len(summary) - 1 :]] == [row.path for row in run.rows]


def test_dry_run_refuses_what_the_run_would():
  config = TINY.replace(mesh=MeshConfig(fsdp=32))
  with pytest.raises(BadInput, match="'embed' of 16 does not divide among fsdp=32"):
    dry_run(config, voice_task(config), small_batch(config, items=32), find_accelerator('v5e'))
  with pytest.raises(BadInput, match='no chip'):
    find_accelerator('abacus')


def test_command_prints_and_trains_nothing(tmp_path):
  arguments = str(TINY_EXPERIMENT), '--dry-run', '--parameters', '--mesh', 'data=2,fsdp=4'
  folder = tmp_path / 'here'
  folder.mkdir()
  child = Child(train_command, folder, *arguments, errors=tmp_path / 'stderr')
  said = child.said()
  assert said, child.errors()[-2000:]
  printed, code = said
  assert code == 0, child.errors()[-2000:]
  assert 'Dense_0/kernel' in printed and 'not compiled' in printed and 'a step on v5e' in printed
  assert not list(folder.iterdir())
