"""Inputs of a vocoder's exported program: given arrays, and noise drawn outside the program.

Besides `vocode(mel, seed)` for one take on the host, every vocoder has

  params                         nested weights, {} where there are none
  inputs(frames)                 {name: Input} for mels padded to so many frames; 'mel' is among them
  synthesize(params, arrays)     a pure function of those arrays, batched: waveform (B, frames * hop)
  sample_rate, hop               Hz, samples a mel frame

so that it can be exported: the program contains neither weights nor a random generator.
"""

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


def draw(inputs: dict[str, Input], seed: int) -> dict[str, np.ndarray]:
  """Draws the noise inputs of one item. The first values drawn do not depend on the size, so that a take does not
  depend on its padding."""
  return {
    name: getattr(np.random.default_rng([seed, number]), given.noise)(given.shape, np.float32)
    for number, (name, given) in enumerate(sorted(inputs.items()))
    if given.noise
  }
