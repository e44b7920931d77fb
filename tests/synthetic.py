"""Recordings and features that need no speech, and speech that needs no recording."""

import os
import signal
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from data_pipelines.recordings import Recording
from dubber_jax.errors import BadInput

FORMANTS = {'ee': (280, 2250, 2900), 'ah': (730, 1090, 2440)}  # Hz


def made_up_features(recording, gain, films):
  """Random features that depend on the key and the gain alone. A text of 'bad' cannot be used; at 'killer' the
  process is killed, the first time it comes there. Each call is noted in the file that TALLY names."""
  rng = np.random.default_rng(list(recording.key.encode()))
  tally = os.environ.get('TALLY')
  if tally:
    with open(tally, 'a') as file:
      file.write(f'{recording.id}\n')
    if recording.text == 'killer' and Path(tally).read_text().split().count(recording.id) == 1:
      os.kill(os.getpid(), signal.SIGKILL)
  if recording.text == 'bad':
    raise BadInput(f'{recording.path}: nobody speaks in it')
  if recording.text == 'broken':
    raise ZeroDivisionError('a fault of ours')
  phonemes = int(rng.integers(2, 6))
  lips = 5 if films else 0
  return {
    'mel': rng.integers(0, 255, (8 * phonemes, 80)),
    'pitch': np.full(8 * phonemes, 100 * gain),
    'phonemes': rng.integers(1, 90, phonemes),
    'durations': np.full(phonemes, 8),
    'lips': rng.normal(0, 1, (lips, 82)),
    'lip_present': np.ones(lips, bool),
    'speaker': rng.normal(0, 1, 256),
  }


def made_up_recordings(folder, count, odd=None) -> list[Recording]:
  """Empty files by two speakers. `odd`: texts by number."""
  odd = odd or {}
  recordings = []
  for i in range(count):
    path = Path(folder) / f'{i}.wav'
    path.touch()
    recordings.append(Recording('made-up', str(i), f'speaker_{i % 2}', path, odd.get(i, 'See.'), 'sad', 'train', False))
  return recordings


def synthetic_speech(sounds, rate=22050) -> np.ndarray:
  """Vowels ('ee', 'ah'), hisses ('s') and pauses ('_'): enough for an aligner to find "See, see, see." in it."""
  rng = np.random.default_rng(0)
  return np.concatenate([_sound(s, round((0.4 if s == '_' else 0.15) * rate), rate, rng) for s in sounds])


def _sound(kind, count, rate, rng):
  noise = rng.normal(size=count)
  if kind == '_':
    return (1e-4 * noise).astype(np.float32)
  if kind == 's':
    return (0.05 * lfilter([1, -0.95], [1], noise)).astype(np.float32)
  wave = np.zeros(count)
  wave[:: rate // 120] = 1  # the glottis, 120 times a second
  wave = lfilter([1], [1, -0.9], wave) + 1e-3 * noise
  for formant in FORMANTS[kind]:
    r = np.exp(-np.pi * 80 / rate)
    wave = lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * formant / rate), r * r], wave)
  return (0.2 * wave / np.abs(wave).max()).astype(np.float32)
