"""Errors that speak to the person at the terminal."""

import sys
from collections.abc import Callable


class BadInput(ValueError):
  """Something the user gave cannot be used. The message is one line: what was wrong, and what to do.

  The command line prints it without a stack trace and exits with code 2.
  """


def exit_code(action: Callable[[], None]) -> int:
  """0 where `action` ends; 2 where it raises BadInput, whose line goes to stderr."""
  try:
    action()
  except BadInput as e:
    print(e, file=sys.stderr)
    return 2
  return 0
