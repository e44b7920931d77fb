import numpy as np
import pytest

from dubber_jax.clip import EMOTIONS, MODALITIES, Direction, Exemplar, Exemplars, Line, Reading
from dubber_jax.director.cues import LIMITS
from dubber_jax.director.notes import describe
from dubber_jax.director.planner import plan


def probabilities(**parts):
  return np.array([parts.get(e, 0.0) for e in EMOTIONS])


def reading(**emotions):
  """A reading with only the emotions that are given, by modality."""
  zero = np.zeros(4, np.float32)
  return Reading(zero, zero, zero, np.array([m in emotions for m in MODALITIES]), emotions=emotions)


def exemplars(**clips):
  empty = np.zeros((3, 3), bool)
  found = {m: tuple(clips.get(m, ())) for m in MODALITIES}
  return Exemplars(found, {m: np.zeros((3, 4)) for m in MODALITIES}, np.zeros((3, 3, 4)), empty, empty)


def performance(emotion, similarity=0.9, **prosody):
  return Exemplar('set/s/1', similarity, emotion=emotion, prosody=prosody)


def leading(direction):
  return EMOTIONS[int(np.argmax(direction.emotion))]


def test_nothing_seen_is_the_plain_default_delivery():
  direction = plan(reading(), exemplars(), Line('Close the door'))
  assert direction.replace(note='', note_zh='') == Direction()
  assert direction.note and direction.note_zh


def test_emotion_is_a_distribution_led_by_what_was_seen():
  direction = plan(reading(face=probabilities(sad=0.9, neutral=0.1)), exemplars(), Line('Go on.'))
  assert np.isclose(sum(direction.emotion), 1) and leading(direction) == 'sad'
  assert direction.pace < 1 and direction.intensity > 0.5


def test_a_modality_that_is_unsure_does_not_outvote_one_that_is_sure():
  flat = np.full(8, 0.11) + probabilities(happy=0.12)
  direction = plan(reading(face=flat, text=probabilities(fear=0.97, neutral=0.03)), exemplars(), Line('Run'))
  assert leading(direction) == 'fear'


def test_a_modality_marked_absent_is_not_heard():
  seen = reading(face=probabilities(angry=1))
  unseen = Reading(seen.scene, seen.face, seen.text, np.zeros(3, bool), emotions=seen.emotions)
  assert leading(plan(unseen, exemplars(), Line('Go'))) == 'neutral'


def test_delivery_follows_the_exemplars_of_the_emotion_that_is_played():
  seen = reading(face=probabilities(angry=0.9, neutral=0.1))
  calm = performance('angry', pace_ratio=0.8, pitch_shift=0.0, range_ratio=0.8, loudness_shift=-3.0)
  wild = performance('angry', pace_ratio=1.3, pitch_shift=8.0, range_ratio=1.6, loudness_shift=14.0)
  low, high = (plan(seen, exemplars(face=[clip] * 3), Line('Go')) for clip in (calm, wild))
  assert low.pace < high.pace and low.pitch_shift < high.pitch_shift
  assert low.pitch_range < high.pitch_range and low.loudness < high.loudness
  sad = performance('sad', pace_ratio=0.5, pitch_shift=-9.0, range_ratio=0.5, loudness_shift=-20.0)
  mixed = plan(seen, exemplars(face=[wild, wild, sad]), Line('Go'))
  assert mixed.pitch_shift > (low.pitch_shift + high.pitch_shift) / 2


def test_wild_or_missing_measurements_stay_within_the_limits():
  seen = reading(face=probabilities(angry=1), text=probabilities(angry=1))
  for prosody in ({}, dict(pace_ratio=9.0, pitch_shift=40.0, range_ratio=30.0, loudness_shift=90.0)):
    clips = [performance('angry', similarity=1.0, **prosody)] * 3
    direction = plan(seen, exemplars(face=clips, text=clips), Line('STOP IT NOW!', stage_direction='shouting, fast'))
    assert all(low <= getattr(direction, name) <= high for name, (low, high) in LIMITS.items())
    assert 0 <= direction.intensity <= 1 and 0 <= direction.tremor <= 1


def test_the_script_overrules_the_face():
  seen = reading(face=probabilities(happy=0.95, neutral=0.05))
  assert leading(plan(seen, exemplars(), Line('Fine.', stage_direction='angry'))) == 'angry'
  assert leading(plan(seen, exemplars(), Line('Fine.', stage_direction='not angry at all'))) == 'happy'


def test_held_back_anger_is_not_louder_and_the_note_says_so():
  seen = reading(face=probabilities(angry=1), text=probabilities(angry=1))
  clips = [performance('angry', pace_ratio=1.0, pitch_shift=5.0, range_ratio=1.2, loudness_shift=10.0)] * 3
  line = Line('Get out of my house.', stage_direction='through gritted teeth, slowly')
  direction = plan(seen, exemplars(face=clips), line)
  assert direction.loudness <= 0 and direction.pace < 0.95
  assert plan(seen, exemplars(face=clips), Line(line.text)).loudness > 1.5
  for word in ('held-back anger', 'slower', 'not louder'):
    assert word in direction.note
  assert '克制' in direction.note_zh and '愤怒' in direction.note_zh


def test_whisper_is_soft_and_breathy_whatever_the_emotion():
  seen = reading(face=probabilities(angry=1))
  direction = plan(seen, exemplars(), Line('Go', stage_direction='whispering'))
  assert direction.loudness <= -6 and direction.breathiness >= 0.6


@pytest.mark.parametrize(
  'text, after',
  [('I thought... you knew', [1]), ('All 25 of you — who is it?', [4]), ('Stop. No, I am fine...', [])],
)
def test_pauses_stand_after_the_word_before_the_mark(text, after):
  assert [i for i, _ in plan(reading(), exemplars(), Line(text)).pauses] == after


def test_hesitant_delivery_pauses_at_commas_too():
  direction = plan(reading(), exemplars(), Line('Stop. No, I am fine', stage_direction='hesitating'))
  assert [i for i, _ in direction.pauses] == [0, 1]


def test_capitals_are_stressed_unless_all_or_single():
  assert plan(reading(), exemplars(), Line('No, 20 times NO to you')).emphasis == (0, 0, 0, 1, 0, 0)
  assert plan(reading(), exemplars(), Line('I SAID NO')).emphasis == ()
  assert plan(reading(), exemplars(), Line('A dog and I')).emphasis == ()


def test_every_direction_can_be_said_in_both_languages():
  for i in range(len(EMOTIONS)):
    emotion = tuple(float(i == j) for j in range(len(EMOTIONS)))
    note, note_zh = describe(Direction(emotion=emotion, pauses=((99, 0.2),), emphasis=(2.0,) * 99), ('two', 'words'))
    assert note.isascii() and not note_zh.isascii()
