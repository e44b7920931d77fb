import dataclasses
import json

import jax
import numpy as np
import pytest

from dubber_jax.critic.inference import (
  SCALED,
  CriticModel,
  collate_takes,
  param_shapes,
  phone_log_likelihood,
  read_critic,
  write_critic,
)
from dubber_jax.critic.model import PHONE_OF, PHONES, PITCH, CriticSizes
from dubber_jax.errors import BadInput
from dubber_jax.script.g2p import encode, phonemize
from dubber_jax.types import Take, Voice

SIZES = CriticSizes(width=16, layers=1, opinion=8, embedding=8)


def make_take(rng, text='We never asked.', each=6):
  symbols = phonemize(text).symbols
  durations = np.full(len(symbols), each)
  frames = int(durations.sum())
  mel = rng.normal(-5, 2, (frames, 80)).astype(np.float32)
  return Take(mel, symbols, durations, np.full(frames, 120.0), np.zeros(8))


@pytest.fixture
def model():
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda s: rng.normal(0, 0.2, s.shape).astype(np.float32), param_shapes(SIZES))
  return CriticModel(SIZES, params, dict.fromkeys(SCALED, (-50.0, 50.0)))


@pytest.fixture
def voice():
  return Voice(np.zeros(256, np.float32), np.random.default_rng(1).normal(-5, 2, (200, 80)).astype(np.float32))


def test_scores_of_a_take_do_not_depend_on_the_others(model, voice):
  rng = np.random.default_rng(2)
  short, long = make_take(rng), make_take(rng, 'It was a long way down to the river in those days.', 9)
  alone, among = model.score([short], voice)[0], model.score([short, long], voice)[0]
  for field in dataclasses.fields(alone):
    np.testing.assert_allclose(
      *(np.array(getattr(h, field.name), float) for h in (alone, among)), rtol=2e-4, atol=2e-4, err_msg=field.name
    )


def test_line_that_was_said_is_likelier_than_another():
  """Logits that spell one line: its phones, each for four steps."""
  said, other = (encode(phonemize(text).symbols) for text in ('We never asked.', 'They often answer.'))
  phones = PHONE_OF[said][PHONE_OF[said] > 0]
  frames = np.repeat(phones, 4)
  logits = 8.0 * np.eye(len(PHONES), dtype=np.float32)[frames][None]
  mask = np.ones((1, len(frames)), bool)
  right, wrong = (
    float(phone_log_likelihood(logits, mask, ids[None], np.ones((1, len(ids)), int))[0]) for ids in (said, other)
  )
  assert right > -0.1
  assert wrong < right - 3


def test_pitch_is_read_in_semitones_above_50_hertz():
  place = np.asarray(PITCH.index_of(np.array([50.0, 100.0, 220.0])))
  heard = PITCH.expected_semitones(200.0 * -np.abs(np.arange(96) - np.round(place)[:, None])[None])
  np.testing.assert_allclose(np.asarray(heard)[0], 12 * np.log2(np.array([1, 2, 4.4])), atol=0.3)


def test_louder_take_is_heard_as_louder(model, voice):
  take = make_take(np.random.default_rng(3))
  louder = dataclasses.replace(take, mel=take.mel + np.float32(np.log(10) / 20 * 6))
  before, after = model.score([take, louder], voice)
  assert after.loudness - before.loudness == pytest.approx(6.0, abs=0.01)


def test_critic_comes_back_from_its_folder(model, voice, tmp_path):
  write_critic(model, tmp_path)
  take = make_take(np.random.default_rng(4))
  before, after = (critic.score([take], voice)[0] for critic in (model, read_critic(tmp_path)))
  np.testing.assert_allclose(after.emotions, before.emotions, atol=0.02)
  assert collate_takes([take], voice)['mel'].shape[1] % 2 == 0


def test_scales_keep_their_keys_in_the_file(model, tmp_path):
  scales = {name: (float(i), i + 1.0) for i, name in enumerate(SCALED)}
  write_critic(dataclasses.replace(model, scales=scales), tmp_path)
  stored = json.loads((tmp_path / 'config.json').read_text())['scales']
  assert stored == {'natural': [0, 1], 'words': [1, 2], 'voice': [2, 3], 'together': [3, 4]}
  assert read_critic(tmp_path).scales == scales


def test_raw_score_is_scaled_between_wrong_and_right_and_clipped(model):
  scaled = dataclasses.replace(model, scales={'av_sync': (-2.0, 6.0)})
  assert [scaled.scale('av_sync', raw) for raw in (-9, -2, 2, 6, 9)] == [0, 0, 0.5, 1, 1]


def test_damaged_critic_is_refused(model, tmp_path):
  write_critic(model, tmp_path)
  (tmp_path / 'config.json').write_text((tmp_path / 'config.json').read_text().replace('"width": 16', '"width": 24'))
  with pytest.raises(BadInput, match='another critic'):
    read_critic(tmp_path)
  (tmp_path / 'model.safetensors').write_bytes(b'no')
  with pytest.raises(BadInput, match='copy it again'):
    read_critic(tmp_path)
