"""Inter-rater agreement: Krippendorff's alpha (Computing Krippendorff's Alpha-Reliability, 2011)."""

import math

import numpy as np

from dubber_jax.errors import BadInput


def krippendorff_alpha(ratings: np.ndarray, level: str = 'ordinal') -> float:
  """Alpha of ratings (units, raters), nan where missing: 1 agreed, 0 as by chance, below 0 opposed.

  level: of measurement, 'nominal', 'ordinal' or 'interval'. nan where no unit was rated twice, and where all ratings
  are the same value, of which the package knows no alpha. Raises BadInput where the extra `eval` is missing.
  """
  try:
    from krippendorff import alpha
  except ImportError as e:
    raise BadInput('Krippendorff\'s alpha needs the package krippendorff: pip install "dubber_jax[eval]"') from e
  ratings = np.asarray(ratings, float)
  ratings = ratings[(~np.isnan(ratings)).sum(1) > 1]
  if len(np.unique(ratings[~np.isnan(ratings)])) < 2:
    return math.nan
  return float(alpha(reliability_data=ratings.T, level_of_measurement=level))
