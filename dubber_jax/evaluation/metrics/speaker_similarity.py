"""Speaker similarity: cosine of the GE2E speaker embeddings of two recordings (Wan et al. 2018).

The judge is Resemblyzer's encoder (Apache-2.0), whose weights are read out of its package without PyTorch. It only
judges: the actor is conditioned on another encoder (perception/speaker.py). Two recordings of one person give about
0.8, of different people about 0.6, so report a figure beside those of real recordings.
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
  from dubber_jax.convert.speaker_encoder import STATE_DICT, from_torch

  path = package_file('resemblyzer', 'pretrained.pt', 'speaker similarity', INSTALL)
  return GE2ESpeaker(params=from_torch(state_dict(read_checkpoint(path), STATE_DICT, path)))


def speaker_similarity(a: np.ndarray, b: np.ndarray) -> float:
  """Cosine of two embeddings (256,), at most 1."""
  return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))
