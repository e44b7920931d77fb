"""Errors that speak to the person at the terminal."""


class BadInput(ValueError):
  """Something the user gave cannot be used. The message is one line: what was wrong, and what to do.

  The command line prints it without a stack trace and exits with code 2.
  """
