import flax.linen as nn
import numpy as np
import pytest

from dubber_jax.vocoder.discriminators import (
  PeriodDiscriminator,
  ResolutionDiscriminator,
  SpectrogramConv,
  StridedConv,
  log_magnitude,
)

RNG = np.random.default_rng(0)
WAVE = RNG.normal(0, 0.05, (2, 240)).astype(np.float32)


def test_scores_and_features_of_a_period_are_of_its_phases(apply_drawn):
  score, features = apply_drawn(PeriodDiscriminator(3, (4, 8)), WAVE)
  assert score.shape == (2 * 3, 27, 1) and [x.shape for x in features] == [(6, 27, 4), (6, 27, 8)]
  other = WAVE.copy()
  other[:, 1::3] += 0.1
  changed = np.abs(apply_drawn(PeriodDiscriminator(3, (4, 8)), other)[0] - score).reshape(2, 3, -1).max((0, 2))
  assert changed[1] > 1e-4 and not changed[[0, 2]].any()


def test_scores_and_features_of_a_resolution_are_over_time_and_bins(apply_drawn):
  score, features = apply_drawn(ResolutionDiscriminator(64, 16, 4), WAVE)
  assert [x.shape for x in (*features, score)] == [(2, 12, 3, 4), (2, 12, 2, 4), (2, 12, 2, 4), (2, 12, 2, 1)]


@pytest.mark.parametrize(('length', 'stride'), [(9, 1), (9, 3), (10, 3)])
def test_strided_convolution_is_that_of_flax(length, stride):
  x, kernel = RNG.normal(0, 1, (1, length, 2)).astype(np.float32), RNG.normal(0, 1, (5, 2, 3)).astype(np.float32)
  ours = StridedConv(3, 5, stride).apply(
    {'params': {'Dense_0': {'kernel': kernel.reshape(10, 3), 'bias': np.ones(3)}}}, x
  )
  conv = nn.Conv(3, (5,), stride, padding=[(2, 2)])
  np.testing.assert_allclose(ours, conv.apply({'params': {'kernel': kernel, 'bias': np.ones(3)}}, x), atol=1e-5)


def test_spectrogram_convolution_is_that_of_flax():
  x, kernel = RNG.normal(0, 1, (1, 4, 7, 2)).astype(np.float32), RNG.normal(0, 1, (3, 3, 2, 5)).astype(np.float32)
  flat = {'kernel': kernel.reshape(18, 5), 'bias': np.zeros(5)}
  ours = SpectrogramConv(5, 3, 2).apply({'params': {'Dense_0': flat}}, x)
  conv = nn.Conv(5, (3, 3), (1, 2), padding=[(1, 1), (1, 1)], use_bias=False)
  np.testing.assert_allclose(ours, conv.apply({'params': {'kernel': kernel}}, x), atol=1e-4)


def test_log_magnitude_of_a_sine_has_its_peak_and_doubles_with_it():
  wave = np.sin(2 * np.pi * 8 * np.arange(256) / 64)[None].astype(np.float32)
  one, two = (np.asarray(log_magnitude(gain * wave, 64, 16)) for gain in (1, 2))
  assert one.shape == (1, 13, 33) and (one.argmax(-1) == 8).all()
  np.testing.assert_allclose((two - one)[..., 8], np.log(2), atol=1e-3)
