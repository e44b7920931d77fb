"""The critic's opinions as losses: the actor is asked for feelings in lines and voices that nobody recorded so.

There is little acted speech, of two sentences; a critic that has heard it can tell of any line in any voice whether the
feeling asked for is there. It is frozen, and hears what the actor would perform, at the pace of the recording.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from dubber_jax.critic.inference import CriticModel, phone_log_likelihood
from dubber_jax.critic.model import STEP, Critic
from dubber_jax.data.batches import GUIDED_EMOTIONS
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.types import EMOTIONS

LEAST = 0.6  # intensity asked for: from that of RAVDESS's normal recordings up
COLOR, LEVEL = 0.4, 0.3  # nepers, of a microphone's tilt and of its level: standard deviations
SURE_ENOUGH = 0.1  # what the critic was taught: nobody has to sound surer than recordings do
WEIGHTS = {'felt': 1.0, 'said': 0.2, 'natural': 1.0}


def guidance_losses(synthesize: Callable, critic: CriticModel, batch: dict, key: jax.Array) -> dict[str, jax.Array]:
  """Losses of takes by emotions drawn at random; means over items. perform(batch, durations, controls, num_frames) ->
  mel, pitch, emotion. The emotions, and what the director reads of them, are those that data/batches.py has drawn as
  guided_*; a batch without them has a silent director.

  `felt` is the cross-entropy of the emotion heard with the one asked for, where the voice's reference is plain speech;
  `said` the negative log likelihood of a phone; `natural` how far from a recording; `guidance` their weighted sum.
  """
  count, frames = len(batch['mel']), batch['mel'].shape[1]
  which, how, drop, colored, leveled = jax.random.split(key, 5)
  emotion = batch.get('guided_emotion', jax.random.randint(which, (count,), 0, GUIDED_EMOTIONS))
  intensity = jax.random.uniform(how, (count, 1), minval=LEAST)
  silent = {name: jnp.zeros_like(batch[name]) for name in ('present', 'refs_present', 'sounds_present')}
  asked = batch | silent | {k.removeprefix('guided_'): v for k, v in batch.items() if k.startswith('guided_')}
  asked['domain'] = jnp.zeros_like(batch['domain'])
  asked['directed'] = jax.nn.one_hot(emotion, len(EMOTIONS)) * intensity
  mel, _, _ = synthesize(asked, batch['durations'], jnp.zeros((count, 3)).at[:, 1].set(1.0), frames)
  # Heard through another microphone each time, by an ear of which parts are missing: what convinces it still, is there.
  bands = jnp.linspace(-1.0, 1.0, mel.shape[-1])
  tilt = COLOR * jax.random.normal(colored, (count, 1, 1)) * bands
  tilt += LEVEL * jax.random.normal(leveled, (count, 1, 1))
  listen = functools.partial(Critic(critic.sizes).apply, {'params': critic.params}, rngs={'dropout': drop})
  heard = listen(batch | {'mel': jnp.maximum(mel + tilt, LOG_FLOOR)}, True)
  plain = batch['reference_plain']
  wanted = optax.smooth_labels(jax.nn.one_hot(emotion, len(EMOTIONS)), SURE_ENOUGH)
  felt = optax.softmax_cross_entropy(heard['emotion'], wanted)
  mask = jnp.arange(frames) < batch['durations'].sum(1, keepdims=True)
  said = phone_log_likelihood(heard['phones'], mask[:, ::STEP], batch['phonemes'], batch['durations'])
  losses = {
    'felt': (felt * plain).sum() / jnp.maximum(plain.sum(), 1),
    'said': -said.mean(),
    'natural': jnp.square(1.0 - jax.nn.sigmoid(heard['natural'])).mean(),
  }
  right = (heard['emotion'].argmax(-1) == emotion) & plain
  total = sum(weight * losses[name] for name, weight in WEIGHTS.items())
  return losses | {'guidance': total, 'felt_right': right.sum() / jnp.maximum(plain.sum(), 1)}
