"""Configurations of networks that compile and run in seconds."""

from dubber_jax.actor.config import ActorConfig
from dubber_jax.director.config import DirectorConfig

SMALL_DIRECTOR = DirectorConfig(width=16)
SMALL_ACTOR = ActorConfig(
  width=16,
  text_layers=1,
  style_width=16,
  condition_width=16,
  lip_width=16,
  lip_layers=1,
  prosody_layers=1,
  prosody_width=16,
  decoder_layers=1,
  postnet_width=16,
)
