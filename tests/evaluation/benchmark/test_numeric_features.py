import numpy as np
import pytest

from dubber_jax.evaluation.benchmark import numeric_features
from dubber_jax.evaluation.benchmark.numeric_features import FaceNumbers, SceneNumbers
from dubber_jax.types import EMOTIONS


@pytest.fixture(autouse=True)
def embedding(monkeypatch):
  monkeypatch.setattr(numeric_features, 'embed_text', lambda texts: np.ones((len(texts), 384), np.float32))


def test_a_scene_is_told_by_numbers_without_an_emotion():
  frames = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), np.uint8)
  vector, probabilities, caption = SceneNumbers().read(frames)
  assert vector.shape == (384,) and np.allclose(probabilities, 1 / len(EMOTIONS))
  assert any(c.isdigit() for c in caption) and not any(e in caption for e in EMOTIONS)


def test_without_a_mouth_there_is_no_face():
  vector, probabilities, caption = FaceNumbers().read(np.zeros((6, 32, 32, 3), np.uint8))
  assert not vector.any() and not probabilities.any() and caption == ''
