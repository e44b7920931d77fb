"""Reads an experiment: a Python file whose `arms()` gives its configs by name."""

import importlib.util
from pathlib import Path

from dubber_jax.config import Config
from dubber_jax.errors import BadInput


def read_arms(path) -> dict[str, Config]:
  """The arms of an experiment file, in its order. Raises BadInput where it is missing or gives no arms."""
  path = Path(path)
  if not path.is_file():
    raise BadInput(f'no experiment {path}: give a file of experiments/')
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  if not hasattr(module, 'arms'):
    raise BadInput(f'{path} has no arms(): an experiment gives its configs as arms() -> dict of name and Config')
  return module.arms()
