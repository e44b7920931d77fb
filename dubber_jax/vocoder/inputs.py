"""What a vocoder's program takes: arrays that are given, and noise that is drawn outside of it.

Every vocoder has, besides `vocode(mel, seed)` for one take on the host,

  params                         nested weights, {} where there are none
  inputs(frames)                 {name: Input} for mels padded to so many frames; 'mel' is among them
  synthesise(params, arrays)     a pure function of those arrays, batched: wave (B, frames * hop)
  sample_rate, hop               Hz, samples a mel frame

so that it can be exported: the program holds neither weights nor chance.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Input:
  """One array, without its batch axis. `noise`: '' is given, 'normal', or 'phase', uniform from 0 to 2 pi."""

  shape: tuple[int, ...]
  dtype: str = 'float32'
  noise: str = ''


def draw(inputs: dict[str, Input], seed: int) -> dict[str, np.ndarray]:
  """The noise among the inputs, for one item. What is drawn first does not depend on how much is drawn, so that a take
  sounds the same however far it is padded."""
  drawn = {}
  for number, (name, given) in enumerate(sorted(inputs.items())):
    rng = np.random.default_rng([seed, number])
    if given.noise == 'normal':
      drawn[name] = rng.standard_normal(given.shape, np.float32)
    elif given.noise == 'phase':
      drawn[name] = rng.random(given.shape, np.float32) * np.float32(2 * np.pi)
  return drawn
