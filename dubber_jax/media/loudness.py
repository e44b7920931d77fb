"""EBU R128 loudness (ITU-R BS.1770-4): integrated loudness, normalization by one gain, true-peak limiting."""

import warnings

import numpy as np

TARGET_LUFS = -23.0  # EBU R128, section "Program Loudness"
CEILING_DB = -1.0  # dB true peak: maximum of EBU R128
BLOCK = 0.4  # s: BS.1770 gating block
CHUNK_SECONDS = 60  # s limited at a time, which bounds memory


def integrated_loudness(wave: np.ndarray, rate: int) -> float:
  """Integrated (gated) loudness of (S,) in LUFS; -inf for silence (below the absolute gate of -70 LUFS throughout).

  A wave shorter than the 0.4 s gating block is measured as one block of its own length.
  """
  import pyloudnorm

  wave = np.asarray(wave, np.float64)
  if len(wave) < 64 or not np.any(wave):
    return -np.inf
  meter = pyloudnorm.Meter(rate, block_size=min(BLOCK, (len(wave) - 0.5) / rate))  # less: rounding
  with np.errstate(divide='ignore', invalid='ignore'), warnings.catch_warnings():
    warnings.simplefilter('ignore')
    loudness = float(meter.integrated_loudness(wave))
  return loudness if np.isfinite(loudness) else -np.inf


def target_loudness(old: np.ndarray | None, rate: int) -> float:
  """Target loudness in LUFS of dubbed sound: that of the original, TARGET_LUFS where there is none."""
  loudness = integrated_loudness(old, rate) if old is not None else -np.inf
  return loudness if np.isfinite(loudness) else TARGET_LUFS


def normalize_loudness(wave: np.ndarray, rate: int, target_lufs: float = TARGET_LUFS) -> np.ndarray:
  """Normalizes (S,) to `target_lufs` by one gain, float32. Peaks above -1 dB true peak are limited, not clipped.

  A silent wave is returned unchanged.
  """
  loudness = integrated_loudness(wave, rate)
  if not np.isfinite(loudness):
    return np.asarray(wave, np.float32)
  return limit_peaks(np.asarray(wave, np.float64) * 10 ** ((target_lufs - loudness) / 20), rate)


def limit_peaks(wave: np.ndarray, rate: int, ceiling_db: float = CEILING_DB) -> np.ndarray:
  """Look-ahead limiter of the true peak (BS.1770 annex 2: 4x oversampling): (S,) or (S, 2) -> the same, float32.

  One gain for all channels, attack and release of 5 ms. Long waves are processed in chunks, which bounds memory.
  """
  part, margin = CHUNK_SECONDS * rate, rate // 10  # the output depends on 15 ms around each sample
  limited = np.empty(wave.shape, np.float32)
  for first in range(0, len(wave), part):
    begin = max(0, first - margin)
    limited_chunk = _limit_chunk(wave[begin : first + part + margin], rate, 10 ** (ceiling_db / 20))
    limited[first : first + part] = limited_chunk[first - begin :][:part]
  return limited


def _limit_chunk(wave: np.ndarray, rate: int, ceiling: float) -> np.ndarray:
  from scipy.ndimage import minimum_filter1d, uniform_filter1d
  from scipy.signal import resample_poly

  between = resample_poly(wave, 4, 1)
  peaks = np.maximum(*(np.abs(x).reshape(len(wave), -1).max(axis=1) for x in (between, wave)))
  if peaks.max(initial=0) <= ceiling:
    return wave.astype(np.float32)
  gain = np.minimum(1, ceiling / np.maximum(peaks, 1e-9))
  reach = max(3, int(0.005 * rate)) | 1
  # A moving average of a moving minimum of equal width never exceeds the gain that a peak needs.
  held = minimum_filter1d(gain, 2 * reach + 1, mode='nearest')
  return (wave.T * uniform_filter1d(held, reach, mode='nearest')).T.astype(np.float32)
