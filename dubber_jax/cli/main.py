"""The command `dubber`: the parser of its commands, and their errors as exit codes."""

import argparse
import contextlib
import os
import sys

from dubber_jax import __version__
from dubber_jax.cli import convert, data, dub, editorial, evaluate, serve, train, transcribe
from dubber_jax.cli.interrupts import INTERRUPTED, interruptible
from dubber_jax.cli.terminal import NORMAL, QUIET, VERBOSE, foreign_output_hidden, log_to_terminal
from dubber_jax.errors import BadInput

OUTPUTS = ('out', 'json', 'key', 'project', 'work', 'workdir', 'packed')  # options that name what is written
GROUPS = (dub, transcribe, editorial, data, train, convert, evaluate, serve)


def main(arguments: list[str] | None = None) -> int:
  """Runs one command. Bad input is one line on stderr and exit code 2."""
  try:
    parser = make_parser()
    if any('\0' in word for word in (sys.argv[1:] if arguments is None else arguments)):
      raise BadInput('an argument holds a null character, which no name can have')
    given, more = parser.parse_known_args(arguments)
    if more and not hasattr(given, 'overrides'):
      parser.error(f'unrecognized arguments: {" ".join(more)}')
    given.overrides = more
    empty = [name for name in OUTPUTS if getattr(given, name, None) == '']
    if empty:
      raise BadInput(f'--{empty[0]}: the name is empty; name a file or a folder')
    _use_compilation_cache()
    level = VERBOSE if given.verbose else QUIET if given.quiet else NORMAL
    log_to_terminal(level)
    with interruptible(), foreign_output_hidden(level):
      code = given.run(given) or 0
      sys.stdout.flush()  # here, where a pipe that was closed can still be told
      return code
  except BadInput as e:
    return _told(str(e), 2)
  except KeyboardInterrupt:
    return _told('stopped', INTERRUPTED)
  except BrokenPipeError:
    with contextlib.suppress(OSError, ValueError, AttributeError):
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would report it again at its end
    return _told('stopped: nobody reads its output any more', 141)
  except OSError as e:  # of a file that the command did not expect to fail
    named = f'{os.fsdecode(e.filename)}: ' if isinstance(e.filename, str | bytes) else ''
    return _told(f'{named}{e.strerror or e}', 2)
  except RecursionError:
    return _told('a file that it read has brackets in brackets without an end: copy it again', 2)
  except Exception as e:
    from dubber_jax.storage.atomic import is_disk_full

    if is_disk_full(e):
      return _told('no space left on the disk: free some and run the same command again', 2)
    raise


def _told(message: str, code: int) -> int:
  """Prints one line on stderr, where anybody reads it, and returns the exit code."""
  with contextlib.suppress(OSError, ValueError):
    print('dubber:', ' '.join(message.splitlines()), file=sys.stderr)
  return code


def _use_compilation_cache():
  """What was compiled once is kept, so that the next start takes seconds."""
  from dubber_jax.storage.cache import cache_folder
  from dubber_jax.storage.programs import keep_programs

  folder = cache_folder()
  if folder is None:
    return
  keep_programs()
  # JAX reads these when it is imported, which a refusal or an export does without.
  settings = {
    'jax_compilation_cache_dir': str(folder / 'xla'),
    'jax_persistent_cache_min_compile_time_secs': 0.3,
  }
  os.environ |= {name.upper(): str(value) for name, value in settings.items()}
  if 'jax' in sys.modules:
    import jax

    for name, value in settings.items():
      jax.config.update(name, value)


def make_parser() -> argparse.ArgumentParser:
  # No option may be shortened: --fit would be taken for --fit-steps where only the one is known.
  parser = argparse.ArgumentParser(prog='dubber', description='Movie dubbing with a director.', allow_abbrev=False)
  _add_common_options(parser, False)
  commands = parser.add_subparsers(required=True, metavar='COMMAND')

  def command(name, run, text, **options):
    sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False, **options)
    _add_common_options(sub, argparse.SUPPRESS)
    sub.set_defaults(run=run)
    return sub

  for group in GROUPS:
    group.add_commands(command)
  return parser


def _add_common_options(parser: argparse.ArgumentParser, default: object):
  """Options that stand before a command or behind it."""
  parser.add_argument('-q', '--quiet', action='store_true', default=default, help='say nothing but warnings and errors')
  parser.add_argument('-v', '--verbose', action='store_true', default=default, help='say more, and what libraries say')
  parser.add_argument('--version', action='version', version=f'dubber {__version__}', help='print the version')
