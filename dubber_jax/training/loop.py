"""Training loop of every network: resume, step, log, evaluate, save."""

import contextlib
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.training.checkpoints import Workdir, full_disk_as_error
from dubber_jax.training.config import TrainConfig, profile_window
from dubber_jax.training.distributed import (
  StopVote,
  gather_to_host,
  host_failure_as_error,
  host_share,
  is_primary,
  wait_for_all,
)
from dubber_jax.training.goodput import Stopwatch
from dubber_jax.training.log import Log
from dubber_jax.training.planning.accelerators import accelerator_of
from dubber_jax.training.planning.roofline import products
from dubber_jax.training.sharding import batch_sharding, make_mesh
from dubber_jax.training.step import TrainState, create_state, jit_step, make_step
from dubber_jax.training.task import Task
from dubber_jax.training.weight_export import start_from, write_weights

logger = logging.getLogger(__name__)


def train(
  config: Config,
  task: Task,
  batches: Any,
  workdir: str | Path,
  initial: Any = None,
  on_start: Callable[[TrainState], None] | None = None,
  on_eval: Callable[[TrainState, int], dict[str, float]] | None = None,
  progress: bool = True,
) -> TrainState:
  """Trains to step `config.train.stop` or `steps`, or for `minutes`, resuming from the workdir's last checkpoint.

  batches: has `iterator()`, over this host's part of every batch (distributed.host_share), with `get_state` and
    `set_state` as Grain's; the state is the same on all hosts.
  initial: parameters, or Initial (training/weight_export.py), to start from where there is no checkpoint.
  on_start: called with the state before the first step.
  on_eval: (state, step) -> {name: value}, logged as eval/NAME.

  SIGTERM and Ctrl-C save a checkpoint and end the run. Raises BadInput for a workdir of another config, in use or
  without space, for a profile window outside of the run, for a gradient that stays non-finite, and where another host
  is lost.
  """
  c = config.train
  profile_window(c)
  began, watch = time.monotonic(), Stopwatch()
  mesh = make_mesh(config.mesh)
  placement = batch_sharding(mesh)
  _, hosts = host_share(mesh)
  with contextlib.ExitStack() as stack:
    stack.enter_context(host_failure_as_error(workdir))
    stack.enter_context(full_disk_as_error(workdir))
    stop = stack.enter_context(_StopSignals())  # in force until the last save is finished
    run = stack.enter_context(contextlib.closing(Workdir(workdir, config)))

    iterator = batches.iterator()
    state, shardings = create_state(config, task, _shapes(next(iterator), hosts), mesh)
    iterator = batches.iterator()
    with watch.on('unproductive_checkpoint_restore_time'):
      found, logged = run.restore(state), {}
    if found is not None:
      at, state, position = found
      iterator.set_state(position)
      logged = run.logged(at)
    elif initial is not None:
      state = start_from(initial, state, shardings, c.fresh)
    run.check_space(state)
    if on_start is not None:
      on_start(state)

    step = jit_step(config, task, mesh, shardings)
    programs, flops = {}, {}  # by the shapes of a batch
    chip = accelerator_of(mesh.devices.flat[0].device_kind)
    stop_vote = StopVote(mesh)
    number = int(state.step)
    end = c.stop or c.steps
    log = stack.enter_context(contextlib.closing(Log(run.path, number, end, progress, is_primary(), watch)))
    log.values |= logged
    first, last = profile_window(c, number)
    if first <= last <= number:
      logger.warning(f'--profile {first}:{last}: the run goes on from step {number}; nothing is traced')
    profile = stack.enter_context(_Profile(first, last, log))
    ended, reached = number >= end, True
    while not ended:
      with log.spent('input'):
        local = next(iterator)
        batch = {k: jax.make_array_from_process_local_data(placement, v) for k, v in local.items()}
      shapes = tuple(v.shape for v in batch.values())
      if shapes not in programs:
        with log.spent('compiling'), contextlib.nullcontext() if programs else stop.suspended():
          programs[shapes] = step.lower(state, batch).compile()
          flops[shapes] = _flops(make_step(config, task), state, batch) if chip else 0.0
          wait_for_all(f'program {len(programs)}')
      profile.at(number, state)
      state, metrics = programs[shapes](state, batch)
      number += 1
      speech = float(task.speech(local)) * hosts if task.speech else 0.0
      log.add(shapes[0][0], speech, flops[shapes])

      timed_out = bool(c.minutes) and time.monotonic() - began > c.minutes * 60
      ended = number >= end or stop_vote(stop.requested or timed_out)
      reached = number >= end or timed_out
      if number % c.log_every == 0 or ended:
        values = {name: float(value) for name, value in metrics.items()}
        log.write(number, values, chip.flops * mesh.size if chip else 0.0)
        _check_finite(c.max_skips, values, number, local, log)
      saves = number % c.save_every == 0 or ended
      evaluates = number % c.eval_every == 0 or number == end
      if saves or (evaluates and on_eval):
        jax.block_until_ready(state)  # steps in flight are no time of the save
      if on_eval is not None and evaluates:
        with log.spent('eval'):
          log.show(number, {f'eval/{name}': float(value) for name, value in on_eval(state, number).items()})
      if saves:
        with log.spent('saving'):
          _check_best(c, log.values, on_eval is not None)
          run.save(number, state, iterator.get_state(), log.values)
        with log.spent('eval'):
          log.publish()
      if task.samples and (number % c.sample_every == 0 or number == end):
        with log.spent('eval'):
          _show_samples(task, state, number, log)
    if c.minutes:  # limited machine time: leave weights that are small enough to copy
      weights, collections = gather_to_host(state.ema), gather_to_host(state.collections)
      if log.active:
        write_weights(log.local / 'weights', weights, collections, number)
    with log.spent('saving'):
      run.wait()
    log.finish(number, reached)
  with host_failure_as_error(workdir):
    wait_for_all('end of the run')  # the first process writes longer than the others would wait for it at their exit
  return state


def _shapes(local: dict[str, np.ndarray], hosts: int) -> dict[str, jax.ShapeDtypeStruct]:
  """Shapes of the global batch, of which every host reads an equal part."""
  return {k: jax.ShapeDtypeStruct((len(v) * hosts, *v.shape[1:]), v.dtype) for k, v in local.items()}


def _flops(step, state, batch) -> float:
  """FLOPs of the matrix products and convolutions of a step, rematerialization included (see planning/roofline.py)."""
  return sum(product.flops for product in products(jax.make_jaxpr(step)(state, batch)))


def _check_finite(most: int, values: dict[str, float], number: int, local: dict[str, np.ndarray], log: Log):
  """Raises BadInput after `most` skipped steps in a row, and saves the last batch, one of theirs, for inspection."""
  if values['skipped_in_a_row'] < most:
    return
  kept = ''
  if log.active:
    np.savez(log.local / f'nonfinite_{number:06d}.npz', **local)
    kept = f'; the last batch is in {log.local}/nonfinite_{number:06d}.npz'
  raise BadInput(
    f'the gradient has not been finite for {values["skipped_in_a_row"]:.0f} steps up to {number}{kept}: '
    'inspect it, or lower train.learning_rate'
  )


def _check_best(c: TrainConfig, values: dict[str, float], evaluates: bool):
  soon = c.best.startswith('eval/') and evaluates and not any(name.startswith('eval/') for name in values)
  if c.best and c.best not in values and not soon:
    raise BadInput(f'train.best: no metric {c.best!r} is logged; there are {", ".join(sorted(values))}')


def _show_samples(task: Task, state: TrainState, number: int, log: Log):
  weights = gather_to_host(state.ema)
  if log.active:
    folder = log.local / 'samples' / f'{number:06d}'
    folder.mkdir(parents=True, exist_ok=True)
    task.samples(weights, number, folder)


class _StopSignals:
  """Context in which SIGTERM and Ctrl-C request a stop after the current step; a second Ctrl-C interrupts at once."""

  def __init__(self):
    self.requested = False
    self._before = {}

  def __enter__(self):
    for s in (signal.SIGTERM, signal.SIGINT):
      with contextlib.suppress(ValueError):  # not in the main thread, where the caller handles signals
        self._before[s] = signal.signal(s, self._request)
    return self

  def _request(self, number, _):
    if self.requested and number == signal.SIGINT:
      raise KeyboardInterrupt
    self.requested = True

  @contextlib.contextmanager
  def suspended(self):
    """Context in which Ctrl-C interrupts at once, since there is nothing to save yet."""
    before = self._before.get(signal.SIGINT)
    if before is None or self.requested:
      yield
      return
    signal.signal(signal.SIGINT, before)
    try:
      yield
    finally:
      signal.signal(signal.SIGINT, self._request)

  def __exit__(self, *_):
    for s, handler in self._before.items():
      signal.signal(s, handler or signal.SIG_DFL)


class _Profile:
  """Context that writes a profiler trace of steps `first` to `last` into the log's profile/, for XProf; none where
  `last` is less. Of a run that goes on within the window, the rest is traced."""

  def __init__(self, first: int, last: int, log: Log):
    self._first, self._last, self._log = first, last, log
    self._wanted = last >= first and log.active
    self._tracing = False

  def __enter__(self):
    return self

  def at(self, number: int, state):
    """Called after step `number`, before the next."""
    if self._wanted and self._first <= number + 1 <= self._last:
      jax.profiler.start_trace(str(self._log.local / 'profile'))
      self._wanted, self._tracing = False, True
    elif self._tracing and number == self._last:
      jax.block_until_ready(state)
      self.__exit__()

  def __exit__(self, *_):
    if self._tracing:
      jax.profiler.stop_trace()
      self._tracing = False
