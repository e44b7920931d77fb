"""Settings of the dialogue separator."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SeparatorConfig:
  """Sizes of the mask network (separation/network.py), its training batches and its losses."""

  width: int = 256  # of a frame's state
  hidden: int = 512  # of a block's hidden layer
  local: int = 16  # channels of the layers over neighboring bands
  paired: int = 10  # channels of two bands, of which a frame's state is made
  spread: int = 8  # channels of a band that are made of a frame's state
  dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 1, 4, 16)  # of the blocks' convolutions in time, frames
  items: int = 6  # of a batch
  frames: int = 140  # of an item: 3 s
  waveform_weight: float = 1.0  # of the error of the background's spectrum, dB
  magnitude_weight: float = 60.0  # of the compressed magnitudes of both parts
  residual_weight: float = 0.3  # of the dialogue that is left in the background, dB
