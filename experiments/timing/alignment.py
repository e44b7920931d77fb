"""Boundary errors of forced alignment against GRID's word times, and its speed.

    python experiments/timing/alignment.py              # all 944 clips of s1, 2 min on one core
    python experiments/timing/alignment.py --clips 100

A boundary is the start of a clip's first word or the end of any word. Expect a median of 20 ms (at most 25)
and a 90th percentile of 60 ms (at most 60). GRID's times are automatic too; docs/results/alignment.md
lists their errors.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from dubber_jax.media.sound import read_sound
from dubber_jax.script.alignment import RATE, align

DATA = Path(os.environ.get('DUBBER_DATA', Path(__file__).parents[2] / '..' / 'shared' / 'data')).resolve()


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--clips', type=int, default=10**6, help='at most so many, evenly spaced')
  count = parser.parse_args().clips
  rows = [json.loads(row) for row in (DATA / 'grid.jsonl').read_text().splitlines()]
  rows = [row for row in rows if row.get('words')]
  rows = [rows[i] for i in np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]

  firsts, ends, lasts, seconds, sound = [], [], [], 0.0, 0.0
  for row in rows:
    wave = read_sound(DATA / row['file'], RATE)
    began = time.process_time()
    ours = align(wave, row['text']).words
    seconds += time.process_time() - began
    sound += len(wave) / RATE
    theirs = [word for word in row['words'] if word[2] not in ('sil', 'sp')]
    firsts.append(ours[0][0] - theirs[0][0])
    errors = [a[1] - b[1] for a, b in zip(ours, theirs, strict=True)]
    ends += errors[:-1]
    lasts.append(errors[-1])

  print(f'{len(rows)} clips, {seconds / len(rows):.3f} s of one core a clip, {sound / seconds:.0f} times real time')
  print(f'{"boundary":28s}{"count":>7s}{"median":>8s}{"90th":>8s}{"95th":>8s}{"bias":>8s}   ms')
  everything = firsts + ends + lasts
  for name, errors in (
    ('all', everything),
    ('start of the first word', firsts),
    ('between words', ends),
    ('end of the last word', lasts),
  ):
    ms = np.array(errors) * 1000
    middle, nine, most = np.percentile(np.abs(ms), [50, 90, 95])
    print(f'{name:28s}{len(ms):7d}{middle:8.0f}{nine:8.0f}{most:8.0f}{np.median(ms):8.0f}')


if __name__ == '__main__':
  main()
