"""The judge of lip sync: what its numbers mean, on made-up vectors and on real films."""

import shutil

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics.lip_sync import (
  BANDS,
  FINE,
  SHIFTS,
  SHIPPED,
  STORED,
  cut_out,
  leveled,
  load_judge,
  log_mels,
  middle,
  relative,
  shifted,
  timing_of_curve,
)
from dubber_jax.types import LIP_RATE, SAMPLE_RATE


def vectors(length, seed=0):
  x = np.random.default_rng(seed).standard_normal((1, length, 16))
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize('late', [-7, 0, 3, 15])
def test_sound_that_is_late_agrees_best_when_taken_from_later(late):
  visual = vectors(90)
  audio = np.roll(visual, late, axis=1)
  curve = np.asarray(shifted(visual, audio, np.full((1, 90), 1 / 90)))[0]
  assert curve.argmax() == SHIFTS + late and curve.max() == pytest.approx(1.0, abs=1e-5)
  said = timing_of_curve(np.stack([curve, *[np.zeros_like(curve)] * (FINE - 1)]), 20.0)
  assert said.offset == pytest.approx(late / LIP_RATE) and said.best == pytest.approx(1.0, abs=1e-5)
  assert (said.agreement > np.log(0.5)) == (late == 0)


def test_moments_without_weight_do_not_count():
  visual, weight = vectors(90), np.full((1, 90), 1e-9)
  audio = vectors(90, seed=1)
  audio[:, 40:50], weight[:, 40:50] = visual[:, 40:50], 0.1
  assert np.asarray(shifted(visual, audio, weight))[0, SHIFTS] == pytest.approx(1.0, abs=1e-4)


def test_offsets_are_told_to_ten_milliseconds():
  curve = np.zeros((FINE, 2 * SHIFTS + 1))
  curve[3, SHIFTS - 2] = 0.5  # -80 ms and 30 more
  assert timing_of_curve(curve, 10.0).offset == pytest.approx(-0.05)


def test_how_a_face_looks_at_rest_is_taken_out():
  rng = np.random.default_rng(0)
  moves, face = rng.standard_normal((20, 48, 48)), 40 * rng.standard_normal((48, 48))
  assert np.allclose(relative(100 * moves + face), relative(100 * moves), atol=1e-3)
  assert middle(rng.integers(0, 255, (5, STORED, STORED)).astype(np.uint8)).shape == (5, 48, 48)


def test_a_click_is_heard_where_it_is():
  wave = 1e-4 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE).astype(np.float32)
  wave[SAMPLE_RATE : SAMPLE_RATE + 40] += 0.5
  mel = log_mels(wave, SAMPLE_RATE, 60)
  assert mel.shape == (60 * FINE, BANDS) and abs(int(mel.mean(1).argmax()) - 100) <= 2
  quiet = leveled(mel) - leveled(mel + 2.0)
  assert np.abs(quiet).max() < 1e-5


def test_what_cannot_be_judged_is_refused():
  with pytest.raises(BadInput, match='silent'):
    log_mels(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE, 25)
  with pytest.raises(BadInput, match='no face'):
    cut_out(np.full((30, 120, 160, 3), 90, np.uint8))
  with pytest.raises(BadInput, match=r'1\.6 s'):
    load_judge().listen(np.zeros((20, STORED, STORED), np.uint8), np.ones(SAMPLE_RATE, np.float32), SAMPLE_RATE)


def test_a_changed_judge_is_refused(tmp_path):
  assert len(load_judge().digest) == 64
  copy = tmp_path / 'judge'
  shutil.copytree(SHIPPED, copy)
  (copy / 'weights.safetensors').write_bytes((copy / 'weights.safetensors').read_bytes()[:-2] + b'ab')
  with pytest.raises(BadInput, match='weights.safetensors'):
    load_judge(copy)
  with pytest.raises(BadInput, match='MANIFEST'):
    load_judge(tmp_path)


def test_a_strangers_film_is_told_from_itself_moved_by_200_ms(data_dir):
  from dubber_jax.media.sound import read_sound
  from dubber_jax.media.video import read_frames

  judge, told = load_judge(), []
  paths = sorted((data_dir / 'grid' / 's4').glob('*.mp4'))[:6]
  for path in paths:
    mouths, wave = cut_out(read_frames(path)[0]), read_sound(path, SAMPLE_RATE)
    moved = np.concatenate([wave[: SAMPLE_RATE // 5], wave])
    own, late = judge.listen(mouths, wave, SAMPLE_RATE), judge.listen(mouths, moved, SAMPLE_RATE)
    told.append(own.agreement > late.agreement and late.offset > own.offset)
  assert len(told) == 6 and np.mean(told) >= 0.8
