"""From a recording to a Voice."""

from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.types import HOP, SAMPLE_RATE, Voice

ANCHOR = -23.0  # LUFS: the level at which the model heard its training voices
REFERENCE_SECONDS = 3.0
# Faults that an actor fitted to them would repeat; one that is only suspected ('maybe several') is told and no more.
UNFIT = {'no speech', 'noise', 'echo', 'whisper', 'several'}
LONGEST = 60.0  # s: of a longer recording the loudest minute is used


def make_voice(
  wave: np.ndarray, sample_rate: int, name: str = '', path='', actor=None, steps: int | None = None
) -> Voice:
  """A recording (S,) of one person -> their Voice: speaker embedding and a reference mel of its densest three seconds.

  actor: a Model that is fitted to the voice, so that it is followed more closely (`fitting.py`), by so many steps; not
  to one whose recording has UNFIT faults.
  Of more than a minute the loudest minute is taken. Raises BadInput for a recording shorter than 1 s, silent, or
  clipped; warns of what will suffer (`perception/recording_quality.py`).
  """
  from dubber_jax.media.loudness import anchor
  from dubber_jax.media.mel import mel_numpy
  from dubber_jax.media.sound import check_voice, resample
  from dubber_jax.perception.prosody import track_pitch
  from dubber_jax.perception.recording_quality import measure_voice, noticed, voice_warnings
  from dubber_jax.perception.speaker import SpeakerEncoder, mean_voice

  file = Path(path or name or 'voice').name
  warnings = []
  if len(wave) > LONGEST * sample_rate:
    warnings.append(f'{file}: lasts {len(wave) / sample_rate:.0f} s; its loudest {LONGEST:.0f} s are used')
    tenths = wave[: len(wave) // (sample_rate // 10) * (sample_rate // 10)].reshape(-1, sample_rate // 10)
    start = densest(np.log(np.var(tenths, axis=1) + 1e-10), int(10 * LONGEST))
    wave = tenths[start : start + int(10 * LONGEST)].reshape(-1)
  wave = wave - wave.mean(dtype=np.float64).astype(np.float32)
  warnings += check_voice(wave, sample_rate, path)
  wave = anchor(resample(wave, sample_rate, SAMPLE_RATE), SAMPLE_RATE, ANCHOR)
  windows = SpeakerEncoder().windows(wave, SAMPLE_RATE)
  report = measure_voice(wave, SAMPLE_RATE, track_pitch(wave, SAMPLE_RATE), windows)
  mel = mel_numpy(wave)
  frames = int(REFERENCE_SECONDS * SAMPLE_RATE / HOP)
  mel = mel[densest(mel.mean(axis=1), frames) :][:frames]
  voice = Voice(mean_voice(windows), mel.astype(np.float32), name, (*warnings, *voice_warnings(report, file)))
  if actor is None or UNFIT.intersection(noticed(report)):
    return voice
  from dubber_jax.inference.speaker_adaptation import STEPS, adapt_voice

  return adapt_voice(actor, voice, wave, STEPS if steps is None else steps)


def densest(level: np.ndarray, length: int) -> int:
  """Where the `length` successive values of (T,) with the greatest sum begin; 0 where there are not so many."""
  if len(level) <= length:
    return 0
  total = np.concatenate([[0.0], np.cumsum(level, dtype=np.float64)])
  return int(np.argmax(total[length:] - total[:-length]))


def find_voice(name_or_path: str, shipped: dict[str, Voice], actor=None, steps: int | None = None) -> Voice:
  """A voice that ships with the model, by name, or made from a recording; `actor` and `steps` as of `make_voice`."""
  from dubber_jax.media.sound import read_sound

  if name_or_path in shipped:
    return shipped[name_or_path]
  if not Path(name_or_path).exists():
    raise BadInput(f'no voice {name_or_path!r}: give a recording, or one of {", ".join(shipped) or "(none shipped)"}')
  wave = read_sound(name_or_path, SAMPLE_RATE)
  return make_voice(wave, SAMPLE_RATE, Path(name_or_path).stem, name_or_path, actor, steps)
