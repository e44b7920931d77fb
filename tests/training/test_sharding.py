import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh
from meshes import DEVICES, created, exchanges, small_batch, train_on
from processes import Child

from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape
from dubber_jax.training.config import MeshConfig, TrainConfig
from dubber_jax.training.sharding import (
  MESH_AXES,
  check_batch,
  logical_axes,
  make_mesh,
  partition,
  path_name,
  read_mesh,
)

SIZES = {'data': 2, 'fsdp': 4, 'tensor': 2}


TRIPLE = (2, 2, 2)
CASES = [
  pytest.param('reader', ((1, 1, 1), TRIPLE), id='reader'),
  pytest.param('reader', ((1, 1, 1), (2, 4, 1)), id='reader-data-and-fsdp'),
  pytest.param('voice', ((1, 1, 1), TRIPLE), id='voice-all-axes', marks=pytest.mark.slow),
  pytest.param('voice', ((1, 1, 1), (8, 1, 1), (2, 4, 1)), id='voice-data-and-fsdp', marks=pytest.mark.slow),
]


def said_by(work, tmp_path, count, *arguments):
  child = Child(work, *arguments, errors=tmp_path / 'stderr', environment=DEVICES)
  said = [child.said(900) for _ in range(count)]
  assert None not in said, child.errors()[-3000:]
  return said


def apart(a, b):
  """The largest difference of two trees, leaf by leaf, relative to the leaf."""
  return max(jax.tree.leaves(jax.tree.map(lambda x, y: np.abs(x - y).max() / max(np.abs(x).max(), 1e-3), a, b)))


@pytest.mark.parametrize('network, meshes', CASES)
def test_eight_devices_train_as_one_in_float64(tmp_path, network, meshes):
  (losses, params, _), *others = said_by(train_on, tmp_path, len(meshes), network, 'float64', meshes)
  assert losses[-1] < losses[0]
  for mesh, (other_losses, other_params, replicated) in zip(meshes[1:], others, strict=True):
    np.testing.assert_allclose(other_losses, losses, rtol=1e-9)
    assert apart(params, other_params) < 1e-9
    moments = [name for name in replicated if name.endswith('mu/decoder/block/up/kernel')]  # sharded as parameters are
    assert moments and all(replicated[name] == (mesh == (8, 1, 1)) for name in moments), mesh


@pytest.mark.slow
@pytest.mark.parametrize('network, meshes', CASES)
def test_eight_devices_have_the_losses_and_the_gradient_of_one_in_float32(tmp_path, network, meshes):
  (losses, gradient, _), *others = said_by(train_on, tmp_path, len(meshes), network, 'float32', meshes)
  norm = np.sqrt(sum(np.square(g).sum() for g in jax.tree.leaves(gradient)))
  for other_losses, other, _ in others:
    assert other_losses == pytest.approx(losses, rel=1e-5)
    assert max(jax.tree.leaves(jax.tree.map(lambda x, y: np.abs(x - y).max(), gradient, other))) < 1e-5 * norm


@pytest.mark.slow
def test_eight_devices_have_the_published_systems_losses_and_gradient_of_one_in_float64(tmp_path):
  """With batch norms over all items, dropout, and padding up to the longest item of the batch."""
  meshes = ((1, 1, 1), (8, 1, 1), (2, 4, 1))
  (losses, gradient, _), *others = said_by(train_on, tmp_path, len(meshes), 'published', 'float64', meshes)
  norm = np.sqrt(sum(np.square(g).sum() for g in jax.tree.leaves(gradient)))
  for other_losses, other, _ in others:
    assert other_losses == pytest.approx(losses, rel=1e-9)
    assert max(jax.tree.leaves(jax.tree.map(lambda x, y: np.abs(x - y).max(), gradient, other))) < 1e-9 * norm


def test_fsdp_gathers_parameters_and_leaves_activations_where_they_are(tmp_path):
  exchanged, parameters = said_by(exchanges, tmp_path, 2)
  assert {kind for kind, _ in exchanged} <= {'all-gather', 'all-reduce', 'reduce-scatter'}
  gathered = {shape for kind, shape in exchanged if kind == 'all-gather'}
  assert '64,192' in gathered and gathered <= set(parameters), gathered
  assert not [shape for _, shape in exchanged if '24' in shape.split(',')]  # nothing of a phoneme's


def test_parameters_come_into_being_in_parts(tmp_path):
  ((whole, taken),) = said_by(created, tmp_path, 1)
  assert taken < whole / 2


def test_every_parameter_of_both_assemblies_has_named_axes():
  from dubber_jax.authentic_dubber.batches import empty_published
  from dubber_jax.authentic_dubber.config import PublishedConfig
  from dubber_jax.authentic_dubber.model import PublishedDirectorActor
  from dubber_jax.training.tasks.actor import voice_task

  published = PublishedDirectorActor(PublishedConfig(text_layers=2, lip_layers=2, cross_layers=2, decoder_layers=2))
  trees = [
    jax.eval_shape(voice_task(Config()).init, jax.random.key(0), small_batch(Config())),
    jax.eval_shape(published.init, jax.random.key(0), empty_published(Shape(2, 64, 16, 19, 64), 3)),
  ]
  for path, leaf in (pair for tree in trees for pair in jax.tree.leaves_with_path(tree)):
    name = path_name(path)
    assert logical_axes(name, leaf.ndim) is not None, name
    partition(name, leaf.shape, {'data': 2, 'fsdp': 16, 'tensor': 2})


def test_vectors_of_a_stack_are_not_taken_for_matrices():
  from dubber_jax.training.task import adamw

  ones = {'decoder': {'block': {'up': {'kernel': jnp.ones((2, 4, 8)), 'bias': jnp.ones((2, 8))}}}}
  optimizer = adamw(TrainConfig(learning_rate=1.0, warmup_steps=0, weight_decay=0.5))
  zeros = jax.tree.map(jnp.zeros_like, ones)
  decayed = optimizer.update(zeros, optimizer.init(ones), ones)[0]['decoder']['block']['up']
  assert (decayed['kernel'] == -0.5).all() and (decayed['bias'] == 0).all()


def test_two_axes_on_one_mesh_axis_are_refused_by_name():
  with pytest.raises(BadInput, match="w/kernel .*'embed' and 'mlp' both map to the mesh axis 'fsdp'"):
    partition('w/kernel', (8, 8), SIZES, ('embed', 'mlp'), {'embed': 'fsdp', 'mlp': 'fsdp'})


def test_axis_that_the_mesh_does_not_divide_is_refused_by_name():
  with pytest.raises(BadInput, match="decoder/up/kernel .*'mlp' of 9 does not divide among tensor=2"):
    partition('decoder/up/kernel', (8, 9), SIZES)


def test_network_without_names_is_spread_where_fsdp_divides_it():
  assert partition('w', (100, 80), SIZES) == jax.P('fsdp', None)
  assert partition('w', (7, 5), SIZES) == jax.P(None, None)


def test_mesh_larger_than_the_devices_is_refused():
  with pytest.raises(BadInput, match='needs 4096 devices'):
    make_mesh(MeshConfig(data=4096))


def test_batch_that_the_devices_do_not_divide_is_refused():
  mesh = AbstractMesh((2, 4, 1), MESH_AXES)
  check_batch(mesh, {'x': np.zeros((16, 3))}, accumulate=2)
  with pytest.raises(BadInput, match='12 items does not divide among data x fsdp = 8'):
    check_batch(mesh, {'x': np.zeros((12, 3))})
  with pytest.raises(BadInput, match='accumulate'):
    check_batch(mesh, {'x': np.zeros((8, 3))}, accumulate=2)


def test_mesh_of_the_command_line_is_read_or_refused():
  assert read_mesh('data=2,fsdp=4') == MeshConfig(data=2, fsdp=4)
  for text in ('data', 'data=0', 'rows=2', 'data=2,data=2', ''):
    with pytest.raises(BadInput, match='--mesh'):
      read_mesh(text)
