"""Dialogue separation measured against the parts of a mixture: SI-SDR, dialogue that is left, and gaps."""

from collections.abc import Mapping

import numpy as np

from dubber_jax.separation.inference import TrainedSeparator

RATE = 48000  # Hz
BLOCK = 0.01  # s, of which the level is taken for gaps
GAP_DB = -60.0  # dB of full scale
EPSILON = 1e-20


def si_sdr(estimate: np.ndarray, target: np.ndarray) -> float:
  """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019) of waveforms of one shape, dB."""
  estimate, target = (np.asarray(x, np.float64).ravel() for x in (estimate, target))
  scaled = target * (estimate @ target / (target @ target + EPSILON))
  return float(10 * np.log10((scaled @ scaled + EPSILON) / (np.square(estimate - scaled).sum() + EPSILON)))


def energy_ratio(left: np.ndarray, whole: np.ndarray) -> float:
  """Energy of `left` relative to that of `whole`, dB."""
  energies = (np.square(np.asarray(x, np.float64)).sum() for x in (left, whole))
  return float(10 * np.log10((next(energies) + EPSILON) / (next(energies) + EPSILON)))


def longest_gap(output: np.ndarray, source: np.ndarray) -> float:
  """Longest stretch in s of `output` (S, C) at 48 kHz below -60 dB of full scale, in blocks of 10 ms, in which no block
  of `source` is below it."""
  size = round(BLOCK * RATE)

  def silent(wave):
    blocks = np.asarray(wave, np.float64)[: len(wave) // size * size].reshape(-1, size * wave.shape[1])
    return 10 * np.log10(np.square(blocks).mean(1) + EPSILON) < GAP_DB

  longest = run = 0
  for gap in silent(output) & ~silent(source):
    run = run + 1 if gap else 0
    longest = max(longest, run)
  return longest * BLOCK


def measure_separation(separator: TrainedSeparator, dialogue: np.ndarray, bed: np.ndarray) -> Mapping[str, float]:
  """Figures of one mixture, the sum of dialogue and bed (S, C) at 48 kHz.

  The masks that the separator makes of the mixture are applied to its parts alone, which is exact, since masks are
  linear: `residual_db` is the energy of the dialogue that they let through, relative to the dialogue's, `removed_db`
  that of the background that they take out. `si_sdr_db` and `gap_s` compare the separated background with the true one.
  """
  channels = bed.shape[1]
  parts = np.concatenate([dialogue + bed, dialogue, bed], 1)
  kept = np.concatenate([*separator.filter([parts], parts=2)])
  output, residual, rest = (kept[:, i * channels : (i + 1) * channels] for i in range(3))
  return {
    'si_sdr_db': si_sdr(output, bed),
    'residual_db': energy_ratio(residual, dialogue),
    'removed_db': energy_ratio(bed - rest, bed),
    'gap_s': longest_gap(output, bed),
  }
