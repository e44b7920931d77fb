import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.inference.voices import densest, find_voice, loudest_part
from dubber_jax.types import Voice


@pytest.mark.parametrize('level, length, start', [([0, 0, 5, 5, 0], 2, 2), ([1, 2], 3, 0), ([9, 0, 0, 8], 1, 0)])
def test_densest_part_has_the_greatest_sum(level, length, start):
  assert densest(np.array(level, float), length) == start


def test_loudest_part_of_a_recording_is_cut_at_tenths_of_a_second():
  wave = 0.01 * np.random.default_rng(0).normal(size=10_000)
  wave[4000:6000] *= 50
  np.testing.assert_array_equal(loudest_part(wave, 1000, 2.0), wave[4000:6000])


def test_shipped_voice_is_found_by_name_and_an_unknown_one_is_refused_with_the_names():
  shipped = {'ada': Voice(np.zeros(256), np.zeros((8, 80)), 'ada')}
  assert find_voice('ada', shipped) is shipped['ada']
  with pytest.raises(BadInput, match='ada'):
    find_voice('no such file', shipped)
