import sys

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.listening_test.krippendorff import krippendorff_alpha

N = np.nan
# Example C and E of Krippendorff's paper: four observers, twelve units.
PUBLISHED = np.array(
  [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
  ]
).T


@pytest.mark.parametrize('level, alpha', [('nominal', 0.743), ('ordinal', 0.815), ('interval', 0.849)])
def test_the_published_example(level, alpha):
  assert krippendorff_alpha(PUBLISHED, level) == pytest.approx(alpha, abs=5e-4)


def test_random_ratings_agree_by_chance_only():
  ratings = np.random.default_rng(0).integers(1, 6, (400, 5))
  assert abs(krippendorff_alpha(ratings)) < 0.05


def test_listeners_who_contradict_each_other_are_below_zero():
  assert krippendorff_alpha([[1, 5], [5, 1], [1, 5]]) < 0 < krippendorff_alpha([[1, 1], [5, 5], [1, 2]])


def test_nothing_to_agree_on():
  assert np.isnan(krippendorff_alpha([[3, 3], [3, 3]])) and np.isnan(krippendorff_alpha([[1, N], [2, N]]))


def test_a_unit_that_one_alone_rated_changes_nothing():
  assert krippendorff_alpha(np.vstack([PUBLISHED, [5, N, N, N]])) == krippendorff_alpha(PUBLISHED)


def test_a_missing_package_says_what_to_install(monkeypatch):
  monkeypatch.setitem(sys.modules, 'krippendorff', None)
  with pytest.raises(BadInput, match=r'dubber_jax\[eval\]'):
    krippendorff_alpha(PUBLISHED)
