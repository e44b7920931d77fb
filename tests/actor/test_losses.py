import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dubber_jax.actor.decoder import energy_of_mel, scale_pitch
from dubber_jax.actor.losses import WEIGHTS, actor_losses, lip_alignment_mask

RNG = np.random.default_rng(0)
compute = jax.jit(actor_losses)


@pytest.fixture
def batch():
  mel = RNG.normal(-5, 2, (2, 8, 80)).astype(np.float32)
  return {
    'phonemes': np.array([[3, 4, 5], [6, 7, 0]]),
    'durations': np.array([[3, 2, 3], [2, 3, 0]]),
    'mel': mel,
    'pitch': np.where(np.arange(8) % 2, 150.0, 0.0)[None] * np.ones((2, 1)),
    'lips': np.zeros((2, 4, 82), np.float32),
    'lip_mask': np.ones((2, 4), bool),
    'emotion': np.array([1, 2]),
    'emotion_known': np.array([True, False]),
    'edited': np.array([False, False]),
    'pace': np.ones(2, np.float32),
  }


def perfect(batch):
  """Outputs with which every loss is at its least."""
  span = lip_alignment_mask(batch['durations'], 4)
  return {
    'mel': batch['mel'],
    'finished': batch['mel'],
    'log_durations': jnp.log(batch['durations'] + 1.0),
    'pitch': scale_pitch(batch['pitch']),
    'voicing': jnp.where(batch['pitch'] > 0, 50.0, -50.0),
    'energy': energy_of_mel(batch['mel']),
    'lip_weights': span / span.sum(-1, keepdims=True),
    'emotion': 50.0 * jnp.eye(8)[batch['emotion']],
  }


def test_losses_of_perfect_outputs_are_zero_and_total_is_their_weighted_sum(batch):
  losses = compute(perfect(batch), batch)
  assert max(abs(float(losses[name])) for name in WEIGHTS) < 2e-3
  other = compute(perfect(batch) | {'mel': batch['mel'] + 1.0, 'energy': jnp.zeros((2, 8))}, batch)
  assert float(other['mel']) == pytest.approx(1.0, rel=1e-4)
  assert float(other['total']) == pytest.approx(sum(w * float(other[name]) for name, w in WEIGHTS.items()), rel=1e-5)


def test_padding_and_unknown_labels_have_no_loss(batch):
  outputs = perfect(batch)
  wrong = {name: np.array(value) for name, value in outputs.items()}
  for name in ('mel', 'finished', 'pitch', 'voicing', 'energy'):
    wrong[name][1, 5:] += 9.0
  wrong['log_durations'][1, 2] += 9.0
  wrong['emotion'][1] = -wrong['emotion'][1]
  for name, value in compute(wrong, batch).items():
    np.testing.assert_allclose(value, compute(outputs, batch)[name], atol=1e-5, err_msg=name)


def test_phonemes_align_with_their_lip_frames_and_one_on_either_side():
  mask = np.asarray(lip_alignment_mask(jnp.array([[7, 7]]), 5))[0]  # 7 mel frames are two lip frames
  assert mask.tolist() == [[True] * 4 + [False], [False] + [True] * 4]
