"""What flows through the house: plain data, made once and never changed.

Shapes: L lip frames at 25 a second, T mel frames of 256 samples at 22,050 Hz, R mel frames of a
reference, N phonemes, K exemplars a modality.
"""

import dataclasses
from dataclasses import dataclass, field

import numpy as np

SAMPLE_RATE = 22050  # Hz
HOP = 256  # samples a mel frame: 11.6 ms
MEL_BANDS = 80
LIP_RATE = 25  # lip frames a second

# The eight of V2C-Animation, in its order (paper, section 4.1). RAVDESS's "calm" counts as neutral.
EMOTIONS = ('angry', 'disgust', 'fear', 'happy', 'neutral', 'sad', 'surprise', 'others')
MODALITIES = ('scene', 'face', 'text')  # the order of the target nodes in every graph


@dataclass(frozen=True)
class Line:
  """One utterance of the script. `start` and `end` in seconds of the film; None: the whole clip."""

  text: str
  start: float | None = None
  end: float | None = None
  character: str = ''
  stage_direction: str = ''  # what stood in brackets, as "whispering, angry"


@dataclass(frozen=True)
class Clip:
  """The silent pictures of one line. `key` is set/speaker/id where the clip belongs to a data set."""

  frames: np.ndarray  # (L, H, W, 3) uint8 RGB, resampled to 25 a second, upright
  seconds: float  # the slot's length; the sound has to last just as long
  path: str = ''
  key: str = ''


@dataclass(frozen=True)
class Voice:
  """Who speaks: what the actor needs of a reference recording."""

  embedding: np.ndarray  # (256,) float32, unit norm
  reference_mel: np.ndarray  # (R, 80) float32 natural-log mel
  name: str = ''
  warnings: tuple[str, ...] = ()
  fit: dict[str, np.ndarray] = field(default_factory=dict)  # what it adds to an actor's parameters (fitting.py)
  fit_of: str = ''  # of which actor: model_directory.norms_hash


@dataclass(frozen=True)
class MouthTrack:
  """The one face that speaks, followed through the clip.

  Where `present` is false (no face, or one turned away) the other rows are zero.
  """

  lips: np.ndarray  # (L, 82) float32: 40 lip points x, y in eye distances from the mouth's center; opening; width
  opening: np.ndarray  # (L,) float32: gap between the inner lips, in eye distances
  present: np.ndarray  # (L,) bool
  boxes: np.ndarray  # (L, 4) float32: left, top, right, bottom of the face, in pixels
  face: int = 0  # which of the faces, left to right
  faces: int = 1  # how many were seen
  warnings: tuple[str, ...] = ()

  @property
  def usable(self) -> bool:
    """Whether enough of the mouth was seen to dub by."""
    return bool(self.present.size) and float(self.present.mean()) >= 0.5


@dataclass(frozen=True)
class Reading:
  """What the director sees in a clip: an embedding, words and emotion probabilities for each modality.

  A modality that is missing (no face) has `present[m]` false and a zero embedding.
  """

  scene: np.ndarray  # (Ds,) float32
  face: np.ndarray  # (Df,)
  text: np.ndarray  # (Dt,): the line's half, then the reaction's half
  present: np.ndarray  # (3,) bool, in the order of MODALITIES
  captions: dict[str, str] = field(default_factory=dict)  # by modality
  emotions: dict[str, np.ndarray] = field(default_factory=dict)  # by modality: (8,) probabilities
  warnings: tuple[str, ...] = ()

  def embedding(self, modality: str) -> np.ndarray:
    return getattr(self, modality)


@dataclass(frozen=True)
class Exemplar:
  """One library clip that was recalled."""

  key: str  # set/speaker/id
  similarity: float
  text: str = ''
  emotion: str = ''
  media: str = ''  # path of its picture or sound where that is at hand, else ''
  prosody: dict[str, float] = field(default_factory=dict)  # see perception/prosody.py


@dataclass(frozen=True)
class Exemplars:
  """The K clips most like the reading, for each modality, and the embeddings of their sound."""

  clips: dict[str, tuple[Exemplar, ...]]  # by modality, best first, at most K
  refs: dict[str, np.ndarray]  # by modality: (K, D) float32, zero rows where fewer were found
  sounds: np.ndarray  # (3, K, Da) float32
  refs_present: np.ndarray  # (3, K) bool
  sounds_present: np.ndarray  # (3, K) bool


@dataclass(frozen=True)
class Direction:
  """What the director tells the actor. The defaults are a neutral, plain delivery."""

  emotion: tuple[float, ...] = tuple(1.0 if e == 'neutral' else 0.0 for e in EMOTIONS)  # sums to 1
  intensity: float = 0.5  # 0 to 1
  pace: float = 1.0  # speaking rate, 0.75 to 1.35; 0.85 is slower
  pitch_shift: float = 0.0  # semitones
  pitch_range: float = 1.0  # ratio
  loudness: float = 0.0  # dB against the character's anchor
  breathiness: float = 0.0  # 0 to 1
  tremor: float = 0.0  # 0 to 1
  pauses: tuple[tuple[int, float], ...] = ()  # (after which word, counted from 0; seconds)
  emphasis: tuple[float, ...] = ()  # a weight per word; empty: none
  note: str = ''  # the same, for a person to read
  note_zh: str = ''

  def replace(self, **changes) -> 'Direction':
    return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Take:
  """What the actor gives back. The durations add up to T."""

  mel: np.ndarray  # (T, 80) float32
  phonemes: tuple[str, ...]  # (N,)
  durations: np.ndarray  # (N,) int32 mel frames
  pitch: np.ndarray  # (T,) Hz, 0 where unvoiced
  emotion: np.ndarray  # (8,) what the actor's own head hears in it
  waveform: np.ndarray | None = None  # (T * 256,) float32 at 22,050 Hz
  warnings: tuple[str, ...] = ()

  @property
  def slot_seconds(self) -> float:
    return len(self.mel) * HOP / SAMPLE_RATE


@dataclass(frozen=True)
class Review:
  """What the director says of a take."""

  scores: dict[str, float]
  accepted: bool
  direction: Direction  # for the next round
