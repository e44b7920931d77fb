import numpy as np

from dubber_jax.actor.length_regulator import LengthRegulator

RNG = np.random.default_rng(0)
PHONEMES = RNG.normal(0, 1, (2, 3, 4)).astype(np.float32)
DURATIONS = np.array([[2, 0, 3], [1, 1, 0]])


def test_frames_without_place_are_copies_of_their_phonemes(apply_drawn):
  frames, mask = apply_drawn(LengthRegulator(place=False), PHONEMES, DURATIONS, num_frames=6)
  np.testing.assert_array_equal(mask.sum(1), [5, 2])
  np.testing.assert_allclose(frames[0, :5], np.repeat(PHONEMES[0], DURATIONS[0], axis=0), rtol=1e-6)
  assert not frames[~mask].any()


def test_place_tells_the_frames_of_a_phoneme_apart_and_does_not_depend_on_padding(apply_drawn):
  frames, mask = apply_drawn(LengthRegulator(), PHONEMES, DURATIONS, num_frames=6)
  assert np.abs(frames[0, 0] - frames[0, 1]).max() > 1e-2 and not frames[~mask].any()
  shorter, _ = apply_drawn(LengthRegulator(), PHONEMES[1:, :2], DURATIONS[1:, :2], num_frames=2)
  np.testing.assert_allclose(frames[1, :2], shorter[0], atol=1e-5)


def test_durations_beyond_the_frames_are_cut(apply_drawn):
  frames, mask = apply_drawn(LengthRegulator(place=False), PHONEMES, DURATIONS, num_frames=3)
  assert frames.shape == (2, 3, 4) and mask[0].all()
  np.testing.assert_allclose(frames[0, 2], PHONEMES[0, 2], rtol=1e-6)
