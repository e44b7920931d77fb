"""Mel cepstral distortion, in decibels: how far one's spectrum is from another's (Kubichek 1993).

Three forms, as the V2C benchmark reports them (arXiv 2111.12890) and its package pymcd computes them: `mcd` frame by
frame, the shorter filled up with silence; `mcd_dtw` along the cheapest path of dynamic time warping; `mcd_dtw_sl`, that
times the longer length over the shorter. The path goes by coefficients 1 to 13, the distance counts the zeroth too.

`wave_distortion` is the published measure, equal to that of pymcd to the last digits: mel cepstra of the envelope by
WORLD every 5 ms, an approximate path. `mel_distortion` takes them from mel spectrograms, and its path is exact:
good for comparing models here, not for comparison with published figures.
"""

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.types import SAMPLE_RATE

ORDER = 13
DECIBELS = 10.0 / np.log(10.0) * np.sqrt(2.0)
WARP = 0.65  # of the frequency axis toward mel, at 22,050 Hz
FRAME = 5.0  # ms
ENVELOPE = 512  # samples of WORLD's FFT


def mel_distortion(reference: np.ndarray, mel: np.ndarray) -> dict[str, float]:
  """Both (T, 80) natural-log mels, of any lengths -> mcd, mcd_dtw, mcd_dtw_sl (dB)."""
  longest = max(len(reference), len(mel))
  filled = (np.pad(m, ((0, longest - len(m)), (0, 0)), constant_values=LOG_FLOOR) for m in (reference, mel))
  return _three_forms(cheapest_path, *map(mel_cepstra, (*filled, reference, mel)))


def wave_distortion(reference: np.ndarray, wave: np.ndarray) -> dict[str, float]:
  """Both (samples,) at 22,050 Hz, of any lengths -> mcd, mcd_dtw, mcd_dtw_sl (dB). Needs dubber_jax[mcd]."""
  fastdtw, _ = _published_tools()
  longest = max(len(reference), len(wave))
  filled = (np.pad(w, (0, longest - len(w))) for w in (reference, wave))

  def path(reference, cepstra):
    return np.array(fastdtw.fastdtw(reference, cepstra, dist=2)[1])  # 2: Euclidean

  return _three_forms(path, *map(world_cepstra, (*filled, reference, wave)))


def mel_cepstra(mel: np.ndarray) -> np.ndarray:
  """(T, 80) -> (T, 14): the log mel spectrum as a sum of cosines over its bands."""
  from scipy.fft import dct

  cepstra = dct(np.asarray(mel, np.float64), axis=1)[:, : ORDER + 1] / mel.shape[1]
  cepstra[:, 0] /= 2
  return cepstra


def world_cepstra(wave: np.ndarray) -> np.ndarray:
  """(samples,) at 22,050 Hz -> (T, 14): mel cepstra of WORLD's spectral envelope."""
  _, pyworld = _published_tools()
  _, power, _ = pyworld.wav2world(
    np.ascontiguousarray(wave, np.float64), fs=SAMPLE_RATE, fft_size=ENVELOPE, frame_period=FRAME
  )
  # pymcd takes the power for an amplitude: all distances are twice as large, and what is quiet drowns in the floor.
  cepstrum = np.fft.irfft(np.log(power**2 + 1e-8))
  half = ENVELOPE // 2
  cepstrum[:, 0] /= 2
  cepstrum[:, half] /= 2
  return cepstrum[:, : half + 1] @ _warping(half, ORDER, WARP)


def _warping(terms: int, order: int, alpha: float) -> np.ndarray:
  """(terms + 1, order + 1): a cepstrum's terms on a frequency axis bent by an all-pass filter (Oppenheim 1972)."""
  table = np.zeros((terms + 1, order + 1))
  for n in range(terms, -1, -1):
    before = table.copy() if n < terms else np.zeros_like(table)
    now = np.zeros_like(table)
    now[:, 0] = alpha * before[:, 0]
    now[n, 0] += 1
    now[:, 1] = (1 - alpha**2) * before[:, 0] + alpha * before[:, 1]
    for m in range(2, order + 1):
      now[:, m] = before[:, m - 1] + alpha * (before[:, m] - now[:, m - 1])
    table = now
  return table


def _published_tools():
  try:
    import fastdtw
    import pyworld
  except ImportError as e:
    raise BadInput(f'the published MCD needs {e.name}: pip install "dubber_jax[mcd]"') from e
  return fastdtw, pyworld


def cheapest_path(reference: np.ndarray, cepstra: np.ndarray) -> np.ndarray:
  """(T, C) and (U, C) -> (P, 2): which frame of one stands beside which of the other, the last first."""
  from librosa.sequence import dtw

  apart = np.linalg.norm(reference[:, None] - cepstra[None], axis=-1)
  return dtw(C=apart, backtrack=True)[1]


def _three_forms(find_path, filled_reference, filled, reference, cepstra) -> dict[str, float]:
  if not len(reference) or not len(cepstra):
    raise BadInput('MCD of nothing: one of the two has no frames')
  path = find_path(reference[:, 1:], cepstra[:, 1:])
  warped = _decibels(reference[path[:, 0]], cepstra[path[:, 1]])
  lengths = len(reference), len(cepstra)
  return {
    'mcd': _decibels(filled_reference, filled),
    'mcd_dtw': warped,
    'mcd_dtw_sl': warped * max(lengths) / min(lengths),
  }


def _decibels(a: np.ndarray, b: np.ndarray) -> float:
  return float(DECIBELS * np.linalg.norm(a - b, axis=-1).mean())
