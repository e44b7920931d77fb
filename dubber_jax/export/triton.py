"""Model repository of Triton Inference Server around an artifact: its Python backend runs the artifact's own loader.

DIR/dubber/config.pbtxt    inputs and outputs, from programs.json
DIR/dubber/1/model.py      the backend (triton_model.py)
DIR/dubber/1/artifact/     a copy of the artifact

A request gives phonemes, a slot and a voice, and any other input of the program `synthesize`; text is not among them,
since text normalization and g2p are in dubber_jax. All inputs but phonemes and slot are optional, and have the lengths
of the line at hand: the loader pads. Requests that arrive together are one batch. Format of the configuration:
ModelConfig in model_config.proto of github.com/triton-inference-server/common.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dubber_jax.errors import BadInput
from dubber_jax.storage.atomic import complete_folder
from dubber_jax.storage.checked_folder import check_files

NAME = 'dubber'  # of the model in Triton
BATCH = 8  # requests that are synthesized together, at most
DELAY = 5000  # microseconds that a request may wait for others
TYPES = {'int32': 'TYPE_INT32', 'float32': 'TYPE_FP32', 'bool': 'TYPE_BOOL', 'uint8': 'TYPE_UINT8'}
MARKS = (f'{NAME}/config.pbtxt',)  # what a folder has to hold to be replaced


def write_repository(artifact: str | Path, out: str | Path, overwrite: bool = False) -> None:
  """Writes the model repository `out` of an artifact, atomically.

  Raises BadInput where the artifact is none or is not whole, and where `out` exists and is no repository to replace.
  """
  artifact = Path(artifact)
  if not (artifact / 'programs.json').is_file():
    raise BadInput(f'{artifact} is not an artifact (no programs.json): give the folder that `dubber export` wrote')
  check_files(artifact)
  facts = json.loads((artifact / 'programs.json').read_text())
  with complete_folder(out, overwrite, MARKS) as folder:
    version = folder / NAME / '1'
    version.mkdir(parents=True)
    shutil.copytree(artifact, version / 'artifact')
    shutil.copy(Path(__file__).with_name('triton_model.py'), version / 'model.py')
    (folder / NAME / 'config.pbtxt').write_text(to_text(configuration(facts)))


class Enum(str):
  """A value that the text format writes without quotes."""


def configuration(facts: Mapping[str, Any]) -> dict[str, Any]:
  """The ModelConfig of an artifact by the `facts` of its programs.json, as nested dictionaries and lists."""
  bucket = facts['buckets'][-1]
  frames = bucket['frames']
  given = facts['programs'][f'synthesize_{frames}']
  lengths = {bucket[k] for k in ('frames', 'phonemes', 'lips', 'reference')} | {frames * facts['hop']}

  def dims(shape: Iterable[int]) -> list[int]:
    """The axes of a tensor: the first one may have any length where it is one of the bucket's."""
    first, *others = list(shape) or [1]
    return [-1 if first in lengths else first, *others]

  inputs = [
    {'name': name, 'data_type': Enum(TYPES[spec['dtype']]), 'dims': dims(spec['shape'])}
    for name, spec in sorted(given['inputs'].items())
    if not spec['marks'] and name not in ('phonemes', 'slot')  # masks are made of what they mark
  ]
  outputs = {'wave': facts['programs'][f'vocode_{frames}']['outputs']['wave'], **given['outputs']}
  string = {'data_type': Enum('TYPE_STRING'), 'dims': [1]}
  several = {'allow_ragged_batch': True}  # lines of several lengths are given to the backend together
  return {
    'name': NAME,
    'backend': 'python',
    'max_batch_size': BATCH,
    'input': [
      {'name': 'phonemes', **string, 'dims': [-1], **several},
      {'name': 'slot', 'data_type': Enum('TYPE_INT32'), 'dims': [1], **several},
      {'name': 'voice', **string, **several, 'optional': True},
      {'name': 'seed', 'data_type': Enum('TYPE_INT32'), 'dims': [1], **several, 'optional': True},
      *({**tensor, **several, 'optional': True} for tensor in inputs),
    ],
    'output': [
      {'name': name, 'data_type': Enum(TYPES[spec['dtype']]), 'dims': dims(spec['shape'])}
      for name, spec in outputs.items()
    ],
    'dynamic_batching': {'max_queue_delay_microseconds': DELAY},
    'instance_group': [{'count': 1, 'kind': Enum('KIND_CPU')}],  # tensors of requests; JAX chooses its own device
    'parameters': [
      {'key': key, 'value': {'string_value': str(facts[key])}} for key in ('sample_rate', 'hop', 'frame_rate')
    ],
  }


def to_text(message: Mapping[str, Any]) -> str:
  """A message in protobuf's text format. Lists are repeated fields, mappings are messages."""
  return '\n'.join(_fields(message, '')) + '\n'


def _fields(message: Mapping[str, Any], indent: str) -> Iterator[str]:
  for name, value in message.items():
    if isinstance(value, Mapping):
      yield f'{indent}{name} {{'
      yield from _fields(value, indent + '  ')
      yield f'{indent}}}'
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
      for item in value:
        yield from _fields({name: item}, indent)
    elif isinstance(value, list):
      yield f'{indent}{name}: [{", ".join(map(_scalar, value))}]'
    else:
      yield f'{indent}{name}: {_scalar(value)}'


def _scalar(value: Any) -> str:
  return value if isinstance(value, Enum) else json.dumps(value)
