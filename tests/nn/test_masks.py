import jax.numpy as jnp
import numpy as np

from dubber_jax.nn.masks import frame_mask, length_mask, masked_mean, zero_padding


def test_length_mask_is_true_below_each_length():
  mask = length_mask(jnp.array([0, 2, 5]), 4)
  assert mask.tolist() == [[False] * 4, [True, True, False, False], [True] * 4]


def test_frame_mask_covers_the_sum_of_the_durations():
  assert frame_mask(jnp.array([[2, 0, 1], [1, 0, 0]]), 5).sum(1).tolist() == [3, 1]


def test_zero_padding_keeps_values_below_the_length_alone():
  x = np.full((2, 3, 2), 7.0)
  assert zero_padding(x, jnp.array([1, 3])).sum((1, 2)).tolist() == [14.0, 42.0]
  assert zero_padding(x, None) is x


def test_masked_mean_broadcasts_its_mask_and_is_zero_over_nothing():
  values = jnp.array([[[1.0, 3.0], [9.0, 9.0]]])
  assert float(masked_mean(values, jnp.array([[[True], [False]]]))) == 2.0
  assert float(masked_mean(values, jnp.zeros((1, 2, 1), bool))) == 0.0
