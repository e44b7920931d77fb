"""Reads an experiment: a Python file whose `arms()` gives its configs by name.

Where its network is not the voice, it also has `task(config) -> Task` and `batches(config, host)`, whose `iterator()`
training reads; `host` is (i, n): the i-th of n equal parts of every batch is wanted. It may have
`evaluate(config, variables, setting='') -> {name: value}`, which training calls too, without a setting, for its log,
`complete(config) -> Config`, which fills in what follows from the settings of the command line, and
`evaluation(base, steps=N) -> Evaluation` (evaluation/benchmark/evaluate.py), which `dubber evaluate` runs.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubber_jax.config import Config
from dubber_jax.errors import BadInput


@dataclass(frozen=True)
class Experiment:
  arms: dict[str, Config]
  task: Callable[[Config], Any] | None = None
  batches: Callable[[Config, tuple[int, int]], Any] | None = None
  evaluate: Callable[..., dict[str, float]] | None = None
  complete: Callable[[Config], Config] | None = None
  evaluation: Callable[..., Any] | None = None


def read_experiment(path) -> Experiment:
  """Runs an experiment's file. Raises BadInput where it is missing or gives no arms."""
  path = Path(path)
  if not path.is_file():
    raise BadInput(f'no experiment {path}: give a file of experiments/')
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  if not hasattr(module, 'arms'):
    raise BadInput(f'{path} has no arms(): an experiment gives its configs as arms() -> dict of name and Config')
  parts = ('task', 'batches', 'evaluate', 'complete', 'evaluation')
  return Experiment(module.arms(), *(getattr(module, name, None) for name in parts))


def read_arms(path) -> dict[str, Config]:
  """The arms of an experiment file, in its order."""
  return read_experiment(path).arms
