"""Rehearsal: quality against the numbers of rounds and candidates, on the same clips.

    dubber evaluate experiments/tables/rehearsal.py -o docs/results/benchmarks --limit 42 --seeds 1

Systems are named rRcC: at most R rounds of C candidates. Clips are like those of experiments/tables/gains.py: emotional
lines, those used in developing the director, in the voices of RAVDESS actors 19-22. No judge is the critic. The last
measured report is docs/results/benchmarks/rehearsal.md; docs/results/director.md interprets it.
"""

from pathlib import Path

import numpy as np

from dubber_jax.config import Config, from_json
from dubber_jax.evaluation.benchmark.benchmark import Results
from dubber_jax.evaluation.benchmark.evaluate import Evaluation
from dubber_jax.evaluation.benchmark.plots import draw_courses
from dubber_jax.evaluation.benchmark.stimuli import read_films, read_lines
from dubber_jax.evaluation.benchmark.systems import directed
from dubber_jax.evaluation.benchmark.tables import More, write_rows
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import SHIPPED

LINES = Path(__file__).parents[1] / 'data' / 'development_lines.jsonl'
SIZES = ((1, 1), (1, 4), (1, 8), (2, 1), (2, 4), (2, 8), (3, 1), (3, 4), (3, 8))
FIGURES = ('emotion_accuracy', 'emotion_probability', 'naturalness', 'word_error', 'speaker_similarity')


def arms() -> dict[str, Config]:
  """Nothing is trained: the config of the shipped model."""
  return {'shipped': from_json((SHIPPED / 'config.json').read_text())}


def evaluation(base: Model, steps: int = 0) -> Evaluation:
  systems = {f'r{r}c{c}': directed(rounds=r, candidates=c) for r, c in SIZES}
  return Evaluation(systems, report, [*read_lines(LINES), *read_films()], ('functionals', 'mos', 'words', 'voice'))


def report(results: Results, out: Path, facts: dict[str, str]) -> Path:
  out.mkdir(parents=True, exist_ok=True)
  rows = []
  for r, c in SIZES:
    system = f'r{r}c{c}'
    spent, lasts = (np.nansum(results.table(system, name)) for name in ('seconds', 'lasts'))
    rows.append(
      {'name': system, 'rounds': r, 'candidates': c}
      | {figure: results.summary(system, figure) for figure in FIGURES}
      | {name: results.summary(system, name) for name in ('critic', 'accepted', 'takes')}
      | {'real-time factor of it all': float(spent / lasts)}
    )
  pictures = {}
  for figure in ('emotion_probability', 'naturalness', 'critic'):
    courses = {
      f'{c} candidates': [(r, results.summary(f'r{r}c{c}', figure)) for r, k in SIZES if k == c] for c in (1, 4, 8)
    }
    draw_courses(out / f'rehearsal-{figure}.png', courses, 'rounds at most', figure.replace('_', ' '))
    pictures[f'{figure.replace("_", " ")} against rounds'] = f'rehearsal-{figure}.png'
  write_rows(out, 'rehearsal', 'Rounds and candidates', rows, facts, More({}, pictures))
  return out / 'rehearsal.json'
