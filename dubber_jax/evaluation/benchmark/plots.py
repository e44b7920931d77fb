"""Plots of benchmark reports. All take plain rows and write a png, which appears only when complete."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dubber_jax.evaluation.bootstrap import Gain, Interval
from dubber_jax.storage.atomic import complete_file

COLORS = ('#3b6ea5', '#c8743c', '#4f8f5b', '#8a5a9e', '#9a9a9a', '#b5484f')
TARGET = '#c0392b'
DPI = 110
ACROSS = 3  # axes side by side


def draw_gains(path: str | Path, rows: Mapping[str, Sequence[tuple[str, Gain]]], targets: Mapping[str, float]) -> None:
  """Forest plot of {metric: [(comparison, gain)]}: points with intervals, against zero and the target."""
  across = min(len(rows), ACROSS)
  figure, axes = _figure(-(-len(rows) // across), across, 4.6, 0.9 + 0.32 * max(map(len, rows.values())))
  axes = list(axes)
  for axis in axes[len(rows) :]:
    axis.axis('off')
  for axis, (metric, gains) in zip(axes, rows.items(), strict=False):
    height = np.arange(len(gains))[::-1]
    for y, (_, gain) in zip(height, gains, strict=True):
      _point(axis, y, gain, COLORS[0] if gain.told_from_zero else COLORS[4])
    axis.axvline(0, color='#888888', linewidth=0.8)
    if metric in targets:
      axis.axvline(targets[metric], color=TARGET, linestyle='--', linewidth=1.2)
      axis.set_xlabel(f'dashed: target {targets[metric]:+.1%}', fontsize=8, color=TARGET)
    axis.set_yticks(height, [name for name, _ in gains], fontsize=8)
    axis.set_ylim(-0.6, len(gains) - 0.4)
    axis.set_title(metric, fontsize=10)
    if all(gain.relative for _, gain in gains):
      axis.xaxis.set_major_formatter(_percent)
  _save(figure, path)


def draw_ablations(
  path: str | Path,
  names: Sequence[str],
  changes: Mapping[str, Sequence[Gain]],
  published: Mapping[str, Sequence[float | None]],
) -> None:
  """Bar chart of {metric: change by leaving out}, a bar a row with its interval; a diamond is the published change."""
  figure, axes = _figure(1, len(changes), 4.6, 1.1 + 0.34 * len(names))
  height = np.arange(len(names))[::-1]
  for axis, (metric, gains) in zip(axes, changes.items(), strict=True):
    axis.barh(height, [gain.value for gain in gains], height=0.6, color=COLORS[0], alpha=0.75)
    for y, gain in zip(height, gains, strict=True):
      axis.plot([gain.low, gain.high], [y, y], color='#222222', linewidth=1.2)
    theirs = [(value, y) for value, y in zip(published.get(metric, ()), height, strict=False) if value is not None]
    if theirs:
      axis.scatter(*zip(*theirs, strict=True), marker='D', s=26, color=TARGET, zorder=3, label='published')
      axis.legend(fontsize=8, loc='best')
    axis.axvline(0, color='#888888', linewidth=0.8)
    axis.set_yticks(height, names, fontsize=8)
    axis.set_title(f'{metric}, change by leaving out', fontsize=10)
    axis.xaxis.set_major_formatter(_percent)
  _save(figure, path)


def draw_courses(
  path: str | Path, courses: Mapping[str, Sequence[tuple[float, Interval]]], across: str, up: str
) -> None:
  """Line plot of {arm: [(x, value)]} with intervals, as quality against rounds; a single value is a point."""
  figure, (axis,) = _figure(1, 1, 5.4, 3.6)
  for (arm, points), color in zip(courses.items(), COLORS * (1 + len(courses) // len(COLORS)), strict=False):
    x, values = [p[0] for p in points], [p[1] for p in points]
    axis.plot(x, [v.value for v in values], marker='o', color=color, label=arm)
    low, high = [v.low for v in values], [v.high for v in values]
    if len(x) > 1:
      axis.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
    else:
      axis.vlines(x, low, high, color=color, linewidth=1.6)
  axis.set(xlabel=across, ylabel=up)
  axis.legend(fontsize=8)
  _save(figure, path)


def draw_groups(path: str | Path, groups: Mapping[str, Mapping[str, Mapping[str, Interval]]], across: str) -> None:
  """Point plot of {heading: {arm: {group: value}}}: arms side by side in each group, with their intervals."""
  most = max(len(next(iter(arms.values()))) for arms in groups.values())
  figure, axes = _figure(1, len(groups), 2.2 + 0.55 * most, 3.4)
  for axis, (heading, arms) in zip(axes, groups.items(), strict=True):
    names = list(next(iter(arms.values())))
    for i, (arm, found) in enumerate(arms.items()):
      x = np.arange(len(names)) + 0.8 * (i - (len(arms) - 1) / 2) / len(arms)
      color = COLORS[i % len(COLORS)]
      axis.vlines(x, [found[n].low for n in names], [found[n].high for n in names], color=color, linewidth=1.6)
      axis.plot(x, [found[n].value for n in names], 'o', color=color, markersize=5, label=arm)
    axis.set_xticks(range(len(names)), names, rotation=30, ha='right', fontsize=8)
    axis.set_title(heading, fontsize=10)
    axis.set_ylabel(across, fontsize=8)
    axis.legend(fontsize=7)
  _save(figure, path)


def draw_confusions(path: str | Path, names: Sequence[str], pairs: Mapping[str, Sequence[tuple[str, str]]]) -> None:
  """Confusion matrices of {heading: [(label, classified as)]}: a matrix each, in shares of a row."""
  names = list(names)
  figure, axes = _figure(1, len(pairs), 4, 4.6)
  for axis, (heading, found) in zip(axes, pairs.items(), strict=True):
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, tuple(np.array([[names.index(n) for n in pair] for pair in found], int).reshape(-1, 2).T), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    for i, j in np.ndindex(shares.shape):
      axis.text(
        j,
        i,
        f'{shares[i, j]:.0%}',
        ha='center',
        va='center',
        fontsize=7,
        color='white' if shares[i, j] > 0.5 else 'black',
      )
    axis.set_xticks(range(len(names)), names, rotation=45, ha='right', fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_title(f'{heading}, {len(found)} clips', fontsize=10)
    axis.set(xlabel='classified as', ylabel='label')
  _save(figure, path)


def _figure(down, across, width, height):
  """-> the figure and its axes, each of so many inches."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(width * across, height * down), layout='constrained')
  return figure, figure.subplots(down, across, squeeze=False).flat


def _point(axis, y, gain, color):
  axis.plot([gain.low, gain.high], [y, y], color=color, linewidth=2.4, solid_capstyle='round')
  axis.plot([gain.value], [y], marker='o', color=color)


def _percent(value, _):
  return f'{value:+.0%}'


def _save(figure, path):
  with complete_file(path, overwrite=True) as beside:
    figure.savefig(beside, dpi=DPI, bbox_inches='tight')
