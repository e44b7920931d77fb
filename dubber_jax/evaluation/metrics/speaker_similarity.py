"""Voice likeness: is it the same person? The cosine of two recordings' GE2E embeddings.

The judge is Resemblyzer's encoder (Apache-2.0), whose weights are read out of its package without PyTorch. It only
judges: the `stage` actor conditions on another encoder (perception/speaker.py). The same person gives about 0.8,
another one 0.6, so quote a figure beside those of real recordings.
"""

import functools

import numpy as np

from dubber_jax.perception.extractors import package_file
from dubber_jax.perception.ge2e import GE2ESpeaker

INSTALL = 'pip install --no-deps -r requirements-eval.txt'


@functools.cache
def load_judge() -> GE2ESpeaker:
  """`embed(wave (S,), sample_rate) -> (256,)` of unit norm. Raises BadInput where Resemblyzer is not installed."""
  from dubber_jax.convert.checkpoints import read_checkpoint, state_dict
  from dubber_jax.convert.speaker_encoder import PART, from_torch

  path = package_file('resemblyzer', 'pretrained.pt', 'voice likeness', INSTALL)
  return GE2ESpeaker(params=from_torch(state_dict(read_checkpoint(path), PART, path)))


def speaker_similarity(a: np.ndarray, b: np.ndarray) -> float:
  """Cosine of two embeddings (256,): 1 is the same voice."""
  return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))
