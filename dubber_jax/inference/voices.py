"""Voices from recordings: speaker embedding, reference mel and speaker adaptation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.types import HOP, SAMPLE_RATE, Voice

if TYPE_CHECKING:
  from dubber_jax.inference.model import Model

ANCHOR = -23.0  # LUFS, the level of the training data
REFERENCE_SECONDS = 3.0
# Faults that adaptation would reproduce; one that is only suspected ('maybe several') gives a warning alone.
UNFIT = {'no speech', 'noise', 'echo', 'whisper', 'several'}
LONGEST = 60.0  # s: of a longer recording the loudest minute is used


def make_voice(
  wave: np.ndarray,
  sample_rate: int,
  name: str = '',
  path: str | Path = '',
  model: Model | None = None,
  steps: int | None = None,
) -> Voice:
  """The Voice of a recording (S,) of one person: speaker embedding, and a reference mel of its densest three seconds.

  model: is adapted to the voice in so many steps (`speaker_adaptation.py`), unless the recording has UNFIT faults. Of
  more than a minute the loudest minute is used. Raises BadInput for a recording shorter than 1 s, silent, or clipped;
  other faults give warnings (`perception/recording_quality.py`).
  """
  from dubber_jax.media.loudness import normalize_loudness
  from dubber_jax.media.mel import mel_numpy
  from dubber_jax.media.sound import check_voice, resample
  from dubber_jax.perception.prosody import track_pitch
  from dubber_jax.perception.recording_quality import detect_faults, measure_voice, voice_warnings
  from dubber_jax.perception.speaker import SpeakerEncoder, mean_embedding

  file = Path(path or name or 'voice').name
  warnings = []
  if len(wave) > LONGEST * sample_rate:
    warnings.append(f'{file}: lasts {len(wave) / sample_rate:.0f} s; its loudest {LONGEST:.0f} s are used')
    wave = loudest_part(wave, sample_rate, LONGEST)
  wave = wave - wave.mean(dtype=np.float64).astype(np.float32)
  warnings += check_voice(wave, sample_rate, path)
  wave = normalize_loudness(resample(wave, sample_rate, SAMPLE_RATE), SAMPLE_RATE, ANCHOR)
  windows = SpeakerEncoder().windows(wave, SAMPLE_RATE)
  report = measure_voice(wave, SAMPLE_RATE, track_pitch(wave, SAMPLE_RATE), windows)
  mel = mel_numpy(wave)
  frames = int(REFERENCE_SECONDS * SAMPLE_RATE / HOP)
  mel = mel[densest(mel.mean(axis=1), frames) :][:frames]
  voice = Voice(mean_embedding(windows), mel.astype(np.float32), name, (*warnings, *voice_warnings(report, file)))
  if model is None or UNFIT.intersection(detect_faults(report)):
    return voice
  from dubber_jax.inference.speaker_adaptation import STEPS, adapt_voice

  return adapt_voice(model, voice, wave, STEPS if steps is None else steps)


def loudest_part(wave: np.ndarray, sample_rate: int, seconds: float) -> np.ndarray:
  """The part of a wave (S,) of so many seconds with the greatest log energy, to tenths of a second."""
  tenths = wave[: len(wave) // (sample_rate // 10) * (sample_rate // 10)].reshape(-1, sample_rate // 10)
  start = densest(np.log(np.var(tenths, axis=1) + 1e-10), int(10 * seconds))
  return tenths[start : start + int(10 * seconds)].reshape(-1)


def densest(level: np.ndarray, length: int) -> int:
  """Index at which the `length` successive values of level (T,) with the greatest sum begin; 0 where T is smaller."""
  if len(level) <= length:
    return 0
  total = np.concatenate([[0.0], np.cumsum(level, dtype=np.float64)])
  return int(np.argmax(total[length:] - total[:-length]))


def find_voice(
  name_or_path: str, shipped: dict[str, Voice], model: Model | None = None, steps: int | None = None
) -> Voice:
  """A voice that ships with the model, by name, or one of a recording; `model` and `steps` as in `make_voice`."""
  from dubber_jax.media.sound import read_sound

  if name_or_path in shipped:
    return shipped[name_or_path]
  if not Path(name_or_path).exists():
    raise BadInput(f'no voice {name_or_path!r}: give a recording, or one of {", ".join(shipped) or "(none shipped)"}')
  wave = read_sound(name_or_path, SAMPLE_RATE)
  return make_voice(wave, SAMPLE_RATE, Path(name_or_path).stem, name_or_path, model, steps)
