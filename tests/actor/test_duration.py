import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubber_jax.actor.duration import FASTEST, SLOWEST, fit_to_slot, largest_remainder
from dubber_jax.errors import BadInput


@st.composite
def lines(draw):
  count = draw(st.integers(1, 40))
  inner = draw(st.lists(st.floats(0.0, 30.0), min_size=count, max_size=count))
  silent = draw(st.lists(st.booleans(), min_size=count, max_size=count))
  return np.array([0.0, *inner, 0.0]), np.array([True, *silent, True])


WINDOWS = st.none() | st.tuples(st.integers(0, 900), st.integers(0, 900))


@given(lines(), st.integers(1, 2000), st.floats(0.5, 2.0), WINDOWS)
def test_durations_fill_every_slot_or_say_why_not(line, slot, pace, speech):
  frames, silent = line
  try:
    durations, came_out, _ = fit_to_slot(frames, silent, slot, pace, speech)
  except BadInput:
    assert frames[~silent].sum() / FASTEST > slot - 4.5 or frames[~silent].sum() == 0
    return
  assert durations.sum() == slot
  assert (durations >= 0).all()
  assert (durations[~silent] >= 1).all()
  assert SLOWEST - 1e-9 <= came_out <= FASTEST + 1e-9


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


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50).filter(lambda w: sum(w) > 1e-3), st.integers(0, 5000))
def test_largest_remainder_adds_up(weights, total):
  parts = largest_remainder(np.array(weights), total)
  assert parts.sum() == total
  assert (parts >= 0).all()
