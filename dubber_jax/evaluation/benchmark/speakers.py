"""The voices of benchmarks: reference, neutral and acted recordings of a speaker in the data sets."""

import functools
from pathlib import Path

import numpy as np

from data_pipelines.recordings import Recording
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
DAMAGED = ('grid/s4/bbaf2a',)  # a knock after the speech, as loud as it is
REFERENCE = 3.0  # s: least length of a reference recording, where there is one as long
ENOUGH = 16  # recordings that are averaged
CALM = '02'  # RAVDESS's emotion number 2, labeled neutral here, though less so than its own 'neutral'


@functools.cache
def recordings(speaker: str) -> list:
  from data_pipelines.recordings import read_recordings

  return [r for r in read_recordings(SETS[speaker[0]]) if r.speaker == speaker and r.key not in DAMAGED]


@functools.cache
def reference(speaker: str) -> Recording:
  """Reference recording: the first neutral one of 3 s or more, from the training split where it has any; else the
  first."""
  neutral = [r for r in recordings(speaker) if r.emotion == 'neutral']
  neutral = [r for r in neutral if r.split == 'train'] or neutral
  return next((r for r in neutral if len(sound_of(r)) >= REFERENCE * SAMPLE_RATE), neutral[0])


def voice(speaker: str, actor: Model | None = None, path: Path | None = None) -> Voice:
  """Voice made of the speaker's reference recording or of `path`, and fitted to the model `actor` where one is
  given."""
  key = speaker, norms_hash(actor.params) if actor else '', path
  if key not in _voices:
    wave = read_sound(path, SAMPLE_RATE) if path else sound_of(reference(speaker))
    _voices[key] = make_voice(wave, SAMPLE_RATE, speaker, model=actor)
  return _voices[key]


_voices: dict[tuple[str, str, Path | None], Voice] = {}


def neutral(speaker: str) -> list:
  """Neutral recordings, the reference of the judge of emotion."""
  plain = [r for r in recordings(speaker) if r.emotion == 'neutral']
  return some([r for r in plain if r.set != 'ravdess' or r.id.split('-')[2] != CALM])


def acted(speaker: str, emotion: str) -> list:
  """Recordings of an emotion, the reference of emotion similarity."""
  return some([r for r in recordings(speaker) if r.emotion == emotion])


def some(found: list) -> list:
  """At most ENOUGH recordings, evenly spread: more change a mean too little for the time they take."""
  return found[:: -(-len(found) // ENOUGH)] if found else found


def another(speaker: str) -> Recording:
  """A recording for speaker similarity other than the reference, neutral where there is one."""
  others = [r for r in recordings(speaker) if r != reference(speaker)]
  return next((r for r in others if r.emotion == 'neutral'), others[0])


def sound_of(recording: Recording) -> np.ndarray:
  return read_sound(recording.path, SAMPLE_RATE)
