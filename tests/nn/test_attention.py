import jax.numpy as jnp
import numpy as np
import pytest

from dubber_jax.nn.attention import Attention, masked_softmax, rotary_embedding

RNG = np.random.default_rng(0)
QUERY, KEYS = (RNG.normal(0, 1, (2, n, 8)).astype(np.float32) for n in (3, 5))
MASK = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)


@pytest.fixture(scope='module')
def attended(apply_drawn):
  return apply_drawn(Attention(2, 8, 6), QUERY, KEYS, MASK)


def test_weights_are_a_distribution_over_unmasked_keys_or_zero(attended):
  out, weights = attended
  assert out.shape == (2, 3, 6) and weights.shape == (2, 2, 3, 5)
  np.testing.assert_allclose(weights.sum(-1)[0], 1.0, atol=1e-6)
  assert not weights[0, ..., 3:].any()


def test_attention_over_no_key_is_exactly_zero(attended):
  assert not attended[0][1].any() and not attended[1][1].any()


def test_masked_keys_and_further_padding_change_nothing(apply_drawn, attended):
  padded = np.pad(np.where(MASK[..., None], KEYS, 99.0), ((0, 0), (0, 2), (0, 0)), constant_values=7.0)
  out, _ = apply_drawn(Attention(2, 8, 6), QUERY, padded.astype(np.float32), np.pad(MASK, ((0, 0), (0, 2))))
  np.testing.assert_allclose(out, attended[0], atol=1e-5)


def test_output_follows_a_permutation_of_queries_and_ignores_one_of_keys(apply_drawn, attended):
  order = [2, 0, 4, 1, 3]
  out, _ = apply_drawn(Attention(2, 8, 6), QUERY[:, ::-1].copy(), KEYS[:, order], MASK[:, order])
  np.testing.assert_allclose(out, attended[0][:, ::-1], atol=1e-5)


def test_rotary_scores_depend_on_relative_positions_alone():
  def scores(shift):
    query, key = (
      rotary_embedding(jnp.asarray(x[:, None]), jnp.arange(x.shape[1], dtype=jnp.float32)[None] + shift)
      for x in (QUERY, KEYS)
    )
    return query @ key.swapaxes(2, 3)

  np.testing.assert_allclose(scores(0.0), scores(2.5), atol=1e-4)
  assert np.abs(scores(0.0)[:, 0] - QUERY @ KEYS.swapaxes(1, 2)).max() > 0.1


def test_masked_softmax_is_computed_in_float32_for_half_precision():
  scores = jnp.asarray([[1.0, 1.25, 300.0]], jnp.bfloat16)
  weights = masked_softmax(scores, jnp.array([[True, True, False]]))
  assert weights.dtype == jnp.bfloat16
  np.testing.assert_allclose(weights[0].astype(jnp.float32), [0.4378, 0.5622, 0.0], atol=4e-3)
