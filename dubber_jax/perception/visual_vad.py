"""Visual voice activity detection (VAD) and viseme scores from lip landmarks.

A small convolutional network over features of the lip contours, normalized within the clip, which makes them
independent of face and camera. It was trained on one GRID speaker with heavy augmentation
(`experiments/recipes/visual_vad.py`); its receptive field of 0.2 s to either side is too short to memorize GRID's
grammar. The output rate is 100 Hz, as 25 Hz is too coarse for dubbing.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from dubber_jax.script.visemes import NAMES, SILENT
from dubber_jax.storage.assets import ASSETS
from dubber_jax.types import LIP_RATE, MouthTrack

SHIPPED = ASSETS / 'visual_vad'
UPSAMPLING = 4  # output frames per lip frame
RATE = UPSAMPLING * LIP_RATE  # Hz
HIDDEN = 64
KERNELS = (5, 5, 3)  # lip frames; receptive field 11
MIN_OPENING_RANGE = 0.02  # eye distances: a smaller range of mouth opening is tracking noise
OUTER, INNER = slice(0, 20), slice(20, 40)  # contour points, from the left corner along the lower lip
LEFT, LOWER, RIGHT, UPPER = 0, 5, 10, 15  # of a contour
SHAPES = 14  # features of a lip shape
DETRENDED, TREND_DEVIATION = (
  (0, 3, 6, 10),
  6.0,
)  # features that are also given detrended; lip frames, Gaussian deviation of the trend
FEATURES = SHAPES + len(DETRENDED)
EVIDENCE_WEIGHT, TRANSITION_COST = 0.25, 3.0  # weight of a frame's log-odds; cost of a transition, nats
ONSET_THRESHOLD = 0.9  # threshold for the start of speech: mouths open for breath before it
MIN_SPEECH = 0.15  # s
MIN_PAUSE, MAX_PAUSE_SPEECH = 0.25, 0.2  # s; mean probability of speech


@dataclass(frozen=True)
class VisualSpeech:
  """speaking (M,): probability of speech at 100 Hz; scores (M, 10): log-likelihood of each viseme class (posterior over
  prior), up to a constant of each frame."""

  speaking: np.ndarray
  scores: np.ndarray


def lip_shape(track_lips: np.ndarray, present: np.ndarray) -> np.ndarray:
  """lips (L, 82), present (L,) -> shape features (L, 14) in eye distances: openings, widths, areas, thickness and
  height of the lips; missing frames are interpolated."""
  seen, frames = np.flatnonzero(present), np.arange(len(present))
  lips = np.stack([np.interp(frames, seen, column[seen]) for column in track_lips.T], axis=1)
  points = lips[:, :80].reshape(-1, 40, 2)
  outer, inner = points[:, OUTER], points[:, INNER]

  def gap(contour, side):
    return contour[:, LOWER + side, 1] - contour[:, UPPER - side, 1]

  def width(contour):
    return contour[:, RIGHT, 0] - contour[:, LEFT, 0]

  def area(contour):
    x, y = contour[..., 0], contour[..., 1]
    return 0.5 * np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1))

  corners = 0.5 * (outer[:, LEFT, 1] + outer[:, RIGHT, 1])
  return np.stack(
    [
      gap(inner, 0),
      0.5 * (gap(inner, 2) + gap(inner, -2)),
      0.5 * (gap(inner, 3) + gap(inner, -3)),
      gap(outer, 0),
      0.5 * (gap(outer, 3) + gap(outer, -3)),
      width(inner),
      width(outer),
      area(inner),
      area(outer),
      inner[:, UPPER, 1] - outer[:, UPPER, 1],
      outer[:, LOWER, 1] - inner[:, LOWER, 1],
      outer[:, UPPER, 1] - corners,
      outer[:, LOWER, 1] - corners,
      lips[:, 80],
    ],
    axis=1,
  ).astype(np.float32)


def normalize_features(shape: np.ndarray) -> np.ndarray:
  """(L, 14) -> the same minus the clip's median, divided by half the range from the 5th to the 95th percentile."""
  low, middle, high = np.percentile(shape, [5, 50, 95], axis=0)
  return ((shape - middle) / (0.5 * (high - low) + 1e-3)).clip(-4, 4).astype(np.float32)


def add_detrended(features: np.ndarray) -> np.ndarray:
  """(L, 14) -> (L, 18): appends detrended features, which show closures of a mouth that is held open."""
  selected = features[:, list(DETRENDED)]
  trend = gaussian_smooth(selected, TREND_DEVIATION)
  return np.concatenate([features, 1.5 * (selected - trend)], axis=1).astype(np.float32)


def gaussian_smooth(values: np.ndarray, deviation: float) -> np.ndarray:
  """(L, F) smoothed along L by a Gaussian of 4 deviations to either side, the ends continued.

  To the bit what `scipy.ndimage.gaussian_filter1d` gives, which takes longer to import than a line's mouth to judge.
  """
  reach = int(4.0 * deviation + 0.5)
  place = np.arange(-reach, reach + 1)
  weights = np.exp(-0.5 / (deviation * deviation) * place**2)
  weights /= weights.sum()
  padded, length = np.pad(values.astype(np.float64), ((reach, reach), (0, 0)), mode='edge'), len(values)
  total = padded[reach : reach + length] * weights[reach]
  for k in range(reach):
    total += (padded[k : k + length] + padded[2 * reach - k :][:length]) * weights[k]
  return total.astype(values.dtype)


def network(params: dict, features: np.ndarray, xp: ModuleType = np) -> np.ndarray:
  """(..., L, F) -> logits (..., 4 L, 10) of viseme classes. xp: numpy, or jax.numpy in training."""
  x = features
  for i, kernel in enumerate(KERNELS):
    reach, length = kernel // 2, x.shape[-2]
    edges = [(0, 0)] * (x.ndim - 2) + [(reach, reach), (0, 0)]
    padded = xp.pad(x, edges, mode='edge')
    near = xp.concatenate([padded[..., k : k + length, :] for k in range(kernel)], axis=-1)
    hidden = xp.maximum(near @ params[f'conv_{i}.kernel'] + params[f'conv_{i}.bias'], 0)
    x = hidden if i == 0 else x + hidden
  logits = x @ params['out.kernel'] + params['out.bias']
  return logits.reshape(*x.shape[:-2], x.shape[-2] * UPSAMPLING, len(NAMES))


def log_softmax(logits: np.ndarray) -> np.ndarray:
  logits = logits - logits.max(-1, keepdims=True)
  return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def visual_vad(track: MouthTrack | None, params: dict | None = None) -> VisualSpeech | None:
  """Lip landmarks -> speech probabilities and viseme scores. None where the mouth is not visible or hardly moves."""
  if track is None or not track.usable or len(track.opening) < 5:
    return None
  opening = track.opening[track.present]
  if np.ptp(np.percentile(opening, [5, 95])) < MIN_OPENING_RANGE:
    return None
  params = params or load_network()
  log_p = log_softmax(network(params, add_detrended(normalize_features(lip_shape(track.lips, track.present)))))
  return VisualSpeech(1 - np.exp(log_p[:, SILENT]), log_p - params['log_prior'])


def speech_spans(speaking: np.ndarray, threshold: float = 0.5) -> list[tuple[float, float]]:
  """Speech probabilities (M,) at 100 Hz -> (start s, end s) of each span of speech, by Viterbi decoding of a two-state
  model; at `threshold` neither state is favored."""
  odds = EVIDENCE_WEIGHT * np.log((speaking + 1e-3) * (1 - threshold) / ((1.001 - speaking) * threshold))
  off, on, came_from = 0.0, -np.inf, np.zeros((len(odds), 2), bool)  # backpointer: True from speech
  for t, gain in enumerate(odds):
    came_from[t] = on - TRANSITION_COST > off, on > off - TRANSITION_COST
    off, on = max(off, on - TRANSITION_COST), max(on, off - TRANSITION_COST) + gain
  state, speech = on > off, np.zeros(len(odds) + 2, int)
  for t in range(len(odds) - 1, -1, -1):
    speech[t + 1] = state
    state = came_from[t, int(state)]
  edges = np.flatnonzero(np.diff(speech)) / RATE
  return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def speech_window(seen: VisualSpeech | None) -> tuple[float, float] | None:
  """(start s, end s) from the first to the last span of speech; None where there is none."""
  spans = speech_spans(seen.speaking) if seen else []
  certain = speech_spans(seen.speaking, ONSET_THRESHOLD) if spans else []
  start = (certain or spans)[0][0] if spans else 0.0
  return (start, spans[-1][1]) if spans and spans[-1][1] - start >= MIN_SPEECH else None


def silent_gaps(speaking: np.ndarray) -> list[tuple[float, float]]:
  """(start s, end s) of the pauses between speech that are long and certain enough."""
  spans = speech_spans(speaking)
  gaps = [(end, start) for (_, end), (start, _) in zip(spans[:-1], spans[1:], strict=True)]
  return [
    (start, end)
    for start, end in gaps
    if end - start >= MIN_PAUSE and speaking[round(start * RATE) : round(end * RATE)].mean() < MAX_PAUSE_SPEECH
  ]


@functools.lru_cache(maxsize=2)
def load_network(path: str | Path | None = None) -> dict[str, np.ndarray]:
  """The shipped weights, or those of another folder. Raises BadInput where they cannot be read."""
  from dubber_jax.storage.weights import read_arrays

  path = Path(path) if path else SHIPPED
  return read_arrays(path / 'weights.safetensors', np.float32, 'experiments/recipes/visual_vad.py writes it')
