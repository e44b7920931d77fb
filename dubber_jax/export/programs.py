"""The programs of an artifact: pure functions of weights and arrays, lowered to StableHLO for each length bucket.

  predict_durations_T  line        -> log_durations (B, N), from which durations are planned
  synthesize_T  line, durations (B, N) int32, slot (B,) int32, controls (B, 3)
                                   -> mel (B, T, 80), durations (B, N), pitch (B, T) Hz, emotion (B, 8)
  vocode_T   the vocoder's inputs (vocoder/inputs.py), noise included
                                   -> wave (B, T * hop)

`line` has the arrays of `inference.batch.empty_line`, described in the model's docstring. The batch size is symbolic.
Where an item's durations are all zero, its predicted ones are scaled to its `slot` in mel frames. Weights are
arguments.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import REFERENCE, Shape, empty_line, lip_frames
from dubber_jax.model import DirectorActor
from dubber_jax.vocoder.inputs import Input

PLATFORMS = ('cpu', 'cuda', 'tpu')
# Inputs of the duration predictor.
DURATION_INPUTS = ('phonemes', 'language', 'lips', 'lip_mask', 'speaker', 'reference', 'reference_mask', 'directed')
PORTABLE = {'shape_assertion'}  # custom calls that jax.export resolves


@dataclass(frozen=True)
class Program:
  """One function to be lowered. `inputs` are without the batch axis; `params` are shapes of the weights."""

  name: str
  function: Callable[[Any, dict], dict]
  params: Any
  inputs: dict[str, Input]

  def lower(self, platforms: tuple[str, ...] = PLATFORMS) -> jax.export.Exported:
    """Lowers the program for the platforms. Raises BadInput where it needs the host's Python or one kind of device."""
    (items,) = jax.export.symbolic_shape('b')
    arrays = {k: jax.ShapeDtypeStruct((items, *v.shape), v.dtype) for k, v in self.inputs.items()}
    function = jax.jit(self.function)
    # Errors of the function itself are raised here, as they are.
    effects = function.trace(self.params, arrays).jaxpr.effects
    if effects:
      raise BadInput(f'{self.name} cannot be exported: it has an effect on the host ({", ".join(map(str, effects))})')
    try:
      exported = jax.export.export(function, platforms=platforms)(self.params, arrays)
    except NotImplementedError as e:  # no lowering of an operation for one of the platforms
      why = (str(e) or type(e).__name__).splitlines()[0]
      raise BadInput(f'{self.name} cannot be exported for {", ".join(platforms)}: {why}') from e
    calls = set(re.findall(r'custom_call @([\w.]+)', exported.mlir_module())) - PORTABLE
    if calls:
      raise BadInput(f'{self.name} cannot be exported: it contains {", ".join(sorted(calls))}, which is not portable')
    return exported


def bucket_shape(frames: int) -> Shape:
  """Array lengths of a bucket of `frames` mel frames, with room for 21 phonemes a second."""
  return Shape(1, frames, -(-frames // 4), lip_frames(frames), REFERENCE)


def programs(config: Config, params: dict, vocoder: Any, frames: int) -> list[Program]:
  """The three programs of one bucket."""
  module, shape = DirectorActor(config), bucket_shape(frames)
  marks = {'lip_mask': 'lips', 'reference_mask': 'reference'}
  drawn = {'noise': 'standard_normal'}
  line = {
    k: Input(v.shape[1:], str(v.dtype), drawn.get(k, ''), marks=marks.get(k, ''))
    for k, v in empty_line(config, shape).items()
  }
  plan = {
    'durations': Input((shape.phonemes,), 'int32'),
    'slot': Input((), 'int32'),
    'controls': Input((3,), fill=(0, 1, 0)),
  }

  def predict_durations(weights, arrays):
    return {'log_durations': module.apply({'params': weights}, arrays, method='encode')[2]}

  def synthesize(weights, arrays):
    planned = arrays['durations']
    own = spread(predict_durations(weights, arrays)['log_durations'], arrays['slot'])
    durations = jnp.where((planned > 0).any(axis=1, keepdims=True), planned, own)
    mel, pitch, emotion = module.apply(
      {'params': weights}, arrays, durations, arrays['controls'], frames, method='synthesize'
    )
    return {'mel': mel, 'durations': durations, 'pitch': pitch, 'emotion': emotion}

  def vocode(weights, arrays):
    return {'wave': vocoder.synthesize(weights, arrays)}

  shapes, vocoder_shapes = (shapes_of(tree) for tree in (params, vocoder.params))
  return [
    Program(
      f'predict_durations_{frames}', predict_durations, shapes, {k: line[k] for k in DURATION_INPUTS if k in line}
    ),
    Program(f'synthesize_{frames}', synthesize, shapes, line | plan),
    Program(f'vocode_{frames}', vocode, vocoder_shapes, vocoder.inputs(frames)),
  ]


def shapes_of(params: dict) -> dict:
  """Shapes of the weights in float32, their type when served."""
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float32), params)


def spread(log_durations_bn: jax.Array, slot_b: jax.Array) -> jax.Array:
  """Scales predicted durations to int32 frames that add up to the slot exactly."""
  ends_bn = jnp.cumsum(jnp.expm1(log_durations_bn), axis=1)
  share_bn = ends_bn / jnp.maximum(ends_bn[:, -1:], 1e-6)
  rounded_bn = jnp.round(share_bn * slot_b[:, None]).astype(jnp.int32)
  return jnp.diff(rounded_bn, axis=1, prepend=0)
