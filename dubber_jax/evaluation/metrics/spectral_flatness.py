"""Spectral flatness of speech by phoneme class, to compare the noisiness of fricatives and vowels with recordings.

Flatness is the geometric over the arithmetic mean of the power spectrum from 1 to 7.5 kHz, in dB (Johnston 1988): 0 for
white noise, far below for tones. A model trained on distances alone gives fricatives the spectrum of dull tones, which
global scores do not show.
"""

from collections.abc import Sequence

import numpy as np

from dubber_jax.media.mel import PAD, WINDOW, hann
from dubber_jax.script.symbols import SILENCES, VOWELS
from dubber_jax.types import HOP, SAMPLE_RATE

LOW, HIGH = 1000.0, 7500.0  # Hz; recordings of 16 kHz have nothing above
WIDTH = 8  # bins averaged before the logarithm, since single bins of noise scatter
LEAST = 3  # frames of a phoneme; the first and last are left out
CLASSES = {
  'voiceless fricatives': ('S', 'SH', 'F', 'TH', 'HH'),
  'voiced fricatives': ('Z', 'ZH', 'V', 'DH'),
  'stops and affricates': ('P', 'T', 'K', 'B', 'D', 'G', 'CH', 'JH'),
  'nasals': ('M', 'N', 'NG'),
  'approximants': ('L', 'R', 'W', 'Y'),
  'vowels': VOWELS,
}
CLASS_OF = {code: name for name, codes in CLASSES.items() for code in codes}


def frame_flatness(wave: np.ndarray) -> np.ndarray:
  """(S,) at 22,050 Hz -> spectral flatness (T,) in dB of every mel frame, T = S // 256."""
  padded = np.pad(np.asarray(wave, np.float64), PAD, mode='reflect')
  windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: len(wave) // HOP]
  power = np.square(np.abs(np.fft.rfft(windows * hann()))) + 1e-12
  first, last = (int(f * WINDOW / SAMPLE_RATE) for f in (LOW, HIGH))
  bands = power[:, first : first + (last - first) // WIDTH * WIDTH].reshape(len(power), -1, WIDTH).mean(-1)
  return 10 * (np.log10(bands).mean(1) - np.log10(bands.mean(1)))


def flatness_by_class(wave: np.ndarray, phonemes: Sequence[str], durations: np.ndarray) -> dict[str, list[float]]:
  """Mean flatness (dB) of each phoneme of LEAST frames or more, without its first and last frame, by class.

  phonemes: N symbols of script/symbols.py; durations (N,): their mel frames.
  """
  flatness, ends = frame_flatness(wave), np.cumsum(durations)
  found: dict[str, list[float]] = {name: [] for name in CLASSES}
  for symbol, end, length in zip(phonemes, ends, durations, strict=True):
    name = CLASS_OF.get(symbol.strip('@').rstrip('012'))
    if symbol in SILENCES or name is None or length < LEAST or end > len(flatness):
      continue
    found[name].append(float(flatness[end - length + 1 : end - 1].mean()))
  return found
