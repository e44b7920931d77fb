import json

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.perception.speaker import embed_speaker


def _voice(pitch, seconds=1.5, rate=16000):
  t = np.arange(int(seconds * rate)) / rate
  return sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 12)).astype(np.float32) * 0.1


def test_embedding_is_a_unit_vector_of_256_numbers():
  vector = embed_speaker(_voice(120), 16000)
  assert vector.shape == (256,) and vector.dtype == np.float32
  assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_embedding_is_invariant_to_level_and_surrounding_silence():
  wave = _voice(120) * (1 + np.sin(np.arange(24000) / 900)).astype(np.float32)
  quiet = np.concatenate([np.zeros(16000, np.float32), wave * 0.01, np.zeros(16000, np.float32)])
  assert embed_speaker(wave, 16000) @ embed_speaker(quiet, 16000) > 0.95


def test_embedding_is_invariant_to_sample_rate():
  wave = _voice(120, rate=22050)
  assert embed_speaker(wave, 22050) @ embed_speaker(_voice(120), 16000) > 0.95


def test_voice_shorter_than_one_window_is_embedded():
  assert np.isfinite(embed_speaker(_voice(150, seconds=0.3), 16000)).all()


@pytest.mark.parametrize('wave', [np.zeros(32000, np.float32), np.ones(200, np.float32)])
def test_silent_or_tiny_voice_is_refused(wave):
  with pytest.raises(BadInput):
    embed_speaker(wave, 16000)


def test_same_speaker_is_nearer_than_another(data_dir, recording):
  rows = [json.loads(line) for line in (data_dir / 'vctk.jsonl').open()]
  chosen = {s: [r['file'] for r in rows if r['speaker'] == s][:3] for s in ('p225', 'p226', 'p227')}
  vectors, names = [], []
  for speaker, files in chosen.items():
    for file in files:
      vectors.append(embed_speaker(recording(file), 16000))
      names.append(speaker)
  cosine = np.stack(vectors) @ np.stack(vectors).T
  same = np.equal.outer(names, names) & ~np.eye(len(names), dtype=bool)
  assert cosine[same].min() > cosine[~np.equal.outer(names, names)].max()
