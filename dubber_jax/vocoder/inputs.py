"""Inputs of a vocoder's exported program: given arrays, and noise drawn outside the program.

Besides `vocode(mel, seed)` for one take on the host, every vocoder has

  params                         nested weights, {} where there are none
  inputs(frames)                 {name: Input} for mels padded to so many frames; 'mel' is among them
  synthesize(params, arrays)     a pure function of those arrays, batched: waveform (B, frames * hop)
  sample_rate, hop               Hz, samples a mel frame

so that it can be exported: the program contains neither weights nor a random generator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Input:
  """One input array, without its batch axis.

  `noise`: '' for a given array, or the method of NumPy's generator that draws it: 'standard_normal', 'random' (uniform
  from 0 to 1). `fill`: the value of padding and of inputs that are not given. `marks`: for a mask, the input whose
  real positions it marks.
  """

  shape: tuple[int, ...]
  dtype: str = 'float32'
  noise: str = ''
  fill: float | tuple[float, ...] = 0
  marks: str = ''


def draw(inputs: Mapping[str, Input], seed: int) -> dict[str, np.ndarray]:
  """Draws the noise inputs of one item. The first values drawn do not depend on the size, so that a take does not
  depend on its padding."""
  return {
    name: getattr(np.random.default_rng([seed, number]), given.noise)(given.shape, np.float32)
    for number, (name, given) in enumerate(sorted(inputs.items()))
    if given.noise
  }


def batch_inputs(
  inputs: Mapping[str, Input], mels: Sequence[np.ndarray], seeds: Sequence[int], quality: np.ndarray, items: int
) -> dict[str, np.ndarray]:
  """The input arrays of a batch of `items`, of which the first are mels (T, bands), each with the noise of its seed.

  quality: breathiness and tremor of each, (B, 2); left out where the vocoder has no such input, as `frames` is."""
  arrays = {name: np.full((items, *given.shape), given.fill, given.dtype) for name, given in inputs.items()}
  for row, (mel, seed) in enumerate(zip(mels, seeds, strict=True)):
    arrays['mel'][row, : len(mel)] = mel
    for name, drawn in draw(inputs, seed).items():
      arrays[name][row] = drawn
  if 'frames' in arrays:
    arrays['frames'][:] = [*map(len, mels), *[1] * (items - len(mels))]
  if 'voice_quality' in arrays:
    arrays['voice_quality'][: len(mels)] = quality
  return arrays
