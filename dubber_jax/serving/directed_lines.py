"""Direction of a line to be spoken: from its text, stage direction and note to the inputs of the actor.

With a library the words are read, performances like them are retrieved and the director plans, as for a film without
pictures. Without one, as with an exported artifact, nothing is read: the direction is that of the stage direction, the
punctuation and the note.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dubber_jax.actor.slot import SLOWEST, UNHURRIED
from dubber_jax.director.notes.apply import parse
from dubber_jax.director.planner import Before, by_rules
from dubber_jax.errors import BadInput
from dubber_jax.inference.model import Model
from dubber_jax.inference.synthesis import LineInputs
from dubber_jax.rehearsal import without_conflicting_exemplars
from dubber_jax.script.g2p import Phonemes, phonemize
from dubber_jax.types import MODALITIES, Direction, Exemplars, Line, Reading, Voice

if TYPE_CHECKING:
  from dubber_jax.perception.analyze import Extractors
  from dubber_jax.retrieval.library import Library

SPEAKER = 'SPEAKER'  # the character of all lines of one request, so that the planner keeps to its last direction


@dataclass(frozen=True)
class SpeechLine:
  """One line that is to be spoken.

  stage_direction: as a script has it in brackets; note: of a director, in English or Chinese, on top of what is
  planned. speed: ratio to the pace that the director plans. rounds, candidates: of a rehearsal; one of each: a single
  take. before: the lines that went before it, with their planned directions. deadline: of `time.monotonic()`; of lines
  that wait the earliest goes first.
  """

  text: str
  voice: Voice
  stage_direction: str = ''
  note: str = ''
  speed: float = 1.0
  seed: int = 0
  rounds: int = 1
  candidates: int = 1
  before: Before = ()
  deadline: float = 0.0


@dataclass(frozen=True)
class DirectedLine:
  """A line that can be synthesized.

  planned: its direction without note and speed, of which the next line is told; tempo: how many times as fast as the
  actor speaks it has to be, 1 where the actor's own pace reaches the speed that was asked for.
  """

  line: Line
  inputs: LineInputs
  direction: Direction
  planned: Direction
  tempo: float = 1.0
  warnings: tuple[str, ...] = ()


def direct_line(model: Model, library: 'Library | None', asked: SpeechLine) -> DirectedLine:
  """Reads and directs a line. Raises BadInput for a line that cannot be spoken."""
  line = Line(asked.text, character=SPEAKER, stage_direction=asked.stage_direction)
  phonemes = phonemize(line.text)
  reading = exemplars = None
  if library is not None and model.config.task.director.enabled:
    from dubber_jax.perception.analyze import read_words  # not where a library is missing

    reading = read_words(line, _extractors())
    exemplars = library.retrieve(reading, model.config.task.director.exemplars)
  planned, warnings = by_rules(reading or _nothing_read(), exemplars or _NO_EXEMPLARS, line, phonemes, asked.before)
  direction, noted = _with_note(planned, asked.note, phonemes)
  direction, tempo = _at_speed(direction, asked.speed)
  inputs = LineInputs(phonemes, asked.voice, None, reading, exemplars, directed=True)
  inputs = without_conflicting_exemplars(inputs, direction)
  told = tuple(dict.fromkeys([*asked.voice.warnings, *phonemes.warnings, *warnings, *noted]))
  return DirectedLine(line, inputs, direction, planned, tempo, told)


def _with_note(direction: Direction, note: str, phonemes: Phonemes) -> tuple[Direction, tuple[str, ...]]:
  """The direction after a note, with warnings. A note in which nothing is understood changes nothing: what programs
  send as instructions may speak of anything."""
  if not note.strip():
    return direction, ()
  try:
    revised = parse(note, direction, phonemes)
  except BadInput as error:
    return direction, (str(error),)
  return revised.direction, revised.warnings


def _at_speed(direction: Direction, speed: float) -> tuple[Direction, float]:
  """The direction with its pace times `speed`, as far as the actor's pace goes, and the ratio that is left."""
  wanted = direction.pace * speed
  pace = round(float(np.clip(wanted, SLOWEST, UNHURRIED)), 3)
  tempo = wanted / pace
  return direction.replace(pace=pace), tempo if abs(tempo - 1) > 0.005 else 1.0


@functools.cache
def _extractors() -> 'Extractors':
  from dubber_jax.perception.analyze import Extractors
  from dubber_jax.perception.text import QUICK_BATCHES, MiniLM

  return Extractors(text=MiniLM(QUICK_BATCHES))


@functools.cache
def _nothing_read() -> Reading:
  return Reading(*[np.zeros(0, np.float32)] * 3, present=np.zeros(3, bool))


_NO_EXEMPLARS = Exemplars(
  {m: () for m in MODALITIES}, {}, np.zeros((3, 0, 0)), np.zeros((3, 0), bool), np.zeros((3, 0), bool)
)
