"""Emotion classifier of speech by acoustic functionals: the judge of emotion accuracy.

A judge only: no training, directing or reviewing uses it. It shares nothing with the director's recognizer:
`perception/speech_emotion.py` is a convolutional network on mels of RAVDESS actors 01-10; this is a linear discriminant
of functionals (`egemaps.py`) of actors 11-18. It does not depend on the words: trained on one sentence, it classifies
another nearly as well. `experiments/recipes/emotion_judge.py` trains it; docs/results/judges.md has its accuracy.

The same functionals mean different things in a high and in a low voice, so it is more accurate relative to neutral
speech of the same voice. **Benchmarks give `neutral`**: the voice's neutral recordings, through the vocoder that the
judged speech went through, the same for all systems. Without it, a second, weaker discriminant is used.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics.egemaps import functional_names, functionals
from dubber_jax.storage.assets import ASSETS
from dubber_jax.types import EMOTIONS

SHIPPED = ASSETS / 'emotion_judge'
JUDGED = EMOTIONS[:-1]  # 'others' has no recordings
FARTHEST = 4.0  # standard deviations, to which features are clipped: training has none beyond


@dataclass(frozen=True)
class Discriminant:
  """Linear discriminant: logits of standardized features. mean, scale (D,); weights (D, E); bias (E,)."""

  mean: np.ndarray
  scale: np.ndarray
  weights: np.ndarray
  bias: np.ndarray

  def logits(self, features: np.ndarray) -> np.ndarray:
    """(..., D) -> (..., E)."""
    return standardize(features, self.mean, self.scale) @ self.weights + self.bias


def standardize(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
  return np.clip((features - mean) / scale, -FARTHEST, FARTHEST)


def beside(functionals: np.ndarray, neutral: np.ndarray) -> np.ndarray:
  """Functionals (..., F) of speech and of its voice's neutral speech -> features (..., 2F): the former, and the
  difference."""
  return np.concatenate([functionals, functionals - neutral], axis=-1)


@dataclass(frozen=True)
class EmotionJudge:
  """Emotion classifier. `digest`: sha256 of its weights, to be reported with its figures."""

  alone: Discriminant
  with_neutral: Discriminant
  digest: str = ''
  emotions: tuple[str, ...] = JUDGED

  def probabilities(
    self, wave: np.ndarray, sample_rate: int, neutral: np.ndarray | Sequence[np.ndarray] | None = None
  ) -> np.ndarray:
    """wave (S,) float32 mono -> (7,) probabilities in the order of `emotions`.

    neutral: neutral speech of the same voice, one wave or several at the same rate; three or four are better than one.
    Raises BadInput for less than 0.3 s of sound and for silence.
    """
    return softmax(self._logits(wave, sample_rate, neutral)).astype(np.float32)

  def embedding(
    self, wave: np.ndarray, sample_rate: int, neutral: np.ndarray | Sequence[np.ndarray] | None = None
  ) -> np.ndarray:
    """The same -> emotion embedding (7,) of unit norm. The cosine of two is their emotion similarity."""
    return direction(self._logits(wave, sample_rate, neutral)).astype(np.float32)

  def _logits(self, wave, sample_rate, neutral):
    features = functionals(wave, sample_rate)
    if neutral is None:
      return self.alone.logits(features)
    waves = [neutral] if isinstance(neutral, np.ndarray) and neutral.ndim == 1 else list(neutral)
    if not waves:
      raise BadInput('`neutral` is empty: leave it out, or give one recording or more')
    return self.with_neutral.logits(beside(features, np.mean([functionals(w, sample_rate) for w in waves], axis=0)))


def direction(logits: np.ndarray) -> np.ndarray:
  """Logits (E,) -> emotion embedding: zero mean, unit norm."""
  centered = logits - logits.mean()
  return centered / (np.linalg.norm(centered) + 1e-9)


def softmax(logits: np.ndarray) -> np.ndarray:
  exponentials = np.exp(logits - logits.max(-1, keepdims=True))
  return exponentials / exponentials.sum(-1, keepdims=True)


@functools.lru_cache(maxsize=2)
def load_judge(path: str | Path | None = None) -> EmotionJudge:
  """The shipped judge, or that of another folder.

  Raises BadInput where a file is missing or was changed, and where it was trained on other functionals.
  """
  from dubber_jax.storage.checked_folder import check_files
  from dubber_jax.storage.weights import read_arrays

  path = Path(path) if path else SHIPPED
  manifest = check_files(path, kind='an emotion judge', made_by='experiments/recipes/emotion_judge.py')
  arrays = read_arrays(path / 'weights.safetensors')
  try:
    settings = json.loads((path / 'judge.json').read_text())
    discriminants = (
      Discriminant(*(arrays[f'{name}/{part}'].astype(np.float64) for part in ('mean', 'scale', 'weights', 'bias')))
      for name in ('alone', 'with_neutral')
    )
    judge = EmotionJudge(*discriminants, manifest['weights.safetensors'])
  except (OSError, KeyError, ValueError) as e:
    raise BadInput(f'{path} cannot be read as an emotion judge ({e}): copy the folder again') from e
  if tuple(settings['functionals']) != functional_names() or tuple(settings['emotions']) != JUDGED:
    raise BadInput(f'{path} was trained on other functionals or emotions than this version has: train it again')
  return judge
