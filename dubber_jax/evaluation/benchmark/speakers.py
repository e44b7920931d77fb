"""The people in whose voices benchmarks speak, by their recordings in the data sets."""

import functools
from pathlib import Path

import numpy as np

from dubber_jax.inference.fitted_params import norms_hash
from dubber_jax.inference.model import Model
from dubber_jax.inference.voices import make_voice
from dubber_jax.media.sound import read_sound
from dubber_jax.types import SAMPLE_RATE, Voice

SETS = {
  'k': 'kathleen',
  'l': 'ljspeech',
  't': 'teacher',
  'p': 'vctk',
  's': 'grid',
  'r': 'ravdess',
  'c': 'cremad',
}  # by initial
DAMAGED = ('grid/s4/bbaf2a',)  # a knock after the words, as loud as they are
REFERENCE = 3.0  # s: the shortest recording that a voice is made of, where there is one as long
ENOUGH = 16  # recordings, of which a mean is taken
CALM = '02'  # RAVDESS's third number: counts as neutral, but less so than what it calls neutral


@functools.cache
def recordings(speaker: str) -> list:
  from data_pipelines.recordings import read_recordings

  return [r for r in read_recordings(SETS[speaker[0]]) if r.speaker == speaker and r.key not in DAMAGED]


@functools.cache
def reference(speaker: str):
  """The first neutral recording of 3 s or more, of the training ones where there are any; else the first."""
  neutral = [r for r in recordings(speaker) if r.emotion == 'neutral']
  neutral = [r for r in neutral if r.split == 'train'] or neutral
  return next((r for r in neutral if len(sound_of(r)) >= REFERENCE * SAMPLE_RATE), neutral[0])


def voice(speaker: str, actor: Model | None = None, path: Path | None = None) -> Voice:
  """Of the speaker's reference, or of another file; fitted to a model, where one is given."""
  key = speaker, norms_hash(actor.params) if actor else '', path
  if key not in _voices:
    wave = read_sound(path, SAMPLE_RATE) if path else sound_of(reference(speaker))
    _voices[key] = make_voice(wave, SAMPLE_RATE, speaker, actor=actor)
  return _voices[key]


_voices: dict[tuple[str, str, Path | None], Voice] = {}


def neutral(speaker: str) -> list:
  """Recordings beside which the judge of emotion hears a voice."""
  plain = [r for r in recordings(speaker) if r.emotion == 'neutral']
  return some([r for r in plain if r.set != 'ravdess' or r.id.split('-')[2] != CALM])


def acted(speaker: str, emotion: str) -> list:
  """Recordings that a take of the emotion is likened to."""
  return some([r for r in recordings(speaker) if r.emotion == emotion])


def some(found: list) -> list:
  """At most ENOUGH, spread over all: what a thousand more would add to a mean is not worth an hour."""
  return found[:: -(-len(found) // ENOUGH)] if found else found


def another(speaker: str):
  """A recording to compare a voice with that the voice was not made of, neutral where there is one."""
  others = [r for r in recordings(speaker) if r != reference(speaker)]
  return next((r for r in others if r.emotion == 'neutral'), others[0])


def sound_of(recording) -> np.ndarray:
  return read_sound(recording.path, SAMPLE_RATE)
