import dataclasses

import numpy as np
import pytest

from dubber_jax.director.config import DirectorConfig
from dubber_jax.director.graphs import EmotionGraphs, node_mask, relations
from dubber_jax.types import MODALITIES

K = 2
CONFIG = DirectorConfig(width=8, exemplars=K, dropout=0.0)


def inputs(seed=0):
  """Embeddings of two items: 3 clip nodes, 3K exemplars, 3K sounds."""
  rng = np.random.default_rng(seed)
  targets = {m: rng.normal(size=(2, 5)).astype(np.float32) for m in MODALITIES}
  refs = {m: rng.normal(size=(2, K, 5)).astype(np.float32) for m in MODALITIES}
  return targets, refs, rng.normal(size=(2, 3, K, 4)).astype(np.float32)


def test_relations_are_symmetric_without_self_loops_and_join_exemplars_to_their_modality_alone():
  kinds = relations(K)
  assert kinds.shape == (3 + 6 * K,) * 2
  np.testing.assert_array_equal(kinds, kinds.T)
  assert not kinds.diagonal().any()
  assert (kinds[:3, :3] > 0).sum() == 6
  assert ((kinds[3:, :3] > 0).sum(1) == 1).all() and not kinds[3:, 3:].any()


@pytest.mark.parametrize(
  'off, hidden',
  [('enabled', range(15)), ('face', [1, 5, 6, 11, 12]), ('indirect', range(3, 9)), ('direct', range(9, 15))],
)
def test_switches_mask_their_nodes_and_no_others(off, hidden):
  everything = np.ones((1, 3), bool), np.ones((1, 3, K), bool), np.ones((1, 3, K), bool)
  mask = np.asarray(node_mask(dataclasses.replace(CONFIG, **{off: False}), *everything))[0]
  assert np.flatnonzero(~mask).tolist() == list(hidden)


def test_exemplars_of_a_missing_modality_are_masked():
  present = np.array([[True, False, True]])
  mask = np.asarray(node_mask(CONFIG, present, np.ones((1, 3, K), bool), np.ones((1, 3, K), bool)))[0]
  assert not mask[[1, 5, 6, 11, 12]].any() and mask.sum() == 10


def test_each_graph_extends_the_one_before_and_masked_nodes_stay_zero(apply_drawn):
  mask = np.ones((2, 3 + 6 * K), bool)
  mask[0, [1, 4, 12]] = False
  basic, indirect, direct = apply_drawn(EmotionGraphs(CONFIG), *inputs(), mask)
  assert (basic.shape[1], indirect.shape[1], direct.shape[1]) == (3, 3 + 3 * K, 3 + 6 * K)
  for nodes in (basic, indirect, direct):
    shown = mask[:, : nodes.shape[1]]
    assert not nodes[~shown].any() and np.abs(nodes[shown]).max(-1).min() > 0


def test_masked_nodes_and_other_items_have_no_influence(apply_drawn):
  mask = np.ones((2, 3 + 6 * K), bool)
  mask[0, [1, 4, 12]] = False
  targets, refs, sounds = inputs()
  before = apply_drawn(EmotionGraphs(CONFIG), targets, refs, sounds, mask)
  changed = {m: x.copy() for m, x in targets.items()}, {m: x.copy() for m, x in refs.items()}, sounds.copy()
  changed[0]['face'][0] += 9.0
  changed[1]['scene'][0, 1] += 9.0
  changed[2][0, 1, 1] += 9.0
  changed[2][1] -= 5.0
  after = apply_drawn(EmotionGraphs(CONFIG), *changed, mask)
  for a, b in zip(before, after, strict=True):
    np.testing.assert_allclose(a[0], b[0], atol=1e-6)
  assert np.abs(before[2][1] - after[2][1]).max() > 1e-3


def test_basic_graph_does_not_see_the_exemplars_unless_one_graph_encodes_all(apply_drawn):
  mask = np.ones((2, 3 + 6 * K), bool)
  targets, refs, sounds = inputs()
  other = {m: x + 1.0 for m, x in refs.items()}
  for staged in (True, False):
    config = dataclasses.replace(CONFIG, build_then_encode=staged)
    one, two = (apply_drawn(EmotionGraphs(config), targets, r, sounds, mask)[0] for r in (refs, other))
    assert np.array_equal(one, two) == staged
