import numpy as np
import pytest

from dubber_jax.actor.emotion_fusion import Aggregator, EmotionHead

RNG = np.random.default_rng(0)
FRAMES = RNG.normal(0, 1, (2, 6, 8)).astype(np.float32)
NODES = RNG.normal(0, 1, (2, 3, 5)).astype(np.float32)
NODE_MASK = np.array([[1, 1, 0], [0, 0, 0]], bool)
MASK = np.arange(6) < np.array([[6], [4]])


@pytest.fixture(scope='module')
def fused(apply_drawn):
  return apply_drawn(Aggregator(), FRAMES, NODES, NODE_MASK)


def test_frames_pass_unchanged_where_every_node_is_masked(fused):
  np.testing.assert_array_equal(fused[1], FRAMES[1])
  assert np.abs(fused[0] - FRAMES[0]).max() > 1e-2


def test_order_and_content_of_masked_nodes_do_not_matter(apply_drawn, fused):
  other = np.where(NODE_MASK[..., None], NODES, 9.0)[:, [2, 1, 0]].astype(np.float32)
  np.testing.assert_allclose(apply_drawn(Aggregator(), FRAMES, other, NODE_MASK[:, [2, 1, 0]]), fused, atol=1e-5)


def test_emotion_is_classified_from_unmasked_frames(apply_drawn):
  logits = apply_drawn(EmotionHead(), FRAMES, MASK)
  assert logits.shape == (2, 8)
  other = np.where(MASK[..., None], FRAMES, 9.0).astype(np.float32)
  np.testing.assert_allclose(apply_drawn(EmotionHead(), other[:, ::-1].copy(), MASK[:, ::-1].copy()), logits, atol=1e-5)
