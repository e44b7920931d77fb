import jax
import numpy as np
import pytest

from dubber_jax.nn.pitch_classes import PitchClasses

PITCH = PitchClasses(per_octave=24.0)
smoothed_hertz = jax.jit(PITCH.smoothed_hertz)


def test_an_octave_is_as_many_classes_as_it_says_and_ends_are_clipped():
  np.testing.assert_allclose(PITCH.index_of(np.array([0.0, 50.0, 100.0, 5000.0])), [0, 0, 24, 95], atol=1e-4)
  assert PitchClasses(per_octave=23.75).highest == pytest.approx(800.0)


def test_soft_targets_are_a_distribution_with_the_class_as_its_mean():
  hertz = np.array([60.0, 123.4, 700.0])
  targets = np.asarray(PITCH.soft_targets(hertz))
  np.testing.assert_allclose(targets.sum(-1), 1.0, atol=1e-4)
  assert ((targets > 0).sum(-1) <= 2).all()
  np.testing.assert_allclose(targets @ np.arange(96), PITCH.index_of(hertz), atol=1e-3)


def test_semitones_are_those_above_the_lowest_class():
  logits = 50.0 * np.eye(96, dtype=np.float32)[None, [0, 24, 48]]
  np.testing.assert_allclose(PITCH.expected_semitones(logits)[0], [0, 12, 24], atol=1e-3)


def test_masked_frames_have_no_influence_and_come_out_as_the_lowest_pitch():
  rng = np.random.default_rng(0)
  logits, mask = rng.normal(0, 3, (1, 12, 96)).astype(np.float32), np.arange(12)[None] < 7
  other = np.where(mask[..., None], logits, 9.0)
  hertz = np.asarray(smoothed_hertz(logits, mask))
  np.testing.assert_allclose(hertz, smoothed_hertz(other, mask), rtol=1e-5)
  np.testing.assert_allclose(hertz[0, 7:], 50.0)


def test_pitch_is_read_back_from_its_classes():
  pitch = np.geomspace(60.0, 650.0, 50, dtype=np.float32)[None]
  logits = -4 * np.square(np.arange(96) - np.asarray(PITCH.index_of(pitch))[..., None])
  found = np.asarray(smoothed_hertz(logits, np.ones((1, 50), bool)))[0, 4:-4]
  assert np.abs(12 * np.log2(found / pitch[0, 4:-4])).max() < 0.2
