"""The speed benchmark of the published system, at small sizes."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / 'experiments' / 'timing' / 'published.py'
spec = importlib.util.spec_from_file_location('published_benchmark', PATH)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)


@pytest.mark.slow
def test_a_case_is_timed_in_a_process_of_its_own_with_and_without_the_cache(tmp_path):
  row = benchmark.measure('vocoder', None, 2, True, tmp_path)
  ours = row['ours']
  assert 0 < ours['seconds'] < ours['first_cold'] and ours['processor'] > 0 and ours['peak_gib'] > 0.1
  assert list((tmp_path / 'vocoder').iterdir())  # the persistent cache was filled
  assert 'BigVGAN' in benchmark.table({'vocoder': row})


def test_the_example_fills_the_lengths_it_states():
  batch = benchmark.example('published', 2, False)
  assert (batch['durations'].sum(1) == benchmark.FRAMES).all() and batch['mel'].shape == (2, benchmark.FRAMES, 80)
  assert all(np.isfinite(x).all() for x in batch.values())


def test_operations_of_an_item_are_those_of_its_convolutions_and_somewhat_more():
  convolutions = 2 * 9 * 1024 * (24 * 260 * 256 + 12 * 60 * 256 + 4 * 75 * 512)
  counted = benchmark.flops_of_an_item(benchmark.settings('published', False))
  assert convolutions < counted < 1.5 * convolutions
