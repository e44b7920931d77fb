"""The commands `index` and `prepare`: footage libraries and data sets."""

import argparse

from dubber_jax.cli import AddCommand
from dubber_jax.errors import BadInput

DATA_SETS = ('clip_folder', 'cremad', 'grid', 'ravdess', 'v2c_animation')


def add_commands(command: AddCommand):
  _add_index(command)
  _add_prepare(command)


def _add_index(command):
  sub = command('index', run_index, 'Build a footage library.')
  sub.add_argument('data', help='a JSON-lines list, a folder of clips with .txt or .srt beside, or a data root')
  sub.add_argument('-o', '--out', required=True, help='the library directory')
  sub.add_argument(
    '--only', action='append', default=[], metavar='FIELD=VALUE', help='rows of a list to take, as split=train_a'
  )
  sub.add_argument('--licence', default='', help="of the footage; stands in the library's manifest")
  sub.add_argument('--overwrite', action='store_true')


def run_index(given: argparse.Namespace):
  from dubber_jax.retrieval.build import build_library
  from dubber_jax.storage.distinct import check_distinct

  pairs = dict(pair.partition('=')[::2] for pair in given.only)
  if not all(pairs.values()):
    raise BadInput('--only takes FIELD=VALUE, as split=train_a')
  check_distinct({'the data': given.data}, {}, {'-o': given.out})
  build_library(given.data, given.out, overwrite=given.overwrite, only=pairs or None, licence=given.licence)


def _add_prepare(command):
  sub = command('prepare', run_prepare, 'Make a data set to train on, of your own clips or as others published it.')
  sub.add_argument('data', help='clips with .srt or .txt beside, a folder a speaker; or what --set was unpacked into')
  sub.add_argument('-o', '--out', required=True, help='folder for data sets')
  sub.add_argument('--set', default='clip_folder', choices=DATA_SETS)
  sub.add_argument('--workers', type=int, default=2, help='processes')
  sub.add_argument(
    '--beam',
    metavar='OPTIONS',
    nargs='?',
    const='',
    help="by Apache Beam, with options as 'runner=DataflowRunner,project=mine'",
  )
  sub.add_argument('--overwrite', action='store_true', help='prepare again what has changed')


def run_prepare(given: argparse.Namespace):
  from data_pipelines.prepare import prepare

  folder, skipped = prepare(given.set, given.data, given.out, given.workers, given.beam, given.overwrite)
  if skipped:
    print(f'{len(skipped)} skipped, listed in {folder / "skipped.jsonl"}; the first: {skipped[0]["why"]}')
  print(folder)
