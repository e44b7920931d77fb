"""95 % confidence intervals of metrics by the bootstrap over clips (Efron 1979).

`interval` is for one system and is scipy.stats.bootstrap. `paired` compares two systems on the same clips and
`rank_correlation` the order of several; both, and `crossed`, take tables of (clips, seeds) or, of a listening test,
(lines, listeners). Rows and columns are resampled each by itself, and the deviations are added up (a crossed bootstrap
with clusters of rows, which scipy does not have, hence by hand). So a seed or a listener that deviates widens the
interval, and with one column the result is the bootstrap over clips. Where columns do not differ the interval is a
third too wide; where all that differs is three seeds, it covers the true value in 85 of 100 cases, not 95.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ConstantInputWarning, bootstrap, permutation_test, spearmanrho

from dubber_jax.errors import BadInput

RESAMPLES = 4000
POWER = 1.960 + 0.842  # standard errors to a gain that a two-sided test at 5 % detects with a power of 0.8


@dataclass(frozen=True)
class Interval:
  """A value, the 2.5th and 97.5th percentile of its bootstrap distribution (nan: not known), and the number of
  clips."""

  value: float
  low: float
  high: float
  clips: int

  def show(self, form: str = '{:.2f}') -> str:
    if math.isnan(self.low):
      return form.format(self.value)
    return f'{form.format(self.value)} ({form.format(self.low)} to {form.format(self.high)})'

  def row(self) -> dict:
    """For a JSON report; what is not known is null."""
    return {'mean': or_null(self.value), 'low': or_null(self.low), 'high': or_null(self.high), 'clips': self.clips}


def or_null(value: float) -> float | None:
  """JSON has no nan and no infinity."""
  return float(value) if math.isfinite(value) else None


def interval(statistic: Callable[..., float], *samples, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
  """`statistic(*samples)` with its percentile interval. A sample is (n,) or (n, k): a clip a row.

  Samples are resampled independently, whole rows at a time. A sample of one clip has no interval: low and high are nan.
  Where nothing varies (no error in any clip) low and high are the value, which says too much: with n clips, up to 3 / n
  is not ruled out. Raises BadInput for a sample without clips.
  """
  samples = [np.asarray(s, float) for s in samples]
  if not samples or not all(len(s) for s in samples):
    raise BadInput('there are no clips: nothing to measure')
  value, clips = float(statistic(*samples)), sum(map(len, samples))
  if min(map(len, samples)) < 2:
    return Interval(value, math.nan, math.nan, clips)

  def of_rows(*rows):
    return statistic(*(s[r.astype(int)] for s, r in zip(samples, rows, strict=True)))

  numbers = tuple(np.arange(len(s)) for s in samples)
  drawn = bootstrap(numbers, of_rows, vectorized=False, method='percentile', n_resamples=resamples, batch=500, rng=seed)
  low, high = drawn.confidence_interval
  return Interval(value, float(low), float(high), clips)


def share(counts: np.ndarray) -> float:
  """(n, 2) of parts and wholes, as errors and words of a clip -> the sum of parts over the sum of wholes."""
  return counts[:, 0].sum() / counts[:, 1].sum()


def mean_of_means(*samples: np.ndarray) -> float:
  """Mean over samples of their means, so that each voice weighs the same however many clips it has."""
  return float(np.mean([s.mean() for s in samples]))


def ratio_of_means(*samples: np.ndarray) -> float:
  """The first half of the samples over the second half, each by `mean_of_means`."""
  half = len(samples) // 2
  return mean_of_means(*samples[:half]) / mean_of_means(*samples[half:])


@dataclass(frozen=True)
class Gain(Interval):
  """Gain of system b over system a on the same clips: relative (0.2: a fifth more) or the plain difference.

  smallest: minimum detectable gain, at 5 % significance and a power of 0.8. base, other: the means of a and b.
  """

  smallest: float = math.nan
  base: float = math.nan
  other: float = math.nan
  relative: bool = True

  @property
  def told_from_zero(self) -> bool:
    return self.low > 0 or self.high < 0

  def show(self, form: str = '') -> str:
    form = form or ('{:+.1%}' if self.relative else '{:+.3f}')
    return super().show(form) + ('' if self.told_from_zero else ', not significant')

  def row(self) -> dict:
    more = {'smallest': or_null(self.smallest), 'base': or_null(self.base), 'other': or_null(self.other)}
    return {**super().row(), **more, 'relative': self.relative, 'told_from_zero': self.told_from_zero}


def paired(
  a: np.ndarray,
  b: np.ndarray,
  wholes: np.ndarray | None = None,
  relative: bool = True,
  groups: Sequence | None = None,
  resamples: int = RESAMPLES,
  seed: int = 0,
) -> Gain:
  """Paired gain of system b over system a; both (clips,) or (clips, seeds), the same clip in the same row, nan missing.

  wholes, of the same shape: what a and b are parts of, as words for word errors; a system's value is then the sum of
  its parts over the sum of wholes. groups (clips,): clusters; clips of one label, as those of one sentence, are
  resampled together. Raises BadInput for different shapes, for no clips, and for a relative gain over zero.
  """
  a, b = _table(a), _table(b)
  if a.shape != b.shape:
    raise BadInput(f'results of {a.shape} and {b.shape} clips and seeds cannot be paired: judge the same clips in both')
  both = ~(np.isnan(a) | np.isnan(b))
  wholes = np.where(both, 1.0 if wholes is None else _table(wholes), 0.0)
  sums = [_grouped(np.where(both, x, 0.0), groups) for x in (a, b, wholes)]
  if not both.any():
    raise BadInput('no clip was judged in both systems: there is nothing to compare')
  base, other = (float(x.sum() / sums[2].sum()) for x in sums[:2])
  if relative and base <= 0:
    raise BadInput(f'a gain relative to {base:g} is undefined: take the difference')

  def gain(parts_a, parts_b, whole):
    if relative:
      return np.divide(parts_b, parts_a, out=np.full_like(parts_a, np.inf), where=parts_a > 0) - 1
    return (parts_b - parts_a) / whole

  value, drawn = _drawn(gain, sums, resamples, seed)
  low, high = _ends(drawn)
  error = float(np.std(drawn, ddof=1)) if np.isfinite(drawn).all() else math.nan
  return Gain(float(value), low, high, int(both.any(1).sum()), POWER * error, base, other, relative)


def crossed(
  values: np.ndarray,
  wholes: np.ndarray | None = None,
  groups: Sequence | None = None,
  resamples: int = RESAMPLES,
  seed: int = 0,
) -> Interval:
  """Mean of (clips,), (clips, seeds) or (lines, listeners), nan where missing, with its interval; arguments of
  `paired`."""
  values = _table(values)
  known = ~np.isnan(values)
  if not known.any():
    raise BadInput('there are no clips: nothing to measure')
  wholes = np.where(known, 1.0 if wholes is None else _table(wholes), 0.0)
  sums = [_grouped(np.where(known, values, 0.0), groups), _grouped(wholes, groups)]
  value, drawn = _drawn(np.divide, sums, resamples, seed)
  return Interval(float(value), *_ends(drawn), int(known.any(1).sum()))


@dataclass(frozen=True)
class RankCorrelation(Interval):
  """Spearman's rho of two orders of rows. chance: one-sided p-value of a permutation test."""

  chance: float = math.nan

  def row(self) -> dict:
    return {**super().row(), 'chance': or_null(self.chance)}


def rank_correlation(
  published: np.ndarray, measured: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> RankCorrelation:
  """Spearman's rho between `published` (rows,) and the means of `measured` (rows, clips) or (rows, clips, seeds).

  Clips and seeds are resampled for all rows together. Measured means alone, (rows,), have no interval.
  Raises BadInput for fewer than three rows, for different numbers of them, and where all are equal.
  """
  published, measured = np.asarray(published, float), np.asarray(measured, float)
  if len(published) != len(measured) or len(published) < 3:
    raise BadInput(
      f'{len(published)} published rows and {len(measured)} measured: a rank correlation takes three or more'
    )
  means = measured.reshape(len(measured), -1).mean(1)
  if np.ptp(published) == 0 or np.ptp(means) == 0:
    raise BadInput('all rows are equal: their order is undefined')

  def rho(rows, axis=-1):
    with warnings.catch_warnings():
      warnings.simplefilter('ignore', ConstantInputWarning)
      return np.nan_to_num(spearmanrho(published, rows, axis=axis).statistic)  # 0 for a resample without an order

  test = permutation_test(
    (means,), rho, permutation_type='pairings', alternative='greater', n_resamples=resamples, vectorized=True, rng=seed
  )
  value, chance = float(test.statistic), float(test.pvalue)
  clips = measured.shape[1] if measured.ndim > 1 else 1
  if clips < 2:
    return RankCorrelation(value, math.nan, math.nan, clips, chance)
  tables = [_table(row) for row in measured]
  tables.append(np.ones_like(tables[0]))
  _, drawn = _drawn(lambda *sums: np.stack(sums[:-1], axis=-1), tables, resamples, seed)
  return RankCorrelation(value, *_ends(rho(drawn)), clips, chance)


def _table(values) -> np.ndarray:
  """(rows,) or (rows, columns) -> (rows, columns) float."""
  values = np.asarray(values, float)
  return values[:, None] if values.ndim == 1 else values


def _grouped(table, groups) -> np.ndarray:
  """Sums over the rows of each label."""
  if groups is None:
    return table
  _, place = np.unique(np.asarray(groups), return_inverse=True)
  summed = np.zeros((place.max() + 1, table.shape[1]))
  np.add.at(summed, place, table)
  return summed


def _drawn(statistic, tables, resamples, seed):
  """A statistic of the tables' sums, and its crossed bootstrap distribution (resamples, ...), tables resampled alike.

  Rows and columns with nothing in the last table are left out. nan where there is only one row.
  """
  full = [np.flatnonzero(tables[-1].any(1 - axis)) for axis in (0, 1)]
  tables = [table[np.ix_(*full)] for table in tables]
  value = statistic(*(np.array(table.sum()) for table in tables))
  drawn = np.repeat(value[None], resamples, axis=0)
  rng = np.random.default_rng(seed)
  for axis, count in enumerate(map(len, full)):
    if count > 1:
      often = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
      # A resample of n has (n - 1) / n of the sampling variance: a third less for three seeds.
      wider = math.sqrt(count / (count - 1))
      drawn += wider * (statistic(*(often @ table.sum(1 - axis) for table in tables)) - value)
  return value, drawn if len(full[0]) > 1 else np.full_like(drawn, np.nan)


def _ends(drawn) -> tuple[float, float]:
  low, high = np.percentile(drawn, [2.5, 97.5], method='nearest')  # no interpolation with inf
  return float(low), float(high)
