import numpy as np
import pytest

from dubber_jax.director.limits import LIMITS
from dubber_jax.director.notes.describe import describe
from dubber_jax.director.planner import (
  MAX_STEPS,
  MAX_TURN,
  addressee_of,
  by_rules,
  mixed_emotion,
  modality_agreement,
  plan,
)
from dubber_jax.types import EMOTIONS, MODALITIES, Direction, Exemplar, Exemplars, Line, Reading


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


def test_smile_on_a_sad_line_stays_a_mixed_emotion():
  seen = reading(face=probabilities(happy=0.9, neutral=0.1), text=probabilities(sad=0.6, neutral=0.4))
  wild = performance('happy', pitch_shift=5.0)
  direction = plan(seen, exemplars(face=[wild] * 3), Line('I lost him.'))
  shares = dict(zip(EMOTIONS, direction.emotion, strict=True))
  assert shares['happy'] >= 0.25 and shares['sad'] >= 0.25 and np.isclose(sum(direction.emotion), 1)
  assert mixed_emotion(seen) == ('happy', 'sad')
  assert 'sadness' in direction.note or 'smile' in direction.note
  sad = plan(reading(face=probabilities(happy=0.5, neutral=0.5), text=probabilities(sad=0.95)), exemplars(), Line('Go'))
  assert leading(sad) == 'sad' and 'sadness behind a smile' in sad.note


def test_what_agrees_is_not_called_mixed():
  assert mixed_emotion(reading(face=probabilities(sad=0.9), text=probabilities(sad=0.5, fear=0.4))) is None
  assert mixed_emotion(reading(face=probabilities(happy=0.9))) is None
  assert mixed_emotion(reading(face=probabilities(neutral=0.9, happy=0.1), text=probabilities(sad=0.9))) is None


def test_script_decides_between_a_smile_and_sad_words():
  seen = reading(face=probabilities(happy=0.9), text=probabilities(sad=0.9))
  direction = plan(seen, exemplars(), Line('I lost him.', stage_direction='happily'))
  assert direction.emotion[EMOTIONS.index('sad')] < 0.25


def test_agreement_orders_readings_and_ignores_what_is_unsure():
  same = reading(scene=probabilities(sad=0.8, neutral=0.2), face=probabilities(sad=0.8, neutral=0.2))
  near = reading(face=probabilities(sad=0.8, neutral=0.2), text=probabilities(sad=0.5, neutral=0.5))
  apart = reading(face=probabilities(happy=1.0), text=probabilities(sad=1.0))
  assert modality_agreement(same) == pytest.approx(1) and modality_agreement(apart) == pytest.approx(0, abs=1e-6)
  assert modality_agreement(same) > modality_agreement(near) > modality_agreement(apart)
  unsure = reading(scene=np.full(8, 1 / 8), face=probabilities(happy=1.0))
  assert modality_agreement(unsure) == pytest.approx(1)
  assert modality_agreement(reading(face=probabilities(happy=1.0))) == modality_agreement(reading()) == 1


RAGE = plan(reading(face=probabilities(angry=1)), exemplars(), Line('NO! GET OUT!'))


def test_a_character_goes_on_from_the_last_line():
  seen, line = reading(face=probabilities(sad=1)), Line('Go on.', 5.0, 6.0, 'Ann')
  before = [(Line('No! Get out!', 3.0, 4.5, 'Ann'), RAGE)]
  alone, after = plan(seen, exemplars(), line), plan(seen, exemplars(), line, before=before)
  angry = EMOTIONS.index('angry')
  assert alone.emotion[angry] < 0.05 < after.emotion[angry]
  assert 0.5 * np.abs(np.subtract(after.emotion, RAGE.emotion)).sum() <= MAX_TURN + 1e-6
  assert abs(after.intensity - RAGE.intensity) <= MAX_STEPS['intensity'] + 1e-6
  assert abs(after.loudness - RAGE.loudness) <= MAX_STEPS['loudness'] + 1e-6


@pytest.mark.parametrize(
  'line, before',
  [
    (Line('Go on.', 5.0, 6.0, 'Ann'), Line('No!', 3.0, 4.5, 'Ben')),  # somebody else
    (Line('Go on.', 50.0, 51.0, 'Ann'), Line('No!', 3.0, 4.5, 'Ann')),  # much later
    (Line('Go on.', 5.0, 6.0, 'Ann', 'sadly'), Line('No!', 3.0, 4.5, 'Ann')),  # the script turns it
    (Line('Go on.'), Line('No!')),  # rows of a list
  ],
)
def test_a_new_moment_begins_anew(line, before):
  seen = reading(face=probabilities(sad=1))
  assert plan(seen, exemplars(), line, before=[(before, RAGE)]) == plan(seen, exemplars(), line)


def test_words_that_are_sure_may_turn_the_feeling():
  seen = reading(text=probabilities(happy=0.9, neutral=0.1))
  line = Line('We won!', 5.0, 6.0, 'Ann')
  assert leading(plan(seen, exemplars(), line, before=[(Line('No!', 3.0, 4.5, 'Ann'), RAGE)])) == 'happy'


@pytest.mark.parametrize(
  'line, whom',
  [
    (Line('Go', character='Ann', stage_direction='whispering, to Mary Jane'), 'Mary Jane'),
    (Line('Go', character='Ann'), 'Ben'),
    (Line('Go', character='Ben'), 'Ann'),
  ],
)
def test_who_is_spoken_to(line, whom):
  before = [(Line('So', character=name), Direction()) for name in ('Ann', 'Ben')]
  assert addressee_of(line, before) == whom and addressee_of(Line('Go')) == ''


def test_contradiction_in_a_stage_direction_is_told_and_unknown_words_are_not():
  direction, warnings = by_rules(reading(), exemplars(), Line('Go', stage_direction='to Mary, shouting, in a whisper'))
  assert direction.loudness < 0 and len(warnings) == 1


@pytest.mark.parametrize(
  'said',
  [
    'to Mary',
    'O.S.',
    "CONT'D",
    'beat',
    'sitting down',
    'picks up the phone',
    'raises a hand',
    'into phone',
    'in French',
    'door opens',
    'high on the roof',
    'cut off',
    'reading',
    '坐下',
    '对玛丽',
  ],
)
def test_what_in_brackets_says_nothing_of_the_voice_changes_nothing(said):
  line = Line('I told you. You never listen.')
  assert plan(reading(), exemplars(), Line(line.text, stage_direction=said)) == plan(reading(), exemplars(), line)


@pytest.mark.parametrize(
  'said, axis, sign',
  [
    ('quietly, to himself', 'loudness', -1),
    ('low voice', 'loudness', -1),
    ('dryly', 'pitch_range', -1),
    ('sighs', 'pace', -1),
    ('out of breath', 'breathiness', 1),
    ('raising his voice', 'loudness', 1),
    ('声音颤抖', 'tremor', 1),
    ('低声', 'loudness', -1),
    ('hurriedly', 'pace', 1),
    ('not loud', 'loudness', -1),
  ],
)
def test_what_in_brackets_says_how_is_done(said, axis, sign):
  direction = plan(reading(), exemplars(), Line('I told you.', stage_direction=said))
  assert np.sign(getattr(direction, axis) - getattr(Direction(), axis)) == sign


@pytest.mark.parametrize(
  'said, emotion',
  [('snaps', 'angry'), ('chuckling', 'happy'), ('puzzled', 'surprise'), ('resigned', 'sad'), ('厉声', 'angry')],
)
def test_what_in_brackets_names_a_feeling_is_played(said, emotion):
  assert leading(plan(reading(), exemplars(), Line('I told you.', stage_direction=said))) == emotion


def cry(text, emotions, before=()):
  return plan(reading(text=probabilities(**emotions)), exemplars(), Line(text, character='Anna'), before=before)


def test_a_cry_takes_its_emotion_at_once():
  calm = [(Line('It is quiet here.', character='Anna'), Direction())]
  run = cry('Run!', {'fear': 0.6, 'angry': 0.2, 'neutral': 0.2}, calm)
  told = cry('I think that we should run.', {'fear': 0.6, 'angry': 0.2, 'neutral': 0.2}, calm)
  assert run.emotion[EMOTIONS.index('fear')] > 0.8 > told.emotion[EMOTIONS.index('fear')]
  assert run.pitch_shift > told.pitch_shift and run.loudness > told.loudness


@pytest.mark.parametrize('text', ['Help!', 'Stop!', 'Look out!', '"No!"', 'What?!'])
def test_a_cry_is_raised_whatever_was_read_and_never_hurried(text):
  direction = cry(text, {'neutral': 0.9, 'surprise': 0.1})
  assert direction.intensity >= 0.75 and direction.loudness >= 3 and direction.pitch_shift >= 1
  assert cry(text, {'surprise': 1.0}).pace <= 1


@pytest.mark.parametrize('text', ['Help.', 'Thank you!', 'We should leave the house at once!'])
def test_other_lines_are_no_cries(text):
  assert cry(text, {'neutral': 1.0}).loudness == 0


def test_a_stage_direction_outweighs_a_cry():
  whispered = plan(reading(), exemplars(), Line('Run!', stage_direction='whispering'))
  assert whispered.loudness < 0
