"""How far listeners agree: Krippendorff's alpha (Computing Krippendorff's Alpha-Reliability, 2011)."""

import math

import numpy as np


def krippendorff(ratings: np.ndarray, level: str = 'ordinal') -> float:
  """ratings (units, raters), nan where one did not rate -> 1 agreed, 0 as by chance, below 0 opposed.

  level: how far apart two values are: 'nominal', 'ordinal' (by how many ratings lie between) or 'interval'.
  nan where no unit was rated twice, and where all gave the same value to everything: there is nothing to agree on.
  """
  ratings = np.asarray(ratings, float)
  ratings = ratings[(~np.isnan(ratings)).sum(1) > 1]
  values = np.unique(ratings[~np.isnan(ratings)])
  if len(values) < 2:
    return math.nan
  counts = (ratings[:, :, None] == values).sum(1)  # (units, values): how many raters gave each
  pairs = 1 / (counts.sum(1) - 1)
  observed = (counts * pairs[:, None]).T @ counts - np.diag(pairs @ counts)
  often = observed.sum(1)
  expected = np.outer(often, often) - np.diag(often)
  apart = np.square(_distances(values, often, level))
  return float(1 - (often.sum() - 1) * (observed * apart).sum() / (expected * apart).sum())


def _distances(values, often, level):
  if level == 'nominal':
    return 1.0 - np.eye(len(values))
  if level == 'ordinal':
    values = np.cumsum(often) - often / 2
  return np.subtract.outer(values, values)
