import dataclasses

import numpy as np
import pytest

from dubber_jax.critic.inference import CriticScores
from dubber_jax.director.limits import LIMITS
from dubber_jax.director.review import ENOUGH, candidate_directions, conflicting_exemplars, control_errors, review
from dubber_jax.types import EMOTIONS, Direction, Exemplar


def only(emotion):
  return tuple(float(e == emotion) for e in EMOTIONS)


def scores(emotion='angry', **changes):
  plain = CriticScores(0.9, 0.9, 0.9, None, np.array(only(emotion)), pitch=20.0, range=6.0, loudness=-20.0, pace=12.0)
  return dataclasses.replace(plain, **changes)


ANGRY = Direction(emotion=only('angry'), intensity=0.7)


def test_take_that_is_right_is_accepted_and_one_nobody_understands_is_not():
  assert review(scores(), scores(), ANGRY, ANGRY, 0.9).accepted
  assert not review(scores(intelligibility=0.2), scores(), ANGRY, ANGRY, 0.9).accepted
  assert not review(scores('sad'), scores(), ANGRY, ANGRY, 0.9).accepted


@pytest.mark.parametrize(
  'axis, asked, gave, plain',
  [
    ('loudness', -6.0, {'loudness': -21.0}, {}),
    ('pitch_shift', 2.0, {'pitch': 20.5}, {}),
    ('pitch_range', 1.4, {'range': 6.5}, {}),
    ('pace', 0.85, {'pace': 11.8}, {}),
  ],
)
def test_what_was_not_given_is_asked_for_again_and_more(axis, asked, gave, plain):
  goal = ANGRY.replace(**{axis: asked})
  judged = review(scores(**gave), scores(**plain), goal, goal, None)
  before = getattr(Direction(), axis)
  assert abs(getattr(judged.direction, axis) - before) > abs(asked - before)
  assert judged.scores['control_accuracy'] < review(scores(), scores(), ANGRY, ANGRY, None).scores.get(
    'control_accuracy', 1.0
  )


def test_what_was_given_is_left_alone():
  goal = ANGRY.replace(loudness=-6.0)
  judged = review(scores(loudness=-26.0), scores(), goal, goal, None)
  assert judged.direction.loudness == pytest.approx(-6.0)
  assert judged.direction.intensity == goal.intensity


def test_emotion_that_is_not_heard_is_asked_for_more_strongly():
  judged = review(scores('neutral'), scores(), ANGRY, ANGRY, None)
  assert judged.scores['overall'] < ENOUGH
  assert judged.direction.intensity > ANGRY.intensity


def test_wishes_that_were_not_made_are_not_measured():
  assert control_errors(scores(pitch=31.0), scores(), ANGRY) == {}


def test_next_direction_stays_within_limits():
  goal = ANGRY.replace(loudness=LIMITS['loudness'][0], pitch_shift=LIMITS['pitch_shift'][1])
  direction = review(scores(loudness=0.0, pitch=0.0), scores(), goal, goal, None).direction
  assert direction.loudness == LIMITS['loudness'][0]
  assert direction.pitch_shift == LIMITS['pitch_shift'][1]


def test_candidates_are_the_direction_and_others_near_it_the_same_for_a_seed():
  made, again = (candidate_directions(ANGRY, 6, np.random.default_rng(3)) for _ in range(2))
  assert made == again and made[0] == ANGRY and len(set(made)) == 6
  assert all(0 < d.intensity <= 1 and d.emotion == ANGRY.emotion for d in made)


def test_exemplar_of_another_emotion_misleads():
  clips = [Exemplar('a', 0.9, emotion='angry'), Exemplar('b', 0.8, emotion='happy'), Exemplar('c', 0.7)]
  assert conflicting_exemplars(ANGRY, clips) == [1]
