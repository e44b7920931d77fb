import jax
import jax.numpy as jnp

from dubber_jax.training.planning.liveness import peak_bytes

SIZE = 4 * 100 * 100
MATRIX = jax.ShapeDtypeStruct((100, 100), jnp.float32)


def peak(function, *arguments):
  return peak_bytes(jax.make_jaxpr(function)(*arguments))


def test_values_are_counted_until_they_are_last_read():
  assert peak(lambda x: x @ x, MATRIX) == SIZE
  assert peak(lambda x: ((x @ x) @ x) @ x, MATRIX) == 2 * SIZE

  def held(x):  # the first product is read by the last one
    y = x @ x
    return (y @ x @ x) @ y

  assert peak(held, MATRIX) == 3 * SIZE


def test_elementwise_chains_and_broadcasts_take_no_memory():
  assert peak(lambda x: jnp.tanh(x * 2.0 + 1.0) @ x, MATRIX) == SIZE
  assert peak(lambda x: (x @ x) + jnp.ones((100, 1)), MATRIX) <= 2 * SIZE


def test_residuals_of_a_scan_are_counted_for_every_layer():
  def loss(x, w):
    return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, w)[0].sum()

  layers = jax.ShapeDtypeStruct((10, 100, 100), jnp.float32)
  assert 10 * SIZE <= peak(jax.grad(loss), MATRIX, layers) <= 40 * SIZE
