r"""Trains the published system, Authentic-Dubber, on the published features of GRID.

    dubber train experiments/recipes/grid.py --arm silent --data FEATURES
    python -m dubber_jax.evaluation.benchmark.authentic_dubber experiments/recipes/grid.py --arm silent \
      --data FEATURES --settings dub1

FEATURES is what StyleDubber's authors distribute as 0_Grid_Wav_22050_Abs_Feature. It has no emotion embeddings and
GRID no acted emotion, so the director of arm `silent` gets zeros and every clip is labeled neutral; arm `published`
takes embeddings and lists where they have been added under the names of V2C-Animation's. Sizes, weights of the losses
and the batch of 64 are those of StyleDubber's GRID config; Authentic-Dubber has published none. To try it out:

    python -m data_pipelines.v2c_animation --random /tmp/grid --layout grid --clips 128
    dubber train experiments/recipes/grid.py --arm silent --data /tmp/grid --steps 3

Expected time, estimated and not measured: twice that of experiments/recipes/v2c_animation.py a step; StyleDubber's
checkpoint is of step 72,500. Expected scores (StyleDubber's, as others report them; not measured here): LSE-C 6.12, WER
18.88, UTMOS 3.73. These are of sound; evaluation here prints distances of mels.
"""

from data_pipelines.v2c_animation import open_setting, training_batches
from dubber_jax.authentic_dubber.config import PublishedConfig, PublishedLossConfig, TreeConfig
from dubber_jax.authentic_dubber.losses import published_task
from dubber_jax.config import Config, PublishedTask
from dubber_jax.evaluation.benchmark.authentic_dubber import dub_clips, measure
from dubber_jax.training.config import TrainConfig

task, batches = published_task, training_batches
WATCHED = 128  # validation clips in training; the table has all


def arms() -> dict[str, Config]:
  published = Config(
    name='grid/published',
    task=PublishedTask(
      published=PublishedConfig(cross_layers=12, decoder_heads=8),
      loss=PublishedLossConfig(mel=6.5, finished=6.5, diagonal=2.0, emotion=0.1, band=4),
      tree=TreeConfig(root='data/grid', layout='grid', dub3='', batch=64),
    ),
    train=TrainConfig(steps=1_000_000, ema=0.0, log_every=100, save_every=5000, eval_every=5000, keep=3),
  )
  tree = TreeConfig(root='data/grid', layout='grid', dub3='', batch=64, exemplars=0)
  return {'silent': published.replace(name='grid/silent').with_task(tree=tree), 'published': published}


def evaluate(config: Config, variables, setting: str = '') -> dict[str, float]:
  """dub1 or dub2 of all clips; without a setting dub1 of a few."""
  tree, found = open_setting(config.task.tree, setting or 'dub1')
  return measure(dub_clips(config, variables, tree, found.usable, found.lengths, 0 if setting else WATCHED))
