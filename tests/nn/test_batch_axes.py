"""Reductions over a batch that is split over devices: here over the axis of a vmap, which exchanges as devices do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dubber_jax.nn.batch_axes import batch_max, batch_mean, shard_number, split_over
from dubber_jax.nn.masks import masked_mean
from dubber_jax.nn.norms import TimeBatchNorm

RNG = np.random.default_rng(0)
X = RNG.normal(50, 1, (4, 6, 3)).astype(np.float32)
MASK = np.arange(6) < np.array([6, 2, 0, 0])[:, None]  # the second half has no frame


def in_two_parts(function, *arrays):
  """Results of `function` for the two halves of the arrays, which exchange over the axis 'data'."""
  with split_over(('data',)):
    halves = [np.reshape(x, (2, len(x) // 2, *np.shape(x)[1:])) for x in arrays]
    return jax.jit(jax.vmap(function, axis_name='data'))(*halves)


def test_parts_are_numbered_and_reduced():
  number, mean, largest = in_two_parts(lambda x: (shard_number(), batch_mean(x), batch_max(x)), np.array([1.0, 5.0]))
  assert number.tolist() == [0, 1]
  assert mean.ravel().tolist() == [3.0, 3.0] and largest.ravel().tolist() == [5.0, 5.0]
  assert shard_number() == 0 and batch_mean(2.0) == batch_max(2.0) == 2.0


@pytest.mark.parametrize('mask', [MASK, np.zeros_like(MASK)], ids=['some', 'none'])
def test_mean_of_the_parts_masked_means_is_that_of_the_whole(mask):
  parts = in_two_parts(lambda x, m: masked_mean(x, m[..., None]), X, mask)
  np.testing.assert_allclose(parts.mean(), masked_mean(X, mask[..., None]), rtol=1e-6)


def test_batch_norm_of_parts_is_that_of_the_whole_and_so_is_its_gradient():
  module = TimeBatchNorm()
  variables = module.init(jax.random.key(0), X, MASK)

  def loss(params, x, mask):
    y, kept = module.apply(variables | {'params': params}, x, mask, True, mutable=['batch_stats'])
    return (jnp.sin(y) * mask[..., None]).sum(), (y, kept)

  gradient = jax.grad(loss, (0, 1), has_aux=True)
  (params, x), (y, kept) = jax.jit(gradient)(variables['params'], X, MASK)
  (params_2, x_2), (y_2, kept_2) = in_two_parts(lambda x, m: gradient(variables['params'], x, m), X, MASK)
  np.testing.assert_allclose(y_2.reshape(y.shape), y, atol=1e-4)
  np.testing.assert_allclose(x_2.reshape(x.shape), x, atol=1e-4)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a.sum(0), b, atol=1e-4), params_2, params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-5), kept_2, kept)
