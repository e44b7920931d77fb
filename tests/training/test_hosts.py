"""Two processes of four devices each stand for two hosts; one process of eight for the machine they are compared to."""

import os
import signal
import socket

import jax
import numpy as np
import pytest
from processes import Child, devices, start_run, tiny_config, train_actor

from dubber_jax.training.checkpoints import last_step, load_weights
from dubber_jax.training.config import MeshConfig
from dubber_jax.training.log import read_log

MESH = MeshConfig(data=8)
STEPS = 8


def environments(count):
  """Those of two hosts, each with `count` devices."""
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    port = s.getsockname()[1]
  them = {'JAX_COORDINATOR_ADDRESS': f'127.0.0.1:{port}', 'JAX_NUM_PROCESSES': '2'}
  return [devices(count) | them | {'JAX_PROCESS_ID': str(i)} for i in range(2)]


def two_hosts(config, workdir, **environment):
  return [start_run(config, workdir, own | environment) for own in environments(4)]


def test_two_hosts_train_as_one_and_stop_at_the_same_step(tmp_path):
  assert start_run(tiny_config(MESH, stop=STEPS, log_every=1), tmp_path / 'one', devices(8)).finish() == 0
  hosts = two_hosts(tiny_config(MESH, log_every=1, stop=10**6, save_every=STEPS), tmp_path / 'two')
  for host in hosts:
    while host.said() < STEPS:
      pass
  os.kill(hosts[1].process.pid, signal.SIGTERM)
  assert [h.finish() for h in hosts] == [0, 0]
  losses = [[r['total'] for r in read_log(tmp_path / name)][:STEPS] for name in ('one', 'two')]
  np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
  rows = [r['step'] for r in read_log(tmp_path / 'two')]
  assert rows == list(range(1, last_step(tmp_path / 'two') + 1))  # one host wrote, every step once
  load_weights(tmp_path / 'two')


@pytest.mark.slow
def test_actor_trained_by_two_hosts_is_exported_as_a_step_of_its_own(packed, tmp_path):
  """Parameters are sharded over both hosts; the export is a single process without either."""
  from dubber_jax.cli.main import main
  from dubber_jax.export import load

  workdir, out = tmp_path / 'run', tmp_path / 'artifact'
  hosts = [
    Child(train_actor, workdir, packed, 2, errors=tmp_path / f'stderr_{i}', environment=environment)
    for i, environment in enumerate(environments(1))
  ]
  try:
    assert [host.said(1800) for host in hosts] == [2, 2], hosts[0].errors()[-2000:]
    assert [host.finish() for host in hosts] == [0, 0]
  finally:
    for host in hosts:
      host.kill()
  assert not (workdir / 'export').exists()
  assert main(['export', str(workdir), '-o', str(out), '--buckets', '64', '--platforms', 'cpu']) == 0
  step, params = load_weights(workdir)
  assert step == 2
  jax.tree.map(np.testing.assert_array_equal, load(out).params, params)


@pytest.mark.slow
@pytest.mark.parametrize('dead', [0, 1])
def test_when_a_host_dies_the_other_says_so_and_ends(tmp_path, dead):
  hosts = two_hosts(tiny_config(MESH, stop=10**6, save_every=10), tmp_path / 'run', DUBBER_HEARTBEAT_SECONDS='10')
  for host in hosts:
    host.said()
  hosts[dead].kill()
  left = hosts[1 - dead]
  assert left.finish() != 0
  said = left.errors()
  assert 'another host' in said or 'another task died' in said  # the second is JAX's, where the coordinator dies
