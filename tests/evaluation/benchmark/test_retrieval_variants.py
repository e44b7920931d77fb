"""Retrieval variants of the ablations, on the shipped library."""

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.retrieval_variants import (
  by_measure,
  by_speaker,
  retrieval_overlap,
  without_labels,
  without_modalities,
  without_prosody,
)
from dubber_jax.retrieval.library import Library
from dubber_jax.types import MODALITIES, Reading


@pytest.fixture(scope='module')
def library():
  return Library.open()


@pytest.fixture(scope='module')
def reading(library):
  rng = np.random.default_rng(0)
  own = [library.embeddings[m][7].astype(np.float32) for m in MODALITIES]
  return Reading(*(v + 0.02 * rng.standard_normal(len(v)).astype(np.float32) for v in own), np.ones(3, bool))


def test_what_is_not_retrieved_reaches_neither_planner_nor_graphs(library, reading):
  found = without_modalities('scene', 'text')(library, reading, 3)
  assert found.clips['scene'] == found.clips['text'] == () and len(found.clips['face']) == 3
  assert found.refs_present.any(1).tolist() == found.sounds_present.any(1).tolist() == [False, True, False]


def test_labels_and_prosody_are_hidden_from_the_planner_alone(library, reading):
  whole = library.retrieve(reading, 3)
  for variant, part in ((without_labels, 'emotion'), (without_prosody, 'prosody')):
    found = variant(library, reading, 3)
    assert all(not getattr(c, part) for m in MODALITIES for c in found.clips[m])
    assert any(getattr(c, part) for m in MODALITIES for c in whole.clips[m])
    assert np.array_equal(found.refs['face'], whole.refs['face']) and found.sounds_present.all()


def test_of_unit_vectors_every_measure_retrieves_the_same_with_the_same_similarity(library, reading):
  whole = library.retrieve(reading, 3)
  for measure in ('dot', 'euclid'):
    found = by_measure(measure)(library, reading, 3)
    for m in ('scene', 'face'):
      assert [c.key for c in found.clips[m]] == [c.key for c in whole.clips[m]]
      weights = [c.similarity for c in whole.clips[m]]
      assert [c.similarity for c in found.clips[m]] == pytest.approx(weights, abs=1e-3)
  with pytest.raises(BadInput, match='manhattan'):
    by_measure('manhattan')


def test_one_speaker_alone_is_retrieved(library, reading):
  found = by_speaker(lambda library: 'ravdess_04')(library, reading, 3)
  assert all(
    len(found.clips[m]) == 3 and {c.key.split('/')[1] for c in found.clips[m]} == {'ravdess_04'} for m in MODALITIES
  )


def test_overlap_is_the_share_that_both_retrieve(library, reading):
  def whole(library, reading, count):
    return library.retrieve(reading, count)

  assert retrieval_overlap(library, [reading], whole, by_measure('dot'), 3) > 0.6
  assert retrieval_overlap(library, [reading], whole, without_modalities('scene', 'face', 'text'), 3) == 0.0
