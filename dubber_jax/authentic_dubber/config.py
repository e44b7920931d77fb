"""Settings of the published system, Authentic-Dubber."""

from dataclasses import dataclass, field
from typing import Literal

from dubber_jax.errors import BadInput


@dataclass(frozen=True)
class PublishedConfig:
  """Sizes of the published system (spec section 2). Only depths differ in small copies of it."""

  text_layers: int = 12  # of the text encoder
  text_heads: int = 8  # of its attention
  lip_layers: int = 4  # of the lip encoder
  lip_heads: int = 2  # of its attention
  cross_layers: int = 16  # of the cross-modal transformer
  cross_heads: int = 8  # of its attention
  cross_width: int = 128  # of the cross-modal transformer
  decoder_layers: int = 24  # of the mel decoder
  decoder_heads: int = 4  # of its attention
  width: int = 256  # of everything else
  filter: int = 1024  # width of the feed-forward layers
  dropout: bool = True  # False: no dropout anywhere, in training too
  padding: Literal['published', 'safe'] = 'published'  # whether padding influences the output

  def __post_init__(self):
    if self.padding not in ('published', 'safe'):
      raise BadInput(f"padding is {self.padding!r}; 'published' and 'safe' are the two there are")


@dataclass(frozen=True)
class PublishedLossConfig:
  """Weights of the published losses (spec section 6), and the width of the diagonal band."""

  mel: float = 5.0  # of the mel before the postnet
  finished: float = 5.0  # of the mel after the postnet
  speaker: float = 25.0  # of the speaker embedding
  duration: float = 5.0  # of the log durations
  diagonal: float = 1.0  # of the diagonal alignment
  emotion: float = 5.0  # of the emotion head
  band: int = 10  # the band reaches one part in so many of the clip to either side


@dataclass(frozen=True)
class TreeConfig:
  """A tree of published features, and how its clips are batched (spec sections 7 to 9)."""

  root: str = field(default='data/v2c_animation', metadata={'run_only': True})  # its folder
  layout: Literal['v2c', 'grid'] = 'v2c'  # names of its files
  train: str = 'train.txt'  # listing of the clips that are trained on
  dub1: str = 'val.txt'  # listing of clips evaluated in their own voice
  dub2: str = 'Refrence_Setting2.txt'  # listing of clips evaluated after another recording of the speaker (so spelled)
  dub3: str = 'V2C_Setting3.txt'  # listing of clips evaluated in the voice of unseen speakers
  # tree of GRID features with the unseen speakers, relative to the root or elsewhere
  strangers: str = field(default='grid', metadata={'run_only': True})
  exemplars: int = 3  # taken of each retrieval list; 0: a tree without emotion embeddings, whose director sees zeros
  batch: int = 32  # clips of a batch
  drawn: int = 4  # batches drawn together, then sorted by their number of phonemes
  buckets: bool = True  # pad to a few fixed shapes, so that few programs are compiled; False: to the batch's longest
