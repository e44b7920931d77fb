"""How the director recalls: how many clips, by which measure, whose, and how they are searched.

    # 3 seeds: 20 min of 2 threads:
    dubber evaluate experiments/tables/retrieval.py -o docs/results/benchmarks --workers 2
    dubber evaluate experiments/tables/retrieval.py --limit 6 --seeds 1               # does it work?

One take a clip, without a rehearsal, all rows with the weights of the base, which was trained with K = 3. Embeddings of
the shipped extractors have unit length: by cosine, by dot product and by distance the same clips are recalled but for
rounding, and the report says of how many that is so. The library has no footage of the voices of the test, so "same
speaker" is its speaker whose voice is nearest to the line's, recalled alone.
"""

import functools
from pathlib import Path

import numpy as np

from dubber_jax.config import Config
from dubber_jax.evaluation.benchmark.benchmark import Results, System, SystemInput
from dubber_jax.evaluation.benchmark.evaluate import Evaluation
from dubber_jax.evaluation.benchmark.plots import draw_gains
from dubber_jax.evaluation.benchmark.retrieval_variants import by_speaker, nearest, retrieval_overlap
from dubber_jax.evaluation.benchmark.stimuli import read_films, read_lines
from dubber_jax.evaluation.benchmark.systems import directed
from dubber_jax.evaluation.benchmark.tables import More, write_rows
from dubber_jax.inference.model import Model
from dubber_jax.perception.analyze import read_clip
from dubber_jax.types import Clip, Line

LINES = Path(__file__).parents[1] / 'data' / 'emotional_lines.jsonl'
NUMBERS = (1, 2, 3, 5, 10)  # of clips recalled for each of scene, face and text
FIGURES = ('recalled', 'intended', 'emotion_accuracy', 'emotion_probability', 'naturalness')
COMPARED = ('emotion_probability', 'naturalness')
JUDGED_BY = ('functionals', 'mos')
BASE = 'K = 3, cosine, all speakers, exact'


def arms() -> dict[str, Config]:
  return {}  # nothing is trained


def evaluation(base: Model, steps: int = 0) -> Evaluation:
  systems = {BASE: directed()}
  systems |= {f'K = {k}': directed(director={'exemplars': k}) for k in NUMBERS if k != base.config.director.exemplars}
  systems |= {measure: directed(measure, recall=nearest(measure)) for measure in ('dot', 'euclid')}
  systems['nearest voice alone'] = nearest_voice()
  systems['ScaNN'] = directed(search='scann')
  return Evaluation(systems, report, [*read_lines(LINES), *read_films()], JUDGED_BY)


def nearest_voice() -> System:
  """Recalls clips of the library's speaker whose voice is nearest to the line's."""

  def play(stage: SystemInput):
    chosen = by_speaker(lambda library: nearest_speaker(library, stage.voice))
    return directed(recall=chosen).play(stage)

  return System(play, 'one take')


def nearest_speaker(library, voice) -> str:
  known = voices_of(library)
  return max(known, key=lambda speaker: float(known[speaker] @ voice.embedding))


@functools.cache
def voices_of(library) -> dict[str, np.ndarray]:
  """By the speaker encoder that the actor is conditioned on, never by the judge of likeness."""
  from dubber_jax.evaluation.benchmark import speakers

  return {name: speakers.voice(name).embedding for name in sorted(set(library.speakers.tolist()) - {''})}


def report(results: Results, out: Path, facts: dict[str, str]) -> Path:
  rows = []
  for way in results.bench.systems:
    row = {'name': way, **{f: results.summary(way, f) for f in FIGURES}}
    if way != BASE:
      row |= {f'gain in {f}': results.gain(way, BASE, f) for f in COMPARED}
    rows.append(row)
  out.mkdir(parents=True, exist_ok=True)
  shown = {f.replace('_', ' '): [(row['name'], row[f'gain in {f}']) for row in rows[1:]] for f in COMPARED}
  draw_gains(out / 'retrieval.png', shown, {})
  more = More({'Recalled alike': alike(results)}, {f'gain over {BASE}': 'retrieval.png'})
  write_rows(out, 'retrieval', 'Retrieval', rows, facts, more)
  return Path(out) / 'retrieval.json'


def alike(results: Results) -> list[dict]:
  """Share of the clips recalled by cosine that another measure recalls too, over the lines' words."""
  bench = results.bench
  blank = Clip(np.zeros((0, 8, 8, 3), np.uint8), 0.0)
  readings = [read_clip(blank, Line(s.text)) for s in bench.stimuli]
  k = bench.models[''].config.director.exemplars

  def cosine(library, reading, count):
    return library.recall(reading, count)

  return [
    {'name': measure, 'share': retrieval_overlap(bench.library, readings, cosine, nearest(measure), k)}
    for measure in ('dot', 'euclid')
  ]
