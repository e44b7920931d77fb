"""Goodput and badput of a training run by cause, over all its restarts, in the words of ml-goodput-measurement.

Goodput is the time of the steps that the run's state consists of, over all time since the run's first start. The rest
is badput, by cause:

    tpu_initialization                        discovery of devices and of the other processes, on GPUs and CPUs too
    training_prep                             imports, data, initial state, the export at the start
    program_startup                           tracing and compilation of the step
    data_loading_sync                         steps waiting for a batch
    unproductive_checkpoint_save_time         blocking part of saves, and the wait for the last one
    unproductive_checkpoint_restore_time      reading the checkpoint at a restart
    wasted_progress_from_disruption           steps that were not saved, and are computed again
    infrastructure_recovery_from_disruption   from the last row of an interrupted start to the next start
    custom_badput_events                      evaluation and samples
    other

`goodput.jsonl` of a workdir has the seconds of each start so far, a row at each row of the log; rows are only added.
"""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from etils import epath

ROWS = 'goodput.jsonl'
STEP = 'step'  # productive time
CAUSES: tuple[str, ...] = (
  'tpu_initialization',
  'training_prep',
  'program_startup',
  'data_loading_sync',
  'unproductive_checkpoint_save_time',
  'unproductive_checkpoint_restore_time',
  'wasted_progress_from_disruption',
  'infrastructure_recovery_from_disruption',
  'custom_badput_events',
  'other',
)
_began = 0.0  # Unix time from which the next run of this process counts; 0: from the call of train
_initialization = 0.0  # seconds, not yet counted to a run


def count_from(began: float):
  """Sets the Unix time from which the next run of this process counts."""
  global _began
  _began = began


@contextlib.contextmanager
def initialization() -> Iterator[None]:
  """Context whose wall time counts as tpu_initialization of the next run of this process."""
  global _initialization
  began = time.monotonic()
  try:
    yield
  finally:
    _initialization += time.monotonic() - began


def process_began() -> float:
  """Unix time at which this process was started, of Linux's /proc; elsewhere the time of the call."""
  try:
    with open('/proc/self/stat', 'rb') as file:
      ticks = float(file.read().rpartition(b')')[2].split()[19])
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf('SC_CLK_TCK'))
  except (OSError, ValueError, IndexError, AttributeError):
    return time.time()


class Stopwatch:
  """Seconds of one start of a run by cause. What is in no context is training_prep, and between `steps_begin` and
  `steps_end` productive."""

  def __init__(self):
    global _began, _initialization
    now = time.time()
    self.began = self._counted = min(_began or now, now)
    self.seconds: dict[str, float] = {}
    self._rest, self._depth = 'training_prep', 0
    self._add('training_prep')
    given = min(_initialization, self.seconds['training_prep'])
    self.seconds |= {'tpu_initialization': given, 'training_prep': self.seconds['training_prep'] - given}
    _began = _initialization = 0.0

  def _add(self, cause: str):
    now = max(time.time(), self._counted)
    self.seconds[cause] = self.seconds.get(cause, 0.0) + now - self._counted
    self._counted = now

  @contextlib.contextmanager
  def on(self, cause: str) -> Iterator[None]:
    """Context whose wall time counts to a cause; one inside another counts to the outer one."""
    self._depth += 1
    if self._depth == 1:
      self._add(self._rest)
    try:
      yield
    finally:
      self._depth -= 1
      if self._depth == 0:
        self._add(cause)

  def steps_begin(self):
    self._add(self._rest)
    self._rest = STEP

  def steps_end(self):
    self._add(self._rest)
    self._rest = 'other'

  def begun(self, start: int) -> dict[str, Any]:
    """A row of this start before any of its time."""
    return {
      'began': round(self.began, 3),
      'time': round(self.began, 3),
      'start': start,
      'step': start,
      'end': False,
      'seconds': {},
    }

  def row(self, start: int, step: int, end: bool = False) -> dict[str, Any]:
    """The row of goodput.jsonl now: the run went on from `start` and is at `step`; `end`: it has reached its end."""
    if not self._depth:
      self._add(self._rest)
    seconds = {cause: round(s, 4) for cause, s in self.seconds.items()}
    return self.begun(start) | {'time': round(self._counted, 3), 'step': step, 'end': end, 'seconds': seconds}


@dataclass(frozen=True)
class Goodput:
  """Seconds of a run over all its starts."""

  total: float
  productive: float
  badput: dict[str, float] = field(default_factory=dict)  # by cause of CAUSES
  starts: int = 0
  step: int = 0  # that the run is at
  repeated: int = 0  # steps that were computed more than once

  @property
  def share(self) -> float:
    return self.productive / self.total if self.total else 0.0

  def plus(self, row: dict[str, Any]) -> 'Goodput':
    """With the time of the last start, which this was measured without."""
    badput = dict(self.badput)
    for cause, seconds in row['seconds'].items():
      if cause != STEP:
        badput[cause] += seconds
    productive = self.productive + row['seconds'].get(STEP, 0.0)
    return dataclasses.replace(
      self, total=productive + sum(badput.values()), productive=productive, badput=badput, step=row['step']
    )

  def to_json(self) -> dict[str, Any]:
    return {
      'goodput': self.share,
      'total_seconds': self.total,
      'productive_seconds': self.productive,
      'badput_seconds': self.badput,
      'starts': self.starts,
      'step': self.step,
      'repeated_steps': self.repeated,
    }

  def lines(self) -> Iterator[str]:
    """Lines of a readable report: goodput, then every cause that took time, the longest first."""
    starts = f'{self.starts} starts' if self.starts != 1 else '1 start'
    yield (
      f'goodput {self.share:.1%}: {self.productive:.1f} of {self.total:.1f} s in {starts} to step {self.step}, '
      f'{self.repeated} steps repeated'
    )
    for cause, seconds in sorted(self.badput.items(), key=lambda item: -item[1]):
      if seconds >= 0.05 or seconds / max(self.total, 1e-9) >= 0.001:
        yield f'  {cause} {seconds:.1f} s ({seconds / self.total:.1%})'


def read_rows(folder: str | os.PathLike) -> list[dict[str, Any]]:
  """Rows of a workdir's goodput.jsonl; what a kill has cut off is left out."""
  path = epath.Path(folder) / ROWS
  rows = []
  for line in path.read_text(encoding='utf-8').splitlines() if path.exists() else ():
    with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError, ValueError):
      row = json.loads(line)
      row = {name: float(row[name]) for name in ('began', 'time')} | {
        'start': int(row['start']),
        'step': int(row['step']),
        'end': bool(row['end']),
        'seconds': {str(cause): float(s) for cause, s in row['seconds'].items()},
      }
      rows.append(row)
  return rows


def measure(rows: Iterable[dict[str, Any]]) -> Goodput:
  """Goodput of the rows of one run.

  Time after the last row of a start that did not reach its end, at most train.log_every steps, counts with the pause
  behind it. The pause behind a start that reached its end is not counted.
  """
  starts: dict[float, list[dict[str, Any]]] = {}
  for row in rows:
    starts.setdefault(row['began'], []).append(row)
  ordered = [starts[began] for began in sorted(starts)]
  badput: dict[str, float] = dict.fromkeys(CAUSES, 0.0)
  productive, repeated, held = 0.0, 0, []  # held: (step before, step, productive seconds), in order
  for i, of_start in enumerate(ordered):
    first, last = of_start[0], of_start[-1]
    if i:
      before = ordered[i - 1][-1]
      if not before['end']:
        badput['infrastructure_recovery_from_disruption'] += max(first['began'] - before['time'], 0.0)
    held, steps, wasted = _cut(held, first['start'])
    repeated += steps
    badput['wasted_progress_from_disruption'] += wasted
    at, counted = first['start'], 0.0
    for row in of_start:
      seconds = row['seconds'].get(STEP, 0.0)
      held.append((at, row['step'], seconds - counted))
      at, counted = row['step'], seconds
    for cause, seconds in last['seconds'].items():
      if cause != STEP:
        badput[cause if cause in badput else 'other'] += seconds
  productive = sum(seconds for _, _, seconds in held)
  total = productive + sum(badput.values())
  return Goodput(total, productive, badput, len(ordered), ordered[-1][-1]['step'] if ordered else 0, repeated)


def _cut(held: Sequence[tuple[int, int, float]], at: int) -> tuple[list[tuple[int, int, float]], int, float]:
  """(intervals of steps up to `at`, steps after it, their seconds); one across `at` is divided by its steps."""
  kept, steps, wasted = [], 0, 0.0
  for first, last, seconds in held:
    inside = seconds if last <= at else seconds * max(at - first, 0) / max(last - first, 1)
    if first < at or last <= at:
      kept.append((first, min(last, at), inside))
    steps += max(last - max(first, at), 0)
    wasted += seconds - inside
  return kept, steps, wasted


def read_goodput(folder: str | os.PathLike) -> Goodput | None:
  """Goodput of a workdir; None where nothing was recorded."""
  rows = read_rows(folder)
  return measure(rows) if rows else None
