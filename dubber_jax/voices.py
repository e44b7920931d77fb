"""From a recording to a Voice."""

from pathlib import Path

import numpy as np

from dubber_jax.clip import HOP, SAMPLE_RATE, Voice
from dubber_jax.errors import BadInput

ANCHOR = -23.0  # LUFS: the level at which the model heard its training voices
REFERENCE_SECONDS = 3.0


def make_voice(wave: np.ndarray, sample_rate: int, name: str = '', path='') -> Voice:
  """A recording (S,) of one person -> their Voice: speaker embedding and a reference mel of its densest three seconds.

  Raises BadInput for a recording shorter than 1 s, silent, or clipped; warns of what will suffer.
  """
  from dubber_jax.media.loudness import anchor
  from dubber_jax.media.mel import mel_numpy
  from dubber_jax.media.sound import check_voice, resample
  from dubber_jax.perception.speaker import embed_speaker

  warnings = check_voice(wave, sample_rate, path)
  wave = anchor(resample(wave, sample_rate, SAMPLE_RATE), SAMPLE_RATE, ANCHOR)
  mel = mel_numpy(wave)
  frames = int(REFERENCE_SECONDS * SAMPLE_RATE / HOP)
  if len(mel) > frames:
    energy = np.concatenate([[0.0], np.cumsum(mel.mean(axis=1))])
    start = int(np.argmax(energy[frames:] - energy[:-frames]))
    mel = mel[start : start + frames]
  return Voice(embed_speaker(wave, SAMPLE_RATE), mel.astype(np.float32), name, warnings)


def find_voice(name_or_path: str, shipped: dict[str, Voice]) -> Voice:
  """A voice that ships with the model, by name, or made from a recording."""
  from dubber_jax.media.sound import read_sound

  if name_or_path in shipped:
    return shipped[name_or_path]
  if not Path(name_or_path).exists():
    raise BadInput(f'no voice {name_or_path!r}: give a recording, or one of {", ".join(shipped) or "(none shipped)"}')
  return make_voice(read_sound(name_or_path, SAMPLE_RATE), SAMPLE_RATE, Path(name_or_path).stem, name_or_path)
