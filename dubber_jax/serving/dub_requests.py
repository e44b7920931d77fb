"""What a request asks of a dub: its fields, as JSON or as the texts of a form, checked one by one."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from dubber_jax.actor.slot import FITS
from dubber_jax.dubbing.request import DubOptions, LineOptions
from dubber_jax.media.background import KINDS
from dubber_jax.media.mux_options import ADD, REPLACE, MuxOptions
from dubber_jax.serving.errors import ApiError
from dubber_jax.types import EMOTIONS

LONGEST_TEXT = 2000  # characters of a line, or of a note
MOST_CAST = 500  # characters of a script who have a voice
NAMES = ('film', 'script', 'text', 'voice', 'cast', 'name')  # beside the options
Read = Callable[[str, Any], Any]


def one_of(*known: str) -> Read:
  """Reads one of some words."""

  def read(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in known:
      raise wrong(name, f'{str(value)[:40]!r} is none of {", ".join(known)}')
    return value

  return read


def number(low: int, high: int) -> Read:
  """Reads a whole number from `low` to `high`."""

  def read(name: str, value: Any) -> int:
    if isinstance(value, str) and len(value) < 20 and value.strip().lstrip('-').isdecimal():
      value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
      raise wrong(name, f'{str(value)[:40]!r} is no whole number from {low} to {high}')
    return value

  return read


def yes_or_no(name: str, value: Any) -> bool:
  """Reads true or false."""
  known = {'true': True, 'false': False, '1': True, '0': False}
  value = known.get(value.strip().lower()) if isinstance(value, str) else value
  if not isinstance(value, bool):
    raise wrong(name, 'give true or false')
  return value


def text(longest: int) -> Read:
  """Reads a text that is not empty, of at most so many characters."""

  def read(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
      raise wrong(name, f'give a text of 1 to {longest} characters')
    return ' '.join(value.split())

  return read


def language(name: str, value: Any) -> str:
  """Reads a language code."""
  if not isinstance(value, str) or not re.fullmatch('[a-z]{3}', value):
    raise wrong(name, 'give a language by its three letters of ISO 639-2, as eng')
  return value


OPTIONS: dict[str, Read] = {
  'background': one_of(*KINDS),
  'fit': one_of(*FITS),
  'rounds': number(1, 20),
  'candidates': number(1, 64),
  'seed': number(0, 2**31 - 1),
  'face': number(0, 99),
  'audio_track': number(0, 99),
  'guide': one_of('original'),
  'emotion': one_of(*EMOTIONS),
  'tracks': one_of(ADD, REPLACE),
  'language': language,
  'subtitles': yes_or_no,
}


def wrong(name: str, what: str) -> ApiError:
  """The answer to a field that cannot be used."""
  return ApiError(400, f'{name}: {what}', 'bad_value', name)


def read_wish(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
  """Fields of a request -> options that it sets, cast by character, and the other fields of NAMES that it has.

  Raises ApiError 400, naming the field, for one that there is not and a value that cannot be.
  """
  for name in given:
    if name not in OPTIONS and name not in NAMES:
      raise ApiError(
        400, f'there is no field {name[:40]!r}: give {", ".join((*NAMES, *OPTIONS))}', 'unknown_field', name
      )
  there = {name: value for name, value in given.items() if value not in (None, '')}
  options = {name: OPTIONS[name](name, value) for name, value in there.items() if name in OPTIONS}
  cast = read_cast(there.pop('cast', None))
  others = {name: text(LONGEST_TEXT)(name, value) for name, value in there.items() if name in NAMES}
  return options, cast, others


def read_cast(value: Any) -> dict[str, str]:
  """A voice by name for each character, of an object or of its JSON; `default` for all others."""
  if value is None:
    return {}
  if isinstance(value, str):
    try:
      value = json.loads(value)
    except (ValueError, RecursionError):
      raise wrong('cast', 'is no JSON; give {"ANNA": "kathleen", "default": "ryan"}') from None
  if not isinstance(value, dict) or len(value) > MOST_CAST:
    raise wrong('cast', 'give a voice for each character, as {"ANNA": "kathleen", "default": "ryan"}')
  read = text(200)
  return {read('cast', character): read(f'cast: {character[:40]}', voice) for character, voice in value.items()}


def dub_options(options: Mapping[str, Any]) -> DubOptions:
  """Options that were read, as those of a dub. What is there is written again, since its folder is the dub's own."""
  names = ('fit', 'rounds', 'candidates', 'seed', 'face')
  return DubOptions(
    lines=LineOptions(**{name: options[name] for name in names if name in options}),
    background=options.get('background'),
    audio_track=options.get('audio_track'),
    mux=MuxOptions(options.get('tracks', ADD), options.get('language', 'eng')),
    guide=options.get('guide'),
    report=False,  # the desk shows what it would
    subtitles=options.get('subtitles', True),
    overwrite=True,
  )
