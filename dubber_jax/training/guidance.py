"""The critic's opinions as losses: the actor is asked for feelings in lines and voices that nobody recorded so.

There is little acted speech, of two sentences; a critic that has heard it can tell of any line in any voice whether the
feeling asked for is there. It is frozen, and hears what the actor would perform, at the pace of the recording.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from dubber_jax.clip import EMOTIONS
from dubber_jax.director.critic import STEP, Critic
from dubber_jax.director.listening import Listener, phone_log_likelihood

FELT = len(EMOTIONS) - 1  # nobody knows how 'others' sound
LEAST = 0.6  # intensity asked for: from that of RAVDESS's normal recordings up
WEIGHTS = {'felt': 1.0, 'said': 0.2, 'natural': 1.0}


def guidance_losses(perform: Callable, critic: Listener, batch: dict, key: jax.Array) -> dict[str, jax.Array]:
  """Losses of takes by emotions drawn at random, with no reading; means over items. perform(batch, durations,
  controls, num_frames) -> mel, pitch, emotion.

  `felt` is the cross-entropy of the emotion heard with the one asked for, where the voice's reference is plain speech;
  `said` the negative log likelihood of a phone; `natural` how far from a recording; `guidance` their weighted sum.
  """
  count, frames = len(batch['mel']), batch['mel'].shape[1]
  which, how = jax.random.split(key)
  emotion = jax.random.randint(which, (count,), 0, FELT)
  intensity = jax.random.uniform(how, (count, 1), minval=LEAST)
  asked = batch | {name: jnp.zeros_like(batch[name]) for name in ('present', 'refs_present', 'sounds_present')}
  asked['directed'] = jax.nn.one_hot(emotion, len(EMOTIONS)) * intensity
  mel, _, _ = perform(asked, batch['durations'], jnp.zeros((count, 3)).at[:, 1].set(1.0), frames)
  heard = Critic(critic.sizes).apply({'params': critic.params}, batch | {'mel': mel})
  plain = batch['reference_plain']
  felt = optax.softmax_cross_entropy_with_integer_labels(heard['emotion'], emotion)
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
