"""Both forms of what is computed in one way on CPUs and in another on accelerators."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dubber_jax.actor.length_regulator import LengthRegulator
from dubber_jax.nn.attention import Attention
from dubber_jax.nn.convolution import DepthwiseConv, TimeConv
from dubber_jax.nn.platforms import on_cpu, traced_for
from dubber_jax.nn.random_bits import _generated_bits, _hashed_bits, key_of_part, training_key

RNG = np.random.default_rng(0)
X = RNG.normal(0, 1, (2, 9, 6)).astype(np.float32)
MASK = np.arange(9) < np.array([[9], [0]])
DURATIONS = np.array([[2, 0, 1, 3, 1, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0, 0, 2]])
MODULES = {
  'depthwise': (DepthwiseConv(5), ()),
  'convolution': (TimeConv(4, 3), ()),
  'attention': (Attention(2, 8, 6, scale=0.3), (X, MASK, None, None, True)),
  'regulator': (LengthRegulator(), (DURATIONS, 12)),
}


def drawn(module, inputs):
  """Parameters by NumPy: a module's own initializers take long to compile."""
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), X, *inputs))
  return jax.tree.map(lambda s: np.random.default_rng(1).normal(0, 0.5, s.shape).astype(s.dtype), shapes)


@pytest.mark.parametrize('name', MODULES)
def test_accelerators_compute_what_cpus_do_and_the_same_gradient(name):
  module, inputs = MODULES[name]
  params = drawn(module, inputs)

  def loss(platform, params, x):
    outputs = jax.tree.leaves(module.apply(params, x, *inputs))
    return sum(jnp.sin(y).sum() for y in outputs if y.dtype == jnp.float32), outputs

  found = {}
  for platform in ('cpu', 'tpu'):
    with traced_for(platform):
      found[platform] = jax.jit(jax.grad(partial(loss, platform), (0, 1), has_aux=True))(params, X)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found['cpu'], found['tpu'])


def primitives_of(function, *arguments):
  return str(jax.make_jaxpr(function)(*arguments))


@pytest.mark.parametrize(
  ('name', 'of_cpus', 'of_accelerators'),
  [
    ('depthwise', 'pad[', 'feature_group_count=6'),
    ('convolution', 'custom_vjp', 'conv_general_dilated'),
    ('regulator', 'dot_general', 'gather['),
  ],
)
def test_each_platform_has_its_own_form(name, of_cpus, of_accelerators):
  module, inputs = MODULES[name]
  params = drawn(module, inputs)
  programs = {}
  for platform in ('cpu', 'tpu'):
    with traced_for(platform):
      programs[platform] = primitives_of(lambda params, x: module.apply(params, x, *inputs), params, X)
  assert of_cpus in programs['cpu'] and of_accelerators in programs['tpu']
  assert of_accelerators not in programs['cpu'] or name == 'convolution'


def test_attention_is_the_librarys_on_accelerators(monkeypatch):
  calls, real = [], jax.nn.dot_product_attention
  monkeypatch.setattr(jax.nn, 'dot_product_attention', lambda *args, **kwargs: calls.append(1) or real(*args, **kwargs))
  module, inputs = MODULES['attention']
  params = drawn(module, inputs)
  for platform, expected in (('cpu', 0), ('tpu', 1)):
    with traced_for(platform):
      jax.make_jaxpr(lambda params, x: module.apply(params, x, *inputs))(params, X)
    assert len(calls) == expected


@pytest.mark.parametrize('platform', ['cpu', 'tpu', 'cuda'])
def test_bits_of_accelerators_are_the_librarys(platform):
  draw = jax.jit(lambda key: jax.random.bits(key, (4, 128)))
  program = draw.trace(training_key(jax.random.key(0))).lower(lowering_platforms=(platform,)).as_text()
  assert ('rng_bit_generator' in program) == (platform != 'cpu')


@pytest.mark.parametrize('bits', [_hashed_bits, _generated_bits])
def test_bits_differ_by_key_and_by_part_of_the_batch(bits):
  key = training_key(jax.random.key(1))
  keys = (key, jax.random.fold_in(key, 1), key_of_part(key, 1))
  draws = [bits(jax.random.key_data(k), 32, (64, 3)) for k in keys]
  assert all((a != b).mean() > 0.9 for i, a in enumerate(draws) for b in draws[:i])


def test_parts_of_the_batch_have_the_rows_of_the_whole():
  key = training_key(jax.random.key(1))
  parts = [jax.random.uniform(key_of_part(key, i), (4, 3)) for i in range(2)]
  np.testing.assert_array_equal(np.concatenate(parts), jax.random.uniform(key, (8, 3)))


def test_programs_are_traced_for_the_platform_at_hand():
  assert on_cpu() == (jax.default_backend() == 'cpu')
  with traced_for('tpu'):
    assert not on_cpu()
