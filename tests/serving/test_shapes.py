from types import SimpleNamespace

import pytest

from dubber_jax.inference.batch import Shape, padded_shape
from dubber_jax.inference.synthesis import DURATIONS, TAKES, WAVES
from dubber_jax.serving.shapes import LINES, UsualShapes


@pytest.fixture
def shapes():
  return UsualShapes(SimpleNamespace(shape=padded_shape), 4)


def have(shapes, kind, *sizes):
  shapes._ready |= {(kind, Shape(items, frames, phonemes, 0, 0)) for items, frames, phonemes in sizes}


def test_smallest_shape_that_is_ready_is_chosen(shapes):
  have(shapes, TAKES, (1, 256, 64), (1, 512, 128), (2, 256, 64))
  assert shapes.choose(TAKES, 1, 200, 40) == Shape(1, 256, 64, 0, 0)
  assert shapes.choose(TAKES, 1, 200, 70).frames == 512
  assert shapes.choose(TAKES, 1, 300, 40).frames == 512


def test_lines_go_in_the_largest_batch_that_is_ready_and_one_by_one_until_then(shapes):
  have(shapes, TAKES, (1, 256, 64))
  assert shapes.choose(TAKES, 3, 200, 40).items == 1
  have(shapes, TAKES, (2, 256, 64), (4, 256, 64), (8, 512, 128))
  assert [shapes.choose(TAKES, items, 200, 40).items for items in (1, 2, 3, 4, 5, 9)] == [1, 2, 4, 4, 4, 4]


def test_line_that_nothing_is_ready_for_is_compiled_for(shapes):
  have(shapes, TAKES, (1, 256, 64))
  assert shapes.choose(TAKES, 2, 2000, 300) == padded_shape(2000, 300)
  assert shapes.choose(TAKES, 1, 1900, 290) == padded_shape(2000, 300)  # the same, from now on
  assert shapes.choose(WAVES, 1, 2000, 1).frames == 2048


def test_kinds_of_programs_are_told_apart(shapes):
  have(shapes, TAKES, (1, 256, 64))
  assert shapes.choose(DURATIONS, 1, 1, 64) == padded_shape(1, 64)


def test_first_shapes_hold_a_line_of_ten_words_and_the_others_follow(shapes):
  first = shapes.first()
  assert any(kind == TAKES and shape.frames >= 290 and shape.phonemes >= 45 for kind, shape in first)
  assert {kind for kind, _ in first} == {DURATIONS, TAKES, WAVES} and all(shape.items == 1 for _, shape in first)
  shapes._ready |= set(first)
  behind = shapes.behind()
  assert not set(first) & set(behind) and len(behind) == len(set(behind))
  assert {shape.items for _, shape in behind} == {1, 2, 4}
  single = {shape.frames for kind, shape in [*first, *behind] if kind == TAKES and shape.items == 1}
  assert single == {frames for frames, _ in LINES}


def test_artifact_has_the_shapes_that_it_was_exported_with():
  buckets = [Shape(1, 320, 80, 94, 256), Shape(1, 640, 160, 187, 256)]

  def shape(frames, phonemes):
    return next(s for s in buckets if s.frames >= frames and s.phonemes >= phonemes)

  shapes = UsualShapes(SimpleNamespace(shape=shape, programs=SimpleNamespace(shapes=buckets)), 2)
  every = [*shapes.first(), *shapes.behind()]
  assert {shape.frames for _, shape in every} == {320, 640}
  assert {shape.items for _, shape in every} == {1, 2}
