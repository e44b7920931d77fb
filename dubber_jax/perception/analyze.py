"""Multimodal analysis of a clip: embedding, caption and emotion probabilities of scene, face and text."""

from dataclasses import dataclass, field, fields

import numpy as np

from dubber_jax.perception.extractors import (
  CaptionExtractor,
  MouthTracker,
  SoundExtractor,
  SpeakerExtractor,
  TextExtractor,
  extractor_identity,
)
from dubber_jax.perception.face import MiniXception
from dubber_jax.perception.lips import LandmarkTracker
from dubber_jax.perception.scene import ColorAndMotion
from dubber_jax.perception.speaker import SpeakerEncoder
from dubber_jax.perception.speech_emotion import SpeechEmotionExtractor
from dubber_jax.perception.text import MiniLM
from dubber_jax.storage.cache import cached
from dubber_jax.storage.hashing import content_key
from dubber_jax.types import MODALITIES, Clip, Line, MouthTrack, Reading


@dataclass(frozen=True)
class Extractors:
  """One backend for each modality and task; the offline ones by default."""

  lips: MouthTracker = field(default_factory=LandmarkTracker)
  scene: CaptionExtractor = field(default_factory=ColorAndMotion)
  face: CaptionExtractor = field(default_factory=MiniXception)
  text: TextExtractor = field(default_factory=MiniLM)
  sound: SoundExtractor = field(default_factory=SpeechEmotionExtractor)
  speaker: SpeakerExtractor = field(default_factory=SpeakerEncoder)

  def manifest(self) -> dict[str, dict]:
    """{task: {name, version, width}}, for features.json and a library's manifest.json."""
    return {f.name: extractor_identity(getattr(self, f.name)) for f in fields(self)}


def follow_mouth(frames: np.ndarray, face: int | None = None, extractors: Extractors | None = None) -> MouthTrack:
  """frames (L, H, W, 3) uint8 RGB at 25 Hz -> lip landmarks of one face: `lips.track_mouth`, cached."""
  tracker = (extractors or Extractors()).lips

  def compute():
    track = tracker.track(frames, face)
    return {
      'lips': track.lips,
      'present': track.present,
      'boxes': track.boxes,
      'opening': track.opening,
      'face': track.face,
      'faces': track.faces,
      'warnings': np.array(track.warnings, dtype=str),
    }

  found = cached(tracker, (frames, -1 if face is None else face), compute)
  warnings = tuple(str(warning) for warning in found.pop('warnings'))
  return MouthTrack(**found, warnings=warnings)


def read_clip(clip: Clip, line: Line, track: MouthTrack | None = None, extractors: Extractors | None = None) -> Reading:
  """A silent clip and its line -> embeddings, captions and emotions of scene, face and text.

  `track`: its lip landmarks, computed here where not given. Inputs are pixels and words only: no label and never the
  clip's own sound. A clip without frames or without a face lacks that modality: `present` is false and its embedding
  zero. Raises BadInput for an empty line and where a package of the extra `features` is missing.
  """
  extractors = extractors or Extractors()
  seen = bool(len(clip.frames))
  if track is None and seen:
    track = follow_mouth(clip.frames, extractors=extractors)
  look = content_key(clip.frames)
  found = {
    'text': _cached_reading(extractors.text, (line.text, line.stage_direction), (line.text, line.stage_direction))
  }
  if seen:
    found['scene'] = _cached_reading(extractors.scene, (clip.frames, track), (look,))
  if track is not None and track.present.any():
    found['face'] = _cached_reading(
      extractors.face, (clip.frames, track), (look, track.boxes, track.lips, track.present)
    )
  embeddings = {m: np.zeros(getattr(extractors, m).width, np.float32) for m in MODALITIES}
  embeddings |= {m: values['embedding'] for m, values in found.items()}
  return Reading(
    **embeddings,
    present=np.array([m in found for m in MODALITIES]),
    captions={m: found[m]['caption'] for m in MODALITIES if m in found},
    emotions={m: found[m]['emotions'] for m in MODALITIES if m in found},
    warnings=track.warnings if track is not None else ('no pictures: only the words are read',),
  )


def read_words(line: Line, extractors: Extractors | None = None) -> Reading:
  """The reading of a line without pictures, as `read_clip` gives it. Nothing is kept in the cache: a server does not
  store what it is given to say."""
  extractors = extractors or Extractors()
  embedding, emotions, caption = extractors.text.read(line.text, line.stage_direction)
  return Reading(
    scene=np.zeros(extractors.scene.width, np.float32),
    face=np.zeros(extractors.face.width, np.float32),
    text=embedding,
    present=np.array([m == 'text' for m in MODALITIES]),
    captions={'text': caption},
    emotions={'text': emotions},
  )


def _cached_reading(extractor, arguments, key_parts):
  def compute():
    embedding, emotions, caption = extractor.read(*arguments)
    return {'embedding': embedding, 'emotions': emotions, 'caption': caption}

  return cached(extractor, key_parts, compute)
