"""The command `dubber`: the parser of its commands, and their errors as exit codes."""

import argparse
import logging
import os
import sys

from dubber_jax.cli import convert, data, dub, evaluate, serve, train
from dubber_jax.errors import BadInput

GROUPS = (dub, data, train, convert, evaluate, serve)


def main(arguments: list[str] | None = None) -> int:
  """Runs one command. Bad input is one line on stderr and exit code 2."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  try:
    parser = make_parser()
    given, more = parser.parse_known_args(arguments)
    if more and not hasattr(given, 'overrides'):
      parser.error(f'unrecognized arguments: {" ".join(more)}')
    given.overrides = more
    _use_compilation_cache()
    _log_to_terminal()
    return given.run(given) or 0
  except BadInput as e:
    print(f'dubber: {e}', file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print('dubber: stopped', file=sys.stderr)
    return 130


def _use_compilation_cache():
  """What was compiled once is kept, so that the next start takes seconds."""
  import jax

  from dubber_jax.storage.cache import cache_folder

  if cache_folder() is None:
    return
  jax.config.update('jax_compilation_cache_dir', str(cache_folder() / 'xla'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.3)


def _log_to_terminal():
  """What the library logs goes to stdout: progress as it is, warnings marked as such."""

  class Lines(logging.Formatter):
    def format(self, record):
      return f'  warning: {record.getMessage()}' if record.levelno >= logging.WARNING else record.getMessage()

  logger = logging.getLogger('dubber_jax')
  handler = logging.StreamHandler(sys.stdout)
  handler.setFormatter(Lines())
  logger.handlers, logger.propagate = [handler], False
  logger.setLevel(logging.INFO)


def make_parser() -> argparse.ArgumentParser:
  # No option may be shortened: --fit would be taken for --fit-steps where only the one is known.
  parser = argparse.ArgumentParser(prog='dubber', description='Movie dubbing with a director.', allow_abbrev=False)
  commands = parser.add_subparsers(required=True, metavar='COMMAND')

  def command(name, run, text, **options):
    sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False, **options)
    sub.set_defaults(run=run)
    return sub

  for group in GROUPS:
    group.add_commands(command)
  return parser
