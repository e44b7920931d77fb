"""Mel cepstral distortion (MCD) in dB between two recordings of a line (Kubichek 1993).

MCD is 10 sqrt(2) / ln 10 times the mean over frames of |c - c'|, where c are the mel cepstral coefficients 1 to 24 of
WORLD's spectral envelope (Morise et al. 2016), every 5 ms. Coefficient 0, the level, does not count. Three forms, as
the V2C benchmark reports them (arXiv 2111.12890): `mcd`, frame by frame, the shorter recording padded with silence;
`mcd_dtw`, along the path of dynamic time warping; `mcd_dtw_sl`, the latter times the longer length over the shorter.
Silent frames count, so that background noise raises MCD: compare systems on the same recordings.

`published_mcd` reproduces the numbers of the package pymcd, by which the benchmark's published figures were made. It
differs in four things: 13 coefficients; the 0th counts too; the power spectrum is taken for an amplitude, which doubles
all distances; the path is an approximation (FastDTW).
"""

import functools
import importlib
from collections.abc import Callable
from importlib import metadata
from types import SimpleNamespace

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics.stubs import stub_module
from dubber_jax.types import SAMPLE_RATE

DECIBELS = 10.0 / np.log(10.0) * np.sqrt(2.0)
ORDER, FFT_SIZE = 24, 1024
WARP = 0.455  # all-pass constant that bends the frequency axis to the mel scale at 22,050 Hz
NOISE = 1e-10  # power of a bin: the quantization noise of 16 bits, below which all counts as the same silence
PYMCD_ORDER, PYMCD_FFT_SIZE, PYMCD_WARP = 13, 512, 0.65
FRAME = 5.0  # ms


def mel_cepstral_distortion(reference: np.ndarray, wave: np.ndarray) -> dict[str, float]:
  """Both (S,) at 22,050 Hz, of any lengths -> mcd, mcd_dtw, mcd_dtw_sl (dB). Needs dubber_jax[mcd].

  Raises BadInput for a recording without samples.
  """
  return three_forms(dtw_path, *map(mel_cepstra, (*_padded(reference, wave), reference, wave)))


def published_mcd(reference: np.ndarray, wave: np.ndarray) -> dict[str, float]:
  """The same by pymcd's computation, to compare with published figures only."""

  def path(reference, cepstra):
    return np.array(_import('fastdtw').fastdtw(reference[:, 1:], cepstra[:, 1:], dist=2)[1])  # 2: Euclidean

  return three_forms(path, *map(_pymcd_cepstra, (*_padded(reference, wave), reference, wave)))


def mel_cepstra(wave: np.ndarray) -> np.ndarray:
  """(S,) at 22,050 Hz -> (T, 24): mel cepstral coefficients 1 to 24 of WORLD's spectral envelope."""
  log_power = np.log(np.maximum(_envelope(wave, FFT_SIZE), NOISE))
  return _warped_cepstra(log_power, ORDER, WARP)[:, 1:]


def _pymcd_cepstra(wave):
  return _warped_cepstra(np.log(_envelope(wave, PYMCD_FFT_SIZE) ** 2 + 1e-8), PYMCD_ORDER, PYMCD_WARP)


def _padded(reference, wave):
  if not len(reference) or not len(wave):
    raise BadInput('MCD of nothing: one of the two recordings has no samples')
  longest = max(len(reference), len(wave))
  return (np.pad(w, (0, longest - len(w))) for w in (reference, wave))


def _envelope(wave, fft_size) -> np.ndarray:
  """(S,) -> (T, fft_size / 2 + 1): power spectrum, smoothed over pitch periods (WORLD's CheapTrick)."""
  pyworld, wave = _import('pyworld'), np.ascontiguousarray(wave, np.float64)
  pitch, time = pyworld.dio(wave, SAMPLE_RATE, frame_period=FRAME)
  pitch = pyworld.stonemask(wave, pitch, time, SAMPLE_RATE)
  return pyworld.cheaptrick(wave, pitch, time, SAMPLE_RATE, fft_size=fft_size)


def _warped_cepstra(log_power, order, warp) -> np.ndarray:
  """(T, K + 1) log power spectrum -> (T, order + 1): the log amplitude as a sum of cosines on the mel axis."""
  cepstrum = np.fft.irfft(log_power)
  half = log_power.shape[1] - 1
  cepstrum[:, 0] /= 2
  cepstrum[:, half] /= 2
  return cepstrum[:, : half + 1] @ warping(half, order, warp)


@functools.cache
def warping(terms: int, order: int, alpha: float) -> np.ndarray:
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


def dtw_path(reference: np.ndarray, features: np.ndarray) -> np.ndarray:
  """(T, C) and (U, C) -> (P, 2): pairs of frames along the cheapest path (dynamic time warping), the last first."""
  from librosa.sequence import dtw
  from scipy.spatial.distance import cdist

  return dtw(C=cdist(reference, features), backtrack=True)[1]


def three_forms(
  find_path: Callable,
  padded_reference: np.ndarray,
  padded: np.ndarray,
  reference: np.ndarray,
  cepstra: np.ndarray,
  name: str = 'mcd',
) -> dict[str, float]:
  """Distances in dB of cepstra (T, C): frame by frame of the padded ones, and along find_path(reference, cepstra) of
  the others, without and with the penalty for different lengths."""
  if not len(reference) or not len(cepstra):
    raise BadInput('MCD of nothing: one of the two has no frames')
  path = find_path(reference, cepstra)
  warped = decibels(reference[path[:, 0]], cepstra[path[:, 1]])
  lengths = len(reference), len(cepstra)
  return {
    name: decibels(padded_reference, padded),
    f'{name}_dtw': warped,
    f'{name}_dtw_sl': warped * max(lengths) / min(lengths),
  }


def decibels(a: np.ndarray, b: np.ndarray) -> float:
  """Mean distortion of cepstra (T, C), frame beside frame."""
  return float(DECIBELS * np.linalg.norm(a - b, axis=-1).mean())


def _import(package):
  def distribution(name):
    return SimpleNamespace(version=metadata.version(name))

  with stub_module('pkg_resources', get_distribution=distribution):  # pyworld asks it for its own version alone
    try:
      return importlib.import_module(package)
    except ImportError as e:
      raise BadInput(f'MCD needs {package}: pip install "dubber_jax[mcd]"') from e
