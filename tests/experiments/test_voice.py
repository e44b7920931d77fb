"""The benchmark of voice quality, without a model."""

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dubber_jax.evaluation.bootstrap import Interval
from dubber_jax.evaluation.metrics.wer import word_error_rate

FOLDER = Path(__file__).parents[2] / 'experiments' / 'timing'


@pytest.fixture(scope='module')
def voice():
  sys.path.insert(0, str(FOLDER))  # where Python finds the scripts that a benchmark imports
  try:
    spec = importlib.util.spec_from_file_location('voice_benchmark', FOLDER / 'voice.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules['voice_benchmark'] = module
    spec.loader.exec_module(module)
    yield module
  finally:
    sys.path.remove(str(FOLDER))
    del sys.modules['voice_benchmark']


def test_a_row_is_spread_evenly_and_a_voice_keeps_its_lines(voice):
  quality = SimpleNamespace(count=60, lines=[str(i) for i in range(70)])
  cast = voice.VoiceQuality.cast(quality, voice.SEEN)
  assert Counter(s for s, _ in cast) == dict.fromkeys(voice.SEEN, 20) and len(set(cast)) == 60
  strangers, both = (voice.VoiceQuality.cast(quality, s) for s in (voice.STRANGERS, voice.STRANGERS + voice.ACTORS))
  assert {c for c in both if c[0] in voice.STRANGERS} <= set(strangers)
  assert len({text for _, text in cast}) > 40


def test_errors_of_clips_add_up_to_the_word_error_of_all(voice):
  said, heard = ['Mr. Price left at 9.', 'Is it far?'], ['mister prize left at nine', 'it is far']
  counts = np.array([voice.count_errors(a, b) for a, b in zip(said, heard, strict=True)])
  assert counts[:, 0].sum() / counts[:, 1].sum() == pytest.approx(word_error_rate(said, heard))


def test_a_model_is_known_by_what_it_computes_and_not_by_its_card(voice, tmp_path):
  def hash_of(**files):
    (tmp_path / 'MANIFEST.json').write_text(json.dumps(files))
    return voice.model_hash(tmp_path)

  first = hash_of(**{'CARD.md': 'a', 'model.safetensors': 'b'})
  assert first == hash_of(**{'CARD.md': 'c', 'model.safetensors': 'b'})
  assert first != hash_of(**{'CARD.md': 'a', 'model.safetensors': 'd'})


def test_a_column_without_the_figure_is_left_empty(voice):
  figure = voice.Figure('error', '{:.1%}', {'director': Interval(0.02, 0.01, 0.04, 60)}, at_most=0.035)
  last = voice.table([figure], ('director', 'one-way')).splitlines()[-1]
  assert last == '| error | at most 3.5% | 2.0% (1.0% to 4.0%), 60 |  |  |'
