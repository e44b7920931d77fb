import dataclasses

import numpy as np
import pytest

from dubber_jax.critic.inference import CriticScores
from dubber_jax.director.limits import LIMITS
from dubber_jax.director.review import (
  ENOUGH,
  candidate_directions,
  conflicting_exemplars,
  control_errors,
  emotion_only,
  emotion_overlap,
  refine,
  review,
  sharpened,
)
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


def test_emotion_overlap_is_one_for_the_same_mixture_and_zero_for_disjoint_ones():
  mixture = np.array([0.5, 0, 0, 0.2, 0.3, 0, 0, 0])
  assert emotion_overlap(mixture, mixture) == pytest.approx(1)
  assert emotion_overlap(np.array(only('sad')), only('angry')) == 0
  with_others = 0.5 * mixture + 0.5 * np.array(only('others'))
  assert emotion_overlap(with_others, mixture) == pytest.approx(1)  # 'others' is left out


def test_sharpened_mixture_keeps_its_order_and_sum():
  before = np.array([0.5, 0.3, 0.2, 0, 0, 0, 0, 0])
  after = np.array(sharpened(before))
  assert after.sum() == pytest.approx(1) and after[0] > before[0]
  assert np.argsort(-after, kind='stable').tolist() == np.argsort(-before, kind='stable').tolist()


def test_unintelligible_take_lowers_intensity_and_pace():
  named = {'intelligibility': 0.1, 'naturalness': 0.9, 'emotion': 0.2}
  refined = refine(ANGRY, ANGRY, named, {})
  assert refined.intensity < ANGRY.intensity and refined.pace < ANGRY.pace


def test_emotion_missed_at_full_intensity_sharpens_the_mixture():
  goal = Direction(emotion=(0.6, 0, 0, 0, 0.4, 0, 0, 0), intensity=1.0)
  refined = refine(goal, goal, {'intelligibility': 0.9, 'naturalness': 0.9, 'emotion': 0.2}, {})
  assert refined.emotion == sharpened(goal.emotion) and refined.intensity == 1


def test_baseline_direction_has_the_emotion_and_pauses_and_no_control():
  full = ANGRY.replace(pace=0.8, loudness=-5.0, pitch_shift=2.0, pauses=((0, 0.3),), emphasis=(1.0,))
  assert emotion_only(full) == Direction(emotion=full.emotion, intensity=full.intensity, pauses=full.pauses)


def test_control_error_is_what_is_still_to_go():
  goal = ANGRY.replace(loudness=-6.0, pace=0.9)
  errors = control_errors(scores(loudness=-22.0, pace=12.0), scores(), goal)
  assert errors == {'loudness': pytest.approx(-4.0), 'pace': pytest.approx(np.log(0.9))}
  assert control_errors(scores(pitch=np.nan), scores(), ANGRY.replace(pitch_shift=2.0)) == {}  # nothing voiced
