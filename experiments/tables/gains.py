"""Gains of the director over one-way dubbing, with their intervals: the two headline figures.

    dubber evaluate experiments/tables/gains.py -o docs/results/benchmarks --workers 2    # 118 clips, 3 seeds: 1 h
    dubber evaluate experiments/tables/gains.py --limit 6 --seeds 1                       # to try it out
    dubber evaluate experiments/tables/gains.py --train-steps 200                         # fine-tunes every arm first

Systems, all with the same weights unless they are trained:
  off          one way: no director, one take
  on           director, up to three rounds of four takes
  on_once      director, one take and no rehearsal
  off_best_of  one way, as many takes as `on` may have, of which the same critic selects one
  off_label    one take given the true emotion: upper bound of the reading, without a rehearsal
  on_rounds_1, on_rounds_2   as `on` with fewer rounds, for quality against rounds; first seed only

Clips: the lines of emotional_lines.jsonl in the voices of RAVDESS actors 19-22, half of them with a drawn face, and the
six films of CREMA-D in another speaker's voice: all of them speakers unseen in training, whose voices are made of
another recording of theirs (Dub 3.0). The director reads text and pixels, never the label. Targets +23.6 % emotion
accuracy and +18.9 % predicted MOS; the last measured report is docs/results/benchmarks/gains.md.
"""

import json
from pathlib import Path

import numpy as np

from dubber_jax.config import Config, from_json
from dubber_jax.evaluation.benchmark.benchmark import Results, lip_sync_figures
from dubber_jax.evaluation.benchmark.evaluate import Evaluation
from dubber_jax.evaluation.benchmark.examples import Example, write_page
from dubber_jax.evaluation.benchmark.finetune_director import emotion_batches, emotion_config, emotion_task
from dubber_jax.evaluation.benchmark.plots import draw_confusions, draw_courses, draw_groups
from dubber_jax.evaluation.benchmark.stimuli import balanced, read_films, read_lines, spread
from dubber_jax.evaluation.benchmark.systems import best_of, directed, labeled, one_way
from dubber_jax.evaluation.benchmark.tables import Comparison, More, write_gains
from dubber_jax.evaluation.bootstrap import Interval, interval
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import SHIPPED

LINES = Path(__file__).parents[1] / 'data' / 'emotional_lines.jsonl'
TARGETS = {'emotion_accuracy': 0.236, 'naturalness': 0.189}
FIGURES = (
  'emotion_accuracy',
  'naturalness',
  'emotion_probability',
  'emotion_similarity',
  'cleanliness',
  'word_error',
  'character_error',
  'speaker_similarity',
)
DIFFERENCES = ('emotion_similarity', 'word_error', 'character_error', 'speaker_similarity')  # not relative
PAIRS = (
  ('on', 'off'),
  ('on_once', 'off'),
  ('on', 'on_once'),
  ('on', 'off_best_of'),
  ('off_best_of', 'off'),
  ('off_label', 'off'),
  ('on', 'off_label'),
)
MAIN = ('off', 'off_best_of', 'on_once', 'on', 'off_label')
ROUNDS, CANDIDATES = 3, 4
STEPS = 200  # of `dubber train`; an evaluation trains nothing unless --train-steps says so
EACH = 2  # recordings of each actor and emotion, for the metrics of real speech
LISTENED = 4  # every so many lines one is in the listening test; a page of all is too large to mail
SHOWN = ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise')  # the first line of each is on the page of examples


def arms(base: Config | None = None, steps: int = STEPS) -> dict[str, Config]:
  """Fine-tuning configs: `off` is trained on the same batches for as many steps, with its director disabled."""
  source = '' if base else str(SHIPPED)  # `evaluation` is given the base itself
  base = base or from_json((SHIPPED / 'config.json').read_text())
  return {name: emotion_config(base, f'gains/{name}', steps, source, enabled=name == 'on') for name in ('off', 'on')}


task, batches = emotion_task, emotion_batches


def evaluation(base: Model, steps: int = 0) -> Evaluation:
  off, on = ('off', 'on') if steps else ('', '')
  systems = {
    'off': one_way(off),
    'off_best_of': best_of(ROUNDS * CANDIDATES, off),
    'on_once': directed(weights=on),
    'on': directed(rounds=ROUNDS, candidates=CANDIDATES, weights=on),
    'off_label': labeled(on),
    'on_rounds_1': directed(rounds=1, candidates=CANDIDATES, weights=on, seeds=1),
    'on_rounds_2': directed(rounds=2, candidates=CANDIDATES, weights=on, seeds=1),
  }
  stimuli = [*read_lines(LINES), *read_films()]
  return Evaluation(systems, report, stimuli, trained=arms(base.config, steps) if steps else {})


def report(results: Results, out: Path, facts: dict[str, str]) -> Path:
  out.mkdir(parents=True, exist_ok=True)
  comparisons = [compared(results, of, over, figure) for of, over in PAIRS for figure in FIGURES]
  real = real_speech(results)
  tables = {
    'Arms': [{'name': system, **{f: results.summary(system, f) for f in FIGURES}} for system in MAIN],
    'Speed and slots': [speed(results, system) for system in MAIN],
    'Lip sync of the real films': lips(results),
    'Real speech of the same actors': real,
    'What limits it': limits(results, real),
    'By emotion': rows_by(results, 'emotion'),
    'By voice': rows_by(results, 'speaker'),
  }
  tables = {heading: rows for heading, rows in tables.items() if rows}
  if not results.benchmark.systems['off'].weights:
    facts = {'off': 'the same weights with the director silent, as on one item in ten of their training', **facts}
  pictures = draw(results, out)
  listening = write_items(results).relative_to(results.benchmark.root)
  facts |= {'for people': f'`dubber listening-test WORK/{listening} -o test.html`: a page to rate the same sounds on'}
  write_gains(out, comparisons, ('on', 'off'), facts, More(tables, pictures))
  return out / 'gains.json'


def compared(results: Results, of: str, over: str, figure: str) -> Comparison:
  gain = results.gain(of, over, figure, relative=figure not in DIFFERENCES)
  headline = (of, over) == ('on', 'off') and gain.relative
  return Comparison(figure, of, over, gain, TARGETS.get(figure) if headline else None)


def speed(results: Results, system: str) -> dict:
  """Speed without compilation and perception, and the largest slot error in ms of the clips that have a slot."""
  of_slots = np.nanmax(results.table(system, 'slot_error'), initial=0.0)
  return {
    'name': system,
    'median_seconds': interval(np.median, results.table(system, 'seconds')),
    'seconds_of_sound': results.summary(system, 'lasts'),
    'takes': results.summary(system, 'takes'),
    'largest_slot_error_in_ms': float(of_slots),
  }


def lips(results: Results) -> list[dict]:
  """Lip sync of the real films: log-probability of the timing and absolute offset in ms, beside the films' own
  sound."""
  benchmark = results.benchmark
  clips = [i for i, stimulus in enumerate(benchmark.stimuli) if stimulus.film is not None]
  if not clips:
    return []
  rows = [
    {'name': system, **{f: results.summary(system, f, clips) for f in ('lip_sync', 'lip_offset')}} for system in MAIN
  ]
  for name, judgement_of in (('recordings', benchmark.recorded), ('through the vocoder', benchmark.vocoded)):
    figures = [lip_sync_figures(judgement_of('lips', benchmark.film_recording(benchmark.stimuli[i]))) for i in clips]
    rows.append({'name': name, **{f: interval(np.mean, np.array([s[f] for s in figures])) for f in figures[0]}})
  return rows


def real_speech(results: Results) -> list[dict]:
  """Metrics of recordings of the same actors, as they are and through the vocoder: an upper bound for all systems."""
  benchmark = results.benchmark
  rows, names, cast = [], benchmark.emotion_classifier.emotions, benchmark.cast
  chosen = [
    r
    for speaker in sorted({s.speaker for s in benchmark.stimuli if s.film is None})
    for e in names
    for r in spread([r for r in cast.recordings(speaker) if r.emotion == e and r != cast.reference(speaker)], EACH)
  ]
  chosen = spread(chosen, len(benchmark.stimuli))
  for name, real, judgement_of in (
    ('recordings', True, benchmark.recorded),
    ('through the vocoder', False, benchmark.vocoded),
  ):
    probabilities = [benchmark.probabilities(judgement_of('functionals', r), r.speaker, real, but=r) for r in chosen]
    right = np.array([float(names[int(np.argmax(o))] == r.emotion) for o, r in zip(probabilities, chosen, strict=True)])
    mos = np.array([judgement_of('mos', r) for r in chosen])
    plain = np.array([r.emotion == 'neutral' for r in chosen])
    for part, rows_of in (('', plain | ~plain), (', neutral', plain), (', acted', ~plain)):
      if rows_of.any():
        means = {'emotion_accuracy': interval(np.mean, right[rows_of]), 'naturalness': interval(np.mean, mos[rows_of])}
        rows.append({'name': name + part, **means})
  return rows


def limits(results: Results, real: list[dict]) -> list[dict]:
  """Shares of intended and retrieved emotions, and the largest gains that vocoded recordings allow."""
  vocoded = next(row for row in real if row['name'] == 'through the vocoder')
  off = {f: results.summary('off', f).value for f in TARGETS}
  rows = [
    {'what': 'director intends the labeled emotion', 'share': results.summary('on', 'intended')},
    {'what': 'retrieved clips have the labeled emotion', 'share': results.summary('on', 'retrieved')},
    {'what': 'rehearsals that end with an accepted take', 'share': results.summary('on', 'accepted')},
  ]
  for figure, value in off.items():
    most = vocoded[figure].value / value - 1 if value > 0 else None
    what = f'gain in {figure.replace("_", " ")} that makes off as good as vocoded recordings'
    rows.append({'what': what, 'gain': f'{most:+.1%}' if most is not None else 'undefined: off is at zero'})
  return rows


def rows_by(results: Results, part: str) -> list[dict]:
  return [
    {
      'name': group,
      'clips': len(clips),
      **{
        f'{figure} {system}': results.summary(system, figure, clips) for figure in TARGETS for system in ('off', 'on')
      },
    }
    for group, clips in parts(results, part).items()
  ]


def parts(results: Results, part: str) -> dict[str, list[int]]:
  found = {}
  for i, stimulus in enumerate(results.benchmark.stimuli):
    found.setdefault(getattr(stimulus, part), []).append(i)
  return dict(sorted(found.items()))


def draw(results: Results, out: Path) -> dict[str, str]:
  """Draws all plots -> {title: file}."""
  confusions = {system: results.confusions(system) for system in MAIN}
  draw_confusions(out / 'gains-confusion.png', results.benchmark.emotion_classifier.emotions, confusions)
  for part in ('emotion', 'speaker'):
    groups = {
      figure.replace('_', ' '): {
        system: {g: results.summary(system, figure, clips) for g, clips in parts(results, part).items()}
        for system in ('off', 'on_once', 'on')
      }
      for figure in TARGETS
    }
    draw_groups(out / f'gains-by-{part}.png', groups, 'mean and 95 % interval')
  pictures = {
    'confusion of emotions, first seed': 'gains-confusion.png',
    'by emotion': 'gains-by-emotion.png',
    'by voice': 'gains-by-speaker.png',
  }
  for figure in ('emotion_probability', 'naturalness'):
    name = figure.replace('_', ' ')
    draw_courses(out / f'gains-rounds-{figure}.png', course(results, figure), 'takes at most', name)
    draw_courses(out / f'gains-speed-{figure}.png', against_speed(results, figure), 's for a second of sound', name)
    pictures[f'{name} against rounds, first seed'] = f'gains-rounds-{figure}.png'
    pictures[f'{name} against speed'] = f'gains-speed-{figure}.png'
  write_page(out / 'gains-sounds.html', 'Gains: the same lines by five systems', examples(results), embedded=True)
  return pictures | {'sounds side by side': 'gains-sounds.html'}


def write_items(results: Results) -> Path:
  """Writes the items of a listening test: some lines by every system, first seed; -> the file, beside the sounds."""
  benchmark = results.benchmark
  rows = [
    {
      'text': s.text,
      'emotion': s.emotion,
      'sounds': {
        system: str(benchmark.sound(benchmark.key(system, s, 0)).relative_to(benchmark.folder)) for system in MAIN
      },
    }
    for s in balanced([s for s in benchmark.stimuli if s.film is None], LISTENED)
  ]
  path = benchmark.folder / 'listening.json'
  path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
  return path


def course(results: Results, figure: str) -> dict[str, list[tuple[float, Interval]]]:
  """A metric against the largest number of takes, rounds times candidates."""
  systems = {
    'director': {1: 'on_once', CANDIDATES: 'on_rounds_1', 2 * CANDIDATES: 'on_rounds_2', ROUNDS * CANDIDATES: 'on'},
    'one way': {1: 'off', ROUNDS * CANDIDATES: 'off_best_of'},
  }
  return {
    name: [(takes, results.summary(w, figure, seeds=1)) for takes, w in of.items()] for name, of in systems.items()
  }


def against_speed(results: Results, figure: str) -> dict[str, list[tuple[float, Interval]]]:
  def factor(system):
    return float(np.nanmedian(results.table(system, 'seconds') / results.table(system, 'lasts')))

  return {system: [(factor(system), results.summary(system, figure))] for system in MAIN}


def examples(results: Results) -> dict:
  """The first line of each emotion by every system; without recordings, so that the page may be redistributed."""
  groups = {}
  for emotion in SHOWN:
    clip = next((i for i, s in enumerate(results.benchmark.stimuli) if s.emotion == emotion), None)
    if clip is None:
      continue
    stimulus = results.benchmark.stimuli[clip]
    versions = [Example(system, results.wave(system, clip)) for system in MAIN]
    groups[f'{emotion}, {stimulus.speaker}'] = [(stimulus.text, versions)]
  return groups
