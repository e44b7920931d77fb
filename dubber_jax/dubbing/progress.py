"""Progress of a dub: who asked for it is told before each line and with each part of the export, and may stop it there.

Steps are counted so that each takes about as long: a line is LINE of them, ten seconds of film are SEPARATED while its
dialogue is taken out, and WRITTEN while its sound is mixed and encoded.
"""

import math
from typing import Protocol

from dubber_jax.media.sound import BLOCK_SECONDS

LINE, SEPARATED, WRITTEN = 4, 2, 1


class Progress(Protocol):
  """What is told of a dub."""

  def __call__(self, done: int, of: int, message: str) -> None:
    """So many steps are done, and what is done now. What it raises ends the dub: takes that are stored stay, and no
    output is written."""
    ...


def untold(done: int, of: int, message: str) -> None:
  """Tells nobody."""


def export_steps(seconds: float) -> int:
  """Steps of the export of a film of so many seconds."""
  return (SEPARATED + WRITTEN) * blocks(seconds)


def blocks(seconds: float) -> int:
  """Blocks of BLOCK_SECONDS in which a film's sound is done."""
  return math.ceil(seconds / BLOCK_SECONDS)


def after(steps: int, progress: Progress) -> Progress:
  """Progress of work that comes after so many steps of other work."""
  return lambda done, of, message: progress(steps + done, steps + of, message)
