"""What rounds and candidates bring: the same clips, rehearsed more and more.

    dubber evaluate experiments/tables/rehearsal.py -o docs/results/benchmarks --limit 42 --seeds 1

Ways are named rRcC: R rounds at most of C candidates. Clips are like those of experiments/tables/gains.py: emotional
lines, the ones that the director was developed on, in the voices of RAVDESS actors 19-22. Judges are not the critic.
The last measured report is docs/results/benchmarks/rehearsal.md; docs/results/director.md says what it means.
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
WAYS = ((1, 1), (1, 4), (1, 8), (2, 1), (2, 4), (2, 8), (3, 1), (3, 4), (3, 8))
FIGURES = ('emotion_accuracy', 'emotion_probability', 'naturalness', 'word_error', 'likeness')


def arms() -> dict[str, Config]:
  """Nothing is trained: the config of the shipped model."""
  return {'shipped': from_json((SHIPPED / 'config.json').read_text())}


def evaluation(base: Model, steps: int = 0) -> Evaluation:
  systems = {f'r{r}c{c}': directed(rounds=r, candidates=c) for r, c in WAYS}
  return Evaluation(systems, report, [*read_lines(LINES), *read_films()], ('functionals', 'mos', 'words', 'voice'))


def report(results: Results, out: Path, facts: dict[str, str]) -> Path:
  out.mkdir(parents=True, exist_ok=True)
  rows = []
  for r, c in WAYS:
    way = f'r{r}c{c}'
    spent, lasts = (np.nansum(results.table(way, name)) for name in ('seconds', 'lasts'))
    rows.append(
      {'name': way, 'rounds': r, 'candidates': c}
      | {figure: results.summary(way, figure) for figure in FIGURES}
      | {name: results.summary(way, name) for name in ('critic', 'accepted', 'takes')}
      | {'all of it, of real time': float(spent / lasts)}
    )
  pictures = {}
  for figure in ('emotion_probability', 'naturalness', 'critic'):
    courses = {
      f'{c} candidates': [(r, results.summary(f'r{r}c{c}', figure)) for r, k in WAYS if k == c] for c in (1, 4, 8)
    }
    draw_courses(out / f'rehearsal-{figure}.png', courses, 'rounds at most', figure.replace('_', ' '))
    pictures[f'{figure.replace("_", " ")} against rounds'] = f'rehearsal-{figure}.png'
  write_rows(out, 'rehearsal', 'Rounds and candidates', rows, facts, More({}, pictures))
  return out / 'rehearsal.json'
