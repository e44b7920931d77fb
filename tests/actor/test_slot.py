import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubber_jax.actor.slot import (
  EDGE,
  FASTEST,
  FITS,
  FRAME_RATE,
  GAP,
  MIN_FRAMES,
  NATURAL,
  SLOWEST,
  STRICT,
  UNHURRIED,
  check_fit,
  fit_to_slot,
  frames_needed,
  largest_remainder,
  room_after,
  shorten,
)
from dubber_jax.director.limits import LIMITS
from dubber_jax.errors import BadInput


@st.composite
def lines(draw):
  count = draw(st.integers(1, 40))
  inner = draw(st.lists(st.floats(0.0, 30.0), min_size=count, max_size=count))
  silent = draw(st.lists(st.booleans(), min_size=count, max_size=count))
  return np.array([0.0, *inner, 0.0]), np.array([True, *silent, True])


WINDOWS = st.none() | st.tuples(st.integers(0, 900), st.integers(0, 900))


@st.composite
def tight_slots(draw):
  """A line and a slot in which it would have to be spoken 0.5 to 2.2 times as fast, and the silence after it."""
  frames, silent = draw(lines())
  slot = round(frames[~silent].sum() / draw(st.floats(0.5, 2.2)) + 2 * EDGE)
  return (frames, silent), max(slot, 1), draw(st.integers(0, 200))


SLOTS = st.tuples(lines(), st.integers(1, 2000), st.integers(0, 2000)) | tight_slots()


@settings(deadline=None, derandomize=True)
@given(SLOTS, st.floats(0.5, 2.0), WINDOWS, st.sampled_from(FITS), st.booleans())
def test_durations_fill_every_slot_or_say_why_not(line_in_slot, pace, speech, fit, told_vowels):
  (frames, silent), slot, room = line_in_slot
  vowels = np.arange(len(frames)) % 2 == 0 if told_vowels else None
  spoken, sounds = frames[~silent].sum(), (~silent).sum()
  fastest, most = (UNHURRIED, slot + room) if fit == NATURAL else (FASTEST, slot)
  try:
    durations, rate, warnings = fit_to_slot(frames, silent, slot, pace, speech, fit, room, vowels)
  except BadInput:
    assert spoken == 0 or frames_needed(spoken, sounds, fastest) > most
    return
  assert slot <= durations.sum() <= most  # a strict fit keeps the slot
  assert (durations >= 0).all()
  assert (durations[~silent] >= 1).all()
  assert SLOWEST - 1e-9 <= rate <= fastest + 1e-9
  assert bool(warnings) or (rate <= UNHURRIED and durations.sum() == slot)
  if durations.sum() > slot:  # it runs on only as far as it has to
    assert durations.sum() - 1 < frames_needed(spoken, sounds, UNHURRIED)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.floats(3.0, 30.0), min_size=1, max_size=40), st.floats(0.3, 1.8), st.sampled_from(FITS))
def test_what_speech_leaves_over_is_silence(sounds, rate, fit):
  frames, silent = np.array([0.0, *sounds, 0.0]), np.array([True, *[False] * len(sounds), True])
  slot = int(np.ceil(frames.sum() / rate + 2 * EDGE))
  durations, came_out, _ = fit_to_slot(frames, silent, slot, 1.0, None, fit, 2000, np.arange(len(frames)) % 2 == 0)
  spoken = frames.sum() / came_out
  assert durations[1:-1].sum() == pytest.approx(spoken, abs=1)
  assert durations[0] + durations[-1] == pytest.approx(durations.sum() - spoken, abs=1)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0.5, 30.0), st.booleans()), min_size=1, max_size=40), st.floats(1.0, FASTEST))
def test_vowels_give_more_of_their_length_than_consonants(sounds, rate):
  frames, vowels = np.array([f for f, _ in sounds]), np.array([v for _, v in sounds])
  short = shorten(frames, vowels, frames.sum() / rate)
  assert short.sum() == pytest.approx(frames.sum() / rate)
  assert (short <= frames + 1e-9).all()
  shares, least = short / frames, np.where(vowels, MIN_FRAMES['vowel'], MIN_FRAMES['consonant'])
  free = short > np.minimum(least, frames / UNHURRIED) + 1e-6
  if rate <= UNHURRIED:
    assert shares == pytest.approx(1 / rate)
  elif (free & vowels).any() and (free & ~vowels).any() and np.ptp(shares) > 1e-6:
    assert shares[free & vowels].max() <= shares[free & ~vowels].min() + 1e-6


def test_sounds_spoken_fast_keep_their_least_frames():
  frames, vowels = np.array([6.0, 14.0, 5.0, 20.0, 6.0, 16.0]), np.array([False, True] * 3)
  short = shorten(frames, vowels, frames.sum() / FASTEST)
  assert (short[~vowels] >= np.minimum(MIN_FRAMES['consonant'], frames[~vowels] / UNHURRIED) - 1e-6).all()
  assert (short[~vowels] / frames[~vowels]).min() > (short[vowels] / frames[vowels]).max()


SPANS = st.tuples(st.floats(0.0, 90.0), st.floats(0.05, 20.0)).map(lambda s: (s[0], s[0] + s[1]))


@settings(deadline=None, derandomize=True)
@given(SPANS, st.lists(SPANS, max_size=8))
def test_line_never_runs_on_into_another_or_past_the_film(span, others):
  room = room_after(span, others, 100.0)
  assert room >= 0 and span[1] + room <= max(100.0, span[1])
  for start, end in others:
    if end > span[1] and room > 0:
      assert span[1] + room <= start - GAP + 1e-9


def test_room_is_what_is_silent_after_the_slot():
  assert room_after((1.0, 2.0), [(0.0, 1.0), (3.0, 4.0), (2.5, 5.0)], 9.0) == pytest.approx(0.5 - GAP)
  assert room_after((1.0, 2.0), [(0.0, 3.0)], 9.0) == 0.0  # another one is still speaking
  assert room_after((1.0, 2.0), [], 2.25) == pytest.approx(0.25)


def hurried(rate, fit=STRICT, room=0.0):
  """A line of 1.2 s in a slot that asks for a rate, with seconds of room after it."""
  frames = 1.2 * FRAME_RATE * np.array([0.0, 0.25, 0.25, 0.25, 0.25, 0.0])
  silent, vowels = np.array([True, *[False] * 4, True]), np.array([False, False, True, False, True, False])
  slot = int(np.ceil(frames.sum() / rate + 2 * EDGE))
  return slot, *fit_to_slot(frames, silent, slot, 1.0, None, fit, round(room * FRAME_RATE), vowels)


def test_line_as_fast_as_an_actor_is_played_with_one_warning_that_says_the_rate():
  slot, durations, rate, warnings = hurried(1.42)
  assert durations.sum() == slot and rate == pytest.approx(1.42, abs=0.02)
  assert len(warnings) == 1 and f'{rate:.2f} times as fast' in warnings[0]


def test_natural_line_runs_on_into_the_silence_and_says_by_how_much():
  slot, durations, rate, (warning,) = hurried(1.7, NATURAL, room=0.5)
  over = (durations.sum() - slot) / FRAME_RATE
  assert rate == UNHURRIED and over == pytest.approx(1.2 / UNHURRIED - 1.2 / 1.7, abs=0.02)
  assert f'runs on for {over:.2f} s' in warning


@pytest.mark.parametrize(
  ('rate', 'fit', 'room', 'said'),
  [
    (1.9, STRICT, 0.0, r'1\.8 is the limit: shorten the line or give it 0\.7\d s'),
    (1.9, STRICT, 0.5, '--fit natural.*, shorten the line or'),
    (1.7, NATURAL, 0.0, 'no silence after it.*1.35 is the limit of --fit natural: give --fit strict.*, shorten'),
    (1.7, NATURAL, 0.1, '0.10 s silence after it.*--fit strict'),
    (2.5, NATURAL, 0.1, 'of --fit natural: shorten the line or give it'),
  ],
)
def test_line_that_does_not_fit_says_what_would_help(rate, fit, room, said):
  with pytest.raises(BadInput, match=said) as refused:
    hurried(rate, fit, room)
  assert '\n' not in str(refused.value)


def test_fit_that_is_none_is_refused_and_steps_are_told_apart():
  with pytest.raises(BadInput, match='strict or natural$'):
    check_fit('loose')
  with pytest.raises(BadInput, match='--fit-steps 40'):
    check_fit('40')


def test_direction_asks_for_no_rate_that_is_only_for_short_slots():
  assert LIMITS['pace'] == (SLOWEST, UNHURRIED)


def test_speech_starts_with_the_mouth_and_ends_with_it():
  frames = np.array([0.0, 20, 20, 20, 0])
  silent = np.array([True, False, False, False, True])
  durations, pace, _ = fit_to_slot(frames, silent, 200, 1.0, (50, 115))
  assert durations[0] == 50
  assert durations[1:-1].sum() == pytest.approx(65, abs=1)
  assert pace == pytest.approx(60 / 65, rel=0.01)


def test_slow_pace_lengthens_sounds_by_its_inverse():
  frames = np.array([0.0, 20, 20, 10, 20, 0])
  silent = np.array([True, False, False, True, False, True])
  plain, _, _ = fit_to_slot(frames, silent, 300, 1.0)
  slow, _, _ = fit_to_slot(frames, silent, 300, 0.85)
  assert slow[~silent].sum() / plain[~silent].sum() == pytest.approx(1 / 0.85, rel=0.03)


def test_pauses_give_way_before_sounds_do():
  frames = np.array([0.0, 30, 40, 30, 0])
  silent = np.array([True, False, True, False, True])
  durations, pace, _ = fit_to_slot(frames, silent, 80, 1.0)
  assert durations[2] < 20
  assert pace == pytest.approx(1.0)


def test_line_too_long_for_its_slot_names_the_time_it_needs():
  with pytest.raises(BadInput, match='the line needs 4.64 s .* its slot is 1.16 s'):
    fit_to_slot(np.array([0.0, 400, 0]), np.array([True, False, True]), 100)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=50).filter(lambda w: sum(w) > 1e-3), st.integers(0, 5000))
def test_largest_remainder_adds_up(weights, total):
  parts = largest_remainder(np.array(weights), total)
  assert parts.sum() == total
  assert (parts >= 0).all()
