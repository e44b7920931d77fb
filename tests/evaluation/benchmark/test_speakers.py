from types import SimpleNamespace

import numpy as np
import pytest

from dubber_jax.evaluation.benchmark import speakers
from dubber_jax.types import SAMPLE_RATE


def recording(key, emotion='neutral', split='train', seconds=4.0, set='ravdess'):
  return SimpleNamespace(key=key, id=key, emotion=emotion, split=split, seconds=seconds, set=set)


@pytest.fixture
def own(monkeypatch):
  rows = [
    recording('01-01-01-01', seconds=1.0),
    recording('01-01-02-01'),
    recording('01-01-01-02'),
    recording('01-01-05-01', 'angry'),
  ]
  monkeypatch.setattr(speakers, 'recordings', lambda speaker: rows)
  monkeypatch.setattr(speakers, 'sound_of', lambda r: np.zeros(int(r.seconds * SAMPLE_RATE)))
  speakers.reference.cache_clear()
  yield rows
  speakers.reference.cache_clear()


def test_the_reference_is_long_enough_and_neutral(own):
  assert speakers.reference('r') is own[1]


def test_calm_recordings_are_no_neutral_reference_of_the_judge(own):
  assert speakers.neutral('r') == [own[0], own[2]]
  assert speakers.acted('r', 'angry') == [own[3]] and speakers.acted('r', 'sad') == []


def test_a_voice_is_compared_with_another_recording_than_it_is_made_of(own):
  assert speakers.another('r') is own[0]


def test_of_many_recordings_a_few_are_spread_over_all():
  chosen = speakers.some(list(range(1000)))
  assert len(chosen) <= speakers.ENOUGH and chosen[0] == 0 and chosen[-1] > 900
