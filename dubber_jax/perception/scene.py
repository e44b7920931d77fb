"""Scene analysis: statistics of color, light and motion, a caption, its embedding and emotion probabilities.

Pleasure, arousal and dominance (PAD) follow from brightness and saturation by Valdez and Mehrabian (1994, "Effects of
color on emotions"); the convention of film grading adds the hue: gold for joy, red for rage, blue for sorrow, violet
for dread. Emotion probabilities follow from the distance to the PAD of each emotion in Russell and Mehrabian (1977,
"Evidence for a three-factor theory of emotions"). This is weak evidence, so the probabilities stay moderate.
"""

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.perception.text import WIDTH, embed_text
from dubber_jax.types import EMOTIONS, MouthTrack

MAX_SIDE = 64  # pixels of the longer side after subsampling
MAX_FRAMES = 64  # for color; motion uses neighboring frames
HUES = (  # upper edge in degrees, name, PAD by the convention of film grading
  (15, 'red', (-0.4, 0.6, 0.3)),
  (52, 'orange', (0.4, 0.3, 0.2)),
  (70, 'yellow', (0.4, 0.3, 0.2)),
  (160, 'green', (0.0, 0.0, 0.0)),
  (195, 'teal', (-0.1, -0.2, 0.0)),
  (255, 'blue', (-0.4, -0.4, -0.3)),
  (290, 'violet', (-0.5, 0.4, -0.5)),
  (335, 'pink', (0.3, 0.0, 0.0)),
  (360, 'red', (-0.4, 0.6, 0.3)),
)
FULL_COLOR = 0.15  # colorfulness from which the hue has full weight
NEUTRAL_SCENE = {'brightness': 0.5, 'saturation': 0.35, 'motion': 0.01}  # statistics of an emotionally neutral scene
# Pleasure, arousal, dominance, each -1 to 1; 'others' has none.
EMOTION_PAD = {
  'angry': (-0.51, 0.59, 0.25),
  'disgust': (-0.60, 0.35, 0.11),
  'fear': (-0.64, 0.60, -0.43),
  'happy': (0.81, 0.51, 0.46),
  'neutral': (0.0, 0.0, 0.0),
  'sad': (-0.63, -0.27, -0.33),
  'surprise': (0.40, 0.67, -0.13),
}
PAD_DEVIATION = 0.45  # standard deviation of the PAD of an emotion: large, as evidence is weak
OTHERS_PROBABILITY = 0.05
CUT_THRESHOLD = 0.2  # mean absolute change of luminance between frames above which there is a cut

FEELINGS = {
  'angry': 'It looks harsh and hot-blooded.',
  'disgust': 'It looks murky and unpleasant.',
  'fear': 'It looks tense and threatening.',
  'happy': 'It looks cheerful and inviting.',
  'neutral': 'It looks ordinary.',
  'sad': 'It looks bleak and lonely.',
  'surprise': 'It looks lively and full of wonder.',
}


class ColorAndMotion:
  """The offline backend of `CaptionExtractor` for scenes."""

  name = 'colour-motion-minilm'
  version = '2'
  width = WIDTH

  def read(self, frames: np.ndarray, track: MouthTrack | None = None) -> tuple[np.ndarray, np.ndarray, str]:
    embedding, probabilities, caption, _ = read_scene(frames)
    return embedding, probabilities, caption


def read_scene(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, str, dict[str, float]]:
  """frames (L, H, W, 3) uint8 RGB -> embedding (384,), probabilities (8,), caption, `scene_statistics`."""
  numbers = scene_statistics(frames)
  probabilities = scene_emotion(numbers)
  caption = describe_scene(numbers, probabilities)
  return embed_text([caption])[0], probabilities, caption, numbers


def scene_statistics(frames: np.ndarray) -> dict[str, float]:
  """frames (L, H, W, 3) uint8 -> statistics by name.

  hue (degrees, circular mean weighted by chroma), colourfulness (0 to 1, length of the mean chroma vector), saturation,
  brightness, contrast (0 to 1), motion (mean absolute luminance change between frames, 0 to 1, without cuts), cuts
  (count).
  """
  if frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
    raise BadInput(f'a scene needs frames of shape (L, H, W, 3), not {frames.shape}')
  step = max(1, max(frames.shape[1:3]) // MAX_SIDE)
  small = frames[:, ::step, ::step].astype(np.float32) / 255
  sampled = small[np.linspace(0, len(small) - 1, min(len(small), MAX_FRAMES)).round().astype(int)]
  high, low = sampled.max(-1), sampled.min(-1)
  chroma = high - low
  red, green, blue = np.moveaxis(sampled, -1, 0)
  with np.errstate(invalid='ignore', divide='ignore'):
    sixth = np.where(
      high == red,
      (green - blue) / chroma,
      np.where(high == green, 2 + (blue - red) / chroma, 4 + (red - green) / chroma),
    )
    saturation = np.where(high > 0, chroma / high, 0)
  mean_chroma = (chroma * np.exp(1j * np.radians(60 * np.nan_to_num(sixth)))).sum() / max(float(chroma.sum()), 1e-6)
  light = small @ np.array([0.299, 0.587, 0.114], np.float32)
  changes = np.abs(np.diff(light, axis=0)).mean((1, 2))
  return {
    'hue': float(np.degrees(np.angle(mean_chroma)) % 360),
    'colourfulness': float(np.abs(mean_chroma) * chroma.mean()),
    'saturation': float(saturation.mean()),
    'brightness': float(high.mean()),
    'contrast': float(light.std((1, 2)).mean()),
    'motion': float(changes[changes < CUT_THRESHOLD].mean()) if (changes < CUT_THRESHOLD).any() else 0.0,
    'cuts': int((changes >= CUT_THRESHOLD).sum()),
  }


def scene_emotion(numbers: dict[str, float]) -> np.ndarray:
  """`scene_statistics` -> (8,) emotion probabilities."""
  brightness = 2 * (numbers['brightness'] - NEUTRAL_SCENE['brightness'])
  saturation = 2 * (numbers['saturation'] - NEUTRAL_SCENE['saturation'])
  _, _, hue_pad = _hue_row(numbers)
  arousal = np.clip(np.log2(max(numbers['motion'], 1e-3) / NEUTRAL_SCENE['motion']) / 4, -0.5, 0.5)
  pad = np.array(
    [
      0.69 * brightness + 0.22 * saturation,
      -0.31 * brightness + 0.60 * saturation + arousal,
      -0.76 * brightness + 0.32 * saturation,
    ]
  ) + min(1.0, numbers['colourfulness'] / FULL_COLOR) * np.array(hue_pad)
  odds = {name: np.exp(-np.sum((pad - place) ** 2) / (2 * PAD_DEVIATION**2)) for name, place in EMOTION_PAD.items()}
  odds['neutral'] *= 1.25  # prior: most scenes are neutral
  total = sum(odds.values()) / (1 - OTHERS_PROBABILITY)
  return np.array([odds[e] / total if e in odds else OTHERS_PROBABILITY for e in EMOTIONS], np.float32)


def describe_scene(numbers: dict[str, float], probabilities: np.ndarray) -> str:
  """-> a caption of light, color, motion and mood."""
  bright, full = numbers['brightness'], numbers['saturation']
  light = 'dark' if bright < 0.25 else 'dim' if bright < 0.4 else 'bright' if bright > 0.7 else 'evenly lit'
  color = 'strong' if full > 0.55 else 'soft' if full > 0.2 else 'hardly any'
  _, hue, _ = _hue_row(numbers)
  tones = f'{color} {hue} tones' if numbers['colourfulness'] > 0.04 else f'{color} colour'
  motion = numbers['motion']
  stir = 'nearly still' if motion < 0.004 else 'quietly moving' if motion < 0.02 else 'full of quick movement'
  cuts = f', with {numbers["cuts"]} cuts' if numbers['cuts'] > 1 else ', with a cut' if numbers['cuts'] else ''
  likeliest = EMOTIONS[int(np.argmax(probabilities))]
  return f'The scene is {light}, in {tones}, {stir}{cuts}. {FEELINGS[likeliest]}'


def _hue_row(numbers):
  return next(row for row in HUES if numbers['hue'] <= row[0])
