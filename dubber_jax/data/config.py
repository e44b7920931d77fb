"""Settings of the training data."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SourceConfig:
  """Which recordings are trained on."""

  # folder of packed features; made if missing
  packed: str = field(default='cache/packed', metadata={'run_only': True})
  # data sets by name, and folders of packed sets; one that is named twice counts twice
  sources: tuple[str, ...] = ('kathleen', 'teacher', 'ljspeech', 'asterisk', 'ravdess', 'grid')


@dataclass(frozen=True)
class DataConfig(SourceConfig):
  """Which recordings the actor is trained on, in batches of which shapes."""

  buckets: tuple[int, ...] = (256, 384, 512, 832)  # mel frames; longer items are left out
  frames_per_batch: int = 6144  # mel frames, padding included
  reference_frames: int = 256  # of the reference mel: 3 s
  films: bool = True  # lips where the source has video
  director_inputs: bool = True  # director inputs for emotional speech
  reference_damage: float = (
    0.0  # share of studio items whose reference is made noisier and of another frequency response
  )
  director_dropout: float = 0.1  # share of items without director inputs
