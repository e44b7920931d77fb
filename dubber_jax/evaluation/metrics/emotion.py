"""Which emotion is heard in a voice: the judge of emotional accuracy.

A judge only: nothing that trains, directs or reviews may listen with it. It shares nothing with the director's ears:
`perception/speech_emotion.py` is a convolutional network on mels of RAVDESS actors 01-10; this is a linear
discriminant of functionals of pitch, spectrum and rhythm (`functionals.py`) of actors 11-18. It knows no words: taught
one sentence, it hears nearly as well in another. `experiments/recipes/emotion_judge.py` trains it;
docs/results/judges.md says what it can tell.

The same numbers mean different things in a high and in a low voice, so it hears better beside neutral speech of the
same voice. **Benchmarks give `neutral`**: the voice's neutral recordings, through the vocoder that the judged speech
went through, the same for all arms. Without it, a second, weaker discriminant answers.
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
JUDGED = EMOTIONS[:-1]  # nobody knows what 'others' sounds like
FARTHEST = 4.0  # standard deviations: what lies farther off counts as this, since it was never heard in training


@dataclass(frozen=True)
class Discriminant:
  """Logits of standardized features. mean, scale (D,); weights (D, E); bias (E,)."""

  mean: np.ndarray
  scale: np.ndarray
  weights: np.ndarray
  bias: np.ndarray

  def logits(self, features: np.ndarray) -> np.ndarray:
    """(..., D) -> (..., E)."""
    return standardize(features, self.mean, self.scale) @ self.weights + self.bias


def standardize(features, mean, scale):
  return np.clip((features - mean) / scale, -FARTHEST, FARTHEST)


def beside(heard: np.ndarray, neutral: np.ndarray) -> np.ndarray:
  """Functionals (..., F) of speech and of its voice's neutral speech -> (..., 2F): as heard, and the difference."""
  return np.concatenate([heard, heard - neutral], axis=-1)


@dataclass(frozen=True)
class EmotionJudge:
  """`digest` is the sha256 of its weights: say which judge it was beside its figures."""

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
    """The same -> (7,) of unit norm. The cosine of two is their emotion similarity, 1 where both sound alike."""
    return direction(self._logits(wave, sample_rate, neutral)).astype(np.float32)

  def _logits(self, wave, sample_rate, neutral):
    heard = functionals(wave, sample_rate)
    if neutral is None:
      return self.alone.logits(heard)
    waves = [neutral] if isinstance(neutral, np.ndarray) and neutral.ndim == 1 else list(neutral)
    if not waves:
      raise BadInput('no neutral speech was given: leave `neutral` out, or give one recording or more')
    return self.with_neutral.logits(beside(heard, np.mean([functionals(w, sample_rate) for w in waves], axis=0)))


def direction(logits: np.ndarray) -> np.ndarray:
  """(E,) -> of unit norm and mean 0, what an embedding is."""
  centerd = logits - logits.mean()
  return centerd / (np.linalg.norm(centerd) + 1e-9)


def softmax(logits: np.ndarray) -> np.ndarray:
  odds = np.exp(logits - logits.max(-1, keepdims=True))
  return odds / odds.sum(-1, keepdims=True)


@functools.lru_cache(maxsize=2)
def load_judge(path: str | Path | None = None) -> EmotionJudge:
  """The judge that ships, or that of another folder.

  Raises BadInput where a file is missing or not the one that was written, and where it knows other functionals.
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
    raise BadInput(f'{path} knows other measures or emotions than this version: train it again by its experiment')
  return judge
