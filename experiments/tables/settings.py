"""Dubbing settings: a training voice (Dub 2.0) and an unseen one (Dub 3.0), with and without the director.

    dubber evaluate experiments/tables/settings.py -o docs/results/benchmarks --workers 2    # 162 clips, 3 seeds:
                                                                                             # half an hour
    dubber evaluate experiments/tables/settings.py --settings 1.0 --seeds 1                  # voice of the film's own
    dubber evaluate experiments/tables/settings.py --limit 8 --seeds 1                       # to try it out

Needs the extras `eval` and `mcd`. Of each setting there are emotional lines, as in experiments/tables/gains.py, in
voices of RAVDESS actors, and held-out films of GRID, whose own sound is the reference: MCD, F0 and level errors, and
lip sync of both. Dub 2.0: RAVDESS actors 01-04 and GRID's s1, all of them in the actor's training (and 01-04 in that of
its critic); voices are made of another recording than the reference. Dub 3.0: actors 19-22 and GRID's s4, unseen in any
training. Dub 1.0 makes the voice of the film's own sound, which is too favorable, and is measured on request.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubber_jax.config import Config
from dubber_jax.evaluation.benchmark.benchmark import JUDGES, RATIOS, Results, lip_sync_figures
from dubber_jax.evaluation.benchmark.evaluate import Evaluation
from dubber_jax.evaluation.benchmark.plots import draw_groups
from dubber_jax.evaluation.benchmark.stimuli import ACTORS, Stimulus, balanced, read_grid, read_lines, spread
from dubber_jax.evaluation.benchmark.systems import directed, one_way
from dubber_jax.evaluation.benchmark.tables import More, write_rows
from dubber_jax.evaluation.bootstrap import interval, share
from dubber_jax.evaluation.metrics.wer import count_errors
from dubber_jax.inference.model import Model

LINES = Path(__file__).parents[1] / 'data' / 'emotional_lines.jsonl'
KNOWN = ('ravdess_01', 'ravdess_02', 'ravdess_03', 'ravdess_04')  # none of the judge of emotion's training
ROUNDS, CANDIDATES = 3, 4  # as in the gains
FILMS = 28  # of each setting at most
OF_LINES = (
  'emotion_accuracy',
  'emotion_similarity',
  'naturalness',
  'word_error',
  'character_error',
  'speaker_similarity',
)
OF_FILMS = (
  'lip_sync',
  'lip_offset',
  'slot_error',
  'mcd',
  'mcd_dtw',
  'mcd_dtw_sl',
  'pitch_rmse',
  'pitch_correlation',
  'voicing_error',
  'naturalness',
  'word_error',
  'character_error',
  'speaker_similarity',
)
DRAWN = {
  'lines': ('emotion_accuracy', 'naturalness', 'speaker_similarity'),
  'films': ('lip_offset', 'mcd_dtw_sl', 'naturalness'),
}
SYSTEMS = ('off', 'on')


def arms() -> dict[str, Config]:
  return {}  # nothing is trained


def evaluation(base: Model, steps: int = 0, settings: Sequence[str] = ('2.0', '3.0')) -> Evaluation:
  systems = {'off': one_way(), 'on': directed(rounds=ROUNDS, candidates=CANDIDATES)}
  stimuli = [stimulus for setting in settings for stimulus in clips_of(setting)]
  return Evaluation(systems, report, stimuli, (*JUDGES, 'reference'))


def clips_of(setting: str) -> list[Stimulus]:
  films = spread(read_grid(setting), FILMS)
  if setting == '1.0':
    return films  # lines have no recording of their own
  return [*balanced(read_lines(LINES, KNOWN if setting == '2.0' else ACTORS), 2), *films]


def group(stimulus: Stimulus) -> tuple[str, str]:
  """(setting, 'lines' or 'films')."""
  if stimulus.film is None:
    return '2.0' if stimulus.speaker in KNOWN else '3.0', 'lines'
  return stimulus.key.split('/')[0].removeprefix('grid-'), 'films'


def report(results: Results, out: Path, facts: dict[str, str]) -> Path:
  groups = {}
  for i, stimulus in enumerate(results.benchmark.stimuli):
    groups.setdefault(group(stimulus), []).append(i)
  tables = {'lines': [], 'films': []}
  for (setting, kind), clips in sorted(groups.items(), key=str):
    figures = OF_LINES if kind == 'lines' else OF_FILMS
    for system in SYSTEMS:
      name = f'Dub {setting}, {system}'
      tables[kind].append({'name': name, 'clips': len(clips), **measured(results, system, figures, clips)})
    if kind == 'films':
      tables[kind] += [{'name': f'Dub {setting}, {name}', **row} for name, row in real(results, clips).items()]
  headings = {'Emotional lines': tables['lines'], 'Films with a recording to compare with': tables['films']}
  rows = gains(results, groups)
  pictures = draw(results, groups, out)
  more = More({h: t for h, t in headings.items() if t}, pictures)
  write_rows(out, 'settings', 'Dubbing settings', rows, facts, more)
  return Path(out) / 'settings.json'


def draw(results: Results, groups, out: Path) -> dict[str, str]:
  """Draws all plots -> {title: file}."""
  out.mkdir(parents=True, exist_ok=True)
  pictures = {}
  for kind, figures in DRAWN.items():
    own = {f'Dub {setting}': clips for (setting, of), clips in sorted(groups.items()) if of == kind}
    shown = {}
    for figure in figures if own else ():
      found = {
        system: {name: results.summary(system, figure, clips) for name, clips in own.items()} for system in SYSTEMS
      }
      shown[figure.replace('_', ' ')] = found
    if shown:
      pictures[f'{kind}, by setting'] = f'settings-{kind}.png'
      draw_groups(out / f'settings-{kind}.png', shown, 'mean and 95 % interval')
  return pictures


def measured(results: Results, system: str, figures, clips) -> dict:
  known = {f for f in figures if f in RATIOS or not np.isnan(results.table(system, f)[clips]).all()}
  return {f: results.summary(system, f, clips) for f in figures if f in known}


def gains(results: Results, groups) -> list[dict]:
  """Gains of the director over one-way dubbing in each setting."""
  rows = []
  for (setting, kind), clips in sorted(groups.items(), key=str):
    figures = ('emotion_accuracy' if kind == 'lines' else 'lip_sync', 'naturalness', 'speaker_similarity')
    row = {'name': f'Dub {setting}, {kind}: on over off'}
    for figure in figures:
      gain = results.gain('on', 'off', figure, relative=figure in ('emotion_accuracy', 'naturalness'), clips=clips)
      row[f'gain in {figure}'] = gain
    rows.append(row)
  return rows


def real(results: Results, clips) -> dict[str, dict]:
  """Metrics of the films' own sound, as it is and through the vocoder."""
  benchmark, rows = results.benchmark, {}
  for name, judgement_of in (('recordings', benchmark.recorded), ('through the vocoder', benchmark.vocoded)):
    films = [benchmark.film_recording(benchmark.stimuli[i]) for i in clips]
    lips = [lip_sync_figures(judgement_of('lips', film)) for film in films]
    rows[name] = {'clips': len(films)} | {
      figure: interval(np.mean, np.array([row[figure] for row in lips])) for figure in ('lip_sync', 'lip_offset')
    }
    rows[name]['naturalness'] = interval(np.mean, np.array([judgement_of('mos', film) for film in films]))
    for figure, characters in (('word_error', False), ('character_error', True)):
      counts = [count_errors(film.text, judgement_of('words', film), characters) for film in films]
      rows[name][figure] = interval(share, np.array(counts))
  return rows
