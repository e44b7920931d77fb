"""What the actor and the director are trained by: a dictionary of named losses, each a mean over real elements."""

import jax
import jax.numpy as jnp
import optax

from dubber_jax.actor.decoder import energy_of_mel, join_prosody, scale_pitch
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.types import HOP, LIP_RATE, SAMPLE_RATE

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


def voice_masks(batch: dict) -> dict[str, jax.Array]:
  """Where each of `voice_losses` counts: (B, T) frames, (B, N) phonemes or (B,) items, bool."""
  spoken_bn = batch['phonemes'] > 0
  frames_bt = jnp.arange(batch['mel'].shape[1]) < batch['durations'].sum(1, keepdims=True)
  masks = dict.fromkeys(('mel', 'finished', 'voicing', 'energy'), frames_bt)
  masks['duration'] = spoken_bn
  predictable = ~batch['edited'][:, None]  # F0 and energy as the speaker has them
  masks['pitch'] = frames_bt & (batch['pitch'] > 0) & predictable
  masks['energy'] = frames_bt & predictable
  masks['lips'] = spoken_bn & (batch['durations'] > 0) & batch['lip_mask'].any(-1, keepdims=True)
  masks['emotion'] = batch['emotion_known']
  return masks


def voice_counts(batch: dict) -> dict[str, jax.Array]:
  """How many frames, phonemes or items each of `voice_losses` is a mean over."""
  return {name: jnp.maximum(mask.sum(), 1) for name, mask in voice_masks(batch).items()}


def voice_losses(outputs: dict, batch: dict) -> dict[str, jax.Array]:
  """Named losses of a teacher-forced pass of DirectorActor; `total` is their weighted sum."""
  errors = {name: jnp.abs(outputs[name] - batch['mel']).mean(-1) for name in ('mel', 'finished')}
  errors['duration'] = jnp.square(outputs['log_durations'] - jnp.log(batch['durations'] * batch['pace'][:, None] + 1.0))
  errors['pitch'] = jnp.abs(outputs['pitch'] - scale_pitch(batch['pitch']))
  voiced = (batch['pitch'] > 0).astype(jnp.float32)
  errors['voicing'] = optax.sigmoid_binary_cross_entropy(outputs['voicing'], voiced)
  errors['energy'] = jnp.abs(outputs['energy'] - energy_of_mel(batch['mel']))
  # A phoneme's attention should lie where its mouth shape is; the diagonal loss of the paper, with the true path.
  span = lip_span(batch['durations'], batch['lips'].shape[1])
  errors['lips'] = -jnp.log((outputs['lip_weights'] * span).sum(-1) + 1e-4)
  errors['emotion'] = optax.softmax_cross_entropy_with_integer_labels(outputs['emotion'], batch['emotion'])
  masks, counts = voice_masks(batch), batch['counts'] if 'counts' in batch else voice_counts(batch)
  losses = {name: (error * masks[name]).sum() / counts[name] for name, error in errors.items()}
  losses['total'] = sum(weight * losses[name] for name, weight in WEIGHTS.items())
  return losses


def adversarial_losses(judges, params, outputs: dict, batch: dict) -> dict[str, jax.Array]:
  """What the discriminators say of the finished mels, and what they are taught by: least squares over real frames.

  `adversarial` and `features` move the actor alone, `discriminators` moves them alone; `disc_accuracy` is the share of
  frames they are right about. In a batch taken in parts the scale of the features is that of each part.
  """
  mask_bt = outputs['mask']
  count = batch['counts']['finished'] if 'counts' in batch else jnp.maximum(mask_bt.sum(), 1)
  voiced = (batch['pitch'] > 0).astype(jnp.float32)
  prosody = join_prosody(scale_pitch(batch['pitch']), voiced, energy_of_mel(batch['mel']))
  made = jnp.where(mask_bt[..., None], outputs['finished'], LOG_FLOOR)

  def listen(weights, made):
    mels, *told = (jnp.concatenate(x) for x in ((made, batch['mel']), (prosody,) * 2, (batch['speaker'],) * 2))
    return judges.apply({'params': weights}, mels, *told)

  def mean(values):  # (B, T, D) or (B, bands, T, D)
    mask = jnp.expand_dims(mask_bt, (*range(1, values.ndim - 2), -1))
    return (values * mask).sum() / (count * (values.size / mask.size))

  losses = dict.fromkeys(('adversarial', 'features', 'discriminators', 'disc_accuracy'), 0.0)
  held, half = jax.lax.stop_gradient(params), len(made)
  answers = listen(held, made)
  for score, features in answers:
    losses['adversarial'] += mean(jnp.square(1.0 - score[:half])) / len(answers)
    for layer in features:
      real = jax.lax.stop_gradient(layer[half:])
      apart = mean(jnp.abs(layer[:half] - real)) / (mean(jnp.abs(real)) + 1e-3)
      losses['features'] += apart / len(features) / len(answers)
  for score, _ in listen(params, jax.lax.stop_gradient(made)):
    ours, theirs = score[:half], score[half:]
    losses['discriminators'] += (mean(jnp.square(ours)) + mean(jnp.square(1.0 - theirs))) / len(answers)
    losses['disc_accuracy'] += (mean(1.0 * (ours < 0.5)) + mean(1.0 * (theirs > 0.5))) / 2 / len(answers)
  return losses
