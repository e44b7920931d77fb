"""Training losses of the actor and the director's graphs: named terms, each a mean over unpadded elements."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from dubber_jax.actor.decoder import energy_of_mel, join_prosody, scale_pitch
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.nn.masks import frame_mask
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


def lip_alignment_mask(durations_bn: jax.Array, lip_frames: int) -> jax.Array:
  """Durations (B, N) mel frames -> (B, N, L) bool: the lip frames of each phoneme, widened by one on either side,
  since articulation precedes sound."""
  ends = jnp.cumsum(durations_bn, axis=1) * (HOP / SAMPLE_RATE * LIP_RATE)
  starts = ends - durations_bn * (HOP / SAMPLE_RATE * LIP_RATE)
  frame_l = jnp.arange(lip_frames)
  return (frame_l >= jnp.floor(starts)[..., None] - 1) & (frame_l <= jnp.floor(ends)[..., None] + 1)


def loss_masks(batch: dict) -> dict[str, jax.Array]:
  """Mask of each term of `actor_losses`: (B, T) frames, (B, N) phonemes or (B,) items, bool."""
  spoken_bn = batch['phonemes'] > 0
  frames_bt = frame_mask(batch['durations'], batch['mel'].shape[1])
  masks = dict.fromkeys(('mel', 'finished', 'voicing', 'energy'), frames_bt)
  masks['duration'] = spoken_bn
  unedited = ~batch['edited'][:, None]  # F0 and energy are the speaker's own
  masks['pitch'] = frames_bt & (batch['pitch'] > 0) & unedited
  masks['energy'] = frames_bt & unedited
  masks['lips'] = spoken_bn & (batch['durations'] > 0) & batch['lip_mask'].any(-1, keepdims=True)
  masks['emotion'] = batch['emotion_known']
  return masks


def loss_counts(batch: dict) -> dict[str, jax.Array]:
  """Number of frames, phonemes or items over which each term of `actor_losses` is a mean."""
  return {name: jnp.maximum(mask.sum(), 1) for name, mask in loss_masks(batch).items()}


def actor_losses(outputs: dict, batch: dict) -> dict[str, jax.Array]:
  """Named losses of a teacher-forced pass of DirectorActor; `total` is their sum weighted by WEIGHTS."""
  errors = {name: jnp.abs(outputs[name] - batch['mel']).mean(-1) for name in ('mel', 'finished')}
  errors['duration'] = jnp.square(outputs['log_durations'] - jnp.log(batch['durations'] * batch['pace'][:, None] + 1.0))
  errors['pitch'] = jnp.abs(outputs['pitch'] - scale_pitch(batch['pitch']))
  voiced = (batch['pitch'] > 0).astype(jnp.float32)
  errors['voicing'] = optax.sigmoid_binary_cross_entropy(outputs['voicing'], voiced)
  errors['energy'] = jnp.abs(outputs['energy'] - energy_of_mel(batch['mel']))
  # The paper's diagonal attention loss, with the true alignment in place of a diagonal band.
  aligned = lip_alignment_mask(batch['durations'], batch['lips'].shape[1])
  errors['lips'] = -jnp.log((outputs['lip_weights'] * aligned).sum(-1) + 1e-4)
  errors['emotion'] = optax.softmax_cross_entropy_with_integer_labels(outputs['emotion'], batch['emotion'])
  masks, counts = loss_masks(batch), batch['counts'] if 'counts' in batch else loss_counts(batch)
  losses = {name: (error * masks[name]).sum() / counts[name] for name, error in errors.items()}
  losses['total'] = sum(weight * losses[name] for name, weight in WEIGHTS.items())
  return losses


def adversarial_losses(discriminators: nn.Module, params: dict, outputs: dict, batch: dict) -> dict[str, jax.Array]:
  """Least-squares GAN and feature-matching losses of MelDiscriminators on the finished mels, over real frames.

  `adversarial` and `features` have gradients in the actor alone, `discriminators` in the discriminators alone, whose
  parameters are `params`; `disc_accuracy` is the share of frames that they classify correctly. In a batch accumulated
  in parts, or split over devices, feature matching is normalized in each part.
  """
  mask_bt = outputs['mask']
  count = batch['counts']['finished'] if 'counts' in batch else jnp.maximum(mask_bt.sum(), 1)
  voiced = (batch['pitch'] > 0).astype(jnp.float32)
  prosody = join_prosody(scale_pitch(batch['pitch']), voiced, energy_of_mel(batch['mel']))
  generated = jnp.where(mask_bt[..., None], outputs['finished'], LOG_FLOOR)

  def discriminate(params, generated):
    """Scores and features of the generated mels, in the first half of the batch, and of the recorded ones."""
    mels = jnp.concatenate([generated, batch['mel']])
    conditions = (jnp.concatenate([x, x]) for x in (prosody, batch['speaker']))
    return discriminators.apply({'params': params}, mels, *conditions)

  def mean(values):  # (B, T, D) or (B, bands, T, D)
    mask = jnp.expand_dims(mask_bt, (*range(1, values.ndim - 2), -1))
    return (values * mask).sum() / (count * (values.size / mask.size))

  losses = dict.fromkeys(('adversarial', 'features', 'discriminators', 'disc_accuracy'), 0.0)
  half = len(generated)
  judged = discriminate(jax.lax.stop_gradient(params), generated)
  for score, features in judged:
    losses['adversarial'] += mean(jnp.square(1.0 - score[:half])) / len(judged)
    for layer in features:
      real = jax.lax.stop_gradient(layer[half:])
      distance = mean(jnp.abs(layer[:half] - real)) / (mean(jnp.abs(real)) + 1e-3)
      losses['features'] += distance / len(features) / len(judged)
  for score, _ in discriminate(params, jax.lax.stop_gradient(generated)):
    fake, real = score[:half], score[half:]
    losses['discriminators'] += (mean(jnp.square(fake)) + mean(jnp.square(1.0 - real))) / len(judged)
    losses['disc_accuracy'] += (mean(1.0 * (fake < 0.5)) + mean(1.0 * (real > 0.5))) / 2 / len(judged)
  return losses
