"""Data classes that the parts of the system exchange, all frozen, and constants of sound and emotion.

Shapes: L lip frames at 25 a second, T mel frames of 256 samples at 22,050 Hz, R mel frames of a
reference, N phonemes, K exemplars a modality.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

SAMPLE_RATE = 22050  # Hz
HOP = 256  # samples a mel frame: 11.6 ms
MEL_BANDS = 80
LIP_RATE = 25  # lip frames a second

# The eight classes of V2C-Animation, in its order (paper, section 4.1). RAVDESS's "calm" counts as neutral.
EMOTIONS = ('angry', 'disgust', 'fear', 'happy', 'neutral', 'sad', 'surprise', 'others')
MODALITIES = ('scene', 'face', 'text')  # the order of the target nodes in every graph


def emotion_name(probabilities: Sequence[float] | np.ndarray) -> str:
  """The most probable of EMOTIONS."""
  return EMOTIONS[int(np.argmax(probabilities))]


@dataclass(frozen=True)
class Line:
  """One utterance of a script. `start` and `end` in seconds of the film; None: the whole clip."""

  text: str
  start: float | None = None
  end: float | None = None
  character: str = ''
  stage_direction: str = ''  # text in brackets, as "whispering, angry"


@dataclass(frozen=True)
class Clip:
  """Silent video of one line. `key` is set/speaker/id where the clip belongs to a data set."""

  frames: np.ndarray  # (L, H, W, 3) uint8 RGB, resampled to 25 a second, upright
  seconds: float  # length of the slot, and of the speech to make
  path: str = ''
  key: str = ''


@dataclass(frozen=True)
class Voice:
  """Target voice: the actor's inputs from a reference recording."""

  embedding: np.ndarray  # (256,) float32, unit norm
  reference_mel: np.ndarray  # (R, 80) float32 natural-log mel
  name: str = ''
  warnings: tuple[str, ...] = ()
  # Speaker adaptation: differences of the actor's parameters (inference/fitted_params.py).
  fit: dict[str, np.ndarray] = field(default_factory=dict)
  fit_of: str = ''  # the actor adapted: model_directory.norms_hash


@dataclass(frozen=True)
class MouthTrack:
  """Track of the speaking face through a clip.

  Where `present` is false (no face, or one turned away) the other rows are zero.
  """

  lips: np.ndarray  # (L, 82) float32: 40 lip points x, y in eye distances from the mouth's center; opening; width
  opening: np.ndarray  # (L,) float32: gap between the inner lips, in eye distances
  present: np.ndarray  # (L,) bool
  boxes: np.ndarray  # (L, 4) float32: left, top, right, bottom of the face, in pixels
  face: int = 0  # index of the face, left to right
  faces: int = 1  # number of faces found
  warnings: tuple[str, ...] = ()

  @property
  def usable(self) -> bool:
    """Whether the mouth is visible in at least half of the frames."""
    return bool(self.present.size) and float(self.present.mean()) >= 0.5


@dataclass(frozen=True)
class Reading:
  """Perception of a clip: an embedding, a caption and emotion probabilities for each modality.

  A missing modality (no face) has `present[m]` false and a zero embedding.
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
  """One clip retrieved from the footage library."""

  key: str  # set/speaker/id
  similarity: float
  text: str = ''
  emotion: str = ''
  media: str = ''  # path of its picture or sound, '' if not available
  prosody: dict[str, float] = field(default_factory=dict)  # see perception/prosody.py


@dataclass(frozen=True)
class Reference:
  """A performance that a person gave a line as an exemplar (retrieval/reference.py).

  key: of its content; name: of the file that it came in; sound: (Da,) float32 embedding, None where it is silent;
  emotions: (8,) probabilities; prosody: as an Exemplar's; embeddings: by modality (D,), of its pictures or, without
  these, of captions made up for its emotion.
  """

  key: str
  name: str
  seconds: float
  emotions: tuple[float, ...]
  sound: np.ndarray | None
  prosody: dict[str, float] = field(default_factory=dict)
  embeddings: dict[str, np.ndarray] = field(default_factory=dict)
  captions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exemplars:
  """The K most similar clips for each modality, and the embeddings of their sound. reference: the performance that a
  person gave, which is the first of each modality then."""

  clips: dict[str, tuple[Exemplar, ...]]  # by modality, best first, at most K
  refs: dict[str, np.ndarray]  # by modality: (K, D) float32, zero rows where fewer were found
  sounds: np.ndarray  # (3, K, Da) float32
  refs_present: np.ndarray  # (3, K) bool
  sounds_present: np.ndarray  # (3, K) bool
  reference: Reference | None = None


@dataclass(frozen=True)
class Direction:
  """The director's settings for a take. The defaults are neutral speech."""

  emotion: tuple[float, ...] = tuple(1.0 if e == 'neutral' else 0.0 for e in EMOTIONS)  # sums to 1
  intensity: float = 0.5  # 0 to 1
  pace: float = 1.0  # speaking rate, 0.75 to 1.35; 0.85 is slower
  pitch_shift: float = 0.0  # semitones
  pitch_range: float = 1.0  # ratio
  loudness: float = 0.0  # dB relative to the character's level
  breathiness: float = 0.0  # 0 to 1
  tremor: float = 0.0  # 0 to 1
  pauses: tuple[tuple[int, float], ...] = ()  # (after which word, counted from 0; seconds)
  emphasis: tuple[float, ...] = ()  # a weight for each word; empty: none
  note: str = ''  # the same as text
  note_zh: str = ''

  def replace(self, **changes: object) -> 'Direction':
    return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Take:
  """Output of the actor. The durations add up to T."""

  mel: np.ndarray  # (T, 80) float32
  phonemes: tuple[str, ...]  # (N,)
  durations: np.ndarray  # (N,) int32 mel frames
  pitch: np.ndarray  # (T,) Hz, 0 where unvoiced
  emotion: np.ndarray  # (8,) probabilities of the actor's own emotion head
  waveform: np.ndarray | None = None  # (T * 256,) float32 at 22,050 Hz
  warnings: tuple[str, ...] = ()
  rate: float = 1.0  # speaking rate: predicted durations of its sounds over the given ones

  @property
  def slot_seconds(self) -> float:
    return len(self.mel) * HOP / SAMPLE_RATE


@dataclass(frozen=True)
class Review:
  """The director's review of a take."""

  scores: dict[str, float]
  accepted: bool
  direction: Direction  # for the next round
