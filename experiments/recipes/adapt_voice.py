"""Adapts a model to one speaker: a few hundred fine-tuning steps on a few minutes of recordings.

    dubber train experiments/recipes/adapt_voice.py --data recordings/sam --workdir runs/sam
    dubber release runs/sam -o sam/ --voices sam=recordings/sam/one.wav
    dubber dub clip.mp4 --text "Is anybody there?" --model sam/ --voice sam -o dubbed.mp4

`--init-from` starts from another model than the shipped one. Where the sets that it was trained on are packed
(`--packed`, default cache/packed), every other batch is replayed from them, so that pronunciation is not lost; where
there are none, only the parameters conditioned on the voice are trained.

200 steps take about four minutes of a quiet CPU core, the first compilation included. Expect a speaker similarity
(GE2E) of about 0.8 from 45 s of a voice, against 0.5 to 0.7 without adaptation. Measured 2026-11-22 on two voices of
VCTK, by experiments/timing/adapt_voice.py; docs/how-to/adapt_voice.md has the table.
"""

import dataclasses
import os
from pathlib import Path

import jax

from data_pipelines.single_speaker import pack_voice
from dubber_jax.actor.config import GuidanceConfig
from dubber_jax.config import ActorTask, AdaptationTask, Config, difference
from dubber_jax.data.batches import BatchIterator, VoiceBatches, bucket_shapes
from dubber_jax.data.config import DataConfig
from dubber_jax.data.director_inputs import make_director_inputs
from dubber_jax.errors import BadInput
from dubber_jax.inference.model_directory import SHIPPED
from dubber_jax.training.checkpoints import read_config
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.task import Task
from dubber_jax.training.tasks.actor import voice_task

SENTENCES = Path(__file__).parents[1] / 'data' / 'text_emotion.txt'
KEPT = ('text', 'lip', 'graphs', 'aggregators', 'emotion')  # prefixes of what is independent of the voice
OWN = ('task.recordings', *(f'task.data.{n}' for n in ('packed', 'buckets', 'frames', 'reference_d', 'director_d')))
CONDITIONING = (
  'style',
  'gain_shift',
  'discriminators',
)  # what is trained without replay: it depends on the voice alone


def arms() -> dict[str, Config]:
  data = DataConfig(sources=(), buckets=(640,), frames_per_batch=1920)
  train = TrainConfig(
    steps=200,
    learning_rate=5e-4,
    warmup_steps=20,
    decay_steps=50,
    weight_decay=0.0,
    ema=0.98,
    log_every=25,
    save_every=50,
    init_from=str(SHIPPED),
  )
  return {'voice': Config(name='adapt_voice', task=AdaptationTask(data=data), train=train)}


def complete(config: Config) -> Config:
  """Config with the architecture of the initial model; the voice is the first source, then the replayed ones."""
  if not config.task.recordings:
    raise BadInput('say where the recordings of the voice are: --data FOLDER')
  check_overrides(config)
  base = read_config(config.train.init_from)
  own = pack_voice(config.task.recordings, config.task.data.packed)
  replayed = find_packed(config.task.data.packed, base.task.data.sources)
  print(
    'replayed: '
    + (', '.join(p.name for p in replayed) or 'nothing, so only what is conditioned on the voice is trained')
  )
  data = dataclasses.replace(
    config.task.data,
    sources=(str(own), *map(str, replayed)),
    films=base.task.data.films,
    director_inputs=base.task.data.director_inputs and bool(replayed),
    reference_frames=base.task.data.reference_frames,
  )
  network = {f.name: getattr(base.task, f.name) for f in dataclasses.fields(ActorTask)}
  # The critic that guided the base lies with those who trained it.
  changed = {'data': data, 'guidance': GuidanceConfig()}
  task = AdaptationTask(**network | changed, recordings=config.task.recordings)
  return config.replace(task=task)


def check_overrides(config: Config):
  """Raises BadInput for settings of the command line that `complete` would replace."""
  for changed in difference(arms()['voice'], config):
    if changed.startswith('task.') and not changed.startswith(OWN):
      name = changed.partition(':')[0]
      raise BadInput(f'{name} follows from the model to start from and the recordings: leave --{name} out')


def find_packed(folder, names) -> list[Path]:
  """Packed folders of the sets that exist, the newest of each; of a folder of shards, all."""
  found = []
  for name in names:
    if os.sep in name:
      found += [p for p in (Path(name), *sorted(Path(name).glob('shard_????'))) if (p / 'items.jsonl').exists()]
      continue
    made = [p for p in Path(folder).glob(f'{name}-????????') if (p / 'items.jsonl').exists()]  # not NAME-sound-*
    found += sorted(made, key=lambda p: (p / 'items.jsonl').stat().st_mtime)[-1:]
  return found


class Interleaved:
  """Interleaved batches of several sources: of n sources, batch i is of source i modulo n."""

  def __init__(self, sources):
    self.sources = sources

  def __len__(self) -> int:
    return len(self.sources) * min(map(len, self.sources))

  def __getitem__(self, index: int):
    turn, source = divmod(int(index), len(self.sources))
    return self.sources[source][turn]

  def iterator(self) -> BatchIterator:
    return BatchIterator(self, 0)


def batches(config: Config, host) -> Interleaved:
  own, *replayed = config.task.data.sources
  director_inputs = make_director_inputs(config, None, SENTENCES) if config.task.data.director_inputs else None
  # The voice is there so many times that a single recording fills a batch.
  voice = VoiceBatches(config, [own] * max(shape.items for shape in bucket_shapes(config)), director_inputs, host=host)
  return Interleaved([voice, *([VoiceBatches(config, replayed, director_inputs, host=host)] if replayed else [])])


def task(config: Config) -> Task:
  """The actor's task with some parameters frozen."""
  base, alone = voice_task(config), len(config.task.data.sources) == 1

  def is_trained(path) -> bool:
    names = [key.key for key in path]
    return any(name in CONDITIONING for name in names) if alone else not names[0].startswith(KEPT)

  def loss(params, batch, key):
    frozen = jax.tree.map_with_path(lambda path, p: p if is_trained(path) else jax.lax.stop_gradient(p), params)
    return base.loss(frozen, batch, key)

  return dataclasses.replace(base, loss=loss)
