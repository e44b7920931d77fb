"""Retrieval: number of clips, similarity measure, speakers and search method.

    dubber evaluate experiments/tables/retrieval.py -o docs/results/benchmarks --workers 2    # 3 seeds: 20 min
    dubber evaluate experiments/tables/retrieval.py --limit 6 --seeds 1                       # to try it out

One take a clip, without a rehearsal, all rows with the weights of the base, which was trained with K = 3. Embeddings of
the shipped extractors have unit length: cosine, dot product and distance retrieve the same clips but for rounding, and
the report gives the overlap. The library has no footage of the test voices, so "same speaker" is the library's speaker
whose voice is nearest to the line's, retrieved from alone.
"""

import functools
from pathlib import Path

import numpy as np

from dubber_jax.config import Config
from dubber_jax.evaluation.benchmark.benchmark import Results, System, SystemInput, SystemOutput
from dubber_jax.evaluation.benchmark.evaluate import Evaluation
from dubber_jax.evaluation.benchmark.plots import draw_gains
from dubber_jax.evaluation.benchmark.retrieval_variants import by_measure, by_speaker, retrieval_overlap
from dubber_jax.evaluation.benchmark.stimuli import read_films, read_lines
from dubber_jax.evaluation.benchmark.systems import directed
from dubber_jax.evaluation.benchmark.tables import More, write_rows
from dubber_jax.inference.model import Model
from dubber_jax.perception.analyze import read_clip
from dubber_jax.types import Clip, Line

LINES = Path(__file__).parents[1] / 'data' / 'emotional_lines.jsonl'
NUMBERS = (1, 2, 3, 5, 10)  # of clips retrieved for each of scene, face and text
FIGURES = ('retrieved', 'intended', 'emotion_accuracy', 'emotion_probability', 'naturalness')
COMPARED = ('emotion_probability', 'naturalness')
JUDGED_BY = ('functionals', 'mos')
BASE = 'K = 3, cosine, all speakers, exact'


def arms() -> dict[str, Config]:
  return {}  # nothing is trained


def evaluation(base: Model, steps: int = 0) -> Evaluation:
  systems = {BASE: directed()}
  systems |= {
    f'K = {k}': directed(director={'exemplars': k}) for k in NUMBERS if k != base.config.task.director.exemplars
  }
  systems |= {measure: directed(measure, retrieve=by_measure(measure)) for measure in ('dot', 'euclid')}
  systems['nearest voice alone'] = nearest_voice()
  systems['ScaNN'] = directed(search='scann')
  return Evaluation(systems, report, [*read_lines(LINES), *read_films()], JUDGED_BY)


def nearest_voice() -> System:
  """Retrieves from the clips of the library's speaker whose voice is nearest to the line's."""

  def run(inputs: SystemInput) -> SystemOutput:
    chosen = by_speaker(lambda library: nearest_speaker(library, inputs.voice))
    return directed(retrieve=chosen).run(inputs)

  return System(run, 'one take')


def nearest_speaker(library, voice) -> str:
  known = voices_of(library)
  return max(known, key=lambda speaker: float(known[speaker] @ voice.embedding))


@functools.cache
def voices_of(library) -> dict[str, np.ndarray]:
  """Speaker embeddings by the encoder that the actor is conditioned on, never by the judge of speaker similarity."""
  from dubber_jax.evaluation.benchmark import speakers

  return {name: speakers.voice(name).embedding for name in sorted(set(library.speakers.tolist()) - {''})}


def report(results: Results, out: Path, facts: dict[str, str]) -> Path:
  rows = []
  for system in results.benchmark.systems:
    row = {'name': system, **{f: results.summary(system, f) for f in FIGURES}}
    if system != BASE:
      row |= {f'gain in {f}': results.gain(system, BASE, f) for f in COMPARED}
    rows.append(row)
  out.mkdir(parents=True, exist_ok=True)
  shown = {f.replace('_', ' '): [(row['name'], row[f'gain in {f}']) for row in rows[1:]] for f in COMPARED}
  draw_gains(out / 'retrieval.png', shown, {})
  more = More({'Retrieval overlap': overlaps(results)}, {f'gain over {BASE}': 'retrieval.png'})
  write_rows(out, 'retrieval', 'Retrieval', rows, facts, more)
  return Path(out) / 'retrieval.json'


def overlaps(results: Results) -> list[dict]:
  """Share of the clips retrieved by cosine that another measure retrieves too, by the lines' text."""
  benchmark = results.benchmark
  blank = Clip(np.zeros((0, 8, 8, 3), np.uint8), 0.0)
  readings = [read_clip(blank, Line(s.text)) for s in benchmark.stimuli]
  k = benchmark.models[''].config.task.director.exemplars

  def cosine(library, reading, count):
    return library.retrieve(reading, count)

  return [
    {'name': measure, 'share': retrieval_overlap(benchmark.library, readings, cosine, by_measure(measure), k)}
    for measure in ('dot', 'euclid')
  ]
