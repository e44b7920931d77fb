"""Fine-tunes the emotion path of a base checkpoint with all other weights frozen, so that arms differ in direction
alone.

The emotion path is the director's graphs, the aggregators that attend to their nodes, the emotion head, and the
projection of a named emotion into the text. Pronunciation, voice, durations and decoder stay those of the base.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import optax

from dubber_jax.actor.config import AdversarialConfig, GuidanceConfig
from dubber_jax.config import Config
from dubber_jax.data.batches import VoiceBatches
from dubber_jax.data.config import DataConfig
from dubber_jax.inference.batch import Shape, empty_batch
from dubber_jax.inference.model import Model
from dubber_jax.storage.weights import flatten
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.task import Task, adamw
from dubber_jax.training.tasks.actor import voice_task

PATH = ('graphs', 'aggregators', 'emotion', 'join', 'directed')  # prefixes of parameter names
ANEW = ('graphs', 'aggregators')  # those initialized at random for arms with another architecture
SOURCES = ('ravdess', 'ravdess', 'kathleen')


def emotion_config(base: Config, name: str, steps: int, init_from: str = '', **director) -> Config:
  """Config that fine-tunes the base's emotion path for so many steps; `director`: settings that differ. init_from: the
  base's folder, for `dubber train`, which is not given the base itself."""
  return base.replace(
    name=name,
    task=dataclasses.replace(
      base.task,
      director=dataclasses.replace(base.task.director, **director),
      data=DataConfig(
        sources=SOURCES, buckets=(320,), frames_per_batch=3200, films=False, packed=base.task.data.packed
      ),
      adversarial=AdversarialConfig(),
      guidance=GuidanceConfig(),
    ),
    train=TrainConfig(
      steps=steps,
      learning_rate=1e-3,
      warmup_steps=min(20, steps // 5),
      decay_steps=steps // 2,
      ema=0.98,
      save_every=50,
      sample_every=10**9,
      init_from=init_from,
    ),
  )


def on_path(name: str) -> bool:
  return name.startswith(PATH)


def emotion_task(config: Config) -> Task:
  """`voice_task` whose optimizer updates the emotion path alone."""

  def optimizer():
    groups = {'path': adamw(config.train), 'rest': optax.set_to_zero()}
    return optax.partition(groups, lambda params: {name: 'path' if on_path(name) else 'rest' for name in params})

  return dataclasses.replace(voice_task(config), optimizer=optimizer)


def starting_weights(config: Config, base: Model, anew: bool) -> dict:
  """The base's weights in the parameter tree of `config`; `anew`: graphs and aggregators initialized by its seed.
  Parameters that have another shape in the base are initialized in any case."""
  from flax.traverse_util import unflatten_dict

  from dubber_jax.model import DirectorActor

  batch = empty_batch(config, Shape(1, 16, 8, 8, 16))
  drawn = jax.jit(DirectorActor(config).init)({'params': jax.random.key(config.seed)}, batch)['params']
  known = flatten(base.params)
  fits = {k: known.get(k) is not None and known[k].shape == v.shape for k, v in flatten(drawn).items()}
  chosen = {k: v if anew and k.startswith(ANEW) or not fits[k] else known[k] for k, v in flatten(drawn).items()}
  return unflatten_dict({tuple(k.split('/')): np.asarray(v) for k, v in chosen.items()})


def emotion_batches(config: Config, host: tuple[int, int]) -> VoiceBatches:
  """Batches of the packed features of the config's sources, made if missing; captions are generated from labels."""
  from data_pipelines.pack import pack_sources
  from dubber_jax.data.director_inputs import make_director_inputs

  sentences = Path(__file__).parents[3] / 'experiments' / 'data' / 'text_emotion.txt'
  inputs = make_director_inputs(config, None, sentences if sentences.exists() else None)
  return VoiceBatches(config, pack_sources(config.task.data.sources, config.task.data.packed), inputs, host=host)


def train_path(config: Config, base: Model, workdir: str | Path, anew: bool = False) -> Model:
  """The base with its emotion path trained by `config`, resumed where it was stopped. The model's path is its
  workdir."""
  from dubber_jax.training.checkpoints import last_step, load_weights
  from dubber_jax.training.loop import train

  if last_step(workdir) != config.train.steps:
    initial = None if last_step(workdir) is not None else (starting_weights(config, base, anew), {})
    train(config, emotion_task(config), emotion_batches(config, (0, 1)), workdir, initial)
  params = jax.tree.map(np.asarray, load_weights(workdir)[1])
  return dataclasses.replace(base, config=config, params=params, path=Path(workdir))
