"""What a vocoder's program takes: arrays that are given, and noise that is drawn outside of it.

Every vocoder has, besides `vocode(mel, seed)` for one take on the host,

  params                         nested weights, {} where there are none
  inputs(frames)                 {name: Input} for mels padded to so many frames; 'mel' is among them
  synthesize(params, arrays)     a pure function of those arrays, batched: wave (B, frames * hop)
  sample_rate, hop               Hz, samples a mel frame

so that it can be exported: the program holds neither weights nor chance.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Input:
  """One array, without its batch axis.

  `noise`: '' where it is given, or how NumPy's generator draws it: 'standard_normal', 'random' (uniform from 0 to 1).
  `fill` stands where nothing is given. `marks` names the input where this mask is true.
  """

  shape: tuple[int, ...]
  dtype: str = 'float32'
  noise: str = ''
  fill: float | tuple[float, ...] = 0
  marks: str = ''


def draw(inputs: dict[str, Input], seed: int) -> dict[str, np.ndarray]:
  """The noise among the inputs, for one item. What is drawn first does not depend on how much is drawn, so that a take
  sounds the same however far it is padded."""
  return {
    name: getattr(np.random.default_rng([seed, number]), given.noise)(given.shape, np.float32)
    for number, (name, given) in enumerate(sorted(inputs.items()))
    if given.noise
  }
