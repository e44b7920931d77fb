"""Throughput of the input pipeline against the training step, and its memory.

    OMP_NUM_THREADS=1 python experiments/timing/input_pipeline.py            # random items: 10 min on 2 CPU cores
    python experiments/timing/input_pipeline.py cache/packed/*[0-9a-f]       # the real ones
    python experiments/timing/input_pipeline.py --items 5000 --steps 2       # quicker

The same items are read packed and as array_record, with the director's nodes as in training; the step is that of the
actor at its own size on the same machine, in the same run. Memory is the process's own; mapped file pages, which the
system reclaims when needed, are counted apart. Expect at least 20 items delivered for one trained, and memory constant
to 2 % over the second half of the items. Measured figures: docs/results/training.md.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from dubber_jax.config import Config
from dubber_jax.data.batches import TRAINING_SPLITS, VoiceBatches
from dubber_jax.data.director_inputs import PER_EMOTION, DirectorInputs
from dubber_jax.data.packed import PackedSet, write_packed
from dubber_jax.retrieval.library import Library
from dubber_jax.training.sharding import make_mesh
from dubber_jax.training.step import create_state, jit_step
from dubber_jax.training.tasks.actor import voice_task
from dubber_jax.types import EMOTIONS, MODALITIES


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folders', nargs='*', help='packed sets (default: 2,000 random items)')
  parser.add_argument('--items', type=int, default=100_000, help='how many are delivered')
  parser.add_argument('--steps', type=int, default=6, help='how many are trained')
  parser.add_argument('--workers', type=int, default=0, help='processes that read (0: a thread)')
  parser.add_argument('--json', type=Path, help='write the figures here too')
  options = parser.parse_args()

  config = Config()
  with tempfile.TemporaryDirectory() as scratch:
    folders = [Path(f) for f in options.folders] or [random_items(Path(scratch) / 'packed')]
    director_inputs = random_director_inputs(config)
    results = {}
    prepared = [as_records(f, Path(scratch) / f'records{i}') for i, f in enumerate(folders)]
    for kind, sets in {'packed': folders, 'array_record': prepared}.items():
      batches = VoiceBatches(config, sets, director_inputs)
      results[kind] = deliver(batches, options.items, options.workers)
    results['trained_items_per_second'] = train(config, batches, options.steps)
  for kind in ('packed', 'array_record'):
    ratio = results[kind]['items_per_second'] / results['trained_items_per_second']
    results[kind]['delivered_for_one_trained'] = ratio
    print(
      f'{kind}: {results[kind]["items_per_second"]:.0f} items/s delivered, {ratio:.0f} for one trained; '
      f'own memory grew by {100 * results[kind]["growth"]:.2f} % over the second half'
    )
  print(f'trained: {results["trained_items_per_second"]:.2f} items/s')
  if options.json:
    options.json.write_text(json.dumps(results, indent=2) + '\n')


def random_items(folder: Path, count: int = 2000) -> Path:
  """Packed set of random items of 2 to 6 s, a third of them with lips, by 20 speakers."""
  rng = np.random.default_rng(0)

  def items():
    for i in range(count):
      frames = int(rng.integers(170, 520))
      phonemes, lips = frames // 7, frames * 25 // 86 if i % 3 == 0 else 0
      cuts = np.sort(rng.choice(np.arange(1, frames), phonemes - 1, replace=False))
      row = {
        'key': f'made-up/{i % 20}/{i}',
        'set': 'ravdess',
        'speaker': f'{i % 20}',
        'text': '',
        'emotion': EMOTIONS[i % 8],
        'split': 'train',
      }
      yield (
        row,
        {
          'mel': rng.integers(0, 255, (frames, 80)),
          'pitch': rng.uniform(80, 300, frames),
          'phonemes': rng.integers(1, 90, phonemes),
          'durations': np.diff(cuts, prepend=0, append=frames),
          'lips': rng.normal(0, 1, (lips, 82)),
          'lip_present': np.ones(lips, bool),
          'speaker': rng.normal(0, 0.06, 256),
        },
      )

  write_packed(folder, items())
  return folder


def as_records(folder: Path, out: Path) -> Path:
  """The same items as array_record."""
  import tensorflow_datasets as tfds

  from data_pipelines.builders import RecordingsBuilder
  from dubber_jax.data.packed import KINDS

  packed = PackedSet(folder)

  class Packed(RecordingsBuilder, skip_registration=True):
    """A packed set."""

    def _split_generators(self, dl_manager):
      self.info.metadata['skipped'] = []
      return {split: self._generate(split) for split in set(packed.splits.tolist()) & set(TRAINING_SPLITS)}

    def _generate(self, split):
      for i in np.flatnonzero(packed.splits == split):
        row, spans = dict(packed.rows[i]), packed.rows[i]['spans']
        del row['spans']
        row['voice'] = row.pop('speaker')
        cut = {'speaker': i, 'phonemes': 'phonemes', 'durations': 'phonemes', 'lips': 'lips', 'lip_present': 'lips'}
        where = {name: cut.get(name, 'mel') for name in KINDS}
        where = {name: slice(*spans[w]) if isinstance(w, str) else w for name, w in where.items()}
        yield str(i), row | {name: np.array(packed.arrays[name][where[name]]) for name in KINDS}

  tfds.disable_progress_bar()
  builder = Packed(data_dir=str(out))
  builder.download_and_prepare(
    download_dir=str(out / 'downloads'), download_config=tfds.download.DownloadConfig(manual_dir=str(folder))
  )
  return Path(builder.data_dir)


def random_director_inputs(config: Config) -> DirectorInputs:
  """Director inputs of random embeddings, whose values do not affect the cost of drawing from them."""
  rng = np.random.default_rng(0)
  widths = {m: getattr(config.task.features, f'{m}_width') for m in MODALITIES}
  return DirectorInputs(
    config,
    Library.open(None),
    {m: rng.normal(0, 1, (len(EMOTIONS), PER_EMOTION, width)).astype(np.float32) for m, width in widths.items()},
  )


def deliver(batches: VoiceBatches, count: int, workers: int) -> dict:
  """Reads `count` items. Memory (MB) at every tenth of them: the process's own, and that of mapped files."""
  iterator = batches.iterator(workers)
  next(iterator)  # start-up is not measured
  items, course, began = 0, [], time.perf_counter()
  while items < count:
    items += len(next(iterator)['emotion'])
    if items >= count * (len(course) + 1) / 10:
      own, files = memory()
      course.append({'items': items, 'own': own, 'files': files, 'seconds': time.perf_counter() - began})
      print(f'{items:7} items {course[-1]["seconds"]:7.1f} s {own:7.1f} MB own {files:7.1f} MB of files', flush=True)
  iterator.close()
  own = [row['own'] for row in course]
  growth = own[-1] / own[len(own) // 2 - 1] - 1
  return {'items_per_second': items / course[-1]['seconds'], 'growth': growth, 'course': course}


def memory() -> tuple[float, float]:
  rows = dict(row.split(':', 1) for row in Path('/proc/self/status').read_text().splitlines())
  return tuple(int(rows[name].split()[0]) / 1024 for name in ('RssAnon', 'RssFile'))


def train(config: Config, batches: VoiceBatches, steps: int) -> float:
  """Items a second of the training step alone, over the buckets in their order, without compilation."""
  task, mesh = voice_task(config), make_mesh(config.mesh)
  state, shardings = create_state(config, task, batches[0], mesh)
  step = jit_step(config, task, mesh, shardings)
  drawn = [batches[i] for i in range(steps)]
  for batch in {b['mel'].shape: b for b in drawn}.values():
    state, _ = jax.block_until_ready(step(state, batch))
  began = time.perf_counter()
  for batch in drawn:
    state, _ = step(state, batch)
  jax.block_until_ready(state)
  return sum(len(b['emotion']) for b in drawn) / (time.perf_counter() - began)


if __name__ == '__main__':
  main()
