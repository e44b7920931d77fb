"""Evaluation of the published system in its three settings (paper, Dub 1.0 to 3.0), which differ in the reference
voice: the clip's own sound, another recording of the same speaker, or an unseen speaker.

    python -m dubber_jax.evaluation.benchmark.authentic_dubber experiments/recipes/v2c_animation.py --arm published

The metrics need no further model: distances of mels, and the accuracy of the model's own emotion head on its takes.
(The paper's EMO-ACC is by another classifier, of the sound, and its MCD is of sound.)
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dubber_jax.authentic_dubber.batches import bucket, collate_to_shape
from dubber_jax.authentic_dubber.model import synthesize
from dubber_jax.config import Config
from dubber_jax.errors import BadInput, exit_code
from dubber_jax.evaluation.metrics.mel_distance import mel_distance

FRAME_STEP = 128  # a take's frames are padded to multiples of it, so that few programs are compiled
METRICS = ('mel_distance', 'mel_distance_dtw', 'mel_distance_dtw_sl', 'emotion_accuracy')
HEADINGS = {'dub1': 'Dub 1.0', 'dub2': 'Dub 2.0', 'dub3': 'Dub 3.0'}


@dataclass(frozen=True)
class Dub:
  """A clip's take and its recording, both natural-log mels (T, 80)."""

  name: str
  mel: np.ndarray
  recording: np.ndarray
  emotion: int
  predicted: int  # emotion of the take by the model's head


def dub_clips(
  config: Config, variables: Any, tree: Any, usable: Sequence[int], lengths: np.ndarray, most: int = 0
) -> Iterator[Dub]:
  """Synthesizes a tree's clips in the listing's order and in batches of `tree.batch`, as the released code does: with
  padding 'published' a take depends on its batch. `most`: so many clips; 0: all. Arguments as of TreeBatches."""
  usable, lengths = np.asarray(usable)[: most or None], np.asarray(lengths)[: most or None]
  size = config.task.tree.batch
  for first in range(0, len(usable), size):
    items = [tree.item(int(i)) for i in usable[first : first + size]]
    longest = lengths[first : first + size].max(0)
    batch = collate_to_shape(items, bucket(longest, len(items)), max(config.task.tree.exemplars, 1))
    take = synthesize(config.task.published, variables, batch, FRAME_STEP)
    for row, item in enumerate(items):
      mel = np.asarray(take['finished'][row, : int(take['length'][row])])
      yield Dub(item['id'], mel, item['mel'], int(item['emotion_id']), int(take['emotion'][row].argmax()))


def measure(dubs: Iterable[Dub]) -> dict[str, float]:
  """Means over dubs of METRICS (mel distances in dB), and the number of clips.

  A take without frames, where all predicted durations are zero, is compared as one frame of silence.
  """
  from dubber_jax.media.mel import LOG_FLOOR

  rows = []
  for dub in dubs:
    mel = dub.mel if len(dub.mel) else np.full((1, dub.recording.shape[1]), LOG_FLOOR)
    rows.append(mel_distance(dub.recording, mel) | {'emotion_accuracy': float(dub.predicted == dub.emotion)})
  if not rows:
    raise BadInput('no clips to measure')
  return {name: float(np.mean([row[name] for row in rows])) for name in METRICS} | {'clips': len(rows)}


def main(arguments: Sequence[str] | None = None) -> int:
  from dubber_jax.training.checkpoints import load_collections, load_weights
  from dubber_jax.training.experiment import read_experiment

  parser = argparse.ArgumentParser(prog='python -m dubber_jax.evaluation.benchmark.authentic_dubber')
  parser.add_argument('experiment', help='a file of experiments/')
  parser.add_argument('--arm', help='default: the first')
  parser.add_argument('--workdir', help='default: runs/EXPERIMENT/ARM')
  parser.add_argument('--data', help="folder of the features (default: the experiment's)")
  parser.add_argument('--settings', nargs='+', choices=HEADINGS, default=['dub2', 'dub3', 'dub1'])
  given = parser.parse_args(arguments)

  def action() -> None:
    experiment = read_experiment(given.experiment)
    arm = given.arm or next(iter(experiment.arms))
    if arm not in experiment.arms or not experiment.evaluate:
      raise BadInput(f'{given.experiment} has no arm {arm!r} to evaluate: it has {", ".join(experiment.arms)}')
    config = experiment.arms[arm].with_data(given.data)
    workdir = given.workdir or Path('runs') / Path(given.experiment).stem / arm
    step, params = load_weights(workdir)
    variables = {'params': params, **load_collections(workdir, step)}
    print(f'{arm}, step {step}')
    print(f'{"":10}' + ''.join(f'{name:>22}' for name in (*METRICS, 'clips')))
    for setting in given.settings:
      found = experiment.evaluate(config, variables, setting)
      print(f'{HEADINGS[setting]:10}' + ''.join(f'{found[name]:22.3f}' for name in METRICS) + f'{found["clips"]:22d}')

  return exit_code(action)


if __name__ == '__main__':
  sys.exit(main())
