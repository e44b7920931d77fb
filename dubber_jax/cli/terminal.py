"""What a command says: the library's log on stdout, at three levels, and nothing of what other libraries say."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

QUIET, NORMAL, VERBOSE = logging.WARNING, logging.INFO, logging.DEBUG
# Read by TensorFlow, LiteRT and absl when they are loaded, so that they are set before any import.
SILENT_ENVIRONMENT = {'TF_CPP_MIN_LOG_LEVEL': '3', 'GLOG_minloglevel': '3', 'TRANSFORMERS_VERBOSITY': 'error'}


def log_to_terminal(level: int = NORMAL) -> None:
  """What the library logs from `level` on goes to stdout: progress as it is, warnings marked as such."""

  class Lines(logging.Formatter):
    def format(self, record):
      return f'  warning: {record.getMessage()}' if record.levelno >= logging.WARNING else record.getMessage()

  logger = logging.getLogger('dubber_jax')

  class Terminal(logging.StreamHandler):
    def handleError(self, record):  # a pipe that was closed ends the command, as it does for what is printed
      if isinstance(sys.exc_info()[1], BrokenPipeError):
        raise
      super().handleError(record)

  handler = Terminal(sys.stdout)
  handler.setFormatter(Lines())
  logger.handlers, logger.propagate = [handler], False
  logger.setLevel(level)


@contextlib.contextmanager
def foreign_output_hidden(level: int = NORMAL) -> Iterator[None]:
  """Context in which other libraries' log records and warnings, and what native code writes to stderr, are not shown.

  Python's own sys.stderr goes where it went before. After an error of the program what was hidden is shown: it may say
  why. At VERBOSE nothing is hidden.
  """
  if level <= VERBOSE:
    yield
    return
  for name, value in SILENT_ENVIRONMENT.items():
    os.environ.setdefault(name, value)
  with warnings.catch_warnings(), _native_stderr_hidden():
    warnings.simplefilter('ignore')
    last_resort, logging.lastResort = logging.lastResort, logging.NullHandler()  # of records that nobody handles
    try:
      yield
    finally:
      logging.lastResort = last_resort


@contextlib.contextmanager
def _native_stderr_hidden() -> Iterator[None]:
  try:
    shown = sys.stderr.fileno() == 2 and os.dup(2)
  except (AttributeError, OSError, ValueError):  # stderr is no file, as under a test
    shown = None
  if not shown:
    yield
    return
  python_stderr = sys.stderr
  with tempfile.TemporaryFile() as hidden:
    python_stderr.flush()
    os.dup2(hidden.fileno(), 2)
    sys.stderr = os.fdopen(shown, 'w', buffering=1, encoding=python_stderr.encoding, errors='backslashreplace')
    try:
      yield
    except Exception as error:
      if not _is_expected(error):
        hidden.seek(0)
        sys.stderr.write(hidden.read().decode(errors='replace'))
      raise
    finally:
      ours, sys.stderr = sys.stderr, python_stderr
      with contextlib.suppress(OSError, ValueError):
        ours.flush()
      os.dup2(shown, 2)
      with contextlib.suppress(OSError, ValueError):
        ours.close()


def _is_expected(error: Exception) -> bool:
  from dubber_jax.errors import BadInput

  return isinstance(error, BadInput | BrokenPipeError)
