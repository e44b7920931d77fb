"""Training log: progress bar, log.jsonl, goodput.jsonl, TensorBoard event files and a plot of the loss."""

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from etils import epath
from tqdm import tqdm

from dubber_jax.storage.atomic import atomic_file
from dubber_jax.training import goodput
from dubber_jax.training.checkpoints import is_local

ROWS, CURVE = 'log.jsonl', 'loss.png'
DRAW_EVERY = 60  # seconds between two plots of the loss, at least
CAUSES = {  # what time is spent on, as training/goodput.py counts it
  'input': 'data_loading_sync',
  'compiling': 'program_startup',
  'saving': 'unproductive_checkpoint_save_time',
  'eval': 'custom_badput_events',
}


class Log:
  """Log of a run, written by its primary process; on the others `active` is off and nothing is written.

  Files are written under `local`: the workdir or, for one in a bucket, a local folder that `publish` copies there.
  Rows after step `start`, of steps that were lost, are dropped. watch: of this start of the run, by default a new one;
  productive time begins here.
  """

  def __init__(
    self,
    workdir: epath.Path,
    start: int,
    end: int,
    progress: bool = True,
    active: bool = True,
    watch: goodput.Stopwatch | None = None,
  ):
    self.active, self.values = active, {}
    self._start, self._watch = start, watch or goodput.Stopwatch()
    self._remote = None if is_local(workdir) else workdir
    self._drawn = time.monotonic()
    self._bar = tqdm(total=end, initial=start, unit='step', disable=not (progress and active))
    self._reset()
    if not active:
      return
    self.local = Path(tempfile.mkdtemp(prefix='dubber-log-')) if self._remote else Path(workdir)
    self._published: dict[Path, float] = {}
    for name in (ROWS, goodput.ROWS):
      if self._remote and (workdir / name).exists():
        (self.local / name).write_bytes((workdir / name).read_bytes())
    kept = [row for row in read_log(self.local) if row['step'] <= start]
    with atomic_file(self.local / ROWS) as partial:
      partial.write_text(''.join(json.dumps(row) + '\n' for row in kept), encoding='utf-8')
    self._lines = open(self.local / ROWS, 'a', encoding='utf-8')  # noqa: SIM115 (closed in close)
    begun = self._watch.begun(start)
    self._before = goodput.measure([*goodput.read_rows(self.local), begun])  # with no time of this start
    cut_off = (self.local / goodput.ROWS).exists() and not (self.local / goodput.ROWS).read_bytes().endswith(b'\n')
    self._goodput = open(self.local / goodput.ROWS, 'a', encoding='utf-8')  # noqa: SIM115 (closed in close)
    self._goodput.write('\n' if cut_off else '')
    from tensorboardX import SummaryWriter

    self._board = SummaryWriter(str(self.local / 'tensorboard'), purge_step=start + 1)
    self._watch.steps_begin()

  def _reset(self):
    self._since, self._steps = time.monotonic(), 0
    self._done = {'items': 0.0, 'speech': 0.0, 'flops': 0.0}
    self._spent = dict.fromkeys(CAUSES, 0.0)

  @contextlib.contextmanager
  def spent(self, on: str) -> Iterator[None]:
    """Context whose wall time counts as input, compiling, saving or eval (evaluation and samples)."""
    began = time.monotonic()
    try:
      with self._watch.on(CAUSES[on]):
        yield
    finally:
      self._spent[on] += time.monotonic() - began

  def add(self, items: float, speech_seconds: float = 0.0, flops: float = 0.0):
    """Counts a step: its items, seconds of speech and FLOPs."""
    self._steps += 1
    for name, value in (('items', items), ('speech', speech_seconds), ('flops', flops)):
      self._done[name] += value
    self._bar.update(1)

  def write(self, number: int, values: dict[str, float], peak_flops: float = 0.0):
    """Logs the metrics of a step, with throughput, MFU and shares of wall time since the last row. peak_flops: per
    second, of all devices together."""
    seconds = max(time.monotonic() - self._since, 1e-9)
    rates = {'steps_per_second': self._steps / seconds, 'items_per_second': self._done['items'] / seconds}
    if self._done['speech']:
      rates['speech_hours_per_second'] = self._done['speech'] / 3600 / seconds
    if peak_flops and self._done['flops']:
      rates['mfu'] = self._done['flops'] / seconds / peak_flops
    shares = {f'share/{name}': spent / seconds for name, spent in self._spent.items()}
    self._reset()
    self.show(number, values | rates | shares | self._count(number))
    if 'total' in values:
      self._bar.set_postfix_str(f'loss {values["total"]:.3f}')

  def finish(self, number: int, reached: bool) -> goodput.Goodput | None:
    """Goodput of the run at the end of this start; None on other processes than the first. reached: it has trained as
    far as it was asked to, and was not interrupted."""
    self._watch.steps_end()
    self._count(number, reached)
    return self._found if self.active else None

  def _count(self, number: int, reached: bool = False) -> dict[str, float]:
    """Adds a row to goodput.jsonl -> {'goodput': that of the run so far}."""
    if not self.active:
      return {}
    row = self._watch.row(self._start, number, reached)
    self._goodput.write(json.dumps(row) + '\n')
    self._goodput.flush()
    self._found = self._before.plus(row)
    return {'goodput': self._found.share}

  def show(self, number: int, values: dict[str, float]):
    """Logs values as a row."""
    self.values |= values
    if not self.active:
      return
    rounded = {k: float(f'{v:.7g}') for k, v in values.items()}
    self._lines.write(json.dumps({'step': number} | rounded) + '\n')
    self._lines.flush()
    for name, value in values.items():
      self._board.add_scalar(name, value, number)

  def publish(self, last: bool = False):
    """Plots the loss at most every DRAW_EVERY seconds, and copies new files to a workdir in a bucket."""
    if not self.active:
      return
    if last or time.monotonic() - self._drawn > DRAW_EVERY:
      draw_loss(read_log(self.local), self.local / CURVE)
      self._drawn = time.monotonic()
    self._board.flush()
    for path in self.local.rglob('*') if self._remote else ():
      changed = path.stat().st_mtime
      if path.is_file() and self._published.get(path) != changed:
        target = self._remote / str(path.relative_to(self.local))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        self._published[path] = changed

  def close(self):
    self._bar.close()
    if self.active:
      self.publish(last=True)
      self._lines.close()
      self._goodput.close()
      self._board.close()


def read_log(folder: str | os.PathLike) -> Iterator[dict]:
  """Rows of a run's log.jsonl; a truncated last line is left out."""
  path = epath.Path(folder) / ROWS
  for line in path.read_text(encoding='utf-8').splitlines() if path.exists() else ():
    with contextlib.suppress(json.JSONDecodeError):
      yield json.loads(line)


def draw_loss(rows: Sequence[dict[str, Any]], path: Path):
  """Plots the total loss at every logged step, its running mean, and evaluations."""
  import matplotlib

  matplotlib.use('agg')
  import numpy as np
  from matplotlib import pyplot as plt

  rows = list(rows)
  figure, axis = plt.subplots(figsize=(8, 4), layout='constrained')
  for name, color in (('total', 'tab:blue'), ('eval/total', 'tab:red')):
    points = np.array([(r['step'], r[name]) for r in rows if np.isfinite(r.get(name, np.nan))], float).reshape(-1, 2)
    if not len(points):
      continue
    steps, loss = points.T
    axis.plot(steps, loss, color=color, alpha=0.35, linewidth=0.8, marker='.' if len(steps) < 30 else '')
    width = max(1, len(loss) // 20)
    mean = np.convolve(np.pad(loss, (width - 1, 0), 'edge'), np.full(width, 1 / width), 'valid')
    axis.plot(steps, mean, color=color, label='evaluation' if 'eval' in name else 'training')
  axis.set(xlabel='step', ylabel='loss')
  if axis.get_legend_handles_labels()[0]:
    axis.legend()
  axis.grid(alpha=0.3)
  with atomic_file(path) as partial:
    figure.savefig(partial, dpi=100)
  plt.close(figure)
