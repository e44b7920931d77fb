import numpy as np

from dubber_jax.evaluation.metrics.spectral_flatness import flatness_by_class, frame_flatness


def tone_then_noise(frames: int) -> np.ndarray:
  time = np.arange(frames * 256) / 22050
  tone = sum(np.cos(2 * np.pi * 200 * k * time) / k**2 for k in range(1, 40))
  return np.concatenate([0.1 * tone, 0.1 * np.random.default_rng(0).standard_normal(frames * 256)])


def test_noise_is_flat_and_a_tone_is_not():
  flatness = frame_flatness(tone_then_noise(30))
  assert flatness.shape == (60,)
  assert flatness[:26].max() < -8
  assert flatness[34:].min() > -3


def test_phonemes_are_counted_by_class_and_short_ones_left_out():
  found = flatness_by_class(tone_then_noise(30), ('@sil', '@AA1', '@S', '@P', '@sil'), [2, 28, 25, 2, 3])
  assert [len(found[name]) for name in ('vowels', 'voiceless fricatives', 'stops and affricates')] == [1, 1, 0]
  assert found['voiceless fricatives'][0] > found['vowels'][0] + 6
