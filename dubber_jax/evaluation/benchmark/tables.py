"""Reports of benchmarks: Markdown tables for people, the same as JSON for programs, and a plot.

The writers take plain rows and measure nothing. Their JSON is what `docs/results/benchmarks/` holds: `gains.json` with
METRIC_gain for each headline gain, `ablations.json` with `rows`; every value is {mean, low, high, ...}, null where not
known. `compare` compares two such files.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.plots import draw_ablations, draw_gains
from dubber_jax.evaluation.bootstrap import Gain, Interval, RankCorrelation
from dubber_jax.storage.atomic import complete_file

NAMING = ('metric', 'of', 'over', 'number', 'name')  # keys that identify a row across reports


@dataclass(frozen=True)
class Comparison:
  """A gain in `metric` (as emotion_accuracy) of system `of` over system `over`, with the target set beforehand."""

  metric: str
  of: str
  over: str
  gain: Gain
  target: float | None = None

  @property
  def verdict(self) -> str:
    """The gain against the target, as far as the interval allows."""
    if self.target is None:
      return ''
    if self.gain.low >= self.target:
      return 'reached'
    if self.gain.value >= self.target:
      return 'reached, but the interval goes below it'
    return 'not reached' if self.gain.high < self.target else 'not reached, but the interval goes above it'


@dataclass(frozen=True)
class Ablation:
  """A row of an ablation: what is left out, each metric, its change from the full model, and the published change."""

  number: int
  left_out: str
  figures: Mapping[str, Interval]
  changes: Mapping[str, Gain]
  published: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class More:
  """Further parts of a report: tables {heading: rows}, and pictures {heading: a picture or page in its folder}."""

  tables: Mapping[str, Sequence[Mapping]] = field(default_factory=dict)
  pictures: Mapping[str, str] = field(default_factory=dict)

  def text(self) -> str:
    parts = [f'## {heading}\n\n{table(_with_headings(rows))}' for heading, rows in self.tables.items()]
    for heading, name in self.pictures.items():
      parts.append(f'![{heading}]({name})' if name.endswith('.png') else f'[{heading}]({name})')
    return '\n\n'.join(parts)

  def data(self) -> dict:
    return {heading.lower().replace(' ', '_'): _plain(rows) for heading, rows in self.tables.items()}


NO_MORE = More()


def write_gains(
  folder: str | Path,
  comparisons: Sequence[Comparison],
  headline: tuple[str, str],
  facts: Mapping[str, str],
  more: More = NO_MORE,
) -> None:
  """Writes gains.md, gains.json and gains.png. headline: the systems (of, over) whose gains are METRIC_gain in the
  JSON.

  facts: provenance, as commit, seeds, machine. Raises BadInput where the headline was not compared.
  """
  first = {c.metric: c for c in comparisons if (c.of, c.over) == headline}
  if not first:
    raise BadInput(f'no comparison of {headline[0]} with {headline[1]}, which is the headline')
  rows = [
    {
      'metric': _readable(c.metric),
      'gain of': f'{c.of} over {c.over}',
      'gain (95 % interval)': c.gain,
      'minimum detectable': c.gain.smallest,
      'target': c.target,
      '': c.verdict,
    }
    for c in comparisons
  ]
  data = {f'{metric}_gain': _compared(c) for metric, c in first.items()}
  data['comparisons'] = [{'metric': c.metric, 'of': c.of, 'over': c.over, **_compared(c)} for c in comparisons]
  text = table(rows, {'minimum detectable': '{:.1%}', 'target': '{:+.1%}'})
  pictures = {'gains with their 95 % intervals': 'gains.png', **more.pictures}
  _write(folder, 'gains', 'Gains', text, data, facts, More(more.tables, pictures))
  shown = {}
  for c in comparisons:
    shown.setdefault(_readable(c.metric), []).append((f'{c.of} over {c.over}', c.gain))
  draw_gains(Path(folder) / 'gains.png', shown, {_readable(c.metric): c.target for c in first.values() if c.target})


def write_ablations(
  folder: str | Path,
  full: Mapping[str, Interval],
  rows: Sequence[Ablation],
  ranks: Mapping[str, RankCorrelation],
  facts: Mapping[str, str],
  more: More = NO_MORE,
) -> None:
  """Writes ablations.md, ablations.json and ablations.png. full: the metrics of the model with nothing left out."""
  metrics = list(full)
  lines = [{'': '', 'left out': 'nothing', **{_readable(m): full[m] for m in metrics}}]
  for row in rows:
    lines.append({'': row.number, 'left out': row.left_out})
    for m in metrics:
      lines[-1] |= {_readable(m): row.figures.get(m), f'change of {_readable(m)}': row.changes.get(m)}
      if any(m in other.published for other in rows):
        lines[-1][f'published change of {_readable(m)}'] = row.published.get(m)
  text = table(lines, {f'published change of {_readable(m)}': '{:+.1%}' for m in metrics})
  for metric, rank in ranks.items():
    text += (
      f'\n\nRank correlation of {_readable(metric)} with the published rows: {rank.show()}; '
      f'p = {rank.chance:.3f} by permutation.'
    )
  data = {
    'full': {m: figure.row() for m, figure in full.items()},
    'rows': [
      {
        'number': row.number,
        'left_out': row.left_out,
        'published': dict(row.published),
        **{
          m: {**figure.row(), 'change': row.changes[m].row() if m in row.changes else None}
          for m, figure in row.figures.items()
        },
      }
      for row in rows
    ],
    'rank_correlation': {metric: rank.row() for metric, rank in ranks.items()},
  }
  shown = [m for m in metrics if all(m in row.changes for row in rows)]
  if shown:
    Path(folder).mkdir(parents=True, exist_ok=True)
    more = More(more.tables, {'change by leaving out': 'ablations.png', **more.pictures})
    names = [f'{row.number}. {row.left_out}' for row in rows]
    draw_ablations(
      Path(folder) / 'ablations.png',
      names,
      {_readable(m): [row.changes[m] for row in rows] for m in shown},
      {_readable(m): [row.published.get(m) for row in rows] for m in shown},
    )
  _write(folder, 'ablations', 'Ablations', text, data, facts, more)


def write_rows(
  folder: str | Path, name: str, title: str, rows: Sequence[Mapping], facts: Mapping[str, str], more: More = NO_MORE
) -> None:
  """Writes NAME.md and NAME.json of any rows, as those of retrieval: values are intervals, numbers or text."""
  _write(folder, name, title, table(_with_headings(rows)), {'rows': _plain(rows)}, facts, more)


def _with_headings(rows):
  return [{_readable(k): v for k, v in row.items()} for row in rows]


def _plain(rows):
  return [{k: v.row() if isinstance(v, Interval) else v for k, v in row.items()} for row in rows]


def table(rows: Sequence[Mapping], forms: Mapping[str, str] = MappingProxyType({})) -> str:
  """Markdown table of rows of intervals, numbers and text; columns in the order of first use. '' for no rows."""
  if not rows:
    return ''
  columns = list(dict.fromkeys(column for row in rows for column in row))
  shown = [columns, ['---'] * len(columns)]
  shown += [[_cell(row.get(column), forms.get(column)) for column in columns] for row in rows]
  return '\n'.join(f'| {" | ".join(cell.replace("|", "/") for cell in row)} |' for row in shown)


def _cell(value, form) -> str:
  if value is None or isinstance(value, float) and math.isnan(value):
    return ''
  if isinstance(value, Interval):
    return value.show(form) if form else value.show()
  if isinstance(value, float):
    return (form or '{:.3g}').format(value)
  return str(value)


def compare(first: str | Path, second: str | Path) -> list[dict]:
  """Differences of all values that two JSON reports share: rows of 'figure', 'first', 'second', 'difference',
  'verdict'.

  The difference's interval is combined from those of the two (Zou and Donner 2008) as if they were independent: for
  runs on the same clips, `paired` detects smaller differences.
  Raises BadInput for files that cannot be read or share no value.
  """
  a, b = (dict(_figures(_read(path))) for path in (first, second))
  shared = [name for name in a if name in b]
  if not shared:
    raise BadInput(f'{first} and {second} share no figure: give two reports of the same benchmark')
  rows = []
  for name in shared:
    x, y = a[name], b[name]
    difference = y.value - x.value
    reach = math.hypot(*(y.high - y.value, x.value - x.low) if difference < 0 else (x.high - x.value, y.value - y.low))
    if math.isnan(reach):
      verdict = 'unknown: no interval'
    elif abs(difference) <= reach:
      verdict = 'no significant difference'
    else:
      verdict = 'the second is higher' if difference > 0 else 'the second is lower'
    rows.append({'figure': name, 'first': x, 'second': y, 'difference': difference, 'verdict': verdict})
  return rows


def _figures(value, path=''):
  """(path, Interval) of every {mean, low, high} in nested JSON; list items are identified by NAMING, else by index."""
  if isinstance(value, dict):
    if {'mean', 'low', 'high'} <= set(value):
      numbers = (math.nan if value[part] is None else float(value[part]) for part in ('mean', 'low', 'high'))
      yield path, Interval(*numbers, value.get('clips', 0))
    for key, inner in value.items():
      yield from _figures(inner, f'{path}.{key}' if path else key)
  elif isinstance(value, list):
    for place, inner in enumerate(value):
      names = [str(inner[k]) for k in NAMING if isinstance(inner, dict) and k in inner]
      yield from _figures(inner, f'{path}[{" ".join(names) or place}]')


def _compared(c: Comparison) -> dict:
  return {**c.gain.row(), 'target': c.target, 'verdict': c.verdict}


def _readable(name: str) -> str:
  return name.replace('_', ' ')


def _read(path):
  try:
    return json.loads(Path(path).read_text(encoding='utf-8'))
  except (OSError, ValueError) as e:
    raise BadInput(f'{path} cannot be read as a JSON report ({e})') from e


def _write(folder, name, title, text, data, facts, more=NO_MORE):
  folder = Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  provenance = '\n'.join(f'- {key}: {value}' for key, value in facts.items())
  parts = [f'# {title}', text, provenance, more.text(), f'The same for programs: `{name}.json`.']
  with complete_file(folder / f'{name}.md', overwrite=True) as beside:
    beside.write_text('\n\n'.join(filter(None, parts)) + '\n', encoding='utf-8')
  report = json.dumps({**data, **more.data(), 'facts': dict(facts)}, indent=1, ensure_ascii=False, allow_nan=False)
  with complete_file(folder / f'{name}.json', overwrite=True) as beside:
    beside.write_text(report + '\n', encoding='utf-8')
