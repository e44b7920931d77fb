import numpy as np

from dubber_jax.actor.style_encoder import StyleEncoder

RNG = np.random.default_rng(0)
MEL = RNG.normal(-5, 2, (2, 9, 6)).astype(np.float32)
MASK = np.arange(9) < np.array([[9], [5]])
SPEAKER = RNG.normal(0, 0.5, (2, 4)).astype(np.float32)


def test_condition_is_that_of_the_unmasked_reference_and_the_speaker(apply_drawn):
  encoder = StyleEncoder(8, 5)
  condition, frames = apply_drawn(encoder, MEL, MASK, SPEAKER)
  assert condition.shape == (2, 5) and frames.shape == (2, 9, 8)
  alone, _ = apply_drawn(encoder, MEL[1:, :5], MASK[1:, :5], SPEAKER[1:])
  np.testing.assert_allclose(condition[1], alone[0], atol=1e-5)
  other, _ = apply_drawn(encoder, np.where(MASK[..., None], MEL, 3.0), MASK, SPEAKER[::-1].copy())
  assert (np.abs(other - condition).max(1) > 1e-3).all()


def test_empty_reference_gives_a_finite_condition(apply_drawn):
  condition, _ = apply_drawn(StyleEncoder(8, 5), MEL, np.zeros_like(MASK), SPEAKER)
  assert np.isfinite(condition).all()
