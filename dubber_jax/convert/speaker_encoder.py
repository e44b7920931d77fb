"""Conversion of Resemblyzer's GE2E speaker encoder (PyTorch) to this package's parameters, and back."""

import json
from collections.abc import Mapping
from pathlib import Path

import flax.traverse_util
import numpy as np

from dubber_jax.authentic_dubber.checkpoint_names import PARAMS, Rule, dense, one, to_ours, to_torch
from dubber_jax.convert.checkpoints import write_state_dict
from dubber_jax.perception.ge2e import GE2E

STATE_DICT = 'model_state'  # where Resemblyzer's checkpoint holds the weights
DEAD = ('similarity_weight', 'similarity_bias')  # parameters of its training loss


def rules() -> list[Rule]:
  """Name rules of the network's tensors."""
  rows = [*dense('linear', (*PARAMS, 'project'))]
  for i in range(GE2E.layers):
    for torch_name, name in (('ih', 'input'), ('hh', 'recurrent')):
      rows.append(one(f'lstm.weight_{torch_name}_l{i}', (*PARAMS, f'lstm_{i}', name, 'kernel'), 'linear'))
      rows.append(one(f'lstm.bias_{torch_name}_l{i}', (*PARAMS, f'lstm_{i}', name, 'bias')))
  return rows


def from_torch(state: Mapping[str, np.ndarray]) -> dict:
  """Nested parameters of a state dict. Raises BadInput naming missing keys."""
  return to_ours(rules(), state)['params']


def to_torch_state(params: Mapping) -> dict[str, np.ndarray]:
  """The inverse of `from_torch`."""
  return to_torch(rules(), {'params': params})


def write_encoder(params: Mapping, folder: str | Path) -> None:
  """Writes the two files that `perception.ge2e.GE2ESpeaker` opens into `folder`, which must exist."""
  (Path(folder) / 'config.json').write_text(json.dumps({'name': 'ge2e'}) + '\n')
  write_state_dict(flax.traverse_util.flatten_dict(params, sep='/'), Path(folder) / 'model.safetensors')
