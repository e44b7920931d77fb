"""Pictures of benchmark reports. All take plain rows and write a png, which appears only when complete."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dubber_jax.evaluation.bootstrap import Gain, Interval
from dubber_jax.storage.atomic import complete_file

COLORS = ('#3b6ea5', '#c8743c', '#4f8f5b', '#8a5a9e', '#9a9a9a', '#b5484f')
TARGET = '#c0392b'
DOTS = 110  # an inch
ACROSS = 3  # places side by side


def draw_gains(path: str | Path, rows: Mapping[str, Sequence[tuple[str, Gain]]], targets: Mapping[str, float]) -> None:
  """{metric: [(what is compared, its gain)]}: each gain as a point with its interval, against zero and the target."""
  across = min(len(rows), ACROSS)
  sheet, places = _sheet(-(-len(rows) // across), across, 4.6, 0.9 + 0.32 * max(map(len, rows.values())))
  places = list(places)
  for place in places[len(rows) :]:
    place.axis('off')
  for place, (metric, gains) in zip(places, rows.items(), strict=False):
    height = np.arange(len(gains))[::-1]
    for y, (_, gain) in zip(height, gains, strict=True):
      _point(place, y, gain, COLORS[0] if gain.told_from_zero else COLORS[4])
    place.axvline(0, color='#888888', linewidth=0.8)
    if metric in targets:
      place.axvline(targets[metric], color=TARGET, linestyle='--', linewidth=1.2)
      place.set_xlabel(f'dashed: target {targets[metric]:+.1%}', fontsize=8, color=TARGET)
    place.set_yticks(height, [name for name, _ in gains], fontsize=8)
    place.set_ylim(-0.6, len(gains) - 0.4)
    place.set_title(metric, fontsize=10)
    if all(gain.relative for _, gain in gains):
      place.xaxis.set_major_formatter(_percent)
  _save(sheet, path)


def draw_ablations(
  path: str | Path,
  names: Sequence[str],
  changes: Mapping[str, Sequence[Gain]],
  published: Mapping[str, Sequence[float | None]],
) -> None:
  """A bar a row for {metric: what leaving it out changed}, with its interval; a diamond is the published change."""
  sheet, places = _sheet(1, len(changes), 4.6, 1.1 + 0.34 * len(names))
  height = np.arange(len(names))[::-1]
  for place, (metric, gains) in zip(places, changes.items(), strict=True):
    place.barh(height, [gain.value for gain in gains], height=0.6, color=COLORS[0], alpha=0.75)
    for y, gain in zip(height, gains, strict=True):
      place.plot([gain.low, gain.high], [y, y], color='#222222', linewidth=1.2)
    theirs = [(value, y) for value, y in zip(published.get(metric, ()), height, strict=False) if value is not None]
    if theirs:
      place.scatter(*zip(*theirs, strict=True), marker='D', s=26, color=TARGET, zorder=3, label='published')
      place.legend(fontsize=8, loc='best')
    place.axvline(0, color='#888888', linewidth=0.8)
    place.set_yticks(height, names, fontsize=8)
    place.set_title(f'{metric}, change by leaving out', fontsize=10)
    place.xaxis.set_major_formatter(_percent)
  _save(sheet, path)


def draw_courses(
  path: str | Path, courses: Mapping[str, Sequence[tuple[float, Interval]]], across: str, up: str
) -> None:
  """{arm: [(x, figure)]}: a line an arm with its intervals, as quality against rounds; of one figure, a point."""
  sheet, (place,) = _sheet(1, 1, 5.4, 3.6)
  for (arm, points), color in zip(courses.items(), COLORS * (1 + len(courses) // len(COLORS)), strict=False):
    x, values = [p[0] for p in points], [p[1] for p in points]
    place.plot(x, [v.value for v in values], marker='o', color=color, label=arm)
    low, high = [v.low for v in values], [v.high for v in values]
    if len(x) > 1:
      place.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
    else:
      place.vlines(x, low, high, color=color, linewidth=1.6)
  place.set(xlabel=across, ylabel=up)
  place.legend(fontsize=8)
  _save(sheet, path)


def draw_groups(path: str | Path, groups: Mapping[str, Mapping[str, Mapping[str, Interval]]], across: str) -> None:
  """{heading: {arm: {group: figure}}}: arms side by side in each group, with their intervals, as by emotion."""
  most = max(len(next(iter(arms.values()))) for arms in groups.values())
  sheet, places = _sheet(1, len(groups), 2.2 + 0.55 * most, 3.4)
  for place, (heading, arms) in zip(places, groups.items(), strict=True):
    names = list(next(iter(arms.values())))
    for i, (arm, found) in enumerate(arms.items()):
      x = np.arange(len(names)) + 0.8 * (i - (len(arms) - 1) / 2) / len(arms)
      color = COLORS[i % len(COLORS)]
      place.vlines(x, [found[n].low for n in names], [found[n].high for n in names], color=color, linewidth=1.6)
      place.plot(x, [found[n].value for n in names], 'o', color=color, markersize=5, label=arm)
    place.set_xticks(range(len(names)), names, rotation=30, ha='right', fontsize=8)
    place.set_title(heading, fontsize=10)
    place.set_ylabel(across, fontsize=8)
    place.legend(fontsize=7)
  _save(sheet, path)


def draw_confusions(path: str | Path, names: Sequence[str], pairs: Mapping[str, Sequence[tuple[str, str]]]) -> None:
  """{heading: [(asked, heard)]}: a square each of how often what was asked (a row) is heard as what (a column)."""
  names = list(names)
  sheet, places = _sheet(1, len(pairs), 4, 4.6)
  for place, (heading, found) in zip(places, pairs.items(), strict=True):
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, tuple(np.array([[names.index(n) for n in pair] for pair in found], int).reshape(-1, 2).T), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    place.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    for i, j in np.ndindex(shares.shape):
      place.text(
        j,
        i,
        f'{shares[i, j]:.0%}',
        ha='center',
        va='center',
        fontsize=7,
        color='white' if shares[i, j] > 0.5 else 'black',
      )
    place.set_xticks(range(len(names)), names, rotation=45, ha='right', fontsize=8)
    place.set_yticks(range(len(names)), names, fontsize=8)
    place.set_title(f'{heading}, {len(found)} clips', fontsize=10)
    place.set(xlabel='heard', ylabel='asked')
  _save(sheet, path)


def _sheet(down, across, width, height):
  """Inches of one place -> the figure and its places."""
  from matplotlib.figure import Figure

  sheet = Figure(figsize=(width * across, height * down), layout='constrained')
  return sheet, sheet.subplots(down, across, squeeze=False).flat


def _point(place, y, gain, color):
  place.plot([gain.low, gain.high], [y, y], color=color, linewidth=2.4, solid_capstyle='round')
  place.plot([gain.value], [y], marker='o', color=color)


def _percent(value, _):
  return f'{value:+.0%}'


def _save(sheet, path):
  with complete_file(path, overwrite=True) as beside:
    sheet.savefig(beside, dpi=DOTS, bbox_inches='tight')
