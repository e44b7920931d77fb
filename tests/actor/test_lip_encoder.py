import numpy as np
import pytest

from dubber_jax.actor.lip_encoder import LipEncoder, LipTextAttention

RNG = np.random.default_rng(0)
LIPS = RNG.normal(0, 1, (2, 7, 4)).astype(np.float32)
LIP_MASK = np.arange(7) < np.array([[7], [4]])
TEXT = RNG.normal(0, 1, (2, 5, 8)).astype(np.float32)
TEXT_MASK = np.arange(5) < np.array([[5], [3]])


def test_encoding_is_zero_where_masked_and_does_not_depend_on_padding(apply_drawn):
  encoder = LipEncoder(8, 1, 3)
  encoded = apply_drawn(encoder, LIPS, LIP_MASK)
  assert encoded.shape == (2, 7, 8) and not encoded[1, 4:].any()
  alone = apply_drawn(encoder, LIPS[1:, :4], LIP_MASK[1:, :4])
  np.testing.assert_allclose(encoded[1, :4], alone[0], atol=1e-5)


@pytest.fixture(scope='module')
def attended(apply_drawn):
  return apply_drawn(LipTextAttention(2, 8), TEXT, TEXT_MASK, LIPS, LIP_MASK)


def test_weights_are_over_seen_lip_frames_and_sum_to_one_for_each_phoneme(attended):
  context, weights = attended
  assert context.shape == TEXT.shape and weights.shape == (2, 5, 7)
  np.testing.assert_allclose(weights.sum(-1), TEXT_MASK, atol=1e-5)
  assert not weights[1, :, 4:].any() and not context[1, 3:].any()


def test_context_does_not_depend_on_padding_and_is_zero_without_lips(apply_drawn, attended):
  alone, _ = apply_drawn(LipTextAttention(2, 8), TEXT[1:, :3], TEXT_MASK[1:, :3], LIPS[1:, :4], LIP_MASK[1:, :4])
  np.testing.assert_allclose(attended[0][1, :3], alone[0], atol=1e-5)
  context, weights = apply_drawn(LipTextAttention(2, 8), TEXT, TEXT_MASK, LIPS, np.zeros_like(LIP_MASK))
  assert not context.any() and not weights.any()
