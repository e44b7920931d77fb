"""Writes an artifact: a model directory with lowered programs and a loader that does not need dubber_jax.

config.json  features.json  model.safetensors  vocoder/  voices.safetensors  CARD.md   as in a model directory
programs/NAME_T.jaxexport   StableHLO by jax.export: predict_durations, synthesize and vocode of each bucket of T frames
programs.json               their inputs and outputs, buckets, platforms, versions
serve.py                    the loader
onnx/NAME_T.onnx            on request
MANIFEST.json               sha256 of every other file
"""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
from etils import epath

import dubber_jax
from dubber_jax.config import ActorTask, Config
from dubber_jax.errors import BadInput
from dubber_jax.export.artifact import FORMAT
from dubber_jax.export.onnx import check_python, write_onnx
from dubber_jax.export.programs import PLATFORMS, bucket_shape, programs
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import (
  MARKS,
  SHIPPED,
  ModelContents,
  load,
  open_vocoder,
  write_model_directory,
)
from dubber_jax.script.symbols import LANGUAGES, SYMBOLS
from dubber_jax.storage.atomic import check_folder, complete_folder
from dubber_jax.storage.checked_folder import write_manifest
from dubber_jax.training.task import drop_discriminators
from dubber_jax.types import HOP, SAMPLE_RATE

SHORTEST = 32  # mel frames of a bucket


def export(
  source: epath.PathLike,
  out: str | Path,
  buckets: Sequence[int] = (),
  platforms: Sequence[str] = PLATFORMS,
  vocoder: str | Path | None = None,
  onnx: str | Path | None = None,
  overwrite: bool = False,
  say: Callable[[str], None] = lambda line: None,
) -> None:
  """Writes the artifact `out` of a model directory or a training workdir, atomically.

  A workdir is exported with the moving average of its weights. `buckets` in mel frames (default: the config's);
  `vocoder`: a folder of the vocoder that replaces the model's own; `onnx`: a Python with jax2onnx, to write ONNX models
  too; `say` gets progress lines. Raises BadInput where `out` exists, the source is no actor, or a program is not
  portable.
  """
  check_folder(out, overwrite, MARKS)
  if onnx:
    check_python(onnx)
  source = epath.Path(source)
  model = _of_workdir(source) if (source / 'checkpoints').is_dir() else load(source)
  with complete_folder(out, overwrite, MARKS) as folder:
    _write(model, folder, buckets or model.config.task.data.buckets, platforms, vocoder, onnx, say)


def at_start(config: Config, workdir: epath.PathLike) -> Callable:
  """Callback on_start(state) of the training loop that writes WORKDIR/export, the artifact of the initial weights.

  It has one bucket, the shortest, for every platform. So a model that cannot be exported fails before it is trained,
  and later weights fit the programs.
  """

  def on_start(state):
    params = jax.tree.map(_gathered, drop_discriminators(state.ema))  # by every process: each holds a shard
    if jax.process_index() == 0:
      home = epath.Path(workdir)
      model = Model(config, params, open_vocoder(SHIPPED / 'vocoder'), {}, home)
      with tempfile.TemporaryDirectory() as local:
        folder = Path(local) / 'export'
        folder.mkdir()
        _write(model, folder, config.task.data.buckets[:1])
        _copy(folder, home / 'export')

  return on_start


def _copy(folder: Path, out: epath.Path):
  """Copies an artifact to a workdir, which may be in a bucket. The manifest is copied last and makes it valid."""
  out.rmtree(missing_ok=True)
  for file in sorted((f for f in folder.rglob('*') if f.is_file()), key=lambda f: f.name == 'MANIFEST.json'):
    put = out / file.relative_to(folder)
    put.parent.mkdir(parents=True, exist_ok=True)
    put.write_bytes(file.read_bytes())


def _gathered(array) -> np.ndarray:
  if array.is_fully_addressable:
    return jax.device_get(array)
  from jax.experimental.multihost_utils import process_allgather

  return process_allgather(array, tiled=True)


def _of_workdir(workdir) -> Model:
  from dubber_jax.training.checkpoints import load_weights, read_config

  config = read_config(workdir)
  if not isinstance(config.task, ActorTask):
    raise BadInput(f'{workdir} trains a {config.task.kind}; only a voice can be exported')
  return Model(config, drop_discriminators(load_weights(workdir)[1]), open_vocoder(SHIPPED / 'vocoder'), {}, workdir)


def _write(model: Model, folder: Path, buckets, platforms=PLATFORMS, vocoder=None, onnx=None, say=lambda line: None):
  buckets = sorted(set(buckets))
  if buckets[0] < SHORTEST:
    raise BadInput(f'a bucket of {buckets[0]} mel frames is too short; {SHORTEST} (0.37 s) is the least')
  unknown = sorted(set(platforms) - {*PLATFORMS, 'rocm'})
  if unknown:
    raise BadInput(f'no platform {unknown[0]!r}: use some of {", ".join(PLATFORMS)}, rocm')
  released = (model.path / 'MANIFEST.json').exists()
  card = (model.path / 'CARD.md').read_text() if released else f'# {model.config.name}\n\nFrom a training run.\n'
  vocoder = Path(vocoder or (model.path if released else SHIPPED) / 'vocoder')
  folder.rmdir()
  critic = model.path / 'critic' if model.critic else None
  contents = ModelContents(model.config, model.params, model.voices, card, vocoder, critic)
  write_model_directory(folder, contents, weights=_lossless_type(model.params))

  sounder = open_vocoder(vocoder)
  described = {}
  (folder / 'programs').mkdir()
  for frames in buckets:
    for program in programs(model.config, model.params, sounder, frames):
      exported = program.lower(tuple(platforms))
      stored = bytes(exported.serialize())
      (folder / 'programs' / f'{program.name}.jaxexport').write_bytes(stored)
      say(f'{program.name}: {len(stored) / 1e3:.0f} kB')
      outputs = jax.tree.unflatten(exported.out_tree, exported.out_avals)
      described[program.name] = {
        'inputs': {k: dataclasses.asdict(v) for k, v in program.inputs.items()},
        'outputs': {k: {'shape': v.shape[1:], 'dtype': str(v.dtype)} for k, v in outputs.items()},
      }
  facts = {
    'format': FORMAT,
    'dubber_jax': dubber_jax.__version__,
    'jax': jax.__version__,
    'platforms': list(platforms),
    'buckets': [dataclasses.asdict(bucket_shape(frames)) for frames in buckets],
    'sample_rate': sounder.sample_rate,
    'hop': sounder.hop,
    'frame_rate': SAMPLE_RATE / HOP,
    'symbols': SYMBOLS[: model.config.task.actor.symbols],
    'languages': LANGUAGES[: model.config.task.actor.languages or 1],  # by the ids of the input `language`, if any
    'programs': described,
  }
  (folder / 'programs.json').write_text(json.dumps(facts, indent=1) + '\n')
  shutil.copy(Path(__file__).with_name('standalone.py'), folder / 'serve.py')
  if onnx:
    write_onnx(folder, onnx, say)
  write_manifest(folder)


def _lossless_type(params) -> str:
  """bfloat16 where that is lossless, as for weights that were stored so, else float32."""
  same = all((x == x.astype(ml_dtypes.bfloat16)).all() for x in jax.tree.leaves(params))
  return 'bfloat16' if same else 'float32'
