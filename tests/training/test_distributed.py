from types import SimpleNamespace

import jax
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.training import distributed
from dubber_jax.training.distributed import arrange_devices, host_failure_as_error, init_distributed


@pytest.fixture
def two_nodes(monkeypatch):
  """Eight devices in two groups of four, as two slices, or two nodes of GPUs."""
  devices = [
    SimpleNamespace(id=i, slice_index=i // 4, process_index=i // 4, platform='gpu', device_kind='gpu') for i in range(8)
  ]
  monkeypatch.setattr(distributed.jax, 'devices', lambda: devices)


def test_only_the_data_axis_crosses_the_slow_network(two_nodes):
  mesh = arrange_devices((4, 1, 2))
  assert mesh.shape == (4, 1, 2)
  for half, node in ((mesh[:2], 0), (mesh[2:], 1)):
    assert {d.slice_index for d in half.flat} == {node}


def test_a_model_wider_than_a_node_still_gets_a_mesh(two_nodes):
  assert arrange_devices((1, 8, 1)).shape == (1, 8, 1)


@pytest.mark.parametrize(
  'given',
  [
    {'JAX_NUM_PROCESSES': '2'},
    {'JAX_COORDINATOR_ADDRESS': 'host:1', 'JAX_NUM_PROCESSES': '2'},
    {'JAX_COORDINATOR_ADDRESS': 'host:1', 'JAX_NUM_PROCESSES': '2', 'JAX_PROCESS_ID': '2'},
    {'JAX_NUM_PROCESSES': 'two'},
  ],
)
def test_a_host_that_does_not_say_who_it_is_is_refused(monkeypatch, given):
  for name, value in given.items():
    monkeypatch.setenv(name, value)
  with pytest.raises(BadInput, match='JAX_'):
    init_distributed()


def test_a_mistake_in_the_program_is_not_blamed_on_another_host(monkeypatch):
  monkeypatch.setattr(distributed.jax, 'process_count', lambda: 2)
  with pytest.raises(jax.errors.JaxRuntimeError, match='RESOURCE'), host_failure_as_error('run'):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory')
  with pytest.raises(BadInput, match='another host .* Gloo'), host_failure_as_error('run'):
    raise jax.errors.JaxRuntimeError('UNKNOWN: Gloo AllReduce failed: Connection closed by peer')
