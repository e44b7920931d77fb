"""Critic guidance: scores of a frozen critic on synthesized takes with random emotions, as losses of the actor.

Acted corpora are small, of two sentences; a critic trained on them scores the emotion of any line in any voice. It is
applied to mels that the actor synthesizes with the durations of the recording.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from dubber_jax.critic.inference import CriticModel, phone_log_likelihood
from dubber_jax.critic.model import SUBSAMPLING, Critic
from dubber_jax.data.batches import GUIDED_EMOTIONS
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.nn.masks import frame_mask
from dubber_jax.types import EMOTIONS

MIN_INTENSITY = 0.6  # of the drawn emotion: that of RAVDESS's recordings of normal intensity
TILT, LEVEL = 0.4, 0.3  # nepers: standard deviations of the spectral tilt and of the level that takes are augmented by
LABEL_SMOOTHING = 0.1  # as in the critic's training: takes need not be more certain than recordings
WEIGHTS = {'emotion': 1.0, 'intelligibility': 0.2, 'naturalness': 1.0}  # of guidance/ losses


def guidance_losses(synthesize: Callable, critic: CriticModel, batch: dict, key: jax.Array) -> dict[str, jax.Array]:
  """Losses of takes with randomly drawn emotions, means over items. synthesize(batch, durations, controls, num_frames)
  -> mel, pitch, emotion. The emotions, and the director's inputs for them, are those that data/batches.py has drawn as
  guided_*; a batch without them has all director nodes masked.

  `guidance/emotion`: cross-entropy of the critic's emotion with the drawn one, where the reference is neutral speech;
  `guidance/intelligibility`: negative log likelihood per phone; `guidance/naturalness`: squared distance from 1;
  `guidance`: their weighted sum; `guidance/accuracy`: of the emotion, where the reference is neutral speech.
  """
  count, frames = len(batch['mel']), batch['mel'].shape[1]
  emotion_key, intensity_key, dropout_key, tilt_key, level_key = jax.random.split(key, 5)
  emotion = batch.get('guided_emotion', jax.random.randint(emotion_key, (count,), 0, GUIDED_EMOTIONS))
  intensity = jax.random.uniform(intensity_key, (count, 1), minval=MIN_INTENSITY)
  masked = {name: jnp.zeros_like(batch[name]) for name in ('present', 'refs_present', 'sounds_present')}
  requested = batch | masked | {k.removeprefix('guided_'): v for k, v in batch.items() if k.startswith('guided_')}
  requested['domain'] = jnp.zeros_like(batch['domain'])
  requested['directed'] = jax.nn.one_hot(emotion, len(EMOTIONS)) * intensity
  mel, _, _ = synthesize(requested, batch['durations'], jnp.zeros((count, 3)).at[:, 1].set(1.0), frames)
  # Random spectral tilt, level and dropout in the critic, so that the actor cannot overfit to one critic.
  bands = jnp.linspace(-1.0, 1.0, mel.shape[-1])
  tilt = TILT * jax.random.normal(tilt_key, (count, 1, 1)) * bands
  tilt += LEVEL * jax.random.normal(level_key, (count, 1, 1))
  augmented = batch | {'mel': jnp.maximum(mel + tilt, LOG_FLOOR)}
  outputs = Critic(critic.sizes).apply({'params': critic.params}, augmented, True, rngs={'dropout': dropout_key})
  neutral = batch['reference_plain']
  target = optax.smooth_labels(jax.nn.one_hot(emotion, len(EMOTIONS)), LABEL_SMOOTHING)
  cross_entropy = optax.softmax_cross_entropy(outputs['emotion'], target)
  mask = frame_mask(batch['durations'], frames)
  likelihood = phone_log_likelihood(outputs['phones'], mask[:, ::SUBSAMPLING], batch['phonemes'], batch['durations'])
  losses = {
    'emotion': (cross_entropy * neutral).sum() / jnp.maximum(neutral.sum(), 1),
    'intelligibility': -likelihood.mean(),
    'naturalness': jnp.square(1.0 - jax.nn.sigmoid(outputs['naturalness'])).mean(),
  }
  right = (outputs['emotion'].argmax(-1) == emotion) & neutral
  total = sum(weight * losses[name] for name, weight in WEIGHTS.items())
  named = {f'guidance/{name}': value for name, value in losses.items()}
  return named | {'guidance': total, 'guidance/accuracy': right.sum() / jnp.maximum(neutral.sum(), 1)}
