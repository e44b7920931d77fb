import numpy as np
import pytest

from dubber_jax.nn.graph_attention import RelationalGraphAttention

RNG = np.random.default_rng(0)
NODES = RNG.normal(0, 1, (2, 4, 8)).astype(np.float32)
RELATION = np.array([[0, 1, 2, 0], [1, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]])  # node 3 is isolated
RELATIONS = np.stack([RELATION] * 2)


@pytest.fixture(scope='module')
def out(apply_drawn):
  return apply_drawn(RelationalGraphAttention(2, 3), NODES, RELATIONS)


def test_nodes_keep_their_width_and_follow_a_permutation(apply_drawn, out):
  assert out.shape == NODES.shape
  order = [2, 3, 0, 1]
  moved = apply_drawn(RelationalGraphAttention(2, 3), NODES[:, order], RELATIONS[:, order][:, :, order])
  np.testing.assert_allclose(moved, out[:, order], atol=1e-5)


def test_relation_types_matter(apply_drawn, out):
  swapped = np.array([0, 2, 1])[RELATIONS]
  assert np.abs(apply_drawn(RelationalGraphAttention(2, 3), NODES, swapped) - out).max() > 1e-3


@pytest.mark.parametrize('average', [False, True])
def test_isolated_node_depends_on_others_only_in_the_published_behavior(apply_drawn, average):
  module = RelationalGraphAttention(2, 3, isolated_average=average)
  other = NODES + np.array([1, 1, 1, 0], np.float32)[:, None] * NODES[:, ::-1]
  change = np.abs(apply_drawn(module, NODES, RELATIONS) - apply_drawn(module, other, RELATIONS))[:, 3].max()
  assert change > 1e-3 if average else change == 0
