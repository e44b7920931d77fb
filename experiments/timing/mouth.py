"""Timing by the lips: GRID's sentences dubbed to their own pictures, against their own sound.

    python experiments/timing/mouth.py         # 26 held-out films of the training speaker, 26 of others; 10 min
    python experiments/timing/mouth.py --each 5 --group s4

Of the window of visual voice activity: median error of its start and end. Of the dubbed line: median error of word
onsets, and the offset by the judge of lip sync; with the window alone, and with phonemes timed by visemes. One take, no
director, a shipped voice; word times of the film's own sound by forced alignment. 95 % intervals over films.
"""

import argparse
import contextlib
from dataclasses import dataclass
from unittest import mock

import numpy as np
from tqdm import tqdm

from data_pipelines.recordings import Recording, read_recordings
from dubber_jax.dubbing.line import dub_line
from dubber_jax.dubbing.request import LineTask
from dubber_jax.dubbing.result import words_of
from dubber_jax.evaluation.benchmark.benchmark import without_director
from dubber_jax.evaluation.benchmark.judgements import open_judge
from dubber_jax.evaluation.bootstrap import interval
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import load
from dubber_jax.media.loudness import normalize_loudness
from dubber_jax.media.sound import read_sound
from dubber_jax.media.video import read_frames
from dubber_jax.perception.analyze import follow_mouth
from dubber_jax.perception.visual_vad import speech_window, visual_vad
from dubber_jax.script.alignment import align
from dubber_jax.types import SAMPLE_RATE, Clip, Line

DAMAGED = ('grid/s1/sgib8n', 'grid/s4/bbaf2a')
WOMEN = ('s4',)
SYSTEMS = ('window', 'window and visemes')


@dataclass(frozen=True)
class Timed:
  """Timing errors of one film, in ms: of the window (start, end); of word onsets by system; offset by system, and
  `own`, that of the film's own sound, by the judge of lip sync."""

  window: np.ndarray
  words: dict[str, np.ndarray]
  offset: dict[str, float]
  own: float


def films(each: int) -> dict[str, list[Recording]]:
  recordings = [r for r in read_recordings('grid') if r.key not in DAMAGED]
  held_back = [r for r in recordings if r.split == 'test']
  unseen = [r for r in recordings if r.split == 'test_unseen']
  return {
    's1, held out': held_back[:: max(1, len(held_back) // each)][:each],
    's3, s5: development': [r for r in unseen if r.speaker in ('s3', 's5')][:each],
    's2, s4: unseen': [r for r in unseen if r.speaker in ('s2', 's4')][:each],
  }


def measured(model: Model, film: Recording, judge) -> Timed:
  frames, seconds = read_frames(film.path)
  own = align(read_sound(film.path, 16000), film.text).words
  window = speech_window(visual_vad(follow_mouth(frames)))
  apart = np.subtract(window, (own[0][0], own[-1][1])) if window else np.full(2, np.nan)
  voice = model.voices['kathleen' if film.speaker in WOMEN else 'joe']

  def offset_of(wave):
    return abs(judge(normalize_loudness(wave, SAMPLE_RATE), SAMPLE_RATE, film.path)['late'])

  words, offset = {}, {}
  for system in SYSTEMS:
    as_it_was = mock.patch('dubber_jax.rehearsal.time_by_lips', lambda symbols, _, durations, *__: (symbols, durations))
    with as_it_was if system == 'window' else contextlib.nullcontext():
      done = dub_line(model, None, LineTask(Line(film.text), voice, Clip(frames, seconds, str(film.path)), seconds))
    words[system] = 1000 * np.array([a[0] - b[0] for a, b in zip(words_of(done.take, done.phonemes), own, strict=True)])
    offset[system] = offset_of(done.take.waveform)
  return Timed(1000 * apart, words, offset, offset_of(read_sound(film.path, SAMPLE_RATE)))


def median_error(errors) -> float:
  return float(np.nanmedian(np.abs(errors)))


def rows(name: str, found: list[Timed]) -> list[str]:
  def show(values):
    return interval(median_error, np.array(values)).show('{:.0f}')

  windows = f'{show([f.window[0] for f in found])} | {show([f.window[1] for f in found])}'
  lines = [
    f'| {name} | {len(found)} | {system} | {windows} | {show([f.words[system] for f in found])} | '
    f'{show([f.offset[system] for f in found])} | {np.mean([f.offset[system] for f in found]):.0f} |'
    for system in SYSTEMS
  ]
  own = [f.own for f in found]
  return [*lines, f'| {name} | {len(found)} | own sound | | | | {show(own)} | {np.mean(own):.0f} |']


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--each', type=int, default=26, help='films of each group at most')
  parser.add_argument('--group', default='', help='only groups whose name holds this')
  options = parser.parse_args()
  model, judge = without_director(load()), open_judge('lips')
  print('| films | | timed by | window: start, ms | end, ms | words, ms | offset: median, ms | mean, ms |')
  print('|---' * 8 + '|')
  for name, group in films(options.each).items():
    if options.group in name:
      print('\n'.join(rows(name, [measured(model, film, judge) for film in tqdm(group, desc=name, unit='film')])))


if __name__ == '__main__':
  main()
