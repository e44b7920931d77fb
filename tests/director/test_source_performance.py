import numpy as np
import pytest

from dubber_jax.director.limits import LIMITS
from dubber_jax.director.planner import by_rules, with_source_performance
from dubber_jax.director.source_performance import (
  COURSE,
  SourcePerformance,
  follow_performance,
  read_performance,
  read_performances,
  relative_to_character,
)
from dubber_jax.errors import BadInput
from dubber_jax.script.g2p import phonemize
from dubber_jax.types import EMOTIONS, SAMPLE_RATE, Direction, Exemplars, Line, Reading

LINE = phonemize('I told you, you were never going to leave.')


def felt(**shares):
  return tuple(shares.get(e, 0.0) for e in EMOTIONS)


def guide(**values):
  plain = dict(emotions=felt(neutral=1.0), seconds=2.0, rate=5.0, pitch=200.0, range=6.2)
  return SourcePerformance(**({'course': (0.0,) * COURSE, 'pauses': ()} | plain | values))


def nothing_seen():
  zero = np.zeros(4, np.float32)
  nobody = Exemplars({}, {}, np.zeros((3, 3, 4)), *[np.zeros((3, 3), bool)] * 2)
  return Reading(zero, zero, zero, np.zeros(3, bool)), nobody


def test_character_is_compared_with_itself():
  lines = [Line('x', character=c) for c in ('Ann',) * 4 + ('Ben',)]
  guides = [guide(pitch=hz, rate=rate) for hz, rate in ((200, 5), (200, 5), (400, 6), (100, 4), (90, 3))]
  told = relative_to_character([*guides[:3], None, guides[4]], lines)
  assert told[3] is None and told[4].pitch_shift is None and told[4].pace_ratio is None  # Ben has one line
  assert told[2].pitch_shift == pytest.approx(12) and told[2].pace_ratio == pytest.approx(1.2)
  assert told[0].pitch_shift == pytest.approx(0)


@pytest.mark.parametrize(
  'values, axis, sign',
  [
    (dict(pace_ratio=0.8), 'pace', -1),
    (dict(pitch_shift=4.0), 'pitch_shift', 1),
    (dict(range=12.0), 'pitch_range', 1),
    (dict(range=3.0), 'pitch_range', -1),
  ],
)
def test_original_draws_the_direction_its_way_and_nothing_else(values, axis, sign):
  drawn = follow_performance(guide(**values), Direction(), LINE)
  assert np.sign(getattr(drawn, axis) - getattr(Direction(), axis)) == sign
  assert drawn.replace(**{axis: getattr(Direction(), axis)}) == Direction()


def test_wild_original_stays_within_limits():
  wild = guide(pace_ratio=9.0, pitch_shift=40.0, range=60.0, pauses=((0.5, 30.0),))
  drawn = follow_performance(wild, Direction(), LINE)
  assert all(low <= getattr(drawn, axis) <= high for axis, (low, high) in LIMITS.items())
  assert all(seconds <= 1.2 for _, seconds in drawn.pauses)


@pytest.mark.parametrize('share, word', [(0.3, 2), (0.02, 0), (0.97, 7), (0.62, 5)])
def test_pause_falls_between_words_where_the_original_paused(share, word):
  assert [w for w, _ in follow_performance(guide(pauses=((share, 0.4),)), Direction(), LINE).pauses] == [word]


def test_single_word_takes_no_pause_from_the_original():
  assert follow_performance(guide(pauses=((0.5, 0.4),)), Direction(), phonemize('No')).pauses == ()


def test_emotion_of_the_original_is_planned_and_the_script_overrules_it():
  line = Line('Go on.')
  planner = with_source_performance(by_rules, guide(emotions=felt(fear=0.9, neutral=0.1)))
  direction, _ = planner(*nothing_seen(), line)
  assert EMOTIONS[int(np.argmax(direction.emotion))] == 'fear'
  direction, _ = planner(*nothing_seen(), Line('Go on.', stage_direction='happily, slowly'))
  assert EMOTIONS[int(np.argmax(direction.emotion))] == 'happy' and direction.pace < 0.95
  assert with_source_performance(by_rules, None) is by_rules


def test_noise_and_silence_guide_nobody():
  rng = np.random.default_rng(0)
  assert read_performance(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE) is None
  assert read_performance(rng.standard_normal(2 * SAMPLE_RATE).astype(np.float32) * 0.1, SAMPLE_RATE) is None
  with pytest.raises(BadInput, match='nobody speaks'):
    read_performances([np.zeros(2 * SAMPLE_RATE, np.float32)], [Line('Go on.')])


def test_recording_is_read_for_its_course_and_its_pauses(data_dir):
  from dubber_jax.media.sound import read_sound

  path = sorted((data_dir / 'ravdess').rglob('03-01-05-02-01-01-19.*'))
  if not path:
    pytest.skip('no recording of RAVDESS actor 19')
  wave = read_sound(path[0], SAMPLE_RATE)
  read = read_performance(wave, SAMPLE_RATE)
  assert sum(read.emotions) == pytest.approx(1, abs=1e-3) and 1 < read.rate < 10 and len(read.course) == COURSE
  half = len(wave) // 2
  parted = np.concatenate([wave[:half], np.zeros(SAMPLE_RATE // 2, np.float32), wave[half:]])
  with_pause = read_performance(parted, SAMPLE_RATE)
  assert sum(s for _, s in with_pause.pauses) > sum(s for _, s in read.pauses) + 0.2
  louder = read_performance(wave * 0.1, SAMPLE_RATE)
  assert louder.pitch == pytest.approx(read.pitch, rel=0.02) and louder.rate == pytest.approx(read.rate, rel=0.2)
