import flax.linen as nn
import jax
import numpy as np

from dubber_jax.nn.convolution import ConvNeXtBlock
from dubber_jax.nn.scan import Stacking, scan_layers, stack_stored


class Tower(nn.Module):
  layers: int
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(self, x_btd, mask_bt):
    return scan_layers(ConvNeXtBlock(3, name='block'), self.layers, x_btd, mask_bt, stacking=self.stacking)


def frames():
  return np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32), np.ones((2, 5), bool)


def test_scanned_unrolled_and_rematerialised_stacks_have_one_gradient():
  params = Tower(3).init(jax.random.key(0), *frames())

  def gradient(stacking):
    return jax.jit(jax.grad(lambda p: (Tower(3, stacking).apply(p, *frames()) ** 2).sum()))(params)

  plain = gradient(Stacking())
  for other in (Stacking(remat=True), Stacking(unroll=True), Stacking(remat=True, unroll=True)):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), plain, gradient(other))


def test_program_of_a_stack_does_not_grow_with_depth():
  def size(layers):
    tower = Tower(layers)
    params = jax.eval_shape(tower.init, jax.random.key(0), *frames())
    return len(jax.jit(tower.apply).lower(params, *frames()).as_text())

  assert abs(size(16) - size(4)) < 100


def test_layers_stored_one_by_one_are_stacked_in_their_order():
  stored = {f'lips/conv_{i}/up/kernel': np.full((2, 3), i) for i in range(12)}
  stored |= {f'text/attention_{i}/out/kernel': np.full((3, 2), i) for i in range(2)} | {'lips/out/bias': np.zeros(3)}
  stacked = stack_stored(stored, ['lips/block/up/kernel', 'text/block/attention/out/kernel', 'lips/out/bias'])
  assert set(stacked) == {'lips/block/up/kernel', 'text/block/attention/out/kernel', 'lips/out/bias'}
  assert stacked['lips/block/up/kernel'][:, 0, 0].tolist() == list(range(12))
  assert stack_stored(stacked, stacked).keys() == stacked.keys()
