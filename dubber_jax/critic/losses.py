"""Losses of the critic: CTC of phones, F0 classes, and each score head against its labels."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from dubber_jax.critic.inference import phone_log_likelihood
from dubber_jax.critic.model import PHONE_OF, PITCH, SUBSAMPLING
from dubber_jax.nn.masks import frame_mask, masked_mean
from dubber_jax.types import EMOTIONS

WEIGHTS = {
  'intelligibility': 0.5,
  'phones': 0.5,
  'pitch': 0.5,
  'voicing': 0.2,
  'emotion': 1.0,
  'naturalness': 4.0,
  'speaker_similarity': 0.5,
  'av_sync': 0.5,
  'neutral_template': 0.5,
  'neutral_log_duration': 0.2,
}
NOT_ACTED = 0.2  # weight of the emotion loss on neutral speech outside acted corpora


def critic_losses(outputs: dict, batch: dict) -> dict[str, jax.Array]:
  """Named losses of a Critic's outputs, each a mean; `total` is their weighted sum. Beside them accuracies
  (`accuracy/`) and `f0_error` in semitones.

  intelligibility: CTC; phones: framewise cross-entropy with the alignment; pitch: cross-entropy with F0 classes,
  linearly interpolated; speaker_similarity: contrastive over the batch's references; neutral_template and
  neutral_log_duration: absolute error on neutral speech; the others: cross-entropy or squared error of one head.
  """
  mask = frame_mask(batch['durations'], batch['mel'].shape[1])
  half = mask[:, ::SUBSAMPLING]
  transcribed, unedited = batch['transcribed'], ~batch['edited']
  likelihood = phone_log_likelihood(outputs['phones'], half, batch['phonemes'], batch['durations'])
  losses = {'intelligibility': masked_mean(-likelihood, transcribed)}
  target = phones_of_frames(batch)[:, ::SUBSAMPLING]
  losses['phones'] = masked_mean(
    optax.softmax_cross_entropy_with_integer_labels(outputs['phones'], target), half & (target > 0)
  )
  pitch, voiced = batch['pitch'][:, ::SUBSAMPLING], batch['voiced'][:, ::SUBSAMPLING]
  losses['pitch'] = masked_mean(optax.softmax_cross_entropy(outputs['pitch'], PITCH.soft_targets(pitch)), half & voiced)
  losses['voicing'] = masked_mean(optax.sigmoid_binary_cross_entropy(outputs['voicing'], 1.0 * voiced), half)
  weight = jnp.where(batch['acted'], 1.0, NOT_ACTED) * (batch['quality'] > 0.5) * transcribed * unedited
  smooth = optax.smooth_labels(jax.nn.one_hot(batch['emotion'], len(EMOTIONS)), 0.1)
  each = optax.softmax_cross_entropy(outputs['emotion'], smooth)
  losses['emotion'] = (each * weight).sum() / jnp.maximum(weight.sum(), 1.0)
  naturalness = jax.nn.sigmoid(outputs['naturalness'])
  losses['naturalness'] = masked_mean(jnp.square(naturalness - batch['quality']), unedited)
  cosine = outputs['speaker_embedding'] @ outputs['reference_embedding'].T * 10.0
  same = batch['speaker'][:, None] == batch['speaker'][None]
  each = jax.nn.logsumexp(cosine, axis=1) - jax.nn.logsumexp(jnp.where(same, cosine, -1e9), axis=1)
  losses['speaker_similarity'] = each.mean()
  tracked = batch['mouth_known']
  losses['av_sync'] = masked_mean(
    optax.sigmoid_binary_cross_entropy(outputs['av_sync'], 1.0 * batch['in_sync']), tracked
  )
  neutral = (batch['emotion'] == EMOTIONS.index('neutral')) & (batch['quality'] == 1.0) & transcribed & unedited
  residual = jnp.abs(outputs['neutral_template'] - batch['mel']).mean(-1)
  losses['neutral_template'] = masked_mean(residual, mask & neutral[:, None])
  spoken = (batch['durations'] > 0) & neutral[:, None] & (jnp.asarray(PHONE_OF)[batch['phonemes']] > 0)
  residual = jnp.abs(outputs['neutral_log_duration'] - jnp.log(batch['durations'] + 1.0))
  losses['neutral_log_duration'] = masked_mean(residual, spoken)
  losses['total'] = sum(weight * losses[name] for name, weight in WEIGHTS.items())
  acted = batch['acted'] & (batch['quality'] > 0.5)
  f0_error = jnp.abs(outputs['f0_semitones'] - PITCH.semitones(PITCH.index_of(pitch)))
  return losses | {
    'accuracy/emotion': masked_mean(1.0 * (outputs['emotion'].argmax(-1) == batch['emotion']), acted),
    'accuracy/av_sync': masked_mean(1.0 * ((outputs['av_sync'] > 0) == batch['in_sync']), tracked),
    'accuracy/phones': masked_mean(1.0 * (outputs['phones'].argmax(-1) == target), half & (target > 0)),
    'f0_error': masked_mean(f0_error, half & voiced),
  }


def phones_of_frames(batch: dict[str, Any]) -> jax.Array:
  """(B, T) int: the phone class of each frame by the durations, 0 in silence and padding."""
  ends = jnp.cumsum(batch['durations'], axis=1)
  frame = jnp.arange(batch['mel'].shape[1])
  place = (frame[None, :, None] >= ends[:, None]).sum(-1)
  phones = jnp.asarray(PHONE_OF)[batch['phonemes']]
  return jnp.take_along_axis(jnp.pad(phones, ((0, 0), (0, 1))), jnp.minimum(place, phones.shape[1]), axis=1)
