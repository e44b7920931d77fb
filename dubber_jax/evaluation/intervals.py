"""How sure a figure is: 95 % intervals by the bootstrap over clips (Efron 1979)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dubber_jax.errors import BadInput

RESAMPLES = 4000


@dataclass(frozen=True)
class Interval:
  """A figure, the 2.5th and 97.5th percentile of what it is on resamples (nan: not known), and of how many clips."""

  value: float
  low: float
  high: float
  clips: int

  def show(self, form: str = '{:.2f}') -> str:
    if math.isnan(self.low):
      return form.format(self.value)
    return f'{form.format(self.value)} ({form.format(self.low)} to {form.format(self.high)})'


def interval(statistic: Callable[..., float], *samples, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
  """`statistic(*samples)` with its interval. A sample is (n,) or (n, k): a clip a row.

  Each sample is drawn from again by itself, with replacement; what belongs to the same clip stands in one row.
  A sample of one clip says nothing of how clips differ: low and high are nan. Where nothing varies (no error in any
  clip) low and high are the value, which says too much: with n clips, up to 3 / n is not ruled out.
  Raises BadInput for a sample without clips.
  """
  samples = [np.asarray(s, float) for s in samples]
  if not samples or not all(len(s) for s in samples):
    raise BadInput('a figure of no clips: there is nothing to measure')
  value, clips = float(statistic(*samples)), sum(map(len, samples))
  if min(map(len, samples)) < 2:
    return Interval(value, math.nan, math.nan, clips)
  rng = np.random.default_rng(seed)
  drawn = [statistic(*(s[rng.integers(len(s), size=len(s))] for s in samples)) for _ in range(resamples)]
  low, high = np.percentile(drawn, [2.5, 97.5])
  return Interval(value, float(low), float(high), clips)


def share(counts: np.ndarray) -> float:
  """(n, 2) of parts and wholes, as errors and words of a clip -> all parts over all wholes."""
  return counts[:, 0].sum() / counts[:, 1].sum()


def mean_of_means(*samples: np.ndarray) -> float:
  """Samples of several voices, of which each counts the same however many clips it has."""
  return float(np.mean([s.mean() for s in samples]))


def ratio_of_means(*samples: np.ndarray) -> float:
  """The first half of the samples over the second half, each by `mean_of_means`."""
  half = len(samples) // 2
  return mean_of_means(*samples[:half]) / mean_of_means(*samples[half:])
