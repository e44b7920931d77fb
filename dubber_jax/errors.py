"""The error for invalid input, whose message is shown to the user as one line."""

import sys
from collections.abc import Callable


class BadInput(ValueError):
  """Invalid user input. The message is one line: what is wrong, with the value and the file, and what to do.

  The command line prints it without a stack trace and exits with code 2.
  """


class FolderBusy(BadInput):
  """Another process is at work in a folder, which one at a time may change."""


class FilmMissing(BadInput):
  """A project's film is not where it was, or is another one."""


def exit_code(action: Callable[[], None]) -> int:
  """Runs `action`; returns 0, or 2 where it raises BadInput, whose message is printed to stderr."""
  try:
    action()
  except BadInput as e:
    print(e, file=sys.stderr)
    return 2
  return 0
