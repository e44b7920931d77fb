"""Settings of the critic."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CriticConfig:
  """Sizes of the critic (critic/model.py), and how its training batches are mixed."""

  width: int = 128  # of the acoustic encoder
  layers: int = 4  # of the acoustic encoder
  opinion: int = 64  # width of a score head
  embedding: int = 96  # width of the speaker embedding
  dropout: float = 0.3  # rate
  items: int = 16  # of a batch
  frames: int = 384  # of an item, mel frames; of longer recordings an excerpt is taken
  shares: tuple[float, ...] = ()  # share of the batches' items of each of task.data.sources
