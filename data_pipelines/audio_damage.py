"""A recording made worse by a known amount, to see what is noticed: noise, rooms, telephones, a whisper, a child.

All take a wave (S,) at 22,050 Hz and give one, float32; what is random comes from `seed`.
"""

import numpy as np

from dubber_jax.media.sound import resample
from dubber_jax.types import SAMPLE_RATE


def noise(wave: np.ndarray, decibels: float, pink: bool = False, seed: int = 0) -> np.ndarray:
  """With noise so many decibels below the recording's loud parts; pink falls by 3 dB an octave, as rooms do."""
  added = np.random.default_rng(seed).standard_normal(len(wave))
  if pink:
    spectrum = np.fft.rfft(added)
    added = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), len(wave))
  loud = np.abs(wave) > 0.02 * np.abs(wave).max()
  gain = np.sqrt(np.mean(wave[loud] ** 2) / 10 ** (decibels / 10) / np.mean(added**2))
  return (wave + gain * added).astype(np.float32)


def echo(wave: np.ndarray, seconds: float, direct: float = 0.0, seed: int = 0) -> np.ndarray:
  """In a room: noise that decays by 60 dB in so many seconds; `direct`: dB of the voice itself above that."""
  from scipy.signal import fftconvolve

  time = np.arange(int(1.2 * seconds * SAMPLE_RATE)) / SAMPLE_RATE
  room = np.random.default_rng(seed).standard_normal(len(time)) * 10 ** (-3 * time / seconds)
  room[time < 0.003] = 0
  room /= np.sqrt(np.sum(room**2))
  room[0] = 10 ** (direct / 20)
  heard = fftconvolve(wave, room)[: len(wave) + int(0.5 * seconds * SAMPLE_RATE)]
  return as_loud(heard, wave)


def whisper(wave: np.ndarray, seed: int = 0) -> np.ndarray:
  """The same vowels and consonants by breath alone: each 23 ms's linear predictor excited by noise."""
  import librosa
  from scipy.signal import lfilter

  size, hop, random = 512, 128, np.random.default_rng(seed)
  window, out = np.hanning(size + 1)[:-1], np.zeros(len(wave) + size)
  wave = wave + 1e-6 * random.standard_normal(len(wave))
  for start in range(0, len(wave) - size, hop):
    frame = wave[start : start + size] * window
    breath = lfilter([1.0], librosa.lpc(frame, order=24), random.standard_normal(size + 100))[100:]
    out[start : start + size] += breath * np.sqrt(np.mean(frame**2) / (np.mean(breath**2) + 1e-12)) * window
  return as_loud(_filtered(out[: len(wave)], 300, None), wave)


def child(wave: np.ndarray, ratio: float = 1.4) -> np.ndarray:
  """Pitch and formants so many times as high (and as fast), as by a shorter throat."""
  return resample(wave, round(SAMPLE_RATE * ratio), SAMPLE_RATE)


def telephone(wave: np.ndarray) -> np.ndarray:
  return _filtered(wave, 300, 3400).astype(np.float32)


def together(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Two voices at once, as loud as each other."""
  length = min(len(first), len(second))
  return 0.5 * (first[:length] + as_loud(second[:length], first[:length]))


def in_turn(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Two voices one after the other, as loud as each other."""
  return np.concatenate([first, as_loud(second, first)])


def chords(seconds: float, seed: int = 0) -> np.ndarray:
  """Music without a voice: broken major triads of plucked strings."""
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


def as_loud(wave: np.ndarray, reference: np.ndarray) -> np.ndarray:
  """Brought to the power of another."""
  return (wave * np.sqrt(np.mean(reference**2) / (np.mean(wave**2) + 1e-12))).astype(np.float32)
