import json
from importlib.util import find_spec

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics import speaker_similarity
from dubber_jax.media.sound import read_sound


def test_a_missing_judge_says_what_to_install(monkeypatch):
  def missing(*_):
    raise BadInput(f'speaker similarity needs it: {speaker_similarity.INSTALL}')

  monkeypatch.setattr(speaker_similarity, 'package_file', missing)
  speaker_similarity.load_judge.cache_clear()
  with pytest.raises(BadInput, match='requirements-eval.txt'):
    speaker_similarity.load_judge()


def test_length_of_an_embedding_does_not_count():
  assert speaker_similarity.speaker_similarity(np.array([3.0, 0, 0]), np.array([2.0, 0, 0])) == pytest.approx(1)


def test_a_speaker_is_told_from_another(data_dir):
  if not find_spec('resemblyzer'):
    pytest.skip('resemblyzer is not installed')
  judge = speaker_similarity.load_judge()
  rows = [json.loads(row) for row in (data_dir / 'vctk.jsonl').read_text().splitlines()]
  chosen = [[r for r in rows if r['speaker'] == s][:2] for s in ('p225', 'p226')]
  (a, also_a), (b, also_b) = [[judge.embed(read_sound(data_dir / r['file'], 16000), 16000) for r in c] for c in chosen]
  same = min(speaker_similarity.speaker_similarity(a, also_a), speaker_similarity.speaker_similarity(b, also_b))
  assert same > 0.7 and same > 0.1 + max(
    speaker_similarity.speaker_similarity(a, b), speaker_similarity.speaker_similarity(also_a, also_b)
  )
