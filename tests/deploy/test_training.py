"""Training on pods: image, JobSet and launch scripts; the scripts are run with stand-ins for the cluster's programs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from build_stages import run_steps, steps_of

from dubber_jax.training.experiment import read_arms
from dubber_jax.training.sharding import read_mesh

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ('gpus.sh', 'tpu_pod.sh')


@pytest.fixture(scope='module')
def steps():
  return steps_of(ROOT / 'deploy' / 'train.Dockerfile')


@pytest.fixture(scope='module')
def jobset():
  return yaml.safe_load((ROOT / 'deploy' / 'jobset.yaml').read_text())


@pytest.fixture
def pod(jobset):
  return jobset['spec']['replicatedJobs'][0]['template']['spec']


def container(pod):
  (found,) = pod['template']['spec']['containers']
  return found


def build_stage(steps):
  last = max(i for i, (name, _) in enumerate(steps) if name == 'FROM')
  return steps[:last], steps[last:]


def test_image_has_the_package_the_experiments_and_a_user_without_rights(steps):
  build, final = build_stage(steps)
  copied = [value.split() for name, value in build + final if name == 'COPY' and not value.startswith('--from')]
  sources = {source for *group, _ in copied for source in group}
  assert all((ROOT / source).exists() for source in sources) and 'experiments' in sources
  rules = (ROOT / 'deploy' / 'train.Dockerfile.dockerignore').read_text().splitlines()
  assert {rule[1:] for rule in rules if rule.startswith('!')} == sources and '*' in rules
  assert ('USER', 'dubber') in final and ('STOPSIGNAL', 'SIGTERM') in final
  assert ('ARG', 'JAX=tpu') in build and ('ENTRYPOINT', '["dubber"]') in final


def test_jobset_has_a_pod_for_each_host_and_a_chip_for_each_part_of_the_mesh(jobset, pod):
  (slices,) = jobset['spec']['replicatedJobs']
  assert jobset['kind'] == 'JobSet' and pod['completionMode'] == 'Indexed'
  assert pod['parallelism'] == pod['completions']
  chips = container(pod)['resources']['limits']['google.com/tpu'] * pod['parallelism'] * slices['replicas']
  values = {v['name']: v['value'] for v in container(pod)['env']}
  mesh = read_mesh(values['MESH'])
  topology = pod['template']['spec']['nodeSelector']['cloud.google.com/gke-tpu-topology']
  sides = [int(side) for side in topology.split('x')]
  assert mesh.data * mesh.fsdp * mesh.tensor == chips == slices['replicas'] * sides[0] * sides[1]
  assert values['ARM'] in read_arms(ROOT / values['EXPERIMENT'])
  names = {volume['name'] for volume in pod['template']['spec']['volumes']}
  assert {mount['name'] for mount in container(pod)['volumeMounts']} <= names


def test_a_pod_that_ends_early_restarts_all_and_has_time_to_save(jobset, pod):
  assert jobset['spec']['failurePolicy']['maxRestarts'] >= 100
  assert pod['backoffLimit'] == 0 and pod['template']['spec']['restartPolicy'] == 'Never'
  assert pod['template']['spec']['terminationGracePeriodSeconds'] >= 60


def test_process_addresses_are_left_to_the_cluster(pod):
  assert not {v['name'] for v in container(pod)['env']} & {'JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES'}


FAKE = """#!{python}
import os, signal, sys, time
open({pid!r}, 'w').write(str(os.getpid()))
seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
open({ready!r}, 'w').write(' '.join(sys.argv))
end = time.monotonic() + 60
while {waits} and not seen and time.monotonic() < end:
  time.sleep(0.02)
if seen:
  open({saved!r}, 'w').close()
sys.exit({code})
"""


def fake(folder, name, code=0, waits=True):
  """A program of that name which waits for SIGTERM, notes that it came, and exits with a code."""
  (folder / 'bin').mkdir(exist_ok=True)
  path = folder / 'bin' / name
  facts = {part: str(folder / f'{name}.{part}') for part in ('ready', 'saved', 'pid')} | {'python': sys.executable}
  path.write_text(FAKE.format(code=code, waits=waits, **facts))
  path.chmod(0o755)
  return facts


def start(command, folder, **environment):
  path = f'{folder / "bin"}:{os.environ["PATH"]}'
  return subprocess.Popen(command, cwd=folder, env={**os.environ, 'PATH': path, **environment}, text=True)


def until(path, process):
  end = time.monotonic() + 60
  while not (path.exists() and path.read_text()):
    assert process.poll() is None and time.monotonic() < end
    time.sleep(0.02)


@pytest.mark.parametrize(('code', 'terminated', 'expected'), [(0, False, 0), (2, False, 2), (0, True, 143)])
def test_command_of_a_pod_passes_sigterm_on_and_fails_only_where_it_did_not_end_by_itself(
  pod, tmp_path, code, terminated, expected
):
  facts = fake(tmp_path, 'dubber', code, waits=terminated)
  values = {v['name']: v['value'] for v in container(pod)['env']}
  process = start([*container(pod)['command'], *container(pod)['args']], tmp_path, **values)
  if terminated:
    until(Path(facts['ready']), process)
    process.send_signal(signal.SIGTERM)
  assert process.wait(60) == expected
  assert Path(facts['saved']).exists() == terminated
  assert f'--mesh {values["MESH"]}' in Path(facts['ready']).read_text()


@pytest.mark.parametrize('name', SCRIPTS)
def test_launch_script_is_bash_and_names_an_arm_that_exists(name):
  path = ROOT / 'experiments' / 'launch' / name
  subprocess.run(['bash', '-n', path], check=True)
  settings = dict(re.findall(r'^([A-Z]+)=(\S+)', path.read_text(), re.MULTILINE))
  assert settings['ARM'] in read_arms(ROOT / settings['EXPERIMENT'])
  assert read_mesh(settings['MESH'])


def test_slurm_job_saves_before_its_time_ends_and_is_queued_again(tmp_path):
  facts = fake(tmp_path, 'srun')
  asked = fake(tmp_path, 'scontrol', waits=False)
  scancel = tmp_path / 'bin' / 'scancel'
  scancel.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/scancel.ready\nkill -TERM $(cat {tmp_path}/srun.pid)\n')
  scancel.chmod(0o755)
  process = start(['bash', ROOT / 'experiments' / 'launch' / 'gpus.sh'], tmp_path, SLURM_JOB_ID='17')
  until(Path(facts['ready']), process)
  process.send_signal(signal.SIGTERM)
  assert process.wait(60) == 0
  assert (tmp_path / 'scancel.ready').read_text() == '--signal=TERM 17.0\n'
  assert Path(facts['saved']).exists() and Path(asked['ready']).read_text().endswith('requeue 17')


def test_slurm_job_that_fails_is_not_queued_again(tmp_path):
  fake(tmp_path, 'srun', code=2, waits=False)
  asked = fake(tmp_path, 'scontrol', waits=False)
  process = start(['bash', ROOT / 'experiments' / 'launch' / 'gpus.sh'], tmp_path, SLURM_JOB_ID='17')
  assert process.wait(60) == 2 and not Path(asked['ready']).exists()


@pytest.mark.slow
def test_installation_steps_of_the_training_image_give_a_command_that_trains(steps, tmp_path):
  """Each COPY and RUN of the build stage with JAX=cpu, below a temporary folder and without a container."""
  place, environment = run_steps(build_stage(steps)[0], tmp_path)
  shutil.copytree(ROOT / 'experiments', tmp_path / 'experiments', ignore=shutil.ignore_patterns('__pycache__'))
  arguments = ['train', 'experiments/recipes/tiny.py', '--workdir', 'run', '--steps', '4']
  subprocess.run([place / 'bin' / 'dubber', *arguments], cwd=tmp_path, env=environment, check=True, timeout=900)
  assert (tmp_path / 'run' / 'checkpoints' / '4').is_dir()
