"""Preemptions of a run of two processes: each is recovered, and the end has the bits of a run that was never stopped.

    python experiments/timing/preemptions.py --preemptions 100 -o preemptions.json     # 90 min of one core
    python experiments/timing/preemptions.py --preemptions 5                           # 5 min

experiments/recipes/tiny.py, on batches of one length, is trained by two processes on one machine (a device each,
data=2), with a checkpoint every 5 steps. At random moments, a quarter of them while the processes start, one or both
get SIGTERM or SIGKILL. The others have to end by themselves; then the same command is started again. A start that ends
without a signal, with an error or not in time, or that goes on from an older step than the last whole checkpoint, is a
failure. At the end the run is trained a little further without a signal, and another one to the same step without any;
`dubber digest` of both has to be equal. Writes a JSON file, and a Markdown table beside it.
"""

import argparse
import atexit
import contextlib
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TINY = Path(__file__).parents[1] / 'recipes' / 'tiny.py'
PROCESSES = 2
SAVE_EVERY = 5
START = 300.0  # seconds that a start may take to its first step
LEFT = 180.0  # seconds that the other process may take to end
RUNNING = 5.0  # seconds of training within which a signal comes
HEARTBEAT = 30  # seconds without one, after which a process counts as lost

_context = multiprocessing.get_context('forkserver')


@dataclass(frozen=True)
class Preemption:
  """A start of both processes that was ended by a signal, or failed."""

  number: int
  signal: str
  processes: tuple[int, ...]  # that got it
  starting: bool  # before the first step of this start
  held: int  # last whole checkpoint before it
  start: int | None  # step that it went on from; None where it did not come so far
  seconds: float  # from the signal to the end of all processes
  exits: tuple[int | None, ...]
  fault: str = ''


def _work(arguments: Sequence[str], environment: dict[str, str], errors: str) -> None:
  os.environ.update(environment)
  with open(errors, 'a') as stream:
    os.dup2(stream.fileno(), 1)
    os.dup2(stream.fileno(), 2)
  import jax

  from dubber_jax.cli import main

  jax.config.update('jax_compilation_cache_dir', environment['JAX_COMPILATION_CACHE_DIR'])
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  code = main.main(list(arguments))
  atexit._run_exitfuncs()  # as at the end of the command; a process of multiprocessing runs none
  sys.exit(code)


def write_experiment(folder: Path) -> Path:
  """experiments/recipes/tiny.py on batches of one length, so that each start compiles one step."""
  path = folder / 'experiment.py'
  path.write_text(
    'import functools\n'
    'from dubber_jax.training.experiment import read_experiment\n'
    f'_tiny = read_experiment({str(TINY)!r})\n'
    'task, batches = _tiny.task, functools.partial(_tiny.batches, lengths=(8,))\n'
    'arms = lambda: _tiny.arms\n'
  )
  return path


class Start:
  """`dubber train` in two processes."""

  def __init__(self, workdir: Path, scratch: Path, stop: int):
    from dubber_jax.training.goodput import ROWS

    self.rows = workdir / ROWS
    self.before = self.rows.stat().st_size if self.rows.exists() else 0
    with socket.socket() as probe:
      probe.bind(('127.0.0.1', 0))
      port = probe.getsockname()[1]
    arguments = (
      'train',
      str(write_experiment(scratch)),
      '--workdir',
      str(workdir),
      '--steps',
      str(stop),
      '--mesh',
      f'data={PROCESSES}',
    )
    arguments += ('--train.save-every', str(SAVE_EVERY), '--train.log-every', '5', '--verbose')
    self.errors = scratch / 'errors.txt'
    self.errors.write_text('')
    self.processes = []
    for i in range(PROCESSES):
      environment = {
        'JAX_COORDINATOR_ADDRESS': f'127.0.0.1:{port}',
        'JAX_NUM_PROCESSES': str(PROCESSES),
        'JAX_PROCESS_ID': str(i),
        'JAX_PLATFORMS': 'cpu',
        'XLA_FLAGS': '--xla_backend_optimization_level=0',  # compiles sooner; the same in both runs
        'JAX_COMPILATION_CACHE_DIR': str(scratch / 'compiled'),
        'DUBBER_CACHE': str(scratch / 'cache'),
        'DUBBER_HEARTBEAT_SECONDS': str(HEARTBEAT),
        'DUBBER_CONNECT_SECONDS': '30',
      }
      process = _context.Process(target=_work, args=(arguments, environment, str(self.errors)))
      process.start()
      self.processes.append(process)

  def steps_began(self) -> bool:
    return self.rows.exists() and self.rows.stat().st_size > self.before

  def wait_for_steps(self, seconds: float) -> bool:
    """Whether a row of steps came in time, with both processes alive."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not self.steps_began() and self.running():
      time.sleep(0.02)
    return self.steps_began()

  def running(self) -> bool:
    return all(process.exitcode is None for process in self.processes)

  def finish(self, seconds: float) -> bool:
    """Whether both ended in time; those that did not are killed."""
    end = time.monotonic() + seconds
    for process in self.processes:
      process.join(max(end - time.monotonic(), 0.0))
    late = [process for process in self.processes if process.exitcode is None]
    for process in late:
      process.kill()
      process.join()
    return not late

  def exits(self) -> tuple[int | None, ...]:
    return tuple(process.exitcode for process in self.processes)

  def went_on_from(self) -> int | None:
    """Step that this start went on from, of its first row in goodput.jsonl."""
    lines = self.rows.read_bytes()[self.before :].splitlines() if self.steps_began() else []
    for line in lines:
      try:
        return int(json.loads(line)['start'])
      except (ValueError, KeyError):
        continue
    return None


def preempt(workdir: Path, scratch: Path, number: int, rng: random.Random) -> Preemption:
  """One start, ended by a signal at a random moment."""
  from dubber_jax.training.checkpoints import last_step

  held = last_step(workdir) or 0
  kind = rng.choice((signal.SIGTERM, signal.SIGKILL))
  targets = rng.choice(((0,), (1,), (0, 1)))
  starting = rng.random() < 0.25
  start = Start(workdir, scratch, 10**6)
  fault = ''
  if starting:
    start.wait_for_steps(rng.uniform(0.0, 6.0))
  elif not start.wait_for_steps(START):
    fault = f'no step in {START:.0f} s' if start.running() else 'ended without a signal'
  else:
    time.sleep(rng.uniform(0.0, RUNNING))
  starting = not start.steps_began()
  if not fault and not start.running():
    fault = 'ended without a signal'
  began = time.monotonic()
  for target in targets:
    process = start.processes[target]
    if process.exitcode is None and process.pid:
      os.kill(process.pid, kind)
  if not start.finish(LEFT) and not fault:
    fault = f'still running {LEFT:.0f} s after the signal'
  seconds = time.monotonic() - began
  went_on = start.went_on_from()
  if not fault and went_on is not None and went_on < held:
    fault = f'went on from step {went_on}, and {held} was whole'
  if not fault and kind == signal.SIGTERM and not starting and any(start.exits()):
    fault = f'SIGTERM while training, and exit codes {start.exits()}'
  if fault:
    fault += f': {start.errors.read_text(errors="replace")[-3000:]}'
  return Preemption(number, kind.name, targets, starting, held, went_on, seconds, start.exits(), fault)


def read_done(records: Path) -> list[Preemption]:
  """Those of a measurement that was interrupted itself."""
  rows = [json.loads(line) for line in records.read_text().splitlines()] if records.exists() else []
  return [Preemption(**row | {'processes': tuple(row['processes']), 'exits': tuple(row['exits'])}) for row in rows]


def finish(workdir: Path, scratch: Path, stop: int) -> str:
  """Trains to a step without a signal -> what went wrong."""
  start = Start(workdir, scratch, stop)
  whole = start.finish(3600.0)
  if whole and not any(start.exits()):
    return ''
  return f'exit codes {start.exits()}: {start.errors.read_text(errors="replace")[-3000:]}'


def measure(preemptions: int, seed: int, folder: Path) -> dict[str, Any]:
  """Result of so many preemptions, with every one of them."""
  from dubber_jax.training.checkpoints import digest, last_step
  from dubber_jax.training.goodput import read_goodput

  run, whole, records = folder / 'preempted', folder / 'whole', folder / 'done.jsonl'
  done = read_done(records)[:preemptions]
  for number in range(len(done) + 1, preemptions + 1):
    p = preempt(run, folder, number, random.Random(f'{seed} {number}'))
    done.append(p)
    with records.open('a') as file:
      file.write(json.dumps(asdict(p)) + '\n')
    print(
      f'{number}: {p.signal} to {p.processes} {"starting" if p.starting else "training"}, from step {p.start}, '
      f'ended after {p.seconds:.1f} s with {p.exits} {p.fault.splitlines()[0] if p.fault else ""}',
      flush=True,
    )
  stop = (last_step(run) or 0) + 2 * SAVE_EVERY
  faults = [p.fault for p in done if p.fault]
  faults += [fault for fault in (finish(run, folder, stop), finish(whole, folder, stop)) if fault]
  digests = {name: digest(path) for name, path in (('preempted', run), ('whole', whole))}
  goodput = {name: read_goodput(path) for name, path in (('preempted', run), ('whole', whole))}
  return {
    'preemptions': preemptions,
    'recovered': preemptions - sum(bool(p.fault) for p in done),
    'equal_bits': digests['preempted'] == digests['whole'] and digests['whole']['step'] == stop,
    'steps': stop,
    'seed': seed,
    'kinds': dict(Counter(f'{p.signal} to {len(p.processes)} while {_phase(p)}' for p in done)),
    'longest_end_seconds': max((p.seconds for p in done), default=0.0),
    'goodput': {name: found.to_json() for name, found in goodput.items() if found},
    'digests': digests,
    'faults': faults,
    'each': [asdict(p) for p in done],
  }


def _phase(p: Preemption) -> str:
  return 'starting' if p.starting else 'training'


def table(result: dict[str, Any]) -> str:
  """Markdown of a result."""
  g = result['goodput']['preempted']
  lines = [
    '# Preemptions',
    '',
    f'A run of two processes (`experiments/recipes/tiny.py`, checkpoint every {SAVE_EVERY} steps) was preempted '
    f'{result["preemptions"]} times at random moments by SIGTERM or SIGKILL to one or both processes.',
    '',
    f'- Recovered: **{result["recovered"]} of {result["preemptions"]}**.',
    f'- Parameters, moving averages, optimizer state and data position at step {result["steps"]:,}: '
    f'**{"equal, bit for bit, to" if result["equal_bits"] else "DIFFERENT FROM"}** those of an uninterrupted run.',
    f'- Steps computed again: {g["repeated_steps"]:,}. The longest time from a signal to the end of both processes: '
    f'{result["longest_end_seconds"]:.0f} s (a lost process is noticed after {HEARTBEAT} s at most).',
    f'- Goodput {g["goodput"]:.0%}, which says little here: a start is preempted after seconds.',
    '',
    '| signal, processes, phase | preemptions |',
    '| --- | ---: |',
  ]
  lines += [f'| {kind} | {count} |' for kind, count in sorted(result['kinds'].items())]
  lines += ['', '| badput | seconds |', '| --- | ---: |']
  lines += [f'| `{cause}` | {seconds:.0f} |' for cause, seconds in g['badput_seconds'].items() if seconds >= 0.5]
  lines += [
    '',
    f'`python experiments/timing/preemptions.py --preemptions {result["preemptions"]} --seed {result["seed"]}`',
  ]
  return '\n'.join(lines) + '\n'


def main() -> int:
  parser = argparse.ArgumentParser(description='Preempts a run of two processes at random moments.')
  parser.add_argument('--preemptions', type=int, default=100)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('-o', '--out', type=Path, help='a JSON file; a Markdown table is written beside it')
  parser.add_argument('--work', type=Path, help='a folder that stays, to go on where it was interrupted')
  given = parser.parse_args()
  _context.set_forkserver_preload(['dubber_jax.training.loop', 'tensorboardX', 'flax.linen', 'grain'])
  with contextlib.ExitStack() as stack:
    folder = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='preemptions-')))
    folder.mkdir(parents=True, exist_ok=True)
    result = measure(given.preemptions, given.seed, folder.resolve())
  if given.out:
    given.out.write_text(json.dumps(result, indent=1) + '\n')
    given.out.with_suffix('.md').write_text(table(result))
  print(table(result))
  for fault in result['faults']:
    print(fault, file=sys.stderr)
  return 0 if result['equal_bits'] and not result['faults'] else 1


if __name__ == '__main__':
  sys.exit(main())
