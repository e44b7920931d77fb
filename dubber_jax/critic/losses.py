"""Losses of the critic: CTC of phones, F0 classes, and each score head against its labels."""

import jax
import jax.numpy as jnp
import optax

from dubber_jax.actor.losses import mean_where
from dubber_jax.critic.inference import phone_log_likelihood
from dubber_jax.critic.model import PHONE_OF, PITCH_CLASSES, SEMITONES, STEP, class_of_pitch
from dubber_jax.types import EMOTIONS

WEIGHTS = {
  'words': 0.5,
  'phones': 0.5,
  'pitch': 0.5,
  'voicing': 0.2,
  'emotion': 1.0,
  'natural': 4.0,
  'voice': 0.5,
  'together': 0.5,
  'usual': 0.5,
  'usual_length': 0.2,
}
ELSEWHERE = 0.2  # of the emotion loss of plain speech outside acted sets


def critic_losses(heard: dict, batch: dict) -> dict[str, jax.Array]:
  """Named losses of a Critic's outputs, each a mean; `total` is their weighted sum. Accuracies (`right/`) beside."""
  mask = jnp.arange(batch['mel'].shape[1]) < batch['durations'].sum(1, keepdims=True)
  half = mask[:, ::STEP]
  transcribed, unedited = batch['transcribed'], ~batch['edited']
  likelihood = phone_log_likelihood(heard['phones'], half, batch['phonemes'], batch['durations'])
  losses = {'words': mean_where(-likelihood, transcribed)}
  target = phones_of_frames(batch)[:, ::STEP]
  losses['phones'] = mean_where(
    optax.softmax_cross_entropy_with_integer_labels(heard['phones'], target), half & (target > 0)
  )
  pitch, voiced = batch['pitch'][:, ::STEP], batch['voiced'][:, ::STEP]
  near = jnp.maximum(1.0 - jnp.abs(jnp.arange(PITCH_CLASSES) - class_of_pitch(pitch)[..., None]), 0.0)
  losses['pitch'] = mean_where(optax.softmax_cross_entropy(heard['pitch'], near), half & voiced)
  losses['voicing'] = mean_where(optax.sigmoid_binary_cross_entropy(heard['voicing'], 1.0 * voiced), half)
  weight = jnp.where(batch['acted'], 1.0, ELSEWHERE) * (batch['quality'] > 0.5) * transcribed * unedited
  smooth = optax.smooth_labels(jax.nn.one_hot(batch['emotion'], len(EMOTIONS)), 0.1)
  each = optax.softmax_cross_entropy(heard['emotion'], smooth)
  losses['emotion'] = (each * weight).sum() / jnp.maximum(weight.sum(), 1.0)
  losses['natural'] = mean_where(jnp.square(jax.nn.sigmoid(heard['natural']) - batch['quality']), unedited)
  alike = heard['voice'] @ heard['reference_voice'].T * 10.0
  same = batch['speaker'][:, None] == batch['speaker'][None]
  each = jax.nn.logsumexp(alike, axis=1) - jax.nn.logsumexp(jnp.where(same, alike, -1e9), axis=1)
  losses['voice'] = each.mean()
  known = batch['mouth_known']
  losses['together'] = mean_where(optax.sigmoid_binary_cross_entropy(heard['together'], 1.0 * batch['together']), known)
  plain = (batch['emotion'] == EMOTIONS.index('neutral')) & (batch['quality'] == 1.0) & transcribed & unedited
  losses['usual'] = mean_where(jnp.abs(heard['usual'] - batch['mel']).mean(-1), mask & plain[:, None])
  spoken = (batch['durations'] > 0) & plain[:, None] & (jnp.asarray(PHONE_OF)[batch['phonemes']] > 0)
  losses['usual_length'] = mean_where(jnp.abs(heard['usual_length'] - jnp.log(batch['durations'] + 1.0)), spoken)
  losses['total'] = sum(weight * losses[name] for name, weight in WEIGHTS.items())
  acted = batch['acted'] & (batch['quality'] > 0.5)
  return losses | {
    'right/emotion': mean_where(1.0 * (heard['emotion'].argmax(-1) == batch['emotion']), acted),
    'right/together': mean_where(1.0 * ((heard['together'] > 0) == batch['together']), known),
    'right/phones': mean_where(1.0 * (heard['phones'].argmax(-1) == target), half & (target > 0)),
    'pitch_error': mean_where(jnp.abs(heard['height'] - class_of_pitch(pitch) * SEMITONES), half & voiced),
  }


def phones_of_frames(batch) -> jax.Array:
  """(B, T) int: the phone of each frame, 0 in silence and padding."""
  ends = jnp.cumsum(batch['durations'], axis=1)
  frame = jnp.arange(batch['mel'].shape[1])
  place = (frame[None, :, None] >= ends[:, None]).sum(-1)
  phones = jnp.asarray(PHONE_OF)[batch['phonemes']]
  return jnp.take_along_axis(jnp.pad(phones, ((0, 0), (0, 1))), jnp.minimum(place, phones.shape[1]), axis=1)
