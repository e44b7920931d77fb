"""The shipped vocoder, a source-filter one: by spectral losses, then against discriminators, then on the actor's mels.

    python -m data_pipelines.waves cache/packed/*                   # the sound behind the packed features, minutes
    dubber train experiments/vocoder.py --arm spectral              # 2,000 steps, 10 min on one CPU core
    dubber train experiments/vocoder.py --arm adversarial           # 9,000 steps, 3 h on one CPU core
    python -m data_pipelines.performed cache/packed/*-???????? --model DIR
    dubber train experiments/vocoder.py --arm performed             # 2,000 steps, 40 min on one CPU core
    dubber train experiments/vocoder.py --arm further               # 2,400 more, from the vocoder that ships

Packed features are those of experiments/first_voice.py, made by its training. Expect distillMOS 2.9 on everyday lines
of the first voice (Griffin-Lim 2.3) after 1,750 steps of `adversarial`. Measured 2026-11-22; docs/voice.md has the log.
"""

import dataclasses

from data_pipelines.pack import pack_set
from data_pipelines.waves import pack_waves
from dubber_jax.config import Config, DataConfig, TrainConfig, VocoderConfig
from dubber_jax.model_directory import SHIPPED
from dubber_jax.training.vocoder import VocoderBatches, vocoder_samples, vocoder_task

SPEECH = ('teacher', 'kathleen', 'ljspeech', 'asterisk', 'ravdess')


def arms() -> dict[str, Config]:
  spectral = Config(
    name='vocoder/spectral',
    task='vocoder',
    data=DataConfig(sources=SPEECH),
    vocoder=VocoderConfig(adversarial=False),
    train=TrainConfig(
      steps=2000, learning_rate=1e-3, warmup_steps=100, decay_steps=1, clip_norm=5.0, ema=0.995, save_every=250
    ),
  )
  adversarial = spectral.replace(
    name='vocoder/adversarial',
    vocoder=VocoderConfig(),
    train=TrainConfig(
      steps=9000, learning_rate=4e-4, warmup_steps=100, decay_steps=1500, clip_norm=20.0, ema=0.998, save_every=250,
      init_from='runs/vocoder/spectral',
    ),
  )  # fmt: skip
  performed = adversarial.replace(
    name='vocoder/performed',
    vocoder=VocoderConfig(performed=0.5),
    train=dataclasses.replace(
      adversarial.train, steps=2000, learning_rate=2e-4, init_from='runs/vocoder/adversarial'
    ),
  )  # fmt: skip
  further = performed.replace(
    name='vocoder/further',
    vocoder=VocoderConfig(performed=0.4),
    train=dataclasses.replace(
      adversarial.train, steps=2400, learning_rate=3e-4, decay_steps=800, init_from=str(SHIPPED)
    ),
  )  # fmt: skip
  return {'spectral': spectral, 'adversarial': adversarial, 'performed': performed, 'further': further}


def sound(config: Config) -> list:
  """The packed sets, with their sound beside them."""
  folders = [pack_set(name, config.data.packed, workers=2) for name in config.data.sources]
  for folder in folders:
    pack_waves(folder)
  return folders


def batches(config: Config, host) -> VocoderBatches:
  return VocoderBatches(config, sound(config), host=host)


def task(config: Config):
  return vocoder_task(config, vocoder_samples(config, sound(config)))
