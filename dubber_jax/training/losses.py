"""What the actor and the director are trained by: a dictionary of named losses, each a mean over real elements."""

import jax
import jax.numpy as jnp
import optax

from dubber_jax.actor.decoder import PITCH_CENTRE, PITCH_SCALE, energy_of_mel
from dubber_jax.clip import HOP, LIP_RATE, SAMPLE_RATE

WEIGHTS = {
  'mel': 1.0,
  'finished': 1.0,
  'duration': 1.0,
  'pitch': 0.5,
  'voicing': 0.2,
  'energy': 0.3,
  'lips': 0.1,
  'emotion': 0.05,
}


def mean_where(values: jax.Array, mask: jax.Array) -> jax.Array:
  """Mean over the elements where `mask` (broadcastable) holds; 0 where it holds nowhere."""
  weight = jnp.broadcast_to(mask, values.shape).astype(values.dtype)
  return (values * weight).sum() / jnp.maximum(weight.sum(), 1.0)


def lip_span(durations_bn: jax.Array, lip_frames: int) -> jax.Array:
  """(B, N, L) bool: the lip frames during which a phoneme sounds, and one on either side for what the mouth does
  before it is heard."""
  ends = jnp.cumsum(durations_bn, axis=1) * (HOP / SAMPLE_RATE * LIP_RATE)
  starts = ends - durations_bn * (HOP / SAMPLE_RATE * LIP_RATE)
  frame_l = jnp.arange(lip_frames)
  return (frame_l >= jnp.floor(starts)[..., None] - 1) & (frame_l <= jnp.floor(ends)[..., None] + 1)


def voice_losses(outputs: dict, batch: dict) -> dict[str, jax.Array]:
  """Named losses of a teacher-forced pass of DirectorActor; `total` is their weighted sum."""
  mask_bt = outputs['mask']
  phoneme_mask = batch['phonemes'] > 0
  losses = {name: mean_where(jnp.abs(outputs[name] - batch['mel']), mask_bt[..., None]) for name in ('mel', 'finished')}
  log_frames = jnp.log(batch['durations'] + 1.0)
  losses['duration'] = mean_where(jnp.square(outputs['log_durations'] - log_frames), phoneme_mask)
  voiced = batch['pitch'] > 0
  pitch = (jnp.log(jnp.maximum(batch['pitch'], 1.0)) - PITCH_CENTRE) / PITCH_SCALE
  losses['pitch'] = mean_where(jnp.abs(outputs['pitch'] - pitch), voiced & mask_bt)
  voicing = optax.sigmoid_binary_cross_entropy(outputs['voicing'], voiced.astype(jnp.float32))
  losses['voicing'] = mean_where(voicing, mask_bt)
  losses['energy'] = mean_where(jnp.abs(outputs['energy'] - energy_of_mel(batch['mel'])), mask_bt)
  # A phoneme's attention should lie where its mouth shape is; the diagonal loss of the paper, with the true path.
  span = lip_span(batch['durations'], batch['lips'].shape[1])
  within = (outputs['lip_weights'] * span).sum(-1)
  has_lips = batch['lip_mask'].any(-1, keepdims=True)
  losses['lips'] = mean_where(-jnp.log(within + 1e-4), phoneme_mask & has_lips & (batch['durations'] > 0))
  emotion = optax.softmax_cross_entropy_with_integer_labels(outputs['emotion'], batch['emotion'])
  losses['emotion'] = mean_where(emotion, batch['emotion_known'])
  losses['total'] = sum(weight * losses[name] for name, weight in WEIGHTS.items())
  return losses
