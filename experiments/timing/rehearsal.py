"""Real-time factor of a whole rehearsal, and the latency of the first take.

    python experiments/timing/rehearsal.py                     # 20 lines; two minutes on two cores
    python experiments/timing/rehearsal.py --rounds 3 --candidates 4 --lines 40

Lines of experiments/data/development_lines.jsonl in a shipped voice, without pictures: read, retrieved for, directed,
synthesized and scored by the critic, in three rounds of four takes, of which none is accepted before the last, and the
kept take vocoded. With --accept a rehearsal ends as it does in use. Each line is dubbed twice and the second time
counts, so that nothing is compiled; perception's cache is off. `first sound` is from the call to the waveform of the
first take.
"""

import argparse
import dataclasses
import json
import os
import time
from pathlib import Path

import numpy as np

from dubber_jax.inference.synthesis import vocode

LINES = Path(__file__).parents[1] / 'data' / 'development_lines.jsonl'


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model')
  parser.add_argument('--lines', type=int, default=20)
  parser.add_argument('--rounds', type=int, default=3)
  parser.add_argument('--candidates', type=int, default=4)
  parser.add_argument('--accept', action='store_true', help='an accepted take ends the rehearsal')
  parser.add_argument('--json')
  given = parser.parse_args()
  compiled = os.environ.get('DUBBER_CACHE') or Path.home() / '.cache' / 'dubber_jax'
  os.environ['DUBBER_CACHE'] = ''

  import jax

  from dubber_jax import rehearsal
  from dubber_jax.dubbing.inputs import shipped_library
  from dubber_jax.dubbing.line import dub_line
  from dubber_jax.dubbing.request import LineOptions, LineTask
  from dubber_jax.inference.model_directory import load
  from dubber_jax.perception.analyze import Extractors
  from dubber_jax.types import Line

  jax.config.update('jax_compilation_cache_dir', str(Path(compiled) / 'xla'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.3)
  if not given.accept:
    judged = rehearsal.review
    rehearsal.review = lambda *a: dataclasses.replace(judged(*a), accepted=False)
  model, extractors = load(given.model), Extractors()
  library, voice = shipped_library(model), next(iter(model.voices.values()))
  rows = [json.loads(row) for row in LINES.read_text(encoding='utf-8').splitlines()]
  texts = [row['text'] for row in rows[:: max(1, len(rows) // given.lines)]][: given.lines]
  found = []
  for text in texts:
    for _ in range(2):
      times = []

      def first(take, times=times):
        vocode(model, take)
        times.append(time.perf_counter())

      began = time.perf_counter()
      done = dub_line(
        model,
        library,
        LineTask(Line(text), voice),
        LineOptions(given.rounds, given.candidates),
        extractors=extractors,
        on_take=first,
      )
      over = time.perf_counter()
    result = done.result
    lasts = result.slot_seconds
    found.append(
      {
        'of real time': (over - began) / lasts,
        'first sound, ms': 1000 * (times[0] - began),
        'rounds': len(result.rounds),
        'compiling, s': result.compile_seconds,
        **{f'{stage}, ms': 1000 * seconds for stage, seconds in result.seconds.items()},
      }
    )
  table = {}
  for name in found[0]:
    values = [f[name] for f in found]
    table[name] = {'median': float(np.median(values)), 'most': float(np.max(values))}
  print(f'{len(found)} lines, {given.rounds} rounds of {given.candidates} takes at most\n')
  print('| | median | most |\n|---|---|---|')
  for name, row in table.items():
    print(f'| {name} | {row["median"]:.3g} | {row["most"]:.3g} |')
  if given.json:
    Path(given.json).write_text(json.dumps(table, indent=1) + '\n')


if __name__ == '__main__':
  main()
