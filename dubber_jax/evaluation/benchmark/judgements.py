"""Judgements that are kept: each is made once, written as soon as it is there, and found again by the next run."""

import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dubber_jax.evaluation.metrics.wer import edits, normalize


@dataclass
class JsonlCache:
  """Values by kind and key in a file of JSON lines."""

  path: Path
  values: dict[tuple[str, str], object] = field(default_factory=dict)

  def __post_init__(self):
    for row in self.path.read_text(encoding='utf-8').splitlines() if self.path.exists() else ():
      try:
        kind, key, value = json.loads(row)
      except ValueError:
        continue  # the last row of a run that was killed
      self.values[kind, key] = value

  def has(self, kind: str, key: str) -> bool:
    return (kind, key) in self.values

  def value(self, kind: str, key: str):
    return self.values[kind, key]

  def add(self, kind: str, key: str, value):
    self.values[kind, key] = value
    self.path.parent.mkdir(parents=True, exist_ok=True)
    with open(self.path, 'a', encoding='utf-8') as file:
      file.write('\n' + json.dumps([kind, key, value]))  # a row that a killed run left open ends here


def _words():
  from dubber_jax.evaluation.metrics.wer import Whisper

  return Whisper(threads=cores()).transcribe


def _mos(through=lambda wave, rate: wave):
  from dubber_jax.evaluation.metrics.mos import DistillMOS

  listener = DistillMOS()
  return lambda wave, rate: listener.score(through(wave, rate), rate)


def _mos_opus():
  from dubber_jax.media.opus import through_opus

  return _mos(through_opus)


def _cleanliness():
  from dubber_jax.evaluation.metrics.mos import DNSMOS

  return DNSMOS().score


def _voice():
  from dubber_jax.evaluation.metrics.speaker_similarity import load_judge

  judge = load_judge()
  return lambda wave, rate: [round(float(x), 5) for x in judge.embed(wave, rate)]


def _functionals():
  from dubber_jax.evaluation.metrics.egemaps import functionals

  return lambda wave, rate: [float(x) for x in functionals(wave, rate)]


def _lips():
  from dubber_jax.evaluation.metrics.lip_sync import cut_out, load_judge
  from dubber_jax.media.video import read_frames

  judge = load_judge()
  mouths = functools.lru_cache(maxsize=8)(lambda film: cut_out(read_frames(film)[0]))

  def listen(wave, rate, film):
    said = judge.listen(mouths(film), wave, rate)
    return {'agreement': said.agreement, 'late': 1000 * said.offset, 'cosine': said.cosine}

  return listen


def _recording():
  from dubber_jax.evaluation.metrics.f0 import prosody_distance
  from dubber_jax.evaluation.metrics.mcd import mel_distortion
  from dubber_jax.media.loudness import anchor
  from dubber_jax.media.mel import mel_numpy
  from dubber_jax.media.sound import read_sound

  def compare(wave, rate, film):
    said = anchor(read_sound(film, rate), rate)
    far = mel_distortion(mel_numpy(said), mel_numpy(wave)) | prosody_distance(said, wave)
    return {name: None if np.isnan(value) else float(value) for name, value in far.items()}

  return compare


JUDGES = {
  'words': _words,
  'mos': _mos,
  'mos-opus': _mos_opus,
  'cleanliness': _cleanliness,
  'voice': _voice,
  'functionals': _functionals,  # what the judge of emotion hears
  'lips': _lips,  # of a film's pictures
  'recording': _recording,  # how far from the film's own sound: spectrum, pitch, stress
}


@functools.cache
def open_judge(name: str) -> Callable[[np.ndarray, int], object]:
  """judge(wave (S,), sample_rate) -> what it says, as JSON can; those of lips and recording are also given the film's
  path. Raises BadInput where its packages are missing."""
  return JUDGES[name]()


def errors(said: str, heard: str, of: Callable = str.split) -> tuple[int, int]:
  """-> errors and words of one clip, as `word_error` counts them; of=tuple: characters and spaces."""
  said = of(normalize(said))
  return edits(said, of(normalize(heard))), len(said)


def cores() -> int:
  """That this process may use."""
  return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
