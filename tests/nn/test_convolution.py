import flax.linen as nn
import jax
import numpy as np
import pytest

from dubber_jax.nn.convolution import ConvGLU, ConvNeXtBlock, DepthwiseConv, convolve

RNG = np.random.default_rng(0)
X = RNG.normal(0, 1, (2, 9, 4)).astype(np.float32)
KERNEL = RNG.normal(0, 1, (5, 4, 3)).astype(np.float32)
MASK = np.arange(9) < np.array([[9], [5]])


def test_depthwise_convolution_is_a_grouped_one():
  params = {'kernel': KERNEL[:, :, 0], 'bias': KERNEL[0, :, 1]}
  grouped = nn.Conv(4, (5,), feature_group_count=4)
  expected = grouped.apply({'params': {'kernel': params['kernel'][:, None], 'bias': params['bias']}}, X)
  np.testing.assert_allclose(DepthwiseConv(5).apply({'params': params}, X), expected, atol=1e-5)


def test_convolution_and_its_written_out_gradient_are_those_of_xla():
  def plain(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1,), 'SAME', dimension_numbers=('NWC', 'WIO', 'NWC'))

  def both(function):
    return jax.jit(jax.value_and_grad(lambda x, k: (function(x, k) ** 2).sum(), (0, 1)))(X, KERNEL)

  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3), both(convolve), both(plain))


@pytest.mark.parametrize('module', [ConvNeXtBlock(3), ConvGLU(3)])
def test_block_leaves_padding_zero_and_does_not_depend_on_its_length(apply_drawn, module):
  padded = np.where(MASK[..., None], X, 0)
  y = apply_drawn(module, padded, MASK)
  assert y.shape == X.shape and not y[1, 5:].any()
  alone = apply_drawn(module, padded[1:, :5], MASK[1:, :5])
  np.testing.assert_allclose(y[1, :5], alone[0], atol=1e-5)
