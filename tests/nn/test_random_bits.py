import jax
import numpy as np
import pytest

from dubber_jax.nn.random_bits import training_key


@pytest.fixture(scope='module')
def masks():
  key = training_key(jax.random.key(3))
  keys = [key, jax.random.fold_in(key, 0), jax.random.fold_in(key, 1), *jax.random.split(key, 2)]
  keys.append(training_key(jax.random.key(4)))
  draw = jax.jit(lambda key: jax.random.bernoulli(key, 0.8, (256, 512)))
  return np.stack([draw(key) for key in keys]).astype(np.float64)


def test_dropout_keeps_its_share_everywhere(masks):
  assert abs(masks.mean() - 0.8) < 0.002
  for axis in (1, 2):  # rows and columns scatter as independent draws do
    spread = masks.mean(axis).std() / np.sqrt(0.8 * 0.2 / masks.shape[axis])
    assert 0.9 < spread < 1.1


def test_masks_of_other_places_layers_and_steps_are_unrelated(masks):
  flat = masks.reshape(len(masks), -1) - 0.8
  related = np.corrcoef(flat) - np.eye(len(masks))
  assert np.abs(related).max() < 0.02
  for shift in (1, 2, 512):
    assert all(abs(np.corrcoef(m[shift:], m[:-shift])[0, 1]) < 0.02 for m in flat)


def test_uniform_numbers_are_uniform_in_every_bit():
  bits = np.asarray(jax.random.bits(training_key(jax.random.key(0)), (1 << 16,)))
  assert all(abs(((bits >> i) & 1).mean() - 0.5) < 0.01 for i in range(32))
  assert len(np.unique(bits)) > (1 << 16) - 10
