"""The cast: a voice for each character of a script.

A cast is a TOML file; paths in it are counted from its own folder:

    [cast]
    ANNA = "recordings/anna.wav"
    "OLD MAN" = "kathleen"          # a voice that ships with the model
    default = "narrator.wav"        # for all others, and for lines that name nobody
"""

import re
import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dubber_jax.errors import BadInput
from dubber_jax.inference.voices import find_voice
from dubber_jax.types import Line, Voice

if TYPE_CHECKING:
  from dubber_jax.inference.model import Model
  from dubber_jax.inference.stored_model import StoredModel

DEFAULT = 'default'


@dataclass(frozen=True)
class Cast:
  """Voices by character, as `folded` writes them; `default` is for lines of any other, or of none."""

  voices: dict[str, Voice] = field(default_factory=dict)
  default: Voice | None = None
  warnings: tuple[str, ...] = ()

  def voice_of(self, character: str) -> Voice:
    """Of several at once ("Anna & Bob") that of the first who has one. Raises BadInput where nobody has."""
    voice = self.voices.get(key_of(character, self.voices)) or self.default
    if voice is None:
      raise BadInput(f'no voice for {character or "a line without a character"}: add it to the cast, or a `{DEFAULT}`')
    return voice

  def check(self, lines: Sequence[Line]):
    """Raises BadInput that names every character without a voice, and every line that names nobody."""
    if self.default is not None:
      return
    lacking = {
      line.character: None
      for line in lines
      if line.character and key_of(line.character, self.voices) not in self.voices
    }
    unnamed = [str(number) for number, line in enumerate(lines, 1) if not line.character]
    wrong = [f'no voice for {", ".join(lacking)}'] if lacking else []
    if unnamed:
      wrong.append(
        f'line{"s" * (len(unnamed) > 1)} {", ".join(unnamed[:10])}'
        f'{f" and {len(unnamed) - 10} more" if len(unnamed) > 10 else ""} without a character'
      )
    if wrong:
      raise BadInput(f'{"; ".join(wrong)}: add them to the cast, or a `{DEFAULT}`')


def key_of(character: str, known: Collection[str]) -> str:
  """A character's key among the `known` ones: the folded name or, of several at once, that of the first known."""
  name = folded(character)
  parts = (part.strip() for part in re.split(r'[&/,+]| and ', name))
  return name if name in known else next((part for part in parts if part in known), name)


def folded(character: str) -> str:
  """A character's name as it is compared: however it is spaced and whatever its capitals."""
  return ' '.join(character.split()).casefold()


def read_names(path: str | Path) -> dict[str, str]:
  """{name as written: recording or name of a voice}, of a cast file. Raises BadInput for one that is broken."""
  path = Path(path)
  try:
    table = tomllib.loads(path.read_text(encoding='utf-8-sig'))
  except OSError as error:
    raise BadInput(f'cannot read the cast {path}: {error.strerror}') from None
  except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
    raise BadInput(f'{path}: not TOML that can be read ({error}); write [cast] and rows as ANNA = "anna.wav"') from None
  names = table.get('cast')
  if not isinstance(names, dict) or not names:
    raise BadInput(f'{path}: has no [cast] with rows as ANNA = "anna.wav"')
  for name, voice in names.items():
    if not isinstance(voice, str) or not voice.strip():
      raise BadInput(f'{path}: {name} = {voice!r} is no voice; give a recording, or the name of a shipped one')
  twice = [name for name in names if [folded(other) for other in names].count(folded(name)) > 1]
  if twice:
    raise BadInput(f'{path}: {" and ".join(twice)} are the same name; keep one')
  return names


def read_cast(
  path: str | Path,
  lines: Sequence[Line],
  shipped: dict[str, Voice],
  default: Voice | None = None,
  actor: 'Model | StoredModel | None' = None,
  steps: int | None = None,
) -> Cast:
  """The cast of a file for the `lines` of a script; `default` where the file has none; `actor` and `steps` as of
  `voices.make_voice`.

  Raises BadInput where a character has no voice, before any recording is listened to, and where a recording cannot
  be used. A name that no line has is told.
  """
  path = Path(path)
  names = {folded(name): (name, voice) for name, voice in read_names(path).items()}
  own_default = names.pop(DEFAULT, None)
  characters = {key_of(line.character, names) for line in lines}
  Cast(dict.fromkeys(names), default or own_default).check(lines)
  unknown = [name for key, (name, _) in names.items() if key not in characters]
  warnings = [f'{path.name}: no line is spoken by {", ".join(unknown)}'] if unknown else []
  heard = {}

  def hear(name, voice):
    if voice not in heard:
      recording = voice if voice in shipped else str(path.parent / voice)
      try:
        heard[voice] = find_voice(recording, shipped, actor, steps)
      except BadInput as error:
        raise BadInput(f'{path}: {name}: {error}') from None
    return heard[voice]

  voices = {key: hear(*pair) for key, pair in names.items() if key in characters}
  needed = any(key not in voices for key in characters)
  default = hear(*own_default) if own_default and needed else default
  return Cast(voices, default, tuple(warnings))


def cast_lines(lines: Sequence[Line], names: Iterable[str]) -> list[Line]:
  """Lines whose text begins with a name of the cast, however it is written ("Anna: Come here."), given to it."""
  known, given = {folded(name) for name in names} - {DEFAULT}, []
  for line in lines:
    named = re.match(r'([^:]{1,40}):\s*(?=\S)', line.text)
    if not line.character and named and folded(named[1]) in known:
      line = Line(line.text[named.end() :], line.start, line.end, named[1].strip(), line.stage_direction)
    given.append(line)
  return given
