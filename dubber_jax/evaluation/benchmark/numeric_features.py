"""Extractors that replace captions by the numbers the captions are written from: rows 1 to 3 of the paper's ablation.

The published system replaces the captions by I3D and EmoFAN features. Here the numbers stand in a sentence without
emotion words, so that the embedding's width stays and retrieval works; the emotion probabilities that the planner would
use are withheld.
"""

import numpy as np

from dubber_jax.perception.scene import scene_statistics
from dubber_jax.perception.text import WIDTH, embed_text
from dubber_jax.types import EMOTIONS, MouthTrack

UNKNOWN = np.full(len(EMOTIONS), 1 / len(EMOTIONS), np.float32)


class SceneNumbers:
  """Scene features: hue, color, light and motion."""

  name = 'scene-numbers'
  version = '1'
  width = WIDTH

  def read(self, frames: np.ndarray, track: MouthTrack | None = None) -> tuple[np.ndarray, np.ndarray, str]:
    found = scene_statistics(frames)
    return _embedded(', '.join(f'{name} {value:.2f}' for name, value in found.items()))


class FaceNumbers:
  """Face features of lip landmarks: opening, width, and height of the corners."""

  name = 'face-numbers'
  version = '1'
  width = WIDTH

  def read(self, frames: np.ndarray, track: MouthTrack | None = None) -> tuple[np.ndarray, np.ndarray, str]:
    if track is None or not track.present.any():
      return np.zeros(self.width, np.float32), np.zeros(len(EMOTIONS), np.float32), ''
    lips = track.lips[track.present]
    rise = -float(lips[:, :80].reshape(-1, 40, 2)[:, [0, 10], 1].mean())
    opening, width = np.percentile(lips[:, 80], (50, 95)), float(lips[:, 81].mean())
    return _embedded(f'opening {opening[0]:.2f} to {opening[1]:.2f}, width {width:.2f}, corners {rise:.2f}')


def _embedded(caption):
  return embed_text([caption])[0], UNKNOWN, caption
