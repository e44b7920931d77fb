"""Degradations of a recording: additive noise, reverberation, whispering, pitch and formant shift, telephone band.

Each takes a wave (S,) at 22,050 Hz and returns one, float32; random numbers come from `seed`. Recording-quality checks
and voices are tested with them.
"""

import numpy as np

from dubber_jax.media.sound import resample
from dubber_jax.types import SAMPLE_RATE


def add_noise(wave: np.ndarray, decibels: float, pink: bool = False, seed: int = 0) -> np.ndarray:
  """Adds white or pink (-3 dB an octave) noise at a signal-to-noise ratio in dB, relative to the loud samples."""
  added = np.random.default_rng(seed).standard_normal(len(wave))
  if pink:
    spectrum = np.fft.rfft(added)
    added = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), len(wave))
  loud = np.abs(wave) > 0.02 * np.abs(wave).max()
  gain = np.sqrt(np.mean(wave[loud] ** 2) / 10 ** (decibels / 10) / np.mean(added**2))
  return (wave + gain * added).astype(np.float32)


def reverberate(wave: np.ndarray, seconds: float, direct: float = 0.0, seed: int = 0) -> np.ndarray:
  """Convolves with an exponentially decaying noise response. `seconds`: reverberation time RT60; `direct`: the direct
  sound's level relative to the reverberation, dB."""
  from scipy.signal import fftconvolve

  time = np.arange(int(1.2 * seconds * SAMPLE_RATE)) / SAMPLE_RATE
  room = np.random.default_rng(seed).standard_normal(len(time)) * 10 ** (-3 * time / seconds)
  room[time < 0.003] = 0
  room /= np.sqrt(np.sum(room**2))
  room[0] = 10 ** (direct / 20)
  reverberant = fftconvolve(wave, room)[: len(wave) + int(0.5 * seconds * SAMPLE_RATE)]
  return match_power(reverberant, wave)


def whisper(wave: np.ndarray, seed: int = 0) -> np.ndarray:
  """Simulated whisper: the linear-prediction filter of each 23 ms frame, excited by noise instead of by the glottis."""
  import librosa
  from scipy.signal import lfilter

  size, hop, random = 512, 128, np.random.default_rng(seed)
  window, out = np.hanning(size + 1)[:-1], np.zeros(len(wave) + size)
  wave = wave + 1e-6 * random.standard_normal(len(wave))
  for start in range(0, len(wave) - size, hop):
    frame = wave[start : start + size] * window
    breath = lfilter([1.0], librosa.lpc(frame, order=24), random.standard_normal(size + 100))[100:]
    out[start : start + size] += breath * np.sqrt(np.mean(frame**2) / (np.mean(breath**2) + 1e-12)) * window
  return match_power(_filtered(out[: len(wave)], 300, None), wave)


def child_voice(wave: np.ndarray, ratio: float = 1.4) -> np.ndarray:
  """Multiplies F0, formants and speaking rate by `ratio`, by resampling, as of a shorter vocal tract."""
  return resample(wave, round(SAMPLE_RATE * ratio), SAMPLE_RATE)


def telephone(wave: np.ndarray) -> np.ndarray:
  """Band-passes to 300 to 3400 Hz."""
  return _filtered(wave, 300, 3400).astype(np.float32)


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Mixes two voices at equal power, cut to the shorter one."""
  length = min(len(first), len(second))
  return 0.5 * (first[:length] + match_power(second[:length], first[:length]))


def one_after_the_other(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Concatenates two voices at equal power."""
  return np.concatenate([first, match_power(second, first)])


def synthetic_music(seconds: float, seed: int = 0) -> np.ndarray:
  """Instrumental music: arpeggiated major triads of decaying harmonic tones."""
  random, time = np.random.default_rng(seed), np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
  sound = np.zeros_like(time)
  for onset in np.arange(0, seconds, 0.25):
    since = np.maximum(time - onset, 0)
    root = 110 * 2 ** (random.integers(0, 25) / 12)
    for note in (1.0, 1.26, 1.5):
      for k in range(1, 6):
        sound += np.sin(2 * np.pi * root * note * k * since) / k**1.5 * np.exp(-3 * since)
  return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def _filtered(wave, low, high):
  from scipy.signal import butter, sosfilt

  edges = [low, high] if high else low
  return sosfilt(butter(6, edges, 'bandpass' if high else 'highpass', fs=SAMPLE_RATE, output='sos'), wave)


def match_power(wave: np.ndarray, reference: np.ndarray) -> np.ndarray:
  """Scales a wave to the mean power of another."""
  return (wave * np.sqrt(np.mean(reference**2) / (np.mean(wave**2) + 1e-12))).astype(np.float32)
