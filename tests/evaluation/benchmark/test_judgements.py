"""The cache of judgements, and judges by name."""

from importlib.util import find_spec

import numpy as np
import pytest

from dubber_jax.evaluation.benchmark import judgements
from dubber_jax.evaluation.benchmark.judgements import JsonlCache, open_judge


def test_judgements_outlive_a_run_that_was_killed_while_writing_one(tmp_path):
  cache = JsonlCache(tmp_path / 'new' / 'judged.jsonl')
  cache.add('mos', 'a', 3.5)
  cache.add('words', 'a', 'as “they” were')
  with open(cache.path, 'a') as file:
    file.write('\n["mos", "b", 3.')
  again = JsonlCache(cache.path)
  assert again.value('mos', 'a') == 3.5 and again.value('words', 'a') == 'as “they” were' and not again.has('mos', 'b')
  again.add('mos', 'c', 1.0)
  assert JsonlCache(cache.path).has('mos', 'c')


def test_a_judge_is_opened_once():
  assert open_judge('functionals') is open_judge('functionals')
  with pytest.raises(KeyError):
    open_judge('nobody')


def test_judgements_are_json_values():
  wave = 0.1 * np.sin(np.cumsum(np.linspace(0.02, 0.06, 22050))).astype(np.float32)
  found = open_judge('functionals')(wave, 22050)
  assert len(found) > 80 and all(type(value) is float for value in found)
  assert judgements.cores() >= 1


def test_distances_from_the_films_own_sound_are_mcd_and_prosody(tmp_path):
  if not find_spec('pyworld'):
    pytest.skip('pyworld is not installed')
  from dubber_jax.media.sound import write_wav

  rng = np.random.default_rng(0)
  wave = (0.1 * rng.standard_normal(16000)).astype(np.float32)
  write_wav(tmp_path / 'film.wav', wave, 22050)
  found = open_judge('reference')(wave, 22050, tmp_path / 'film.wav')
  assert {'mcd', 'mcd_dtw', 'mcd_dtw_sl', 'pitch_rmse', 'voicing_error', 'level_rmse'} <= set(found)
  assert found['mcd_dtw'] < 1 and all(v is None or type(v) is float for v in found.values())
