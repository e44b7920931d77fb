"""The training loop: one readable function for every network."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from tqdm import tqdm

from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.training.checkpoints import Workdir
from dubber_jax.training.sharding import batch_sharding, make_mesh
from dubber_jax.training.step import TrainState, create_state, make_step
from dubber_jax.training.task import Task

LONGEST_SKIP = 20  # steps in a row without a finite gradient, after which a run ends


def train(
  config: Config,
  task: Task,
  batches: Any,
  workdir: str | Path,
  initial: Any = None,
  on_start: Callable[[TrainState], None] | None = None,
  progress: bool = True,
) -> TrainState:
  """Trains to `config.train.steps`, or for `config.train.minutes`, and saves; goes on where it was stopped.

  `batches` has `iterator()`, which gives an iterator with `get_state` and `set_state` (Grain's). `initial`
  are weights to start from where there is no checkpoint. SIGTERM and Ctrl-C save and end the run in peace.
  Raises BadInput for a workdir of another config and where the loss stops being finite.
  """
  began = time.monotonic()
  run = Workdir(workdir, config)
  mesh = make_mesh(config.mesh)
  iterator = batches.iterator()
  first = next(iterator)
  iterator = batches.iterator()

  state, where = create_state(config, task, first, mesh)
  found = run.restore(state)
  if found is not None:
    _, state, position = found
    iterator.set_state(position)
  elif initial is not None:
    put = jax.device_put(initial, where.params)
    state = state.replace(params=put, ema=jax.tree.map(jnp.copy, put))
  if on_start is not None:
    on_start(state)

  everywhere = NamedSharding(mesh, PartitionSpec())
  items = batch_sharding(mesh)
  step = jax.jit(
    make_step(config, task), in_shardings=(where, items), out_shardings=(where, everywhere), donate_argnums=0
  )

  stop = _StopSignals()
  number = int(state.step)
  log = Log(run.path, number, config.train.steps, progress)
  while number < config.train.steps and not stop.asked:
    waited = time.monotonic()
    batch = jax.device_put(next(iterator), items)
    waited = time.monotonic() - waited
    state, metrics = step(state, batch)
    number += 1
    log.add(number, waited)
    if number % config.train.log_every == 0 or number == config.train.steps:
      values = {name: float(value) for name, value in metrics.items()}
      log.write(number, values)
      if values.get('skipped_in_a_row', 0) >= LONGEST_SKIP:
        raise BadInput(f'the gradient has not been finite for {values["skipped_in_a_row"]:.0f} steps up to {number}: '
                       'lower train.learning_rate')  # fmt: skip
    if config.train.minutes and time.monotonic() - began > config.train.minutes * 60:
      stop.asked = True
    if number % config.train.save_every == 0 or number == config.train.steps or stop.asked:
      run.save(number, state, iterator.get_state())
    if task.samples and (number % config.train.sample_every == 0 or number == config.train.steps):
      folder = run.path / 'samples' / f'{number:06d}'
      folder.mkdir(parents=True, exist_ok=True)
      task.samples(jax.device_get(state.ema), number, folder)
  log.close()
  stop.restore()
  run.close()
  return state


class _StopSignals:
  """Turns SIGTERM and Ctrl-C into a wish to stop after the step at hand."""

  def __init__(self):
    self.asked = False
    self._before = {}
    for s in (signal.SIGTERM, signal.SIGINT):
      try:
        self._before[s] = signal.signal(s, self._ask)
      except ValueError:  # not in the main thread: the caller handles signals
        continue

  def _ask(self, *_):
    self.asked = True

  def restore(self):
    for s, handler in self._before.items():
      signal.signal(s, handler)


class Log:
  """A progress bar, log.jsonl, and TensorBoard's event files."""

  def __init__(self, folder: Path, start: int, end: int, progress: bool):
    from tensorboardX import SummaryWriter

    self._lines = open(folder / 'log.jsonl', 'a', encoding='utf-8')  # noqa: SIM115 (closed in close)
    self._board = SummaryWriter(str(folder / 'tensorboard'))
    self._bar = tqdm(total=end, initial=start, unit='step', disable=not progress)
    self._since, self._steps, self._waited = time.monotonic(), 0, 0.0

  def add(self, number: int, waited: float):
    self._steps += 1
    self._waited += waited
    self._bar.update(1)

  def write(self, number: int, values: dict[str, float]):
    seconds = time.monotonic() - self._since
    values = values | {'steps_per_second': self._steps / seconds, 'share_waiting_for_data': self._waited / seconds}
    self._since, self._steps, self._waited = time.monotonic(), 0, 0.0
    self._lines.write(json.dumps({'step': number} | {k: round(v, 6) for k, v in values.items()}) + '\n')
    self._lines.flush()
    for name, value in values.items():
      self._board.add_scalar(name, value, number)
    if 'total' in values:
      self._bar.set_postfix_str(f'loss {values["total"]:.3f}')

  def close(self):
    self._lines.close()
    self._board.close()
    self._bar.close()


def read_log(folder) -> Iterator[dict]:
  """Rows of a run's log.jsonl."""
  with open(Path(folder) / 'log.jsonl', encoding='utf-8') as lines:
    yield from map(json.loads, lines)
