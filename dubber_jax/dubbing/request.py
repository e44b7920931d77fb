"""What is asked of a dub: a film, its lines and voices, and how they are to be rehearsed and written."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dubber_jax.actor.slot import STRICT, check_fit
from dubber_jax.dubbing.cast import Cast
from dubber_jax.errors import BadInput
from dubber_jax.media.mux_options import MuxOptions
from dubber_jax.separation import TRAINED
from dubber_jax.types import EMOTIONS, Clip, Line, Reference, Voice

if TYPE_CHECKING:
  from dubber_jax.director.planner import Before
  from dubber_jax.dubbing.line import SeenLine

ROUNDS, CANDIDATES = 3, 4  # of a rehearsal
EXACT = 'exact'
Lexicon = dict[str, tuple[str, ...]]  # a word -> its phonemes

# How a script would say it in brackets; the planner and the text reader know these words.
STAGE_DIRECTIONS = {
  'angry': 'angrily',
  'disgust': 'disgusted',
  'fear': 'frightened',
  'happy': 'happily',
  'neutral': 'calmly',
  'sad': 'sadly',
  'surprise': 'surprised',
  'others': 'hesitantly',
}


@dataclass(frozen=True)
class LineOptions:
  """How one line is rehearsed."""

  rounds: int = ROUNDS  # rehearsal rounds at most
  candidates: int = CANDIDATES  # takes of a round, of which the best counts
  seed: int = 0  # another one, another take
  search: str = EXACT  # of the library: 'exact' or 'scann'
  face: int | None = None  # which face speaks, from 0, left to right; None: the one that moves
  lexicon: Lexicon | None = None  # pronunciations that go before the dictionary's
  fit: str = STRICT  # 'strict': as long as the slot; 'natural': may run on rather than hurry (actor/slot.py)

  def __post_init__(self):
    check_fit(self.fit)
    if self.rounds < 1 or self.candidates < 1:
      raise BadInput(f'{self.rounds} rounds of {self.candidates} takes: give at least 1 of each')


@dataclass(frozen=True)
class LineTask:
  """One line to be dubbed: what is said, by which voice, over which pictures, and for how long.

  slot_seconds: None where the take lasts as long as it needs. room_seconds: of silence after the slot, for a natural
  fit. before: the lines that went before it, each with its direction, the last one last. reference: a performance that
  a person gave it as its first exemplar. seen: what `see_line` found, for takes that are played again.
  """

  line: Line
  voice: Voice
  clip: Clip | None = None
  slot_seconds: float | None = None
  room_seconds: float = 0.0
  before: 'Before' = ()
  reference: Reference | None = None
  seen: 'SeenLine | None' = None


@dataclass(frozen=True)
class DubOptions:
  """How a film is dubbed and written."""

  lines: LineOptions = LineOptions()
  # 'separate', 'mute', 'duck', 'none', or a file of music and effects (media/background.py); None: 'separate' where the
  # film has sound
  background: str | None = None
  separator: str = TRAINED  # what takes the dialogue out of the film's sound: 'trained' or 'demucs' (separation/)
  mux: MuxOptions = MuxOptions()  # which tracks the dubbed film has
  audio_track: int | None = None  # which of the film's sounds is the source, from 0; None: the default one
  guide: str | None = None  # 'original' or a recording on the film's time, whose performance the planner is told of
  directions: str | None = None  # another project, or its directions.json, whose directions are played
  report: bool = True  # a report page beside the film
  subtitles: bool = True  # of the dub, beside the film (srt, vtt) and in it
  editorial: bool = False  # OUT.editorial for editing programs (dubbing/editorial/)
  overwrite: bool = False  # replace files that exist


@dataclass(frozen=True)
class DubRequest:
  """A film to be dubbed.

  project: folder for every line's takes; by default OUT.project beside the film where there are several lines. json:
  where the result goes as JSON, too.
  """

  film: Path
  lines: tuple[Line, ...]
  cast: Cast
  out: Path
  options: DubOptions = field(default_factory=DubOptions)
  project: Path | None = None
  json: Path | None = None
  warnings: tuple[str, ...] = ()  # of the script, as it was read

  @classmethod
  def of(
    cls,
    film: str | Path,
    lines: str | Sequence[Line],
    voice: Voice | Cast,
    out: str | Path,
    options: DubOptions | None = None,
    project: str | Path | None = None,
    json: str | Path | None = None,
  ) -> 'DubRequest':
    """The same from paths as strings, one line's text, and one voice for all lines."""
    lines = (Line(lines),) if isinstance(lines, str) else tuple(lines)
    cast = voice if isinstance(voice, Cast) else Cast(default=voice, warnings=voice.warnings)
    folder, result = (Path(path) if path is not None else None for path in (project, json))
    return cls(Path(film), lines, cast, Path(out), options or DubOptions(), folder, result)


def with_emotion(lines: Sequence[Line], emotion: str) -> list[Line]:
  """Lines without a stage direction get one of this emotion. Raises BadInput where there is no such emotion."""
  check_emotion(emotion)
  return [
    line if line.stage_direction else dataclasses.replace(line, stage_direction=STAGE_DIRECTIONS[emotion])
    for line in lines
  ]


def check_emotion(emotion: str) -> None:
  """Raises BadInput where `emotion` is not one of EMOTIONS."""
  if emotion not in EMOTIONS:
    raise BadInput(f'no emotion {emotion!r}: use one of {", ".join(EMOTIONS)}')
