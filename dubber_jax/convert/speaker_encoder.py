"""Resemblyzer's GE2E speaker encoder: its PyTorch names to ours and back."""

import json
from collections.abc import Mapping
from pathlib import Path

import flax.traverse_util
import numpy as np

from dubber_jax.authentic_dubber.checkpoint_names import PARAMS, Rule, dense, one, to_ours, to_torch
from dubber_jax.convert.checkpoints import write_state_dict
from dubber_jax.perception.ge2e import GE2E

PART = 'model_state'  # where Resemblyzer's checkpoint holds the weights
DEAD = ('similarity_weight', 'similarity_bias')  # of its training loss


def rules() -> list[Rule]:
  rows = [*dense('linear', (*PARAMS, 'project'))]
  for i in range(GE2E.layers):
    for torch_name, name in (('ih', 'input'), ('hh', 'recurrent')):
      rows.append(one(f'lstm.weight_{torch_name}_l{i}', (*PARAMS, f'lstm_{i}', name, 'kernel'), 'linear'))
      rows.append(one(f'lstm.bias_{torch_name}_l{i}', (*PARAMS, f'lstm_{i}', name, 'bias')))
  return rows


def from_torch(state: Mapping[str, np.ndarray]) -> dict:
  """Our nested parameters of a state dict. Raises BadInput naming missing keys."""
  return to_ours(rules(), state)['params']


def state_of(params: Mapping) -> dict[str, np.ndarray]:
  """The inverse."""
  return to_torch(rules(), {'params': params})


def write_encoder(params: Mapping, folder: str | Path) -> None:
  """Writes what `perception.ge2e.GE2ESpeaker` opens into `folder`, which must exist."""
  (Path(folder) / 'config.json').write_text(json.dumps({'name': 'ge2e'}) + '\n')
  write_state_dict(flax.traverse_util.flatten_dict(params, sep='/'), Path(folder) / 'model.safetensors')
