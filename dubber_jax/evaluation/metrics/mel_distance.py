"""Distance in dB between two mel spectrograms by their cosine transforms: not MCD (`mcd.py`), though it has its form.

The cosine transform of the log mel bands is truncated to 14 coefficients, the 0th, the level, included. It needs no
waveform, so a model that gives mels can be watched by it in training; published MCD figures are of another quantity.
"""

import numpy as np

from dubber_jax.evaluation.metrics.mcd import dtw_path, three_forms
from dubber_jax.media.mel import LOG_FLOOR

ORDER = 13


def mel_distance(reference: np.ndarray, mel: np.ndarray) -> dict[str, float]:
  """Both (T, 80) natural-log mels, of any lengths -> mel_distance frame by frame, the shorter padded with silence,
  mel_distance_dtw along the path of dynamic time warping, and mel_distance_dtw_sl, that times the longer length over
  the shorter. The path is found by the coefficients without the 0th."""
  longest = max(len(reference), len(mel))
  padded = (np.pad(m, ((0, longest - len(m)), (0, 0)), constant_values=LOG_FLOOR) for m in (reference, mel))
  cepstra = map(mel_cosines, (*padded, reference, mel))
  return three_forms(lambda a, b: dtw_path(a[:, 1:], b[:, 1:]), *cepstra, name='mel_distance')


def mel_cosines(mel: np.ndarray) -> np.ndarray:
  """(T, 80) -> (T, 14): the log mel spectrum as a sum of cosines over its bands."""
  from scipy.fft import dct

  cosines = dct(np.asarray(mel, np.float64), axis=1)[:, : ORDER + 1] / mel.shape[1]
  cosines[:, 0] /= 2
  return cosines
