from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dubber_jax.training.planning.accelerators import ACCELERATORS, accelerator_of, find_accelerator
from dubber_jax.training.planning.roofline import Product, estimate, products

F32 = np.dtype('float32')


def shape(*sizes):
  return jax.ShapeDtypeStruct(sizes, F32)


def stack(x, w, unroll=False):
  """Ten products in two nested scans."""

  def twice(x, _):
    return jax.lax.scan(lambda y, _: (jnp.tanh(y @ w), None), x, length=2, unroll=unroll)[0], None

  return jax.lax.scan(twice, x, length=5, unroll=unroll)[0].sum()


def test_products_of_scans_and_their_gradients_are_counted_as_often_as_they_run():
  forward = 2 * 7 * 16 * 16 * 2 * 5
  args = shape(7, 16), shape(16, 16)
  assert sum(p.flops for p in products(jax.make_jaxpr(stack)(*args))) == forward
  both = jax.make_jaxpr(jax.grad(stack, argnums=(0, 1)))(*args)
  assert sum(p.flops for p in products(both)) == 3 * forward


def test_convolutions_are_counted_by_their_taps_and_groups():
  def convolve(x, w):
    layout = ('NWC', 'WIO', 'NWC')
    return jax.lax.conv_general_dilated(x, w, (1,), 'VALID', feature_group_count=2, dimension_numbers=layout)

  (found,) = products(jax.make_jaxpr(convolve)(shape(3, 12, 8), shape(5, 4, 6)))
  assert found == Product(batch=2, m=3 * 8, k=5 * 4, n=3, itemsize=4, times=1)


def test_xla_counts_the_same_where_scans_are_unrolled_and_too_little_where_not():
  args = shape(64, 256), shape(256, 256)
  counted = sum(p.flops for p in products(jax.make_jaxpr(jax.grad(stack))(*args)))

  def by_xla(unroll):
    return jax.jit(jax.grad(partial(stack, unroll=unroll))).lower(*args).cost_analysis()['flops']

  assert counted < by_xla(unroll=True) < 1.05 * counted
  assert by_xla(unroll=False) < 0.2 * counted  # why the products are counted here


def test_small_products_wait_for_memory_and_odd_ones_for_their_tile():
  chip = find_accelerator('v5e')
  thin, square = Product(1, 8, 128, 128, 2, 3), Product(1, 8192, 4096, 4096, 2, 1)
  assert thin.seconds(chip) == pytest.approx(3 * 2 * (8 * 128 + 128 * 128 + 8 * 128) / chip.bandwidth)
  assert square.seconds(chip) == pytest.approx(square.flops / chip.flops)
  odd = Product(1, 8192, 4097, 4096, 2, 1)
  assert odd.seconds(chip) == pytest.approx(square.flops / chip.flops * (4096 + 128) / 4096)


def test_estimate_counts_exchange_along_the_axes_there_are():
  chip = find_accelerator('v5p')
  product = Product(1, 1000, 512, 2048, 2, 6)
  params = {'up/kernel': ((6, 512, 2048), (None, 'fsdp', 'tensor'), 6 * 512 * 2048 * 4 // 8)}
  mesh = {'data': 1, 'fsdp': 4, 'tensor': 2}
  found = estimate([product], [product], params, 1e6, mesh, chip, itemsize=2)
  assert set(found.exchange) == {'fsdp', 'tensor'}
  assert found.arithmetic == pytest.approx(product.seconds(chip) / 2)
  assert found.exchange['tensor'] == pytest.approx(0.5 * 2 * 6 * 1000 * 512 * 2 / chip.link)
  assert found.exchange['fsdp'] == pytest.approx(0.75 * (6 * 512 * 2048 // 2) * (2 + 2 + 4) / chip.link)


def test_devices_are_known_by_what_jax_calls_them():
  names = {'TPU v5 lite': 'v5e', 'TPU v5': 'v5p', 'TPU v5p': 'v5p', 'TPU v6 lite': 'v6e', 'NVIDIA H200': 'h200'}
  assert {kind: accelerator_of(kind).name for kind in names} == names and accelerator_of('cpu') is None
  assert all(chip.source.startswith('https://') for chip in ACCELERATORS.values())
