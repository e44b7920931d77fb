"""The commands `evaluate` and `listening-test`: benchmarks, and tests with listeners."""

import argparse
import inspect
from pathlib import Path

from dubber_jax.cli import AddCommand
from dubber_jax.errors import BadInput


def add_commands(command: AddCommand):
  _add_evaluate(command)
  _add_listening_test(command)


def _add_evaluate(command):
  sub = command('evaluate', run_evaluate, 'Run a benchmark: synthesize, judge, and write the report.')
  what = sub.add_mutually_exclusive_group(required=True)
  what.add_argument('experiment', nargs='?', help='a file of experiments/ with an evaluation, as gains.py')
  what.add_argument('--compare', nargs=2, metavar='JSON', help='differences of two reports, and which are significant')
  sub.add_argument('-o', '--out', help='folder of the report (default: runs/evaluate/report)')
  sub.add_argument(
    '--work',
    help='folder of takes and judgements, reused by later runs of this and other experiments (default: runs/evaluate)',
  )
  sub.add_argument('--model', help='model directory that all arms share or start from (default: the shipped one)')
  sub.add_argument('--library', help='footage library (default: the shipped one)')
  sub.add_argument('--limit', type=int, help='at most so many clips, spread over the test set')
  sub.add_argument('--seeds', type=int, default=3, help='takes of every clip (default: 3)')
  sub.add_argument('--train-steps', type=int, help="of each arm's emotion path (default: the experiment's; gains: 0)")
  sub.add_argument(
    '--settings',
    nargs='+',
    choices=('1.0', '2.0', '3.0'),
    help='of dubbing, for an experiment that compares them (default: 2.0 3.0)',
  )
  sub.add_argument('--workers', type=int, default=1, help='processes; each takes about 3 GiB (default: 1)')
  sub.add_argument('--share', help=argparse.SUPPRESS)  # i/n: what --workers gives each of its processes


def run_evaluate(given: argparse.Namespace):
  if given.compare:
    from dubber_jax.evaluation.benchmark.tables import compare, table

    print(table(compare(*given.compare)))
    return
  from dubber_jax.dubbing.inputs import library_features
  from dubber_jax.evaluation.benchmark.evaluate import Extent, evaluate, run_shares, take_cores
  from dubber_jax.inference.model_directory import load
  from dubber_jax.retrieval.library import Library
  from dubber_jax.storage.distinct import check_distinct
  from dubber_jax.training.experiment import read_experiment

  share = tuple(map(int, given.share.split('/'))) if given.share else None
  if share:
    take_cores(share)  # before anything has threads
  if given.workers < 1 or (given.train_steps or 0) < 0:
    raise BadInput(f'--workers {given.workers} --train-steps {given.train_steps or 0}: give 1 or more, and 0 or more')
  work = Path(given.work or Path('runs') / 'evaluate')
  out = given.out or work / 'report'
  inputs = {'the experiment': given.experiment, '--model': given.model, '--library': given.library}
  check_distinct(inputs, {'--work': work, '-o': out})
  experiment = read_experiment(given.experiment)
  if experiment.evaluation is None:
    raise BadInput(f'{given.experiment} has no evaluation(base, steps): it is an experiment to train, not a benchmark')
  base = load(given.model)
  asked = {'steps': given.train_steps, 'settings': given.settings}
  asked = {name: value for name, value in asked.items() if value is not None}
  if given.settings and 'settings' not in inspect.signature(experiment.evaluation).parameters:
    raise BadInput(f'{given.experiment} compares no settings of dubbing: leave --settings out')
  evaluation = experiment.evaluation(base, **asked)
  library = Library.open(given.library, library_features())
  command = ['evaluate', given.experiment, '--work', str(work)]
  for name in ('model', 'library', 'limit', 'seeds', 'train_steps'):
    if getattr(given, name) is not None:
      command += [f'--{name.replace("_", "-")}', str(getattr(given, name))]
  command += ['--settings', *given.settings] if given.settings else []
  report = evaluate(
    evaluation,
    base,
    library,
    work,
    out,
    Extent(given.limit, given.seeds, share),
    first=lambda: run_shares(command, given.workers) if given.workers > 1 and not share else None,
  )
  if report:
    print(report.with_suffix('.md').read_text(encoding='utf-8'))
    print(report)


def _add_listening_test(command):
  sub = command('listening-test', run_listening_test, 'Let people rate systems, on a page that needs no server.')
  what = sub.add_mutually_exclusive_group(required=True)
  what.add_argument(
    'items',
    nargs='?',
    help='a folder with a folder of sounds a system and lines.jsonl, or a JSON '
    'list of {"text", "emotion", "sounds": {system: file}}',
  )
  what.add_argument('--score', nargs='+', metavar='ANSWERS', help='make a table of the answers of listeners')
  sub.add_argument('-o', '--out', required=True, help='the page, as test.html; with --score the table, as table.md')
  sub.add_argument(
    '--key',
    help='which sound is which, a file of its own (default: OUT.key.json; with --score the one beside the answers)',
  )
  sub.add_argument('--title', default='Listening test', help='shown to listeners; name no system')
  sub.add_argument('--seed', type=int, default=0, help='of the order of sounds')
  sub.add_argument('--lines', type=int, default=12, help='lines that each listener hears of every system (default 12)')
  sub.add_argument(
    '--sections',
    nargs='+',
    default=('naturalness', 'emotion', 'preference'),
    metavar='SECTION',
    help='of naturalness, emotion, preference (default: all)',
  )
  sub.add_argument('--beside', action='store_true', help='sounds in a folder beside the page, not in it')
  sub.add_argument('--overwrite', action='store_true', help='replace what exists')


def run_listening_test(given: argparse.Namespace):
  from dubber_jax.evaluation.listening_test.page import Plan, read_items, write_test
  from dubber_jax.evaluation.listening_test.scores import find_key, score, table_files, write_table
  from dubber_jax.storage.distinct import check_distinct

  key = given.key or Path(given.out).with_suffix('.key.json')
  if given.score:
    check_distinct({'--score': given.score, '--key': given.key}, {'-o': table_files(given.out)})
    scores = score(given.score, given.key or find_key(given.score))
    table, _ = write_table(scores, given.out, given.overwrite)
    print(table.read_text(encoding='utf-8'), end='')
    return
  items = read_items(given.items)
  sounds = [path for item in items for path in item.sounds.values()]
  folder = Path(given.out).with_suffix('') if given.beside else None
  inputs = {'the items': given.items, 'a sound': sounds}
  check_distinct(inputs, {'-o': given.out, '--key': key}, {'the folder of sounds': folder})
  plan = Plan(given.title, given.seed, given.lines, given.sections, given.beside)
  key = write_test(items, given.out, plan, given.key, given.overwrite)
  print(f'{given.out}: send this to listeners')
  print(f'{key}: keep this')
