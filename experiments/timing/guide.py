"""Accuracy of `--guide`, the direction read from a source performance, on held-out speakers.

    python experiments/timing/guide.py     # RAVDESS 19-22, 112 strong recordings; LJ Speech, 32 clips; 1 minute

Prints the share of recordings whose planned emotion is the acted one, by the text alone and with the guide, and the
number of syllables detected for each spoken (median, 10th and 90th percentile).
"""

import numpy as np

from data_pipelines.recordings import read_recordings
from dubber_jax.director.planner import by_rules
from dubber_jax.director.source_performance import read_performance, relative_to_character
from dubber_jax.evaluation.bootstrap import interval
from dubber_jax.media.sound import read_sound
from dubber_jax.perception.analyze import read_clip
from dubber_jax.script.g2p import phonemize
from dubber_jax.types import EMOTIONS, MODALITIES, SAMPLE_RATE, Clip, Exemplars, Line

ACTORS = tuple(f'ravdess_{n}' for n in range(19, 23))
NOBODY = Exemplars({m: () for m in MODALITIES}, {}, np.zeros((3, 3, 1)), *[np.zeros((3, 3), bool)] * 2)
BLACK = Clip(np.zeros((0, 8, 8, 3), np.uint8), 0.0)


def guide_of(recording):
  return read_performance(read_sound(recording.path, SAMPLE_RATE), SAMPLE_RATE)


def main():
  played = [r for r in read_recordings('ravdess') if r.speaker in ACTORS and _strong(r)]
  lines = [Line(r.text, character=r.speaker) for r in played]
  guides = relative_to_character([guide_of(r) for r in played], lines)
  words = {text: read_clip(BLACK, Line(text)) for text in {line.text for line in lines}}
  print(f'{len(played)} recordings, {guides.count(None)} without detected speech\n')
  print('| planned emotion is the acted one | share (95 % interval) |\n|---|---|')
  for name, given in (('by the text alone', [None] * len(lines)), ('with the guide', guides)):
    planned = [by_rules(words[line.text], NOBODY, line, guide=g)[0] for line, g in zip(lines, given, strict=True)]
    hits = [EMOTIONS[int(np.argmax(d.emotion))] == r.emotion for d, r in zip(planned, played, strict=True)]
    share = interval(np.mean, np.array(hits, float))
    print(f'| {name} | {share.show()} |')
  ratios = []
  for recording in read_recordings('ljspeech'):
    guide = guide_of(recording)
    vowels = sum(symbol[-1] in '012' for symbol in phonemize(recording.text).symbols)
    ratios.append(guide.rate * guide.seconds / vowels)
  low, middle, high = np.percentile(ratios, (10, 50, 90))
  print(f'\nsyllables detected for each spoken: {middle:.2f} ({low:.2f} to {high:.2f})')


def _strong(recording):
  return recording.key.split('/')[-1].split('-')[3] == '02'


if __name__ == '__main__':
  main()
