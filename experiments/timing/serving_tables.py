"""Figures of the server (serving.py) as Markdown and as a picture."""

import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LOAD = (
  '| | requests/s | sound, s/s | first sound, ms: p50, p95, p99 | last sound, ms: p50, p95, p99 | refused |',
  '|---|---|---|---|---|---|',
)


def markdown(found: Mapping[str, Any]) -> str:
  """The tables of the parts that were measured."""
  rows = [f'{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}', '']
  if 'load' in found or 'loop' in found:
    rows += [*LOAD, *_loop_rows(found.get('loop')), *_load_rows(found.get('load')), '']
  facts = [
    fact for part in ('soak', 'fuzz', 'kills', 'ready', 'desk') if part in found for fact in FACTS[part](found[part])
  ]
  if facts:
    rows += ['| what | figure |', '|---|---|', *(f'| {what} | {figure} |' for what, figure in facts), '']
  for part, measured in found.items():
    beside = f'. {measured["machine"]}' if measured['machine'] else ''
    rows.append(f'- {part}: {measured["date"]}, load average {measured["load_average"]}{beside}')
  return '\n'.join(rows) + '\n'


LOOPS = {'rehearsed': 'loop of `dj.speak`, rehearsed', 'one_take': 'loop of `dj.speak`, one take'}


def _loop_rows(loops: Mapping[str, Any] | None) -> Iterator[str]:
  for kind, name in LOOPS.items() if loops else ():
    loop = loops[kind]
    rates = f'{loop["per_second"]:.2f} | {loop["real_time"]:.2f}'
    yield f'| {name} | {rates} | as the last | {_three(loop["total_ms"])} | |'


def _load_rows(load: Mapping[str, Any] | None) -> Iterator[str]:
  for row in load['clients'] if load else ():
    name = f'{row["clients"]} client{"s" if row["clients"] > 1 else ""}'
    rates = f'{row["per_second"]:.2f} | {row["real_time"]:.2f}'
    yield (
      f'| {name} | {rates} | {_three(row["first_ms"])} | {_three(row["total_ms"])} | '
      f'{row["refused"]} of {row["requests"]} |'
    )


def _soak(soak: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
  rate = f'{soak["asked_per_second"]:.2f} requests/s'
  what = f'{soak["minutes"]:g} min at twice the capacity ({rate}): spoken, refused by 429, lost'
  yield what, f'{soak["spoken"]}, {soak["refused"]}, {soak["lost"]}'
  sizes = f'{soak["memory_start_mb"]}, {soak["memory_end_mb"]} MB'
  yield 'memory after the warm-up and at the end; growth', f'{sizes}; {100 * soak["memory_growth"]:+.1f} %'


def _fuzz(fuzz: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
  what = f'{fuzz["requests"]} damaged requests to {fuzz["routes"]} routes: status 500; wrong in another way'
  yield what, f'{fuzz["status_500"]}; {len(fuzz["wrong"]) - fuzz["status_500"]}'


def _kills(kills: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
  worker, server = kills['upload_worker'], kills['server']
  yield f'{worker["kills"]} kills of the process that reads an upload: faults', f'{len(worker["faults"])}'
  what = f'{server["kills"]} kills of the server, {server["projects"]} projects: faults'
  yield what, f'{len(server["faults"]) + bool(server["after"])}'


def _ready(ready: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
  what = 'from start to ready: compilation cache empty; filled'
  yield what, f'{ready["empty_cache_seconds"]} s; {ready["second_start_seconds"]} s'


def _desk(desk: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
  yield f'desk: note to sound, {desk["notes"]} notes: p50, p95, p99', f'{_three(desk["note_to_sound_ms"])} ms'
  yield 'desk: page before media', f'{desk["page_bytes"] / 1000:.0f} kB'
  serious = ', '.join(str(len(each['serious'])) for each in desk['axe'].values())
  yield 'desk: serious findings of axe, desktop and phone', serious


FACTS = {'soak': _soak, 'fuzz': _fuzz, 'kills': _kills, 'ready': _ready, 'desk': _desk}


def _three(times: Mapping[str, float | None]) -> str:
  return ', '.join('-' if value is None else f'{value:.0f}' for value in times.values())


def draw(load: Mapping[str, Any], loops: Mapping[str, Any] | None, path: Path) -> None:
  """Writes a picture of the times over the number of clients, with those of the loop as a line."""
  import matplotlib

  matplotlib.use('Agg')
  from matplotlib import pyplot as plt

  rows = [row for row in load['clients'] if row['spoken']]
  clients = [row['clients'] for row in rows]
  figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
  for axis, (key, title) in zip(axes, (('first_ms', 'first sound'), ('total_ms', 'last sound')), strict=True):
    for name, style in (('p50', 'o-'), ('p95', 's--'), ('p99', '^:')):
      axis.plot(clients, [row[key][name] / 1e3 for row in rows], style, label=name)
    if loops:
      axis.axhline(loops['one_take']['total_ms']['p50'] / 1e3, color='gray', lw=1, label='loop of dj.speak, p50')
    axis.set(xscale='log', yscale='log', xlabel='clients', title=title, xticks=clients, xticklabels=clients)
    axis.minorticks_off()
    axis.grid(alpha=0.3)
  axes[0].set_ylabel('seconds')
  axes[1].legend()
  figure.tight_layout()
  figure.savefig(path, dpi=110)
  plt.close(figure)
