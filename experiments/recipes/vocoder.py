"""Trains the shipped vocoder: by spectral distances, then adversarially, then half on the actor's (GTA) mels.

    dubber train experiments/recipes/vocoder.py --arm distance              # 9,000 steps, 1 h on one CPU core
    dubber train experiments/recipes/vocoder.py --arm adversarial           # 12,000 steps, 4 h on one CPU core
    python -m data_pipelines.gta_mels cache/packed/*-???????? cache/teacher/shard_???? --model DIR
    dubber train experiments/recipes/vocoder.py --arm gta                   # 6,000 steps, 2 h on one CPU core

`distance` has the spectral energy distance as its only loss; a step costs a quarter of one with discriminators. Data:
some 300 speakers, of recordings, synthetic voices, and LibriSpeech, here without texts. `gta` uses recordings with
texts alone, since the actor has to synthesize them. docs/results/voice.md has the log.
"""

import dataclasses
import os

from data_pipelines.pack import pack_sound, pack_sources
from dubber_jax.config import Config, VocoderTask
from dubber_jax.data.config import SourceConfig
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.tasks.vocoder import VocoderBatches, vocoder_samples, vocoder_task
from dubber_jax.vocoder.config import VocoderConfig

SPEECH = ('teacher', 'kathleen', 'ljspeech', 'ljspeech', 'asterisk', 'ravdess', 'cache/teacher', 'librispeech', 'grid')
SPOKEN = ('teacher', 'kathleen', 'ljspeech', 'ljspeech', 'asterisk', 'ravdess', 'cache/teacher', 'grid')


def arms() -> dict[str, Config]:
  distance = Config(
    name='vocoder/distance',
    task=VocoderTask(
      vocoder=VocoderConfig(
        window=512, modulated=True, projections=2, energy_distance=True, adversarial=False, mel_weight=5.0,
        spectral_weight=5.0,
      ),
      data=SourceConfig(sources=SPEECH),
    ),
    train=TrainConfig(
      steps=9000, learning_rate=1e-3, warmup_steps=200, decay_steps=3000, clip_norm=10.0, ema=0.998, save_every=250,
    ),
  )  # fmt: skip
  adversarial = distance.replace(
    name='vocoder/adversarial',
    task=dataclasses.replace(
      distance.task, vocoder=dataclasses.replace(distance.task.vocoder, adversarial=True, periods=False)
    ),
    train=TrainConfig(
      steps=12000,
      learning_rate=3e-4,
      warmup_steps=100,
      decay_steps=3000,
      clip_norm=20.0,
      ema=0.999,
      save_every=250,
      init_from='runs/vocoder/distance',
    ),
  )
  gta = adversarial.replace(
    name='vocoder/gta',
    task=VocoderTask(vocoder=dataclasses.replace(adversarial.task.vocoder, gta=0.5), data=SourceConfig(sources=SPOKEN)),
    train=dataclasses.replace(
      adversarial.train, steps=6000, learning_rate=2e-4, decay_steps=2000, init_from='runs/vocoder/adversarial'
    ),
  )
  return {'distance': distance, 'adversarial': adversarial, 'gta': gta}


def sound(config: Config) -> list:
  """Packed folders of the sets, with texts where the actor's mels are needed, else of sound alone."""
  c, names = config.task.data, tuple(dict.fromkeys(config.task.data.sources))
  found = {}
  for name in names:
    spoken = config.task.vocoder.gta or os.sep in name
    found[name] = pack_sources([name], c.packed, 2) if spoken else [pack_sound(name, c.packed, workers=2)]
  return [folder for name in c.sources for folder in found[name]]


def batches(config: Config, host) -> VocoderBatches:
  return VocoderBatches(config, sound(config), host=host)


def task(config: Config):
  return vocoder_task(config, vocoder_samples(config, sound(config)))
