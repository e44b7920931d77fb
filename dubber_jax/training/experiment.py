"""Experiment files: Python files whose `arms()` gives configs by name, and optionally the rest of a training run.

- `task(config) -> Task` and `batches(config, host)`, whose `iterator()` training reads: for networks other than the
  actor. `host` is (i, n): the i-th of n equal parts of every batch.
- `evaluate(config, variables, setting='') -> {name: value}`: metrics, also of training (without a setting) for its log.
- `example(config) -> batch`: arrays of a batch's shapes, without data sets; for `--dry-run` and `--compile-for`.
- `complete(config) -> Config`: settings that follow from those of the command line.
- `evaluation(base, steps=N) -> Evaluation` (evaluation/benchmark/evaluate.py): for `dubber evaluate`.
"""

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubber_jax.config import Config
from dubber_jax.errors import BadInput


@dataclass(frozen=True)
class Experiment:
  """Functions of an experiment file; None where it does not define them."""

  arms: dict[str, Config]
  task: Callable[[Config], Any] | None = None
  batches: Callable[[Config, tuple[int, int]], Any] | None = None
  evaluate: Callable[..., dict[str, float]] | None = None
  complete: Callable[[Config], Config] | None = None
  evaluation: Callable[..., Any] | None = None
  example: Callable[[Config], dict[str, Any]] | None = None


def read_experiment(path: str | os.PathLike) -> Experiment:
  """Imports an experiment file. Raises BadInput where it is missing or defines no `arms`."""
  path = Path(path)
  if not path.is_file():
    raise BadInput(f'no experiment {path}: give a file of experiments/')
  spec = importlib.util.spec_from_file_location(path.stem, path)
  if spec is None or spec.loader is None:
    raise BadInput(f'{path} is not a Python file: give a file of experiments/')
  module = importlib.util.module_from_spec(spec)
  with _faults_of(path):
    spec.loader.exec_module(module)
  if not callable(getattr(module, 'arms', None)):
    raise BadInput(f'{path} has no arms(): an experiment gives its configs as arms() -> dict of name and Config')
  parts = ('task', 'batches', 'evaluate', 'complete', 'evaluation', 'example')
  with _faults_of(path):
    arms = module.arms()
  if not isinstance(arms, dict) or not arms or not all(isinstance(config, Config) for config in arms.values()):
    raise BadInput(f'{path}: arms() gives no configs; it has to return a dict of name and Config')
  return Experiment(arms, *(getattr(module, name, None) for name in parts))


@contextlib.contextmanager
def _faults_of(path: Path) -> Iterator[None]:
  """Context that turns whatever an experiment file raises into BadInput."""
  try:
    yield
  except BadInput:
    raise
  except Exception as e:
    reason = (str(e).strip() or 'no message').splitlines()[0]
    raise BadInput(f'{path} cannot be run: {type(e).__name__}: {reason}') from e


def read_arms(path: str | os.PathLike) -> dict[str, Config]:
  """Configs of an experiment file by name, in its order."""
  return read_experiment(path).arms
