"""Weight export: a run's parameters without its optimizer, small enough to copy between machines.

A folder of bfloat16 safetensors files of at most 16 MiB each, with an index. A run that starts from one has zero
optimizer moments; where the folder holds moving averages too, it continues at the step and schedule of the export.

    python -m dubber_jax.training.weight_export runs/vocoder/distance -o carried/     # then train.init_from: carried/
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
from etils import epath

from dubber_jax.config import Config, VocoderTask
from dubber_jax.errors import BadInput, exit_code
from dubber_jax.nn.scan import stack_stored
from dubber_jax.storage.atomic import atomic_folder, check_folder, disk_errors
from dubber_jax.storage.distinct import check_distinct
from dubber_jax.storage.weights import flatten, read_arrays, unflatten, write_arrays
from dubber_jax.training.checkpoints import is_workdir, last_step, load_collections, load_weights
from dubber_jax.training.task import DISCRIMINATORS, drop_discriminators

LIMIT = 16 * 2**20 - 64 * 1024  # bytes of arrays in a file; the rest of 16 MiB is for its header
INDEX = 'weights.json'


@dataclass(frozen=True)
class Initial:
  """Initial values of a run: parameters, other Flax collections, and of a run that continues elsewhere its moving
  averages and step."""

  params: dict
  collections: dict = field(default_factory=dict)
  ema: dict | None = None
  step: int = 0


def write_weights(out: str | os.PathLike, params: Any, collections: Any = None, step: int = 0, ema: Any = None):
  """Writes parameters, other Flax collections and moving averages, where given, as a folder, atomically."""
  arrays = flatten({'params': params, 'collections': collections or {}, 'ema': ema or {}})
  shapes = {name: np.shape(value) for name, value in arrays.items()}
  with disk_errors(out), atomic_folder(out) as folder:
    for i, part in enumerate(_chunks({name: _to_bfloat16(value) for name, value in arrays.items()})):
      write_arrays(folder / f'weights-{i:04d}.safetensors', part)
    (folder / INDEX).write_text(json.dumps({'step': step, 'shapes': shapes}, indent=1))


def _to_bfloat16(array: np.ndarray) -> np.ndarray:
  return array.astype(ml_dtypes.bfloat16) if array.dtype.kind == 'f' else array


def _chunks(arrays: dict[str, np.ndarray]):
  """Chunks 'NAME#NUMBER' of flattened arrays, in dictionaries of at most LIMIT bytes."""
  part, room = {}, LIMIT
  for name, array in arrays.items():
    flat, number = array.reshape(-1), 0
    while number == 0 or len(flat):
      count = max(room // flat.itemsize, 1)
      part[f'{name}#{number}'] = flat[:count]
      room -= flat[:count].nbytes
      flat, number = flat[count:], number + 1
      if room < flat.itemsize:
        yield part
        part, room = {}, LIMIT
  if part:
    yield part


def _to_float32(array: np.ndarray) -> np.ndarray:
  return array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array


def export_run(workdir: str | os.PathLike, out: str | os.PathLike) -> int:
  """Writes the last checkpoint of a workdir without its optimizer moments, discriminators included, and returns its
  step. Raises BadInput where there is none, and where `out` holds something else than an earlier export."""
  check_distinct({'the run': workdir}, {}, {'-o': out})
  check_folder(out, True, (INDEX,))
  step, params = load_weights(workdir, smoothed=False)
  write_weights(out, params, load_collections(workdir, step), step, load_weights(workdir, step=step)[1])
  return step


def read_weights(path: str | os.PathLike) -> Initial:
  """Reads an export: parameters, other collections, moving averages where there are any, float32, and the step. Raises
  BadInput for an incomplete folder."""
  path = epath.Path(path)
  try:
    index = json.loads((path / INDEX).read_text())
    pieces = {}
    with tempfile.TemporaryDirectory() as here:  # safetensors opens local files only
      for stored in path.glob('weights-*.safetensors'):
        pieces |= read_arrays(stored.copy(Path(here) / stored.name))
    by_name: dict[str, list[np.ndarray]] = {}
    for name, number in sorted((n.rpartition('#')[0], int(n.rpartition('#')[2])) for n in pieces):
      by_name.setdefault(name, []).append(pieces[f'{name}#{number}'])
    arrays = {
      name: _to_float32(np.concatenate(by_name[name])).reshape(shape) for name, shape in index['shapes'].items()
    }
  except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as e:
    raise BadInput(f'{path}: not a whole folder of weights ({type(e).__name__}: {e}); copy it again') from e
  tree = unflatten(arrays)
  return Initial(tree['params'], tree.get('collections', {}), tree.get('ema'), index['step'])


def initial_weights(config: Config, workdir: str | os.PathLike) -> Initial | None:
  """Initial values of a new run from `train.init_from`: a workdir, an export or a model directory. None where it is
  empty or the workdir has a checkpoint. Raises BadInput where there are no weights."""
  source = config.train.init_from
  if not source or last_step(workdir) is not None:
    return None
  if is_workdir(source):
    step, params = load_weights(source)
    return Initial(params, load_collections(source, step))
  if (epath.Path(source) / INDEX).exists():
    return read_weights(source)
  if (epath.Path(source) / 'MANIFEST.json').exists():
    from dubber_jax.inference.model_directory import load

    model = load(source)
    if not isinstance(config.task, VocoderTask):
      return Initial(model.params)
    if not hasattr(model.vocoder, 'params'):
      raise BadInput(f'train.init_from: {source} has no trained vocoder to go on from')
    return Initial({'generator': model.vocoder.params})
  raise BadInput(
    f'train.init_from: {source} holds no weights; train that arm first, or give a workdir, a model '
    'directory or a folder of weights'
  )


def start_from(initial: Any, state: Any, shardings: Any, fresh: tuple[str, ...] = ()) -> Any:
  """New train state with the weights of an Initial, or of a tree of parameters. Parameters whose names, as
  'generator/shape', begin with one of `fresh` keep their random initialization.

  Layers that were stored one by one are stacked; missing discriminators keep their initialization, and unused ones are
  dropped. Raises BadInput where the weights are another network's.
  """
  given = initial if isinstance(initial, Initial) else Initial(initial)

  def fit(tree, drawn):
    judges = {k: tree.get(k, v) for k, v in drawn.items() if k == DISCRIMINATORS}
    return jax.device_put(
      _fitting(_keep_fresh(drop_discriminators(tree) | judges, drawn, fresh), drawn), shardings.params
    )

  params = fit(given.params, state.params)
  ema = jax.tree.map(jnp.copy, params) if given.ema is None else fit(given.ema, state.params)
  state = state.replace(params=params, ema=ema)
  if given.ema is not None:  # Adam's count continues, so that its zero moments are not bias-corrected
    step = jax.device_put(jnp.asarray(given.step, state.step.dtype), shardings.step)
    optimizer = jax.tree.map(jnp.copy, optax.tree.set(state.optimizer, count=step))  # copies, since each is donated
    state = state.replace(step=step, optimizer=optimizer)
  if not given.collections:
    return state
  return state.replace(
    collections=jax.device_put(_fitting(given.collections, state.collections), shardings.collections)
  )


def _keep_fresh(tree, drawn, fresh: tuple[str, ...]):
  """`tree` with the parameters of `drawn` whose names begin with one of `fresh`."""
  if not fresh:
    return tree
  from flax.traverse_util import flatten_dict, unflatten_dict

  kept = {k: v for k, v in flatten_dict(tree, sep='/').items() if not k.startswith(fresh)}
  new = {k: v for k, v in flatten_dict(drawn, sep='/').items() if k.startswith(fresh)}
  if not new:
    raise BadInput(f'train.fresh: no parameter begins with {" or ".join(fresh)}')
  return unflatten_dict(kept | new, sep='/')


def _fitting(tree, expected):
  """`tree` in the structure and types of `expected`. Raises BadInput where names or shapes differ."""
  from flax.traverse_util import flatten_dict, unflatten_dict

  wanted = flatten_dict(expected, sep='/')
  given = stack_stored(flatten_dict(tree, sep='/'), wanted)
  wrong = [f'{k} is missing' for k in wanted if k not in given] + [
    f'{k} is unexpected' for k in given if k not in wanted
  ]
  wrong += [
    f'{k} is {np.shape(given[k])}, not {v.shape}'
    for k, v in wanted.items()
    if k in given and np.shape(given[k]) != v.shape
  ]
  if wrong:
    raise BadInput(
      f'the weights to start from are of another network: {wrong[0]} ({len(wrong)} in all); give others '
      'to train.init_from, or the config that they were trained with, or name in train.fresh what is to '
      'start anew'
    )
  return unflatten_dict({tuple(k.split('/')): np.asarray(given[k]).astype(v.dtype) for k, v in wanted.items()})


def main(arguments: Sequence[str] | None = None) -> int:
  parser = argparse.ArgumentParser(description='Exports the weights of a training run.')
  parser.add_argument('workdir')
  parser.add_argument('-o', '--out', required=True, help='a folder, which is replaced')
  given = parser.parse_args(arguments)
  return exit_code(lambda: print(f'step {export_run(given.workdir, given.out)} in {given.out}'))


if __name__ == '__main__':
  sys.exit(main())
