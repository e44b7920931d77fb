"""EBU R128 loudness (ITU-R BS.1770-4): integrated loudness, normalization by one gain, true-peak limiting.

All of it works on a whole wave and, with the same result, on its blocks. NumPy alone: the signal package of SciPy takes
longer to import than the sound of a scene to mix.
"""

import functools
from collections.abc import Iterable, Iterator

import numpy as np

TARGET_LUFS = -23.0  # EBU R128, section "Program Loudness"
CEILING_DB = -1.0  # dB true peak: maximum of EBU R128
HOP_SECONDS = 0.1  # gating blocks of BS.1770 are 0.4 s long and begin every 0.1 s
GATE_LUFS, RELATIVE_GATE = -70.0, -10.0  # absolute gate, and the relative one in LU
OFFSET = -0.691  # LU, of the definition of loudness
CHUNK_SECONDS = 2.0  # s limited at a time; chunks without a peak are passed on
# Weights of channels by their number: left, right, center, low frequencies, surrounds (1.5 dB more at the sides).
CHANNEL_WEIGHTS = {1: (1,), 2: (1, 1), 6: (1, 1, 1, 0, 1.41, 1.41), 8: (1, 1, 1, 0, 1, 1, 1.41, 1.41)}


class LoudnessMeter:
  """Integrated loudness of a sound that is given by blocks (S, C) or (S,), C as in CHANNEL_WEIGHTS.

  It keeps the K-weighted energy of every 0.1 s: 80 bytes a second of sound.
  """

  def __init__(self, rate: int, channels: int = 1):
    self.rate = rate
    self.weights = np.array(CHANNEL_WEIGHTS[channels], np.float64)
    self.reach = len(k_weighting(rate)) - 1  # samples before a sample that its weighted value depends on
    self.before = np.zeros((channels, self.reach))
    self.energies: list[np.ndarray] = []
    self.rest = np.zeros(0)  # weighted squares of the hop that is not complete
    self.samples = self.hops = 0

  def add(self, block: np.ndarray) -> None:
    channels = np.asarray(block, np.float64).reshape(len(block), -1).T
    part = transform_size(self.rate + self.reach) - self.reach  # over 1 s at a time: the transforms stay in the cache
    for first in range(0, channels.shape[1], part):
      self._add(channels[:, first : first + part])

  def _add(self, part):
    known = np.concatenate([self.before, part], axis=1)
    self.before = known[:, known.shape[1] - self.reach :]
    size = transform_size(known.shape[1])
    spectrum = np.fft.rfft(known, size) * k_weighting_spectrum(self.rate, size)
    weighted = np.fft.irfft(spectrum, size)[:, self.reach : known.shape[1]]
    squares = np.concatenate([self.rest, self.weights @ np.square(weighted)])
    begin = self.samples - len(self.rest)
    self.samples += part.shape[1]
    count = int(np.floor(self.samples / (HOP_SECONDS * self.rate) + 1e-9)) - self.hops
    edges = [self._edge(self.hops + i) - begin for i in range(count + 1)]
    if count > 0:
      self.energies.append(np.add.reduceat(squares[: edges[-1]], edges[:-1]))
      self.hops += count
      squares = squares[edges[-1] :]
    self.rest = squares

  def _edge(self, hop):
    return int(hop * HOP_SECONDS * self.rate + 1e-9)

  @property
  def powers(self) -> np.ndarray:
    """(H,) K-weighted mean power of every 0.1 s; the last one where more than half of it is there."""
    hop = HOP_SECONDS * self.rate
    last = [np.array([self.rest.sum()])] if len(self.rest) > hop / 2 else []
    return np.concatenate([*self.energies, *last, np.zeros(0)]) / hop

  def integrated(self) -> float:
    """Integrated loudness in LUFS; -inf below the absolute gate throughout. Of less than 0.4 s, that of one block."""
    if self.samples < 4 * HOP_SECONDS * self.rate:
      total = sum(map(np.sum, self.energies)) + self.rest.sum()
      return gated_loudness(np.full(4, total / max(self.samples, 1)))
    return gated_loudness(self.powers)


def gated_loudness(powers: np.ndarray) -> float:
  """Integrated loudness in LUFS of the K-weighted mean powers (H,) of every 0.1 s; -inf where all are gated."""
  if len(powers) < 4:
    return -np.inf
  blocks = np.convolve(powers, np.full(4, 0.25), 'valid')
  heard = blocks[blocks >= 10 ** ((GATE_LUFS - OFFSET) / 10)]
  if not len(heard):
    return -np.inf
  heard = heard[heard > heard.mean() * 10 ** (RELATIVE_GATE / 10)]
  return float(OFFSET + 10 * np.log10(heard.mean()))


@functools.cache
def k_weighting(rate: int) -> np.ndarray:
  """Impulse response of the K-weighting filter (BS.1770-4, annex 1) at `rate` Hz, 0.1 s long (then below -180 dB).

  A high shelf of 4 dB at 1500 Hz and a high pass at 38 Hz (biquads of the Audio EQ Cookbook), as pyloudnorm has them.
  """
  size = 1 << int(0.4 * rate).bit_length()
  z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
  response = np.ones(len(z), complex)
  for numerator, denominator in (_high_shelf(4.0, 0.5**0.5, 1500.0, rate), _high_pass(0.5, 38.0, rate)):
    response *= np.polyval(numerator[::-1], z) / np.polyval(denominator[::-1], z)
  return np.fft.irfft(response, size)[: int(0.1 * rate)]


@functools.lru_cache(maxsize=32)
def k_weighting_spectrum(rate: int, size: int) -> np.ndarray:
  """(size // 2 + 1,) transform of `k_weighting`."""
  return np.fft.rfft(k_weighting(rate), size)


def transform_size(samples: int) -> int:
  """The power of two from `samples` on."""
  return 1 << (samples - 1).bit_length()


def _high_shelf(gain_db, quality, frequency, rate):
  a, turn = 10 ** (gain_db / 40), 2 * np.pi * frequency / rate
  cos, alpha = np.cos(turn), np.sin(turn) / (2 * quality)
  root = 2 * np.sqrt(a) * alpha
  numerator = a * np.array([a + 1 + (a - 1) * cos + root, -2 * (a - 1 + (a + 1) * cos), a + 1 + (a - 1) * cos - root])
  denominator = np.array([a + 1 - (a - 1) * cos + root, 2 * (a - 1 - (a + 1) * cos), a + 1 - (a - 1) * cos - root])
  return numerator, denominator


def _high_pass(quality, frequency, rate):
  turn = 2 * np.pi * frequency / rate
  cos, alpha = np.cos(turn), np.sin(turn) / (2 * quality)
  return np.array([(1 + cos) / 2, -(1 + cos), (1 + cos) / 2]), np.array([1 + alpha, -2 * cos, 1 - alpha])


def integrated_loudness(wave: np.ndarray, rate: int) -> float:
  """Integrated (gated) loudness of (S,) or (S, C) in LUFS; -inf for silence (below the absolute gate of -70 LUFS).

  A wave shorter than the 0.4 s gating block is measured as one block of its own length.
  """
  wave = np.asarray(wave)
  if len(wave) < 64 or not np.any(wave):
    return -np.inf
  meter = LoudnessMeter(rate, wave.shape[1] if wave.ndim > 1 else 1)
  meter.add(wave)
  return meter.integrated()


def normalize_loudness(wave: np.ndarray, rate: int, target_lufs: float = TARGET_LUFS) -> np.ndarray:
  """Normalizes (S,) to `target_lufs` by one gain, float32. Peaks above -1 dB true peak are limited, not clipped.

  A silent wave is returned unchanged.
  """
  loudness = integrated_loudness(wave, rate)
  if not np.isfinite(loudness):
    return np.asarray(wave, np.float32)
  return limit_peaks(np.asarray(wave, np.float64) * 10 ** ((target_lufs - loudness) / 20), rate)


def limit_peaks(wave: np.ndarray, rate: int, ceiling_db: float = CEILING_DB) -> np.ndarray:
  """Look-ahead limiter of the true peak (BS.1770 annex 2: 4x oversampling): (S,) or (S, C) -> the same, float32.

  One gain for all channels, attack and release of 5 ms.
  """
  return np.concatenate([wave[:0].astype(np.float32), *limit_blocks([wave], rate, ceiling_db)])


def limit_blocks(blocks: Iterable[np.ndarray], rate: int, ceiling_db: float = CEILING_DB) -> Iterator[np.ndarray]:
  """`limit_peaks` of a sound that is given by blocks; yields chunks of CHUNK_SECONDS, together as long."""
  part, margin = round(CHUNK_SECONDS * rate), rate // 10  # the output depends on 15 ms around each sample
  ceiling = 10 ** (ceiling_db / 20)
  held, before = None, 0  # of the samples held, so many are already given
  for block in blocks:
    held = np.asarray(block) if held is None else np.concatenate([held, block])
    first = before
    while len(held) - first >= part + margin:
      begin = max(0, first - margin)
      yield _limit_chunk(held[begin : first + part + margin], rate, ceiling)[first - begin :][:part]
      first += part
    begin = max(0, first - margin)
    held, before = held[begin:], first - begin
  while held is not None and before < len(held):
    begin = max(0, before - margin)
    yield _limit_chunk(held[begin : before + part + margin], rate, ceiling)[before - begin :][:part]
    before += part


def _limit_chunk(wave: np.ndarray, rate: int, ceiling: float) -> np.ndarray:
  phases = oversampling()
  if not len(wave) or np.abs(wave).max() * np.abs(phases).sum(axis=1).max() <= ceiling:  # none can exceed it
    return wave.astype(np.float32)
  peaks = np.abs(wave).reshape(len(wave), -1).max(axis=1)
  for channel in wave.reshape(len(wave), -1).T:
    for taps in phases:
      peaks = np.maximum(peaks, np.abs(np.convolve(channel, taps, 'same')))
  if peaks.max() <= ceiling:
    return wave.astype(np.float32)
  gain = np.minimum(1, ceiling / np.maximum(peaks, 1e-9))
  reach = max(3, int(0.005 * rate)) | 1
  # A moving average of a moving minimum of equal width never exceeds the gain that a peak needs.
  return (wave.T * moving_mean(moving_minimum(gain, reach), reach // 2)).T.astype(np.float32)


def moving_minimum(values: np.ndarray, reach: int) -> np.ndarray:
  """(S,) -> (S,) least of the `reach` values before each, itself and the `reach` after it (van Herk 1992)."""
  width, count = 2 * reach + 1, len(values)
  padded = np.pad(values, (reach, reach + -(count + 2 * reach) % width), constant_values=np.inf)
  parts = padded.reshape(-1, width)
  until = np.minimum.accumulate(parts, axis=1).reshape(-1)
  since = np.minimum.accumulate(parts[:, ::-1], axis=1)[:, ::-1].reshape(-1)
  return np.minimum(since[:count], until[width - 1 : width - 1 + count])


def moving_mean(values: np.ndarray, reach: int) -> np.ndarray:
  """(S,) -> (S,) mean of the `reach` values before each, itself and the `reach` after it; the ends are continued."""
  total = np.cumsum(np.pad(values, (reach + 1, reach), mode='edge'))
  return (total[2 * reach + 1 :] - total[: len(values)]) / (2 * reach + 1)


@functools.cache
def oversampling() -> np.ndarray:
  """(3, 21) interpolation filters to the quarter, half and three quarters between a sample and the next: a windowed
  sinc (Kaiser, beta 5), the one of `scipy.signal.resample_poly` by 4."""
  place = np.arange(-40, 41)
  taps = np.sinc(place / 4) * np.kaiser(81, 5.0)
  taps *= 4 / taps.sum()
  phases = [np.pad(taps[phase::4], (0, 1)) if phase else taps[::4] for phase in range(4)]
  return np.stack(phases[1:])
