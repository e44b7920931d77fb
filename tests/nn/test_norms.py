import jax
import numpy as np
import pytest

from dubber_jax.nn.norms import AdaptiveLayerNorm, TimeBatchNorm

RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, (2, 6, 4)).astype(np.float32)
CONDITION = RNG.normal(0, 1, (2, 3)).astype(np.float32)
MASK = np.arange(6) < np.array([[6], [2]])


def standardized(x, axis):
  return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 1e-5)


@pytest.mark.parametrize('gain_offset', [0.0, 1.0])
def test_adaptive_norm_starts_as_a_layer_norm_where_the_condition_is_zero(gain_offset):
  module = AdaptiveLayerNorm(gain_offset=gain_offset)
  variables = module.init(jax.random.key(0), X, CONDITION)
  np.testing.assert_allclose(module.apply(variables, X, 0 * CONDITION), standardized(X, -1), atol=1e-5)


def test_condition_scales_and_shifts_all_frames_of_its_item_alike(apply_drawn):
  y = apply_drawn(AdaptiveLayerNorm(), X, CONDITION)
  normed = standardized(X, -1)
  gain = (y[:, 1] - y[:, 0]) / (normed[:, 1] - normed[:, 0])
  np.testing.assert_allclose((y - gain[:, None] * normed).std(1), 0, atol=1e-4)
  assert np.abs(gain[0] - gain[1]).max() > 0.1


def test_batch_norm_is_over_unmasked_frames_and_averages_as_pytorch_does():
  module = TimeBatchNorm()
  zeros, ones = np.zeros(4), np.ones(4)
  start = {'params': {'scale': ones, 'bias': zeros}, 'batch_stats': {'mean': zeros, 'var': ones}}
  y, moved = module.apply(start, X, MASK, True, mutable='batch_stats')
  real = X[MASK]
  np.testing.assert_allclose(np.asarray(y)[MASK], standardized(real, 0), atol=1e-5)
  np.testing.assert_allclose(moved['batch_stats']['mean'], 0.1 * real.mean(0), rtol=1e-5)
  np.testing.assert_allclose(moved['batch_stats']['var'], 0.9 + 0.1 * real.var(0, ddof=1), rtol=1e-5)
  other = np.where(MASK[..., None], X, 50.0)
  same, _ = module.apply(start, other, MASK, True, mutable='batch_stats')
  np.testing.assert_allclose(np.asarray(same)[MASK], np.asarray(y)[MASK], atol=1e-5)


def test_batch_norm_uses_running_averages_outside_training():
  stats = {'mean': np.full(4, 3.0), 'var': np.full(4, 4.0)}
  variables = {'params': {'scale': np.full(4, 2.0), 'bias': np.ones(4)}, 'batch_stats': stats}
  np.testing.assert_allclose(TimeBatchNorm().apply(variables, X, MASK), (X - 3) / np.sqrt(4 + 1e-5) * 2 + 1, atol=1e-5)
