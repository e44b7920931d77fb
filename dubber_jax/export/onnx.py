"""ONNX conversion of an artifact's programs: ARTIFACT/onnx/NAME_T.onnx with the weights, batch size 1.

  python -m dubber_jax.export.onnx ARTIFACT [NAME...]

`dubber export --onnx PYTHON` runs this in another Python environment, with jax2onnx, whose requirements conflict with
those of dubber_jax.
"""

import argparse
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from dubber_jax.config import from_json
from dubber_jax.errors import BadInput
from dubber_jax.export.programs import Program, programs
from dubber_jax.export.standalone import read_weights

INSTALL = 'python -m venv onnx-env && onnx-env/bin/pip install jax2onnx onnxruntime safetensors librosa'
OPSET = 20


def check_python(python: str | Path) -> None:
  """Raises BadInput where a Python environment lacks jax2onnx."""
  try:
    found = subprocess.run([str(python), '-c', 'import jax2onnx'], capture_output=True, text=True)
  except OSError as e:
    raise BadInput(f'--onnx {python}: {e.strerror}; make an environment: {INSTALL}') from e
  if found.returncode:
    raise BadInput(f'--onnx {python}: no jax2onnx there; make an environment: {INSTALL}; name its bin/python')


def write_onnx(folder: Path, python: str | Path, say: Callable[[str], None] = print) -> None:
  """Converts an artifact's programs in a process of another Python, which imports this package from its path.

  `say` gets a line for each file written and for each program that cannot be converted. Raises BadInput where the
  process fails.
  """
  root = str(Path(__file__).parents[2])
  environment = os.environ | {'PYTHONPATH': root, 'JAX_PLATFORMS': 'cpu'}
  done = subprocess.run([str(python), '-m', __name__, str(folder)], env=environment, capture_output=True, text=True)
  if done.returncode:
    last = (done.stderr.strip().splitlines() or ['no message'])[-1]
    raise BadInput(f'--onnx {python}: the conversion failed ({last[:300]})')
  for line in done.stdout.splitlines():
    say(line)


def convert(program: Program, weights: dict) -> bytes:
  """A program and its weights as an ONNX model of batch size 1, with the program's names of inputs and outputs.

  An output with the name of an input, as `durations`, becomes `durations_out`. Raises BadInput for a program with
  complex numbers, as of a vocoder with a Fourier transform.
  """
  from jax.extend.core import jaxpr_as_fun
  from jax2onnx import to_onnx

  weights, names = jax.tree.map(jnp.asarray, weights), sorted(program.inputs)
  shapes = [jax.ShapeDtypeStruct((1, *program.inputs[n].shape), program.inputs[n].dtype) for n in names]

  def function(*arrays):
    return program.function(weights, dict(zip(names, arrays, strict=True)))

  # Traced beforehand: jax2onnx patches jnp.shape and other functions while it traces, which breaks Flax's scan.
  traced, outputs = jax.make_jaxpr(function, return_shape=True)(*shapes)
  if ':c64[' in str(traced):
    raise BadInput(f'{program.name} computes with complex numbers, which jax2onnx and onnxruntime lack: not converted')
  unique = [f'{name}_out' if name in names else name for name in sorted(outputs)]
  model = to_onnx(
    jaxpr_as_fun(traced), shapes, model_name=program.name, opset=OPSET, input_names=names, output_names=unique
  )
  return model.SerializeToString()


def main() -> None:
  parser = argparse.ArgumentParser()
  parser.add_argument('artifact', type=Path)
  parser.add_argument('names', nargs='*', help='as synthesize_256; default: all')
  given = parser.parse_args()
  from dubber_jax.inference.model_directory import open_vocoder

  folder = given.artifact
  facts = json.loads((folder / 'programs.json').read_text())
  config = from_json((folder / 'config.json').read_text())
  weights, vocoder = read_weights(folder / 'model.safetensors'), open_vocoder(folder / 'vocoder')
  (folder / 'onnx').mkdir(exist_ok=True)
  for bucket in facts['buckets']:
    for program in programs(config, weights, vocoder, bucket['frames']):
      if not given.names or program.name in given.names:
        own = vocoder.params if program.name.startswith('vocode') else weights
        try:
          (folder / 'onnx' / f'{program.name}.onnx').write_bytes(convert(program, own))
          print(f'onnx/{program.name}.onnx')
        except BadInput as e:
          print(e)


if __name__ == '__main__':
  main()
