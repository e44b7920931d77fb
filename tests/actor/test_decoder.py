import numpy as np
import pytest

from dubber_jax.actor.decoder import MelDecoder, ProsodyPredictor, energy_of_mel, join_prosody, scale_pitch

RNG = np.random.default_rng(0)
FRAMES = RNG.normal(0, 1, (2, 8, 6)).astype(np.float32)
PITCH, ENERGY = RNG.normal(0, 1, (2, 2, 8)).astype(np.float32)
VOICED = (RNG.random((2, 8)) < 0.5).astype(np.float32)
CONDITION = RNG.normal(0, 1, (2, 3)).astype(np.float32)
MASK = np.arange(8) < np.array([[8], [5]])
DECODER = MelDecoder(bands=4, layers=1, kernel=3, expansion=2, postnet_width=6, postnet_layers=2)
NOISE = RNG.normal(0, 1, (2, 8, 2)).astype(np.float32)


def decode(apply_drawn, frames=FRAMES, pitch=PITCH, noise=NOISE, mask=MASK, items=slice(None), length=8):
  parts = (x[items, :length] for x in (frames, pitch, VOICED, ENERGY, mask))
  return apply_drawn(DECODER, *parts, CONDITION[items], noise_btn=noise[items, :length])


@pytest.fixture(scope='module')
def mels(apply_drawn):
  return decode(apply_drawn)


def test_mel_has_its_bands_and_is_zero_in_padding(mels):
  for mel in mels:
    assert mel.shape == (2, 8, 4) and mel[1, :5].any() and not mel[1, 5:].any()


def test_mel_does_not_depend_on_padding_or_the_other_item(apply_drawn, mels):
  for alone, mel in zip(decode(apply_drawn, items=slice(1, 2), length=5), mels, strict=True):
    np.testing.assert_allclose(mel[1, :5], alone[0], atol=1e-5)


def test_noise_changes_the_mel_and_pitch_of_unvoiced_frames_does_not(apply_drawn, mels):
  assert np.abs(decode(apply_drawn, noise=-NOISE)[1] - mels[1]).max() > 1e-3
  np.testing.assert_allclose(decode(apply_drawn, pitch=PITCH + 5 * (1 - VOICED))[1], mels[1], atol=1e-5)


def test_prosody_does_not_depend_on_padding(apply_drawn):
  predictor = ProsodyPredictor(6, 1, 3)
  both = apply_drawn(predictor, FRAMES, MASK, CONDITION)
  alone = apply_drawn(predictor, FRAMES[1:, :5], MASK[1:, :5], CONDITION[1:])
  for one, other in zip(both, alone, strict=True):
    assert one.shape == (2, 8)
    np.testing.assert_allclose(one[1, :5], other[0], atol=1e-5)


def test_prosody_features_are_finite_for_unvoiced_frames_and_grow_with_pitch_and_level():
  scaled = np.asarray(scale_pitch(np.array([0.0, 100.0, 200.0])))
  assert np.isfinite(scaled).all() and scaled[2] - scaled[1] == pytest.approx(np.log(2) / 0.35, rel=1e-4)
  assert energy_of_mel(np.full((1, 80), -4.0)) == pytest.approx(1.0)
  assert not np.asarray(join_prosody(PITCH, VOICED, ENERGY))[VOICED == 0, :3].any()
