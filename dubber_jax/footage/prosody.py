"""How a line was spoken: pitch on the mel grid, and pace, pitch, range, loudness and pauses as numbers."""

import functools

import numpy as np

from dubber_jax.clip import HOP, SAMPLE_RATE
from dubber_jax.errors import BadInput

PITCH_FLOOR = 60.0  # Hz: below the lowest male speech; keeps subharmonics out
PITCH_CEILING = 750.0  # Hz: RAVDESS's loudest anger and fear reach 600


def track_pitch(wave: np.ndarray, sample_rate: int, num_frames: int | None = None) -> np.ndarray:
  """Fundamental frequency on the mel grid, by swift-f0.

  wave (S,) float32 mono -> (T,) float32 Hz, 0 where unvoiced. T is `num_frames`, or what the mel of this
  sound has: floor(samples at 22,050 Hz / 256). Frame t is centred at sample 256 t + 128, as the mel's are
  (specification, section 11). The level does not matter: sound is scaled to its own peak first.

  Raises BadInput if swift-f0 is not installed.
  """
  wave = np.asarray(wave, np.float32).reshape(-1)
  if num_frames is None:
    num_frames = round(len(wave) * SAMPLE_RATE / sample_rate) // HOP
  # Not the very peak: one click would push quiet speech under the network's silence floor.
  peak = float(np.quantile(np.abs(wave), 0.999)) if wave.size else 0.0
  if num_frames == 0 or peak < 1e-6:
    return np.zeros(num_frames, np.float32)
  result = _detector().detect(
    np.clip(0.5 * wave / peak, -1, 1), sample_rate, fmin=PITCH_FLOOR, fmax=PITCH_CEILING
  )
  times = (np.arange(num_frames) * HOP + HOP / 2) / SAMPLE_RATE
  return _onto_grid(times, result.timestamps, result.pitch_hz, result.confidence >= 0.5)


@functools.cache
def _detector():
  try:
    from swift_f0 import SwiftF0
  except ImportError as error:
    raise BadInput(f'pitch tracking needs swift-f0 ({error}): pip install swift-f0 soxr') from None
  return SwiftF0(threads=1, spin=False)


def _onto_grid(times, known_times, hz, voiced) -> np.ndarray:
  """Voicing of the nearest known frame; pitch interpolated in the logarithm between voiced frames."""
  if not voiced.any():
    return np.zeros(len(times), np.float32)
  step = known_times[1] - known_times[0] if len(known_times) > 1 else 1.0
  nearest = np.clip(np.rint(times / step).astype(int), 0, len(known_times) - 1)
  log_hz = np.interp(times, known_times[voiced], np.log(hz[voiced]))
  return np.where(voiced[nearest], np.exp(log_hz), 0).astype(np.float32)
