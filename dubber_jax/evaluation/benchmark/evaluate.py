"""`dubber evaluate`: trains, synthesizes and judges what an experiment lacks, and writes its report."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.benchmark import JUDGES, Benchmark, Judging, Results, System, weights_hash
from dubber_jax.evaluation.benchmark.finetune_director import train_path
from dubber_jax.evaluation.benchmark.stimuli import Stimulus, spread
from dubber_jax.evaluation.metrics.lip_sync import load_judge as load_lip_judge
from dubber_jax.inference.model import Model
from dubber_jax.retrieval.library import Library
from dubber_jax.storage.hashing import sha256_text


@dataclass(frozen=True)
class Evaluation:
  """What an experiment's `evaluation(base: Model, steps: int)` returns. `trained`: arms whose emotion path is trained
  from the base, by the names that systems use as `weights`; `anew`: those whose graphs are initialized at random.
  report(results, folder, facts) writes the report and returns its JSON file."""

  systems: Mapping[str, System]
  report: Callable[[Results, Path, dict[str, str]], Path]
  stimuli: Sequence[Stimulus]
  judges: tuple[str, ...] = JUDGES
  trained: Mapping[str, Config] = field(default_factory=dict)
  anew: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extent:
  """How much of a benchmark is run: at most `limit` clips, spread over the set, and `seeds` takes of each.

  share: (i, n) synthesizes and judges the i-th of n parts, and writes no report.
  """

  limit: int | None = None
  seeds: int = 3
  share: tuple[int, int] | None = None


def evaluate(
  evaluation: Evaluation,
  base: Model,
  library: Library | str | None,
  work: str | Path,
  out: str | Path,
  extent: Extent = Extent(),
  judging: Judging | None = None,
  first: Callable[[], None] | None = None,
) -> Path | None:
  """Runs a benchmark -> the report's JSON file, in `out`; takes and judgements are stored in `work`. Idempotent.

  first: called once all arms are trained, as to start processes that each do a share.
  """
  if extent.seeds < 1 or (extent.limit is not None and extent.limit < 2):
    raise BadInput(
      f'{extent.seeds} seeds and at most {extent.limit} clips: give one seed or more and two clips or more'
    )
  work, models = Path(work), {'': base}
  for name, config in evaluation.trained.items():
    workdir = work / 'trained' / f'{name}-{_of(base, config)}'
    models[name] = train_path(config, base, workdir, name in evaluation.anew)
  if first:
    first()
  stimuli = spread(evaluation.stimuli, extent.limit)
  benchmark = Benchmark(
    work, evaluation.systems, models, library, stimuli, extent.seeds, evaluation.judges, judging or Judging()
  )
  results = benchmark.run(extent.share or (0, 1))
  if extent.share is not None:
    return None
  return evaluation.report(results, Path(out), facts(results))


def _of(base, config) -> str:
  return sha256_text(f'{weights_hash(base)} {config.hash()}')[:8]


def facts(results: Results) -> dict[str, str]:
  """Provenance of a report: model, library, test set, judges, and the code and machine that made the takes."""
  b = results.benchmark
  origins = results.origins()
  judge = b.emotion_classifier
  found = {
    'model': f'{b.models[""].path.name}, {b.hashes[""]}; config {b.models[""].config.hash()}',
    'arms trained from it': ', '.join(
      f'{name} ({m.config.train.steps} steps, {b.hashes[name]})' for name, m in b.models.items() if name
    )
    or 'none: all systems have the same weights',
    'library': f'{len(b.library)} clips, {b.library.hash}' if b.library is not None else 'none',
    'clips': f'{len(b.stimuli)}, of {len({s.speaker for s in b.stimuli})} voices',
    'seeds of takes': ', '.join(map(str, range(b.seeds))),
    'judge of emotion': f'sha256 {judge.digest[:12] or "unknown"}, chance {1 / len(judge.emotions):.1%}',
  }
  if any(stimulus.film for stimulus in b.stimuli) and 'lips' in b.judges:
    found['judge of lip sync'] = f'sha256 {load_lip_judge().digest[:12]}'
  for name in ('commit', 'machine', 'versions'):
    found[name] = '; '.join(dict.fromkeys(o[name] for o in origins))
  return found


def take_cores(share: tuple[int, int]):
  """Restricts this process, the i-th of n, to its share of the cores, so that n processes do not compete for them."""
  if hasattr(os, 'sched_setaffinity'):
    free = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, free[share[0] % len(free) :: share[1]])


def run_shares(command: Sequence[str], workers: int):
  """Runs the command in as many processes, each with its share. Raises BadInput where one fails."""
  running = [
    subprocess.Popen([sys.executable, '-m', 'dubber_jax.cli', *command, '--share', f'{i}/{workers}'])
    for i in range(workers)
  ]
  failed = [process.wait() for process in running]
  if any(failed):
    raise BadInput(
      f'{sum(map(bool, failed))} of {workers} processes failed; the same command continues where they stopped'
    )
