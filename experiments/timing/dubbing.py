"""Real-time factor of dubbing a clip, by stage, warm, without compilation.

    python experiments/timing/dubbing.py                  # a drawn clip; a minute on two cores
    python experiments/timing/dubbing.py --film clip.mp4 --repeats 5

A stage's real-time factor is its seconds over the slot's: below 1 is faster than real time. Perception is measured with
its cache off. Printed are medians over the repeats, and the compilation time of the first run.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np

TEXT = 'We never asked for any of this, and now it is here.'


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--film')
  parser.add_argument('--model')
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--json')
  given = parser.parse_args()
  os.environ['DUBBER_CACHE'] = ''  # perception must not be read from the cache

  from dubber_jax.demo.cartoon import draw_cartoon
  from dubber_jax.dubbing.film import dub
  from dubber_jax.dubbing.request import DubOptions, DubRequest
  from dubber_jax.inference.model_directory import load
  from dubber_jax.media.video import write_silent_clip

  model = load(given.model)
  voice = next(iter(model.voices.values()))
  with tempfile.TemporaryDirectory() as folder:
    film = Path(given.film or Path(folder) / 'clip.mp4')
    if not given.film:
      write_silent_clip(film, draw_cartoon('neutral', TEXT, seconds=4.0))
    runs = []
    for i in range(given.repeats + 1):
      out = Path(folder) / f'{i}.mp4'
      runs.append(dub(DubRequest.of(film, TEXT, voice, out, DubOptions(report=False)), model).to_json())
  slot = runs[0]['slot_seconds']
  stages = list(runs[0]['seconds'])
  factors = {s: float(np.median([r['seconds'][s] for r in runs[1:]])) / slot for s in stages}
  rehearsal = float(np.median([r['rehearsal_seconds'] for r in runs[1:]])) / slot
  print(f'slot {slot:.2f} s, {os.cpu_count()} cores, median of {given.repeats}\n')
  print('| stage | real-time factor |\n|---|---|')
  for stage, factor in factors.items():
    print(f'| {stage} | {factor:.3f} |')
  print(f'| all | {sum(factors.values()):.3f} |\n| rehearsal (from perception to review) | {rehearsal:.3f} |')
  print(f'\ncompilation, once: {runs[0]["compile_seconds"]:.1f} s')
  if given.json:
    Path(given.json).write_text(json.dumps({'slot_seconds': slot, 'factors': factors, 'rehearsal': rehearsal}))


if __name__ == '__main__':
  main()
