"""Voices from recordings: speaker embedding, reference mel and speaker adaptation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.inference.stored_model import StoredModel, opened
from dubber_jax.storage.cache import cached
from dubber_jax.storage.hashing import sha256_file
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
  """The Voice of a recording (S,) or (S, C) of one person: speaker embedding, and a reference mel of its densest three
  seconds. The recording has its own sample rate and channels, in which clipping shows.

  model: is adapted to the voice in so many steps (`speaker_adaptation.py`), unless the recording has UNFIT faults. Of
  more than a minute the loudest minute is used. Raises BadInput for a recording shorter than 1 s, silent, or clipped;
  other faults give warnings (`perception/recording_quality.py`).
  """
  from dubber_jax.media.loudness import normalize_loudness
  from dubber_jax.media.mel import mel_numpy
  from dubber_jax.media.sound import check_voice, mix_down, resample
  from dubber_jax.perception.prosody import track_pitch
  from dubber_jax.perception.recording_quality import detect_faults, measure_voice, voice_warnings
  from dubber_jax.perception.speaker import SpeakerEncoder, mean_embedding

  file = Path(path or name or 'voice').name
  warnings = []
  if len(wave) > LONGEST * sample_rate:
    warnings.append(f'{file}: lasts {len(wave) / sample_rate:.0f} s; its loudest {LONGEST:.0f} s are used')
    wave = loudest_part(wave, sample_rate, LONGEST)
  wave = wave - wave.mean(axis=0, dtype=np.float64).astype(np.float32)
  warnings += check_voice(wave, sample_rate, path)
  wave = normalize_loudness(resample(mix_down(wave), sample_rate, SAMPLE_RATE), SAMPLE_RATE, ANCHOR)
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
  """The part of a wave (S,) or (S, C) of so many seconds with the greatest log energy, to tenths of a second."""
  from dubber_jax.media.sound import mix_down

  step = sample_rate // 10
  tenths = mix_down(wave)[: len(wave) // step * step].reshape(-1, step)
  start = densest(np.log(np.var(tenths, axis=1) + 1e-10), int(10 * seconds))
  return wave[start * step : (start + int(10 * seconds)) * step]


def densest(level: np.ndarray, length: int) -> int:
  """Index at which the `length` successive values of level (T,) with the greatest sum begin; 0 where T is smaller."""
  if len(level) <= length:
    return 0
  total = np.concatenate([[0.0], np.cumsum(level, dtype=np.float64)])
  return int(np.argmax(total[length:] - total[:-length]))


@dataclass(frozen=True)
class RecordedVoice:
  """Cache key of voices made of recordings; `version` is raised when their results change."""

  name: str = 'voice'
  version: int = 1


def find_voice(
  name_or_path: str, shipped: dict[str, Voice], model: Model | StoredModel | None = None, steps: int | None = None
) -> Voice:
  """A voice that ships with the model, by name, or one of a recording; `model` and `steps` as in `make_voice`.

  With a StoredModel, the voice of a recording that was used before comes from the cache, and the model stays unopened.
  """
  from dubber_jax.media.sound import read_channels

  check_known(name_or_path, shipped)
  if name_or_path in shipped:
    return shipped[name_or_path]

  def make() -> Voice:
    wave, rate = read_channels(name_or_path)
    if not len(wave):
      raise BadInput(f'{name_or_path}: holds no sound; give another recording')
    return make_voice(wave, rate, Path(name_or_path).stem, name_or_path, model and opened(model), steps)

  if not isinstance(model, StoredModel):
    return make()
  key = (sha256_file(name_or_path), Path(name_or_path).name, model.hash, -1 if steps is None else steps)
  found = cached(RecordedVoice(), key, lambda: _to_arrays(make()))
  return _from_arrays(found, Path(name_or_path).stem)


def check_known(name_or_path: str, shipped: dict[str, Voice]) -> None:
  """Raises BadInput where a voice neither ships with the model nor is a file."""
  if name_or_path not in shipped and not Path(name_or_path).is_file():
    raise BadInput(f'no voice {name_or_path!r}: give a recording, or one of {", ".join(shipped) or "(none shipped)"}')


def _to_arrays(voice: Voice) -> dict[str, Any]:
  fit = {f'fit/{name}': value for name, value in voice.fit.items()}
  fields = {'embedding': voice.embedding, 'reference_mel': voice.reference_mel, 'fit_of': voice.fit_of}
  return fields | {'warnings': np.array(voice.warnings, dtype=str)} | fit


def _from_arrays(found: dict[str, Any], name: str) -> Voice:
  fit = {key.removeprefix('fit/'): value for key, value in found.items() if key.startswith('fit/')}
  warnings = tuple(str(warning) for warning in found['warnings'])
  return Voice(found['embedding'], found['reference_mel'], name, warnings, fit, str(found['fit_of']))
