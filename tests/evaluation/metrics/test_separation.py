import numpy as np
import pytest

from dubber_jax.evaluation.metrics.separation import RATE, energy_ratio, longest_gap, measure_separation, si_sdr
from dubber_jax.separation.config import SeparatorConfig
from dubber_jax.separation.inference import TrainedSeparator


def noise(seed, seconds=1.0):
  return 0.1 * np.random.default_rng(seed).standard_normal((int(seconds * RATE), 1))


def test_si_sdr_of_a_known_error_at_any_scale():
  target, error = noise(0), noise(1)
  assert si_sdr(target + 0.1 * error, target) == pytest.approx(20, abs=0.2)
  assert si_sdr(7 * (target + 0.1 * error), target) == pytest.approx(20, abs=0.2)
  assert si_sdr(target, target) > 100


def test_energy_ratio():
  assert energy_ratio(0.1 * noise(0), noise(0)) == pytest.approx(-20)


def test_gaps_are_stretches_that_the_source_does_not_have():
  source = noise(0)
  output = source.copy()
  output[RATE // 2 : RATE // 2 + 6000] = 0
  assert longest_gap(output, source) == pytest.approx(0.125, abs=0.011)
  assert longest_gap(output, output) == 0  # the source is silent there too
  assert longest_gap(source, source) == 0


class Half(TrainedSeparator):
  def __init__(self):
    super().__init__(SeparatorConfig(), {})

  def masks(self, spectra_tck):
    return np.full(spectra_tck.shape, 0.5, np.float32)


def test_figures_of_a_separator_that_keeps_half():
  found = measure_separation(Half(), noise(0), noise(1))
  assert found['residual_db'] == pytest.approx(-6.02, abs=0.1) and found['removed_db'] == pytest.approx(-6.02, abs=0.1)
  assert found['si_sdr_db'] == pytest.approx(0, abs=0.3) and found['gap_s'] == 0
