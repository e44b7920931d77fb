"""The command `editorial`: the files for editing programs, of a project that exists."""

import argparse
import logging
from pathlib import Path

from dubber_jax.cli import AddCommand
from dubber_jax.storage.distinct import check_distinct

logger = logging.getLogger(__name__)


def add_commands(command: AddCommand):
  _add_editorial(command)


def _add_editorial(command):
  sub = command('editorial', run_editorial, 'Write stems, OTIO, EDL and ADR cue sheet of a dubbed film.')
  sub.add_argument('project', help='the folder of `dubber dub --project`')
  sub.add_argument('-o', '--out', required=True, help='folder for the files')
  sub.add_argument(
    '--start',
    metavar='TIMECODE',
    help="of the first picture, as 01:00:00:00, drop frame as 01:00:00;00 (default: the film's own)",
  )
  sub.add_argument('--overwrite', action='store_true', help='write into a folder that holds other files; they stay')


def run_editorial(given: argparse.Namespace):
  from dubber_jax.dubbing.editorial.folder import check_editorial
  from dubber_jax.dubbing.editorial.frames import film_clock
  from dubber_jax.dubbing.export import export_editorial
  from dubber_jax.dubbing.project import open_project

  folder = Path(given.out)
  check_editorial(folder, given.overwrite)
  with open_project(given.project) as project:
    check_distinct({'the project': given.project, 'the film': project.state.film}, {}, {'-o': folder})
    film_clock(project.state.film, given.start)  # a timecode that cannot be is told of before the work
    for warning in export_editorial(project, folder, given.start):
      logger.warning(warning)
  print(folder)
