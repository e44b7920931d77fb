"""F0, voicing and level errors between two recordings of a line, aligned by dynamic time warping.

Both recordings are cut into mel frames of 11.6 ms and aligned by the cosine transforms of their mels
(`mel_distance.py`), so that a word said later is no error here. F0 is tracked by SwiftF0 (`perception/prosody.py`).

The measures are those of the field: root mean square error and correlation of log F0 where both are voiced; gross pitch
error, 20 % or more off (Nakatani et al. 2008); voicing decision error, and F0 frame error, which is either of the two
(Chu and Alwan 2009).
"""

import math

import numpy as np

from dubber_jax.evaluation.metrics.mcd import dtw_path
from dubber_jax.evaluation.metrics.mel_distance import mel_cosines
from dubber_jax.media.mel import mel_numpy
from dubber_jax.perception.prosody import track_pitch
from dubber_jax.types import SAMPLE_RATE

GROSS = 0.2  # of the reference's pitch
DEPTH = 50.0  # dB below the loudest frame, the floor


def prosody_distance(reference: np.ndarray, wave: np.ndarray) -> dict[str, float]:
  """Both (S,) at 22,050 Hz, of any lengths -> the measures of `f0_distance` and of `level_distance`.

  Raises BadInput for a recording too short for a spectrogram.
  """
  mels = [mel_numpy(np.asarray(w, np.float32)) for w in (reference, wave)]
  first, second = dtw_path(*(mel_cosines(mel)[:, 1:] for mel in mels)).T
  pitches = [track_pitch(w, SAMPLE_RATE, len(m)) for w, m in zip((reference, wave), mels, strict=True)]
  return f0_distance(pitches[0][first], pitches[1][second]) | level_distance(mels[0][first], mels[1][second])


def f0_distance(reference: np.ndarray, pitch: np.ndarray) -> dict[str, float]:
  """F0 and voicing errors of two aligned tracks (T,), Hz, 0 where unvoiced.

  pitch_rmse and pitch_shift (mean), in semitones, pitch_correlation, and gross_pitch_error are over the frames voiced
  in both, and nan where fewer than two are; voicing_error and f0_frame_error are over all frames.
  """
  reference, pitch = np.asarray(reference, np.float64), np.asarray(pitch, np.float64)
  both = (reference > 0) & (pitch > 0)
  disagree = (reference > 0) != (pitch > 0)
  gross = both & (np.abs(pitch - reference) > GROSS * reference)
  errors = {'voicing_error': disagree.mean(), 'f0_frame_error': (disagree | gross).mean()}
  pitched = dict.fromkeys(('pitch_rmse', 'pitch_shift', 'pitch_correlation', 'gross_pitch_error'), math.nan)
  if both.sum() > 1:
    a, b = (12 * np.log2(p[both]) for p in (reference, pitch))
    pitched = {
      'pitch_rmse': np.sqrt(np.square(b - a).mean()),
      'pitch_shift': (b - a).mean(),
      'pitch_correlation': _correlation(a, b),
      'gross_pitch_error': gross.sum() / both.sum(),
    }
  return {name: float(value) for name, value in {**pitched, **errors}.items()}


def level_distance(reference: np.ndarray, mel: np.ndarray) -> dict[str, float]:
  """Level errors of two aligned natural-log mels (T, 80): level_rmse (dB) and level_correlation.

  Each recording's own mean level is taken out first, and levels are floored at 50 dB below its loudest frame.
  """
  a, b = (_level(m) for m in (reference, mel))
  return {'level_rmse': float(np.sqrt(np.square(a - b).mean())), 'level_correlation': float(_correlation(a, b))}


def _level(mel):
  level = 10 * np.log10(np.square(np.exp(np.asarray(mel, np.float64))).sum(1) + 1e-12)
  level = np.maximum(level, level.max() - DEPTH)
  return level - level.mean()


def _correlation(a, b):
  if a.std() < 1e-9 or b.std() < 1e-9:
    return math.nan
  return np.corrcoef(a, b)[0, 1]
