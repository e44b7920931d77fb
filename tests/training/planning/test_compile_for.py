import dataclasses
import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.training.config import MeshConfig
from dubber_jax.training.planning import compile_for
from dubber_jax.training.planning.compiled_program import KINDS, Collectives
from dubber_jax.training.planning.roofline import Estimate

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(('text', 'shape'), [('v5e:4x4', (4, 4)), ('v6e:2x4', (2, 4)), ('v5p:2x2x2', (2, 2, 2))])
def test_topology_is_read(text, shape):
  assert compile_for.read_topology(text) == (text[:3], shape)


@pytest.mark.parametrize('text', ['v5e', 'v5e:16', 'v9:2x2', 'v5e:2x2x2', 'v5p:4x4', 'v5e:0x4', 'v5e:4x4,', ''])
def test_what_is_no_topology_is_refused(text):
  with pytest.raises(BadInput, match='no such topology'):
    compile_for.read_topology(text)


def test_missing_compiler_is_told_with_what_to_install(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(BadInput, match=r'pip install .dubber_jax\[tpu\]'):
    compile_for.prepare_process()


@pytest.mark.parametrize(
  ('have', 'said'),
  [
    ('0.0.42', None),
    ('0.0.42.1', None),
    ('0.0.43', 'is 0.0.43, and JAX 0.10.2 asks for 0.0.42'),
    ('0.0.420', ''),
  ],
)
def test_compiler_of_another_version_is_told(monkeypatch, have, said):
  versions = {'libtpu': have, 'jax': '0.10.2'}
  monkeypatch.setattr(importlib.metadata, 'version', versions.__getitem__)
  asked = ['numpy>=2', "libtpu==0.0.42.*; extra == 'tpu'", 'libtpu; extra == "x"']
  monkeypatch.setattr(importlib.metadata, 'requires', lambda name: asked)
  warning = compile_for.other_version()
  assert (warning is None) if said is None else said in warning


def test_mesh_takes_all_devices_or_is_refused():
  devices = list(range(16))
  assert compile_for.mesh_for('v5e:4x4', Config(), devices, given=False) == MeshConfig(data=16)
  config = Config(mesh=MeshConfig(data=4, fsdp=4))
  assert compile_for.mesh_for('v5e:4x4', config, devices, given=True) == config.mesh
  for mesh, given in ((MeshConfig(data=32), True), (MeshConfig(data=8), False), (MeshConfig(), True)):
    with pytest.raises(BadInput, match='let data x fsdp x tensor be 16'):
      compile_for.mesh_for('v5e:4x4', Config(mesh=mesh), devices, given)


PROGRAM = compile_for.CompiledProgram(
  'v5e:4x4', 60.0, 2 * 10**9, 0, 10**9, 10**6,
  [Collectives(kind, i, i * 10**6) for i, kind in enumerate(KINDS)], [(10**6, 'f32[1000,250]', 'dot')],
)  # fmt: skip
STEP = compile_for.CompiledStep(
  PROGRAM, MeshConfig(data=16), 32, 1000, 'bfloat16', 3.0, 1e12, Estimate(0.01, 0.002, {'data': 0.004})
)


def test_report_says_first_whether_the_step_fits():
  lines = list(compile_for.report('arm', STEP))
  assert 'fits, 3.001 GB of 16 GB a chip' in lines[0]
  assert [line for line in lines if line.startswith('all-')] == [
    'all-reduce 0, 0.0 MB', 'all-gather 1, 1.0 MB', 'all-to-all 3, 3.0 MB'
  ]  # fmt: skip
  assert 'roofline bound 12 to 16 ms' in lines[-1]
  large = dataclasses.replace(STEP, program=dataclasses.replace(PROGRAM, temporaries=15 * 10**9))
  assert 'does NOT fit, 17 GB of 16 GB' in next(compile_for.report('arm', large))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec('libtpu') is None, reason='needs libtpu: pip install dubber_jax[tpu]')
def test_a_step_compiles_for_a_slice_that_is_not_there(tmp_path):
  command = [sys.executable, '-m', 'dubber_jax.cli', 'train', ROOT / 'experiments/recipes/tiny.py']
  done = subprocess.run([*command, '--compile-for', 'v5e:2x2'], capture_output=True, text=True, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert 'data 4, fsdp 1, tensor 1' in done.stdout and 'all-reduce 1, ' in done.stdout
  assert list(tmp_path.iterdir()) == []
