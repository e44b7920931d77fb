import importlib.util
import json
import subprocess
import sys

import pytest

from dubber_jax.errors import BadInput
from dubber_jax.export import verify as verify_module
from dubber_jax.export.verify import verify


@pytest.fixture
def topology(monkeypatch):
  monkeypatch.setattr(verify_module.compile_for, 'topology_devices', lambda text: [None])
  monkeypatch.setattr(verify_module.compile_for, 'other_version', lambda: None)


def test_what_is_no_artifact_is_refused(topology, tmp_path):
  with pytest.raises(BadInput, match='is no artifact'):
    list(verify(tmp_path, 'v5e:2x2'))


def test_artifact_without_programs_for_tpus_is_refused(topology, tmp_path):
  (tmp_path / 'programs.json').write_text(json.dumps({'platforms': ['cpu', 'cuda'], 'programs': {}}))
  with pytest.raises(BadInput, match='lowered for cpu, cuda: export it with --platforms tpu'):
    list(verify(tmp_path, 'v5e:2x2'))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec('libtpu') is None, reason='needs libtpu: pip install dubber_jax[tpu]')
def test_an_artifact_compiles_for_a_chip_that_is_not_there(tmp_path):
  from dubber_jax.inference.model_directory import SHIPPED

  command = [sys.executable, '-m', 'dubber_jax.cli', 'export', SHIPPED, '-o', tmp_path / 'artifact', '--buckets', '64']
  done = subprocess.run([*command, '--verify', 'tpu'], capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  for name in ('predict_durations_64', 'synthesize_64', 'vocode_64'):
    assert f'{name} for v5e:2x2, 8 lines: fits' in done.stdout
