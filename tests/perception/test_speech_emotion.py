import json

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.perception.speech_emotion import embed_sound, sound_emotion, speech_mel
from dubber_jax.types import EMOTIONS


def _voice(seconds=1.5, rate=22050, pitch=140.0):
  t = np.arange(int(seconds * rate)) / rate
  melody = pitch * (1 + 0.1 * np.sin(2 * np.pi * 1.5 * t))
  tone = sum(np.sin(2 * np.pi * k * np.cumsum(melody) / rate) / k for k in range(1, 15))
  return (0.1 * tone * (1 + 0.5 * np.sin(2 * np.pi * 4 * t))).astype(np.float32)


def test_embedding_is_a_unit_vector_of_128_numbers_and_probabilities_sum_to_one():
  vector, odds = embed_sound(_voice(), 22050), sound_emotion(_voice(), 22050)
  assert vector.shape == (128,) and np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)
  assert odds.shape == (8,) and odds.sum() == pytest.approx(1, abs=1e-4)
  assert odds[EMOTIONS.index('others')] < 0.1


def test_level_and_surrounding_silence_do_not_change_the_emotion():
  wave = _voice()
  quiet = np.concatenate([np.zeros(9000, np.float32), wave * 0.004, np.zeros(15000, np.float32)])
  assert embed_sound(wave, 22050) @ embed_sound(quiet, 22050) > 0.97


@pytest.mark.parametrize('seconds', [0.12, 7.0, 13.0])
def test_short_and_long_recordings_are_classified(seconds):
  assert np.isfinite(embed_sound(_voice(seconds), 22050)).all()


def test_silence_around_the_voice_is_cut_off():
  padded = np.concatenate([np.zeros(22050, np.float32), _voice(1.0), np.zeros(22050, np.float32)])
  assert abs(len(speech_mel(padded, 22050)) - 86) <= 6


@pytest.mark.parametrize('wave', [np.zeros(22050, np.float32), np.ones(100, np.float32), np.full(22050, np.nan)])
def test_silent_tiny_or_broken_sound_is_refused(wave):
  with pytest.raises(BadInput):
    embed_sound(wave, 22050)


def test_emotion_of_actors_never_heard_is_told_far_better_than_by_chance(data_dir, recording):
  rows = [json.loads(line) for line in (data_dir / 'ravdess.jsonl').open()]
  rows = [row for row in rows if row['speaker'][-2:] in ('19', '20', '21', '22')][::4]
  right = [EMOTIONS[sound_emotion(recording(row['file']), 16000).argmax()] == row['emotion'] for row in rows]
  assert len(right) == 60 and np.mean(right) > 0.4
