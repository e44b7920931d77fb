"""Ablation of the director: the twelve rows of the paper's table.

    dubber evaluate experiments/tables/ablations.py -o docs/results/benchmarks --workers 2  # 3 seeds: 50 min, 2 threads
    dubber evaluate experiments/tables/ablations.py --limit 6 --seeds 1 --train-steps 4     # to try it out

All rows synthesize one take, so that a rehearsal cannot compensate for what is missing. Rows 1 to 9 are switches on the
same weights. Rows 10 to 12 are other architectures: their graphs and aggregators, and those of the model they are
compared with, are initialized at random and trained for as many steps on the same batches, while the rest of the
emotion path is fine-tuned from the base; --train-steps 0 leaves them out. Rows 1 to 3 replace captions by the numbers
they are written from (evaluation/benchmark/numeric_features.py), where the paper uses I3D and EmoFAN features; rows 8
and 9 also withhold from the planner what the graphs lose: the labels, or the prosody, of the retrieved clips.
"""

from pathlib import Path

import numpy as np

from dubber_jax.config import Config, from_json
from dubber_jax.evaluation.benchmark.benchmark import Results
from dubber_jax.evaluation.benchmark.evaluate import Evaluation
from dubber_jax.evaluation.benchmark.finetune_director import emotion_batches, emotion_config, emotion_task
from dubber_jax.evaluation.benchmark.numeric_features import FaceNumbers, SceneNumbers
from dubber_jax.evaluation.benchmark.retrieval_variants import without_labels, without_modalities, without_prosody
from dubber_jax.evaluation.benchmark.stimuli import read_films, read_lines
from dubber_jax.evaluation.benchmark.systems import directed
from dubber_jax.evaluation.benchmark.tables import Ablation, More, write_ablations
from dubber_jax.evaluation.bootstrap import rank_correlation
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import SHIPPED
from dubber_jax.perception.analyze import Extractors

LINES = Path(__file__).parents[1] / 'data' / 'emotional_lines.jsonl'
STEPS = 150  # of fine-tuning for rows 10 to 12 and the model they are compared with
FIGURES = ('emotion_accuracy', 'emotion_probability', 'naturalness')
JUDGED_BY = ('functionals', 'mos')
TREES = {10: {'graph': False}, 11: {'build_then_encode': False}, 12: {'hierarchical': False}}
# What is left out; the paper's EMO-ACC and MOS-SE. With nothing left out: FULL.
PAPER = {
  1: ('scene caption (its numbers instead)', 46.34, 3.612),
  2: ('face caption (its numbers instead)', 46.52, 3.684),
  3: ('both captions', 46.02, 3.608),
  4: ('scene retrieval', 46.27, 3.666),
  5: ('face retrieval', 46.64, 3.690),
  6: ('text retrieval', 45.99, 3.614),
  7: ('all retrieval', 45.23, 3.527),
  8: ('indirect information', 45.95, 3.581),
  9: ('direct sound', 45.30, 3.571),
  10: ('graph modelling', 45.92, 3.549),
  11: ('build-then-encode', 46.85, 3.749),
  12: ('hierarchical aggregation', 46.71, 3.710),
}
FULL = (47.21, 3.889)


def arms(base: Config | None = None, steps: int = STEPS) -> dict[str, Config]:
  source = '' if base else str(SHIPPED)
  base = base or from_json((SHIPPED / 'config.json').read_text())
  settings = {'anew': {}} | {f'row_{number}': changes for number, changes in TREES.items()}
  return {
    name: emotion_config(base, f'ablations/{name}', steps, source, **changes) for name, changes in settings.items()
  }


task, batches = emotion_task, emotion_batches


def evaluation(base: Model, steps: int = STEPS) -> Evaluation:
  systems = {
    'full': directed(),
    'row_1': directed('scene numbers', extractors=Extractors(scene=SceneNumbers())),
    'row_2': directed('face numbers', extractors=Extractors(face=FaceNumbers())),
    'row_3': directed('numbers', extractors=Extractors(scene=SceneNumbers(), face=FaceNumbers())),
    'row_4': directed('no scene retrieval', retrieve=without_modalities('scene')),
    'row_5': directed('no face retrieval', retrieve=without_modalities('face')),
    'row_6': directed('no text retrieval', retrieve=without_modalities('text')),
    'row_7': directed('no retrieval', retrieve=without_modalities('scene', 'face', 'text')),
    'row_8': directed('no labels', retrieve=without_labels, director={'indirect': False}),
    'row_9': directed('no prosody', retrieve=without_prosody, director={'direct': False}),
  }
  trained = arms(base.config, steps) if steps else {}
  systems |= {name: directed(weights=name) for name in trained}
  stimuli = [*read_lines(LINES), *read_films()]
  return Evaluation(systems, report, stimuli, JUDGED_BY, trained, anew=tuple(trained))


def report(results: Results, out: Path, facts: dict[str, str]) -> Path:
  full = {figure: results.summary('full', figure) for figure in FIGURES}
  shown = [number for number in PAPER if f'row_{number}' in results.benchmark.systems]
  rows = [row(results, number) for number in shown]
  ranks = {}
  for figure, place in (('emotion_accuracy', 0), ('naturalness', 1)):
    changes = [PAPER[number][1 + place] / FULL[place] - 1 for number in shown]
    measured = [results.table(f'row_{n}', figure) - results.table(compared_with(n), figure) for n in shown]
    if np.ptp([np.mean(m) for m in measured]) > 0:
      ranks[figure] = rank_correlation(changes, measured)
  pictured = [
    {
      'name': 'intended and retrieved as labeled',
      'intended': results.summary('full', 'intended'),
      'retrieved': results.summary('full', 'retrieved'),
    }
  ]
  tables = {'The director with nothing left out': pictured}
  if 'anew' in results.benchmark.systems:
    tables['Baseline of rows 10 to 12'] = [
      {'name': 'randomly initialized graphs, trained as long', **{f: results.summary('anew', f) for f in FIGURES}}
    ]
  else:
    facts = {'rows 10 to 12': 'left out: they need --train-steps', **facts}
  write_ablations(out, full, rows, ranks, facts, More(tables))
  return Path(out) / 'ablations.json'


def row(results: Results, number: int) -> Ablation:
  name, accuracy, mos = PAPER[number]
  published = {'emotion_accuracy': accuracy / FULL[0] - 1, 'naturalness': mos / FULL[1] - 1}
  figures = {f: results.summary(f'row_{number}', f) for f in FIGURES}
  changes = {f: results.gain(f'row_{number}', compared_with(number), f) for f in FIGURES}
  return Ablation(number, name, figures, changes, published)


def compared_with(number: int) -> str:
  return 'anew' if number in TREES else 'full'
