"""Settings of the vocoder."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VocoderConfig:
  """Sizes of the source-filter vocoder (vocoder/source_filter.py), its training batches and its losses."""

  width: int = 256  # of a block
  layers: int = 8  # blocks
  kernel: int = 7  # of a convolution, frames
  expansion: int = 3  # of the pointwise part of a block
  window: int = 1024  # samples of the head's STFT: 1024, or 512 for two of its frames a mel frame
  modulated: bool = False  # modulate the noise by the cycle of F0
  projections: int = 0  # how often magnitudes are projected onto those that have the mel
  items: int = 12  # of a batch
  frames: int = 48  # of an item, mel frames: 0.56 s
  heard: int = 32  # frames of each that the discriminators take
  adversarial: bool = True  # train against discriminators
  periods: bool = True  # multi-period discriminators beside the multi-resolution ones
  gta: float = 0.0  # share of items whose mel is the actor's, teacher-forced (data_pipelines/gta_mels.py)
  energy_distance: bool = False  # two takes of each mel, and the spectral loss is an energy distance
  mel_weight: float = 15.0  # of the mel loss
  spectral_weight: float = 2.0  # of the spectral loss
  feature_weight: float = 2.0  # of the feature matching loss
  pitch_weight: float = 0.5  # of the F0 loss
