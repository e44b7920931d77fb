import numpy as np
import pytest

from dubber_jax.actor.mel_discriminators import BAND, STEP, MelDiscriminators

RNG = np.random.default_rng(0)
MEL = RNG.normal(-5, 2, (2, 6, 80)).astype(np.float32)
PROSODY = RNG.normal(0, 1, (2, 6, 4)).astype(np.float32)
SPEAKER = RNG.normal(0, 0.1, (2, 16)).astype(np.float32)
MODULE = MelDiscriminators(width=8, band_width=4)


@pytest.fixture(scope='module')
def judged(apply_drawn):
  return apply_drawn(MODULE, MEL, PROSODY, SPEAKER)


def test_scores_and_features_are_of_the_full_band_and_of_each_sub_band(judged):
  (full, full_features), (bands, band_features) = judged
  assert full.shape == (2, 6, 1) and bands.shape == (2, 9, 6, 1)
  assert [x.shape for x in full_features] == [(2, 6, 8)] * 4
  assert [x.shape for x in band_features] == [(2, 9, 6, 4)] * 3


def test_sub_band_scores_depend_on_their_bands_alone_and_full_band_ones_on_the_speaker(apply_drawn, judged):
  louder = MEL.copy()
  louder[..., :STEP] += 1.0  # in the lowest sub-band alone
  (full, _), (bands, _) = apply_drawn(MODULE, louder, PROSODY, -SPEAKER)
  changed = np.abs(bands - judged[1][0]).max((0, 2, 3))
  assert changed[0] > 1e-3 and changed[1:].max() < 1e-6 and BAND == 2 * STEP
  (full, _), (bands, _) = apply_drawn(MODULE, MEL, PROSODY, -SPEAKER)
  assert np.abs(full - judged[0][0]).max() > 1e-3
  np.testing.assert_allclose(bands, judged[1][0], atol=1e-6)
