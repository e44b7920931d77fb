import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.authentic_dubber import Dub, main, measure
from dubber_jax.media.mel import LOG_FLOOR


def test_metrics_are_means_over_clips():
  mel = np.random.default_rng(0).normal(-5, 1, (30, 80))
  found = measure([Dub('a', mel, mel, 3, 3), Dub('b', mel + np.log(2), mel, 3, 1)])
  assert found['clips'] == 2 and found['emotion_accuracy'] == 0.5
  assert found['mel_distance'] == pytest.approx(0.5 * 20 * np.log10(2) / np.sqrt(2))


def test_a_take_without_frames_counts_as_silence():
  silence = np.full((4, 80), LOG_FLOOR)
  found = measure([Dub('a', np.zeros((0, 80)), silence, 0, 0)])
  assert found['mel_distance'] == 0 and found['mel_distance_dtw_sl'] == 0
  with pytest.raises(BadInput, match='no clips'):
    measure([])


def test_an_arm_that_is_not_there_is_refused_in_one_line(capsys):
  assert main(['experiments/recipes/v2c_animation.py', '--arm', 'nowhere']) == 2
  assert 'published' in capsys.readouterr().err
