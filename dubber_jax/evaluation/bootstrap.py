"""How sure a figure is: 95 % intervals by the bootstrap over clips (Efron 1979).

`interval` is for one system, `paired` for one against another on the same clips, `rank_correlation` for the order of
several. The last two, and `crossed`, take (clips, seeds) or, of a listening test, (lines, listeners): rows and columns
are both drawn again, and what each draw moves the figure by is added up. So a seed or a listener that is off widens the
interval, and of one column nothing is left but the bootstrap over clips. Where columns do not differ the interval is a
third too wide; where all that differs is three seeds, it holds the truth in 85 of 100 cases, not 95.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dubber_jax.errors import BadInput

RESAMPLES = 4000
POWER = 1.960 + 0.842  # standard errors to a gain that a two-sided test at 5 % finds four times in five


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

  def row(self) -> dict:
    """For a JSON report; what is not known is null."""
    return {'mean': or_null(self.value), 'low': or_null(self.low), 'high': or_null(self.high), 'clips': self.clips}


def or_null(value: float) -> float | None:
  """JSON has no nan and no infinity."""
  return float(value) if math.isfinite(value) else None


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


@dataclass(frozen=True)
class Gain(Interval):
  """What arm b is over arm a on the same clips: relative (0.2: a fifth more) or the plain difference.

  smallest: the smallest true gain that so many clips and seeds would show in four experiments of five, at 5 %.
  base, other: the arms' own means.
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
    return super().show(form) + ('' if self.told_from_zero else ', not told from zero')

  def row(self) -> dict:
    more = {'smallest': or_null(self.smallest), 'base': or_null(self.base), 'other': or_null(self.other)}
    return {**super().row(), **more, 'relative': self.relative, 'told_from_zero': self.told_from_zero}


def paired(a, b, wholes=None, relative: bool = True, groups=None, resamples: int = RESAMPLES, seed: int = 0) -> Gain:
  """The gain of arm b over arm a; both (clips,) or (clips, seeds), the same clip in the same row, nan where missing.

  wholes, of the same shape: what a and b are parts of, as words for word errors; an arm's figure is then all its parts
  over all wholes. groups (clips,): labels; clips of one label, as those of one sentence, are drawn together.
  Raises BadInput for arms of different shapes, without clips, and for a relative gain over nothing.
  """
  a, b = _table(a), _table(b)
  if a.shape != b.shape:
    raise BadInput(f'arms of {a.shape} and {b.shape} clips and seeds are no pairs: judge the same clips in both')
  both = ~(np.isnan(a) | np.isnan(b))
  wholes = np.where(both, 1.0 if wholes is None else _table(wholes), 0.0)
  sums = [_grouped(np.where(both, x, 0.0), groups) for x in (a, b, wholes)]
  if not both.any():
    raise BadInput('no clip was judged in both arms: there is nothing to compare')
  base, other = (float(x.sum() / sums[2].sum()) for x in sums[:2])
  if relative and base <= 0:
    raise BadInput(f'a gain relative to {base:g} has no meaning: take the difference')

  def gain(parts_a, parts_b, whole):
    if relative:
      return np.divide(parts_b, parts_a, out=np.full_like(parts_a, np.inf), where=parts_a > 0) - 1
    return (parts_b - parts_a) / whole

  value, drawn = _drawn(gain, sums, resamples, seed)
  low, high = _ends(drawn)
  error = float(np.std(drawn, ddof=1)) if np.isfinite(drawn).all() else math.nan
  return Gain(float(value), low, high, int(both.any(1).sum()), POWER * error, base, other, relative)


def crossed(values, wholes=None, groups=None, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
  """The mean of (clips,), (clips, seeds) or (lines, listeners), nan where missing; the rest as in `paired`."""
  values = _table(values)
  known = ~np.isnan(values)
  if not known.any():
    raise BadInput('a figure of no clips: there is nothing to measure')
  wholes = np.where(known, 1.0 if wholes is None else _table(wholes), 0.0)
  sums = [_grouped(np.where(known, values, 0.0), groups), _grouped(wholes, groups)]
  value, drawn = _drawn(np.divide, sums, resamples, seed)
  return Interval(float(value), *_ends(drawn), int(known.any(1).sum()))


@dataclass(frozen=True)
class RankCorrelation(Interval):
  """Spearman's, of rows in two orders. chance: how often a random order agrees at least as well."""

  chance: float = math.nan

  def row(self) -> dict:
    return {**super().row(), 'chance': or_null(self.chance)}


def rank_correlation(published, measured, resamples: int = RESAMPLES, seed: int = 0) -> RankCorrelation:
  """Does what was `measured` of each row, (rows, clips) or (rows, clips, seeds), rank them as `published` (rows,) does?

  Clips and seeds are drawn for all rows together. Measured means alone, (rows,), have no interval.
  Raises BadInput for fewer than three rows, for different numbers of them, and where all are equal.
  """
  published, measured = np.asarray(published, float), np.asarray(measured, float)
  if len(published) != len(measured) or len(published) < 3:
    raise BadInput(f'{len(published)} published rows and {len(measured)} measured: an order takes three or more')
  means = measured.reshape(len(measured), -1).mean(1)
  if np.ptp(published) == 0 or np.ptp(means) == 0:
    raise BadInput('all rows are equal: they have no order')
  value = float(_spearman(published, means[None])[0])
  rng = np.random.default_rng(seed)
  shuffled = rng.permuted(np.tile(means, (resamples, 1)), axis=1)
  chance = (1 + np.sum(_spearman(published, shuffled) >= value - 1e-12)) / (resamples + 1)
  clips = measured.shape[1] if measured.ndim > 1 else 1
  if clips < 2:
    return RankCorrelation(value, math.nan, math.nan, clips, float(chance))
  tables = [_table(row) for row in measured]
  tables.append(np.ones_like(tables[0]))
  _, drawn = _drawn(lambda *sums: np.stack(sums[:-1], axis=-1), tables, resamples, seed)
  return RankCorrelation(value, *_ends(_spearman(published, drawn)), clips, float(chance))


def _spearman(reference, rows):
  """reference (n,), rows (R, n) -> (R,); 0 for a row in which all are equal."""
  from scipy.stats import rankdata

  a, b = rankdata(reference), rankdata(rows, axis=1)
  a, b = a - a.mean(), b - b.mean(1, keepdims=True)
  return b @ a / np.sqrt(np.maximum((a @ a) * np.square(b).sum(1), 1e-12))


def _table(values) -> np.ndarray:
  """(rows,) or (rows, columns) -> (rows, columns) float."""
  values = np.asarray(values, float)
  return values[:, None] if values.ndim == 1 else values


def _grouped(table, groups) -> np.ndarray:
  """Rows of one label added up."""
  if groups is None:
    return table
  _, place = np.unique(np.asarray(groups), return_inverse=True)
  summed = np.zeros((place.max() + 1, table.shape[1]))
  np.add.at(summed, place, table)
  return summed


def _drawn(statistic, tables, resamples, seed):
  """A statistic of the tables' sums, and what it is, (resamples, ...), when rows and columns of all are drawn again.

  Rows and columns with nothing in the last table are left out. nan where there is but one row.
  """
  full = [np.flatnonzero(tables[-1].any(1 - axis)) for axis in (0, 1)]
  tables = [table[np.ix_(*full)] for table in tables]
  value = statistic(*(np.array(table.sum()) for table in tables))
  drawn = np.repeat(value[None], resamples, axis=0)
  rng = np.random.default_rng(seed)
  for axis, count in enumerate(map(len, full)):
    if count > 1:
      often = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
      # A draw of n varies by (n - 1) / n of what n more would: little for clips, a third for three seeds.
      wider = math.sqrt(count / (count - 1))
      drawn += wider * (statistic(*(often @ table.sum(1 - axis) for table in tables)) - value)
  return value, drawn if len(full[0]) > 1 else np.full_like(drawn, np.nan)


def _ends(drawn) -> tuple[float, float]:
  low, high = np.percentile(drawn, [2.5, 97.5], method='nearest')  # between two of which one is infinite lies nothing
  return float(low), float(high)
