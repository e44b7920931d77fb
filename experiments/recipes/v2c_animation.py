r"""Trains the published system, Authentic-Dubber, on the published features of V2C-Animation.

    dubber train experiments/recipes/v2c_animation.py --arm published --data FEATURES
    python -m dubber_jax.evaluation.benchmark.authentic_dubber experiments/recipes/v2c_animation.py --arm published \
      --data FEATURES

FEATURES is what StyleDubber's authors distribute as Phoneme_level_Feature (their README has the links), with the
emotion embeddings that Authentic-Dubber adds. Where the retrieval lists are missing, make them first:

    python -m data_pipelines.v2c_animation --lists FEATURES
    python -m data_pipelines.v2c_animation --check FEATURES      # which clips cannot be used, and why

Arm `silent` needs no emotion embeddings: StyleDubber's features alone. Arm `bfloat16` is `published` computed in
bfloat16, with parameters, norms and losses in float32. To try it out on random features:

    python -m data_pipelines.v2c_animation --random /tmp/features --clips 64
    dubber train experiments/recipes/v2c_animation.py --arm published --data /tmp/features --steps 3

The published recipe: batches of 32, two Adams at one rate that peaks at step 4,000, six losses, 1,000,000 steps, with
a checkpoint and Dub 1.0 of validation clips every 5,000. Expected time, estimated and not measured: a step takes about
4.3 TFLOP (batch 32 of 3-second clips, counted from the layers' sizes), so 30 hours where a GPU reaches 40 TFLOP/s in
float32; the released checkpoints are of step 47,000, an hour and a half. On two CPU cores a step takes half a minute.

Expected scores (the paper's row, arXiv 2511.14249; not measured here, for lack of the data): EMO-ACC 47.21,
WER 25.95, SECS 84.40, MCD-DTW-SL 9.68; with StyleDubber (near to `silent`) 45.73, 24.70, 83.46, 9.40. Those are of
sound; evaluation here prints other metrics, distances of mels and the accuracy of the model's own emotion head.
"""

import dataclasses

from data_pipelines.v2c_animation import open_setting, training_batches
from dubber_jax.authentic_dubber.config import TreeConfig
from dubber_jax.authentic_dubber.losses import published_task
from dubber_jax.config import Config, PublishedTask
from dubber_jax.evaluation.benchmark.authentic_dubber import dub_clips, measure
from dubber_jax.training.config import TrainConfig

task, batches = published_task, training_batches
WATCHED = 128  # validation clips in training; the table has all


def arms() -> dict[str, Config]:
  train = TrainConfig(steps=1_000_000, ema=0.0, log_every=100, save_every=5000, eval_every=5000, keep=3)
  published = Config(name='v2c_animation/published', task=PublishedTask(), train=train)
  silent = published.replace(name='v2c_animation/silent', task=PublishedTask(tree=TreeConfig(exemplars=0)))
  bfloat16 = dataclasses.replace(train, precision='bfloat16')
  faster = published.replace(name='v2c_animation/bfloat16', train=bfloat16)
  return {'published': published, 'silent': silent, 'bfloat16': faster}


def evaluate(config: Config, variables, setting: str = '') -> dict[str, float]:
  """dub1, dub2 or dub3 of all clips; without a setting dub1 of a few."""
  tree, found = open_setting(config.task.tree, setting or 'dub1')
  return measure(dub_clips(config, variables, tree, found.usable, found.lengths, 0 if setting else WATCHED))
