"""Trains the shipped dialogue separator on mixtures of speech with music, effects and noises, made on the fly.

    apt-get download wesnoth-1.16-music singularity-music ...      # docs/how-to/background.md lists the packages
    dpkg-deb -x wesnoth-1.16-music_*.deb sounds/wesnoth-1.16-music # one folder a package; unzip the .pk3 files there
    python -m data_pipelines.dialogue_mixtures speech -o cache/mixtures/speech
    python -m data_pipelines.dialogue_mixtures beds sounds -o cache/mixtures/beds
    dubber train experiments/recipes/separator.py
    python experiments/tables/separator.py --run runs/separator/separator --bias -1.1 --ship  # writes the assets

Nothing of the sounds is in the repository. One core is enough; a step takes 0.5 s of it. Expect the figures of
docs/results/separator.md.
"""

from data_pipelines.mixer import open_mixer
from dubber_jax.config import Config, SeparatorTask
from dubber_jax.separation.config import SeparatorConfig
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.tasks.separator import SeparatorBatches, separator_task


def arms() -> dict[str, Config]:
  train = TrainConfig(
    steps=2600,
    learning_rate=2e-3,
    warmup_steps=100,
    decay_steps=2000,
    clip_norm=5.0,
    ema=0.998,
    save_every=100,
  )
  return {'separator': Config(name='separator', task=SeparatorTask(separator=SeparatorConfig()), train=train)}


def batches(config: Config, host) -> SeparatorBatches:
  return SeparatorBatches(config, open_mixer('train'), host)


def task(config: Config):
  return separator_task(config, open_mixer('development'))
