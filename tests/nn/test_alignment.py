import jax.numpy as jnp

from dubber_jax.nn.alignment import frame_to_phoneme


def test_each_frame_belongs_to_the_phoneme_whose_duration_covers_it():
  path = frame_to_phoneme(jnp.array([[2, 0, 1]]), 4)[0]
  assert path.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]
