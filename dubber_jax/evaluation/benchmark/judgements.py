"""Judges by name, and the cache of judgements: each is computed once, written at once, and read by later runs."""

import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class JsonlCache:
  """Append-only cache of values by kind and key, in a file of JSON lines."""

  path: Path
  values: dict[tuple[str, str], object] = field(default_factory=dict)

  def __post_init__(self):
    for row in self.path.read_text(encoding='utf-8').splitlines() if self.path.exists() else ():
      try:
        kind, key, value = json.loads(row)
      except ValueError:
        continue  # the incomplete last row of a run that was killed
      self.values[kind, key] = value

  def has(self, kind: str, key: str) -> bool:
    return (kind, key) in self.values

  def value(self, kind: str, key: str) -> Any:
    return self.values[kind, key]

  def add(self, kind: str, key: str, value: Any):
    self.values[kind, key] = value
    self.path.parent.mkdir(parents=True, exist_ok=True)
    with open(self.path, 'a', encoding='utf-8') as file:
      file.write('\n' + json.dumps([kind, key, value]))  # ends an incomplete row of a killed run


def _words():
  from dubber_jax.evaluation.metrics.wer import Whisper

  return Whisper(threads=cores()).transcribe


def _mos(through=lambda wave, rate: wave):
  from dubber_jax.evaluation.metrics.mos import DistillMOS

  predictor = DistillMOS()
  return lambda wave, rate: predictor.score(through(wave, rate), rate)


def _mos_opus():
  from dubber_jax.media.opus import opus_round_trip

  return _mos(opus_round_trip)


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

  def measure(wave, rate, film):
    timing = judge.listen(mouths(film), wave, rate)
    return {'agreement': timing.agreement, 'late': 1000 * timing.offset, 'cosine': timing.cosine}

  return measure


def _reference():
  from dubber_jax.evaluation.metrics.f0 import prosody_distance
  from dubber_jax.evaluation.metrics.mcd import mel_cepstral_distortion
  from dubber_jax.media.loudness import normalize_loudness
  from dubber_jax.media.sound import read_sound

  def compare(wave, rate, film):
    reference = normalize_loudness(read_sound(film, rate), rate)
    found = mel_cepstral_distortion(reference, wave) | prosody_distance(reference, wave)
    return {name: None if np.isnan(value) else float(value) for name, value in found.items()}

  return compare


JUDGES = {
  'words': _words,
  'mos': _mos,
  'mos-opus': _mos_opus,
  'cleanliness': _cleanliness,
  'voice': _voice,
  'functionals': _functionals,  # input of the judge of emotion
  'lips': _lips,  # lip sync with a film's pictures
  'reference': _reference,  # distance from the film's own sound: MCD, F0, level
}


@functools.cache
def open_judge(name: str) -> Callable[[np.ndarray, int], object]:
  """The function judge(wave (S,), sample_rate) -> judgement, a JSON value; `lips` and `reference` also take the film's
  path. Raises BadInput where its packages are missing."""
  return JUDGES[name]()


def cores() -> int:
  """Number of cores that this process may use."""
  return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
