"""A reference that a person gives a line: what the real planner makes of it."""

import dataclasses

import numpy as np
import pytest

from dubber_jax.director.planner import plan
from dubber_jax.retrieval.reference import exemplar_of, from_arrays, to_arrays, with_reference
from dubber_jax.types import EMOTIONS, MODALITIES, Exemplar, Exemplars, Line, Reading, Reference

WIDTHS = {'scene': 4, 'face': 4, 'text': 8}
RNG = np.random.default_rng(0)


def shares(**named) -> tuple[float, ...]:
  rest = (1 - sum(named.values())) / (len(EMOTIONS) - len(named))
  return tuple(named.get(e, rest) for e in EMOTIONS)


SAD = {m: np.array(shares(sad=0.7)) for m in MODALITIES}
READING = Reading(*[RNG.normal(size=w).astype(np.float32) for w in WIDTHS.values()], np.ones(3, bool), {}, SAD)
FOUND = Exemplars(
  {m: tuple(Exemplar(f'a/b/{i}', 0.8, '', 'sad') for i in range(3)) for m in MODALITIES},
  {m: RNG.normal(size=(3, w)).astype(np.float32) for m, w in WIDTHS.items()},
  RNG.normal(size=(3, 3, 5)).astype(np.float32),
  np.ones((3, 3), bool),
  np.ones((3, 3), bool),
)
ANGRY = Reference(
  '0123456789abcdef',
  'cry.wav',
  1.0,
  shares(angry=0.8),
  np.ones(5, np.float32),
  {'range_ratio': 1.5, 'pauses_shift': 0.0},
  {m: np.ones(4, np.float32) for m in MODALITIES},
)
LINE = Line('I miss you so much.')
HOT = EMOTIONS.index('angry')


def test_an_angry_reference_makes_the_direction_angrier():
  before, after = plan(READING, FOUND, LINE), plan(READING, with_reference(FOUND, READING, ANGRY), LINE)
  assert before.emotion[HOT] < 0.1 and after.emotion[HOT] > 0.7
  assert after.loudness > before.loudness and after.pitch_range > before.pitch_range


@pytest.mark.parametrize('stage_direction', ['sadly', 'whispering', 'angry'])
def test_a_reference_says_more_than_the_script(stage_direction):
  line = dataclasses.replace(LINE, stage_direction=stage_direction)
  assert plan(READING, with_reference(FOUND, READING, ANGRY), line).emotion[HOT] > 0.7


def test_a_neutral_reference_calms_a_line():
  neutral = dataclasses.replace(ANGRY, emotions=shares(neutral=0.9))
  after = plan(READING, with_reference(FOUND, READING, neutral), LINE)
  assert after.emotion[EMOTIONS.index('neutral')] > plan(READING, FOUND, LINE).emotion[EMOTIONS.index('neutral')] + 0.3


def test_a_reference_goes_before_the_exemplars_that_were_found():
  given = with_reference(FOUND, READING, ANGRY)
  for row, m in enumerate(MODALITIES):
    assert given.clips[m] == (exemplar_of(ANGRY), *FOUND.clips[m][:2])
    assert (given.refs[m][1:] == FOUND.refs[m][:2]).all() and given.refs[m].shape == FOUND.refs[m].shape
    assert (given.sounds[row, 0] == 1).all() and (given.sounds[row, 1:] == FOUND.sounds[row, :2]).all()
  assert (given.refs['text'][0, :4] == READING.text[:4]).all()  # the line's own words
  assert FOUND.reference is None and (FOUND.sounds != 1).all()


def test_a_modality_that_is_not_read_gets_no_reference():
  blind = dataclasses.replace(READING, present=np.array([False, False, True]))
  given = with_reference(FOUND, blind, ANGRY)
  assert given.clips['scene'] == FOUND.clips['scene'] and given.clips['text'][0].key.startswith('reference/')


def test_a_silent_clip_has_no_sound_among_the_exemplars():
  given = with_reference(FOUND, READING, dataclasses.replace(ANGRY, sound=None))
  assert not given.sounds_present[:, 0].any() and given.refs_present[:, 0].all()


def test_a_reference_is_read_back_as_it_was_stored():
  found = from_arrays(*to_arrays(ANGRY))
  for field in dataclasses.fields(Reference):
    ours, theirs = getattr(ANGRY, field.name), getattr(found, field.name)
    assert np.array_equal(ours, theirs) if isinstance(ours, np.ndarray) else str(ours) == str(theirs)
