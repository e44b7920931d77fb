import dataclasses

import numpy as np
import pytest

from dubber_jax.actor.slot import FRAME_RATE
from dubber_jax.critic.inference import CriticScores
from dubber_jax.inference.synthesis import LineInputs
from dubber_jax.rehearsal import rehearse, timing_score, without_conflicting_exemplars
from dubber_jax.script.g2p import phonemize
from dubber_jax.types import MODALITIES, Direction, Exemplar, Exemplars, Take, Voice


class ScriptedCritic:
  """A critic with given emotion scores for the takes of each round."""

  def __init__(self, *rounds):
    self.rounds, self.takes = list(rounds), []

  def score(self, takes, voice, track=None):
    self.takes.append(takes)
    scores = self.rounds[len(self.takes) - 1]
    odds = [np.array([s**2, 0, 0, 0, 1 - s**2, 0, 0, 0]) for s in (*scores, 0.0)]
    return [CriticScores(0.95, 0.95, 0.95, None, p, 20.0, 6.0, -20.0, 12.0) for p in odds]


ANGRY = Direction(emotion=(1.0, *[0.0] * 7), intensity=0.6)


def rehearsed(model, critic, **options):
  inputs = LineInputs(phonemize('We never asked.'), model.voices['ada'], 1.0)
  return rehearse(dataclasses.replace(model, critic=critic), inputs, ANGRY, **options)


def test_best_take_of_all_rounds_is_kept(model):
  critic = ScriptedCritic([0.1, 0.3], [0.45, 0.2], [0.4, 0.4])
  kept = rehearsed(model, critic, rounds=3, candidates=2)
  assert [r.best for r in kept.rounds] == [1, 0, 0]
  assert kept.take is critic.takes[1][0]
  assert kept.review.scores['emotion'] == pytest.approx(0.45)
  assert len(critic.takes[0]) == 3  # two candidates and the baseline


def test_accepted_take_ends_the_rehearsal(model):
  kept = rehearsed(model, ScriptedCritic([0.9, 0.2]), rounds=3, candidates=2)
  assert len(kept.rounds) == 1 and kept.review.accepted and kept.rounds[0].why == 'accepted'


def test_every_round_asks_for_more_of_what_is_missing(model):
  kept = rehearsed(model, ScriptedCritic([0.1, 0.1], [0.2, 0.1], [0.3, 0.1]), rounds=3, candidates=2)
  intensities = [r.direction.intensity for r in kept.rounds]
  assert intensities == sorted(intensities) and intensities[-1] > intensities[0]
  assert kept.rounds[0].why and kept.rounds[1].direction.note == kept.rounds[0].why


def test_time_that_is_over_ends_the_rehearsal(model):
  assert len(rehearsed(model, ScriptedCritic([0.1, 0.1]), rounds=3, candidates=2, seconds=0.0).rounds) == 1


def test_same_seed_gives_the_same_rehearsal(model):
  first, second = (
    rehearsed(model, ScriptedCritic([0.1, 0.3], [0.4, 0.2]), rounds=2, candidates=2, seed=7) for _ in range(2)
  )
  np.testing.assert_array_equal(first.take.mel, second.take.mel)
  assert first.direction == second.direction


def test_model_without_a_critic_performs_once(model):
  kept = rehearse(model, LineInputs(phonemize('We never asked.'), model.voices['ada'], 1.0), ANGRY)
  assert len(kept.rounds) == 1
  assert kept.level == pytest.approx(0.5 * ANGRY.loudness)


def test_exemplars_of_other_emotions_give_way_to_the_right_ones():
  clips = {m: (Exemplar('a', 0.9, emotion='angry'), Exemplar('b', 0.8, emotion='happy')) for m in MODALITIES}
  clips['text'] = clips['text'][1:]  # nothing else was recalled
  refs = {m: np.arange(8.0).reshape(2, 4) for m in MODALITIES}
  shown = Exemplars(clips, refs, np.arange(24.0).reshape(3, 2, 4), np.ones((3, 2), bool), np.ones((3, 2), bool))
  voice = Voice(np.zeros(256), np.zeros((8, 80)))
  changed = without_conflicting_exemplars(LineInputs(phonemize('No.'), voice, exemplars=shown), ANGRY).exemplars
  assert [c.key for c in changed.clips['face']] == ['a', 'a']
  assert changed.clips['text'] == () and not changed.refs_present[2].any()  # it has nothing to show
  np.testing.assert_array_equal(changed.refs['scene'], refs['scene'][[0, 0]])
  np.testing.assert_array_equal(changed.sounds[1], shown.sounds[1, [0, 0]])
  clips = {m: clips['text'] for m in MODALITIES}  # where all mislead, they are better than none
  alike = LineInputs(phonemize('No.'), voice, exemplars=dataclasses.replace(shown, clips=clips))
  assert without_conflicting_exemplars(alike, ANGRY).exemplars.refs_present.all()


def test_timing_is_the_overlap_of_speech_and_mouth():
  take = Take(np.zeros((100, 80)), ('@sil', '@AA1', '@sil'), np.array([25, 50, 25]), np.zeros(100), np.zeros(8))
  start, end = 25 / FRAME_RATE, 75 / FRAME_RATE
  assert timing_score(take, None) is None
  assert timing_score(take, (start, end)) == pytest.approx(1)
  assert timing_score(take, (start, 2 * end - start)) == pytest.approx(0.5)
  assert timing_score(take, (end, end + 1)) == pytest.approx(0)
