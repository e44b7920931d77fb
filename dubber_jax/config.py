"""Every number of a run, with its unit and where it comes from. Frozen, typed, JSON in and out.

An experiment is a Python file whose `arms() -> dict[str, Config]` gives its configs by name.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field

from dubber_jax.errors import BadInput
from dubber_jax.types import MEL_BANDS


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
  timbre_heads: int = 0  # by which each phoneme attends to the reference mel's frames; 0: the reference is only pooled
  noise_width: int = 0  # of what differs from take to take, a frame
  symbols: int = 96  # of script/symbols.py that are embedded, the first: 96 are English
  languages: int = 0  # of its LANGUAGES that the actor is told apart, the first; 0: it has one, and no such input
  domains: int = 0  # kinds of recording that the actor is told apart in training (data/batches.py); it plays the first
  directed: bool = False  # a direction's emotion reaches the actor as it is named, beside the director's nodes
  directed_condition: bool = False  # and the norms of the prosody predictor and the decoder, which shape the timbre
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
  reference_damage: float = 0.0  # share of studio items whose voice is given by a recording with noise and another tone
  director_dropout: float = 0.1  # items on which the director is silent


@dataclass(frozen=True)
class TrainConfig:
  steps: int = 6000  # of the whole schedule
  stop: int = 0  # end at this step and leave the schedule as it is; 0: end at `steps`
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
  eval_every: int = 500
  keep: int = 2  # checkpoints, the last ones
  best: str = ''  # keep the checkpoint best by this metric too: a name of the log, as eval/total
  best_mode: str = 'min'  # or max
  max_skips: int = 20  # steps in a row without a finite gradient, after which a run ends
  profile: int = 0  # steps of which a trace for XProf is written
  init_from: str = ''  # model directory, workdir or folder of weights to start from
  fresh: tuple[str, ...] = ()  # beginnings of names of parameters that start anew all the same
  accumulate: int = 1  # parts that a batch is taken in, one after the other, for one update
  precision: str = 'float32'  # or 'bfloat16', of what is computed; parameters, norms, softmax and losses stay float32
  remat: bool = False  # compute what a layer of a stack computed again for its gradient, to save memory
  unroll: bool = False  # write stacks out layer by layer: slower to compile, the same parameters


@dataclass(frozen=True)
class AdversarialConfig:
  """The discriminators that the actor's mels are trained against (actor/mel_discriminators.py)."""

  weight: float = 0.0  # of their verdict; 0: there are none
  feature_weight: float = 1.0  # of how far a take's features are from a recording's
  width: int = 128
  band_width: int = 48
  quicker: float = 2.0  # their learning rate over the actor's: those that lag behind teach nothing


@dataclass(frozen=True)
class GuidanceConfig:
  """A frozen critic's opinions as losses of the actor (training/tasks/critic_guidance.py)."""

  critic: str = ''  # the folder of one; '': none
  weight: float = 0.5
  share: float = 0.5  # of a batch's items that are performed for it


@dataclass(frozen=True)
class VocoderConfig:
  """Sizes of the shipped vocoder and what its training hears."""

  width: int = 256
  layers: int = 8
  kernel: int = 7  # frames
  expansion: int = 3
  window: int = 1024  # samples of the head's STFT: 1024, or 512 for two of its frames a mel frame
  modulated: bool = False  # noise follows the cycle of F0
  projections: int = 0  # of the magnitudes onto those that have the mel
  items: int = 12  # of a batch
  frames: int = 48  # of an item: 0.56 s
  heard: int = 32  # frames of each that the discriminators hear
  adversarial: bool = True
  periods: bool = True  # multi-period discriminators beside the multi-resolution ones
  gta: float = 0.0  # share of items whose mel is the actor's, teacher-forced (data_pipelines/gta_mels.py)
  energy_distance: bool = False  # two takes of each mel, and the spectral loss is an energy distance
  mel_weight: float = 15.0
  spectral_weight: float = 2.0
  feature_weight: float = 2.0
  pitch_weight: float = 0.5


@dataclass(frozen=True)
class CriticConfig:
  """Sizes of the critic, and how its batches are mixed (critic/model.py)."""

  width: int = 128
  layers: int = 4
  opinion: int = 64
  embedding: int = 96
  dropout: float = 0.3
  items: int = 16  # of a batch
  frames: int = 384  # of an item, mel frames; of longer recordings a part is taken
  shares: tuple[float, ...] = ()  # of each of data.sources


@dataclass(frozen=True)
class PublishedConfig:
  """Sizes of the published system (spec section 2). Only depths differ in small copies of it."""

  text_layers: int = 12
  text_heads: int = 8
  lip_layers: int = 4
  lip_heads: int = 2
  cross_layers: int = 16
  cross_heads: int = 8
  cross_width: int = 128
  decoder_layers: int = 24
  decoder_heads: int = 4
  width: int = 256
  filter: int = 1024
  dropout: bool = True  # off: no dropout anywhere, in training too
  padding: str = 'published'  # or 'safe'

  def __post_init__(self):
    if self.padding not in ('published', 'safe'):
      raise BadInput(f"padding is {self.padding!r}; 'published' and 'safe' are the two there are")


@dataclass(frozen=True)
class PublishedLossConfig:
  """Weights of the published losses (spec section 6), and how wide the diagonal's band is."""

  mel: float = 5.0
  finished: float = 5.0  # the mel after the postnet
  speaker: float = 25.0
  duration: float = 5.0
  diagonal: float = 1.0
  emotion: float = 5.0
  band: int = 10  # the band reaches one part in so many of the clip to either side


@dataclass(frozen=True)
class TreeConfig:
  """A tree of published features, and how its clips are batched (spec sections 7 to 9)."""

  root: str = 'data/v2c_animation'
  layout: str = 'v2c'  # or 'grid': names of files
  train: str = 'train.txt'
  dub1: str = 'val.txt'  # listings of what is dubbed for evaluation: in the clip's own voice,
  dub2: str = 'Refrence_Setting2.txt'  # after another recording of the speaker (so spelled),
  dub3: str = 'V2C_Setting3.txt'  # in the voice of strangers, who are
  strangers: str = 'grid'  # clips of this tree of GRID features, in the root or elsewhere
  exemplars: int = 3  # taken of each retrieval list; 0: a tree without emotion embeddings, the director sees zeros
  batch: int = 32
  drawn: int = 4  # batches drawn together, then sorted by their number of phonemes
  buckets: bool = True  # pad to a few fixed shapes, so that few programs are compiled; off: to the batch's longest


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
  adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
  guidance: GuidanceConfig = field(default_factory=GuidanceConfig)
  vocoder: VocoderConfig = field(default_factory=VocoderConfig)
  critic: CriticConfig = field(default_factory=CriticConfig)
  published: PublishedConfig = field(default_factory=PublishedConfig)
  published_loss: PublishedLossConfig = field(default_factory=PublishedLossConfig)
  tree: TreeConfig = field(default_factory=TreeConfig)
  mesh: MeshConfig = field(default_factory=MeshConfig)
  mel_bands: int = MEL_BANDS
  seed: int = 0

  def replace(self, **changes) -> 'Config':
    return dataclasses.replace(self, **changes)

  def with_tree(self, root: str | None) -> 'Config':
    """The same for published features in another folder, where one is given."""
    return self.replace(tree=dataclasses.replace(self.tree, root=str(root))) if root else self

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
