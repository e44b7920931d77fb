"""Listening test: one static HTML page on which people rate systems blind.

Three sections: naturalness, and how well a sound fits the intended emotion (both 1 to 5, absolute category rating of
ITU-T P.800), and preference between two systems. The page works from a file, draws each listener's lines and order from
the listener's number, stores answers in the browser as they are given, and exports them as JSON. Which sound is of
which system is in the key, a separate file. `scores.py` makes a table of answers and key.

Attention checks are rows of beeps in place of speech, to be answered by their number or, in a comparison, by choosing
them. Their answers are in the key too.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.loudness import normalize_loudness
from dubber_jax.media.sound import read_sound, wav_bytes
from dubber_jax.pages import stylesheet
from dubber_jax.storage.atomic import check_output, complete_folder, complete_together
from dubber_jax.storage.hashing import sha256_bytes
from dubber_jax.types import EMOTIONS, SAMPLE_RATE

SECTIONS = ('naturalness', 'emotion', 'preference')
SOUNDS = ('.wav', '.flac', '.mp3', '.opus', '.ogg', '.m4a')
BEEPS = 5  # of one check at most: the number of ratings
LINES = 12  # per listener, by default


@dataclass(frozen=True)
class Item:
  """One line by each system: files by the system's name. `emotion`: the intended one."""

  text: str
  emotion: str
  sounds: Mapping[str, Path]


@dataclass(frozen=True)
class Plan:
  """What listeners get to hear. lines: number of lines of each system per listener. beside: sounds as files in a folder
  of the page's name, not embedded."""

  title: str = 'Listening test'
  seed: int = 0  # of the order
  lines: int = LINES
  sections: Sequence[str] = SECTIONS
  beside: bool = False


def read_items(source: str | Path) -> list[Item]:
  """Items from a JSON list of {"text", "emotion", "sounds": {system: file}}, its files beside it unless absolute; or
  from a folder that holds a folder of sounds a system and `lines.jsonl`, a row {"text", "emotion"} a line: its sound is
  SYSTEM/NAME, where NAME is the row's "name" or its number as `dubber speak --lines` writes it (001 is the first).

  Raises BadInput where a row cannot be read or a line lacks the sound of a system: each must have every line.
  """
  source = Path(source)
  if source.is_dir():
    listing = source / 'lines.jsonl'
    rows = [
      (n, {**row, 'sounds': _sounds_of(source, str(row.get('name', f'{n:03d}')))})
      for n, row in enumerate(_read_rows(listing), 1)
    ]
  else:
    listing, rows = source, list(enumerate(_read_rows(source), 1))
  items = [_item(row, f'{listing}, line {n}', listing.parent) for n, row in rows]
  if not items:
    raise BadInput(f'{listing} has no lines: there is nothing to rate')
  systems = list(dict.fromkeys(system for item in items for system in item.sounds))
  for number, item in enumerate(items, 1):
    missing = [system for system in systems if system not in item.sounds]
    if missing:
      raise BadInput(f'{source}: line {number} has no sound of {", ".join(missing)}: each system must have every line')
  return items


def _read_rows(path: Path) -> list[dict]:
  try:
    text = path.read_text(encoding='utf-8')
    rows = json.loads(text) if text.lstrip().startswith('[') else [json.loads(row) for row in text.splitlines() if row]
  except (OSError, ValueError) as e:
    raise BadInput(f'{path} cannot be read as a list of lines ({e}): write a JSON list, or an object a row') from e
  if not all(isinstance(row, dict) for row in rows):
    raise BadInput(f'{path}: each line has to be an object, as {{"text": ..., "emotion": ..., "sounds": ...}}')
  return rows


def _sounds_of(folder: Path, name: str) -> dict[str, str]:
  """{system: file} of the line called `name`."""
  return {
    path.parent.name: str(path.relative_to(folder))
    for path in sorted(folder.glob('*/*'))
    if path.stem == name and path.suffix.lower() in SOUNDS
  }


def _item(row, where, folder) -> Item:
  text, emotion, sounds = row.get('text'), row.get('emotion'), row.get('sounds')
  if not isinstance(text, str) or not text.strip():
    raise BadInput(f'{where}: has no "text": give the words of the line')
  if emotion not in EMOTIONS:
    raise BadInput(f'{where}: emotion {emotion!r} is none of {", ".join(EMOTIONS)}')
  if not isinstance(sounds, dict) or not sounds:
    raise BadInput(f'{where}: has no sounds: name a file for each system')
  files = {str(system): folder / str(file) for system, file in sounds.items()}
  for file in files.values():
    if not file.is_file():
      raise BadInput(f'{where}: {file} does not exist')
  return Item(text.strip(), emotion, files)


def write_test(
  items: Sequence[Item],
  out: str | Path,
  plan: Plan = Plan(),
  key: str | Path | None = None,
  overwrite: bool = False,
) -> Path:
  """Writes the page `out` (html) and the key, OUT.key.json unless named; returns the path of the key.

  All sounds are normalized to the same loudness and to 22,050 Hz, mono. A preference needs two systems.
  Raises BadInput where a sound cannot be read or a file cannot be written.
  """
  out = Path(out)
  key = Path(key) if key else out.with_suffix('.key.json')
  unknown = [name for name in plan.sections if name not in SECTIONS]
  if unknown or not plan.sections:
    raise BadInput(f'no section {", ".join(unknown) or "at all"}: choose of {", ".join(SECTIONS)}')
  if plan.lines < 1:
    raise BadInput(f'{plan.lines} lines for each listener: give 1 or more')
  systems = list(items[0].sounds)
  sections = [name for name in SECTIONS if name in plan.sections and (name != 'preference' or len(systems) > 1)]
  if not sections:
    raise BadInput(f'there is only {systems[0]}: a preference needs two systems')
  for path in (out, key):
    check_output(path, overwrite)

  heard = [[_leveled(read_sound(item.sounds[system])) for system in systems] for item in items]
  rows = [{'text': item.text, 'emotion': item.emotion} for item in items]
  test = sha256_bytes(json.dumps([plan.seed, systems, rows]).encode(), *sum(heard, []))[:12]
  names = _names(test, len(items) * len(systems) + BEEPS)
  checks = {next(names): count for count in range(1, BEEPS + 1)}
  samples = {next(names): {'line': n, 'system': system} for n in range(len(items)) for system in systems}
  sounds = dict(zip(samples, sum(heard, []), strict=True)) | {
    name: _leveled(beeps(count)) for name, count in checks.items()
  }
  shown = [
    {**row, 'sounds': sorted(name for name, of in samples.items() if of['line'] == n)} for n, row in enumerate(rows)
  ]

  addresses = {name: _address(sounds[name]) for name in sorted(sounds)}
  if plan.beside:
    folder = out.with_suffix('')
    addresses = {name: f'{folder.name}/{name}.wav' for name in sorted(sounds)}
    with complete_folder(folder, overwrite) as part:
      for name, data in sounds.items():
        (part / f'{name}.wav').write_bytes(data)
  shown_plan = {
    'test': test,
    'title': plan.title,
    'sections': sections,
    'perListener': min(plan.lines, len(items)),
    'lines': shown,
    'checks': sorted(checks),
    'trial': _address(_leveled(beeps(2))),
    'sounds': addresses,
  }
  answer = {
    'test': test,
    'title': plan.title,
    'systems': systems,
    'sections': sections,
    'lines': rows,
    'checks': checks,
    'samples': samples,
  }
  with complete_together((key, out), overwrite) as parts:
    parts[key.absolute()].write_text(json.dumps(answer, indent=1, ensure_ascii=False), encoding='utf-8')
    parts[out.absolute()].write_text(
      _template().render(style=stylesheet(), title=plan.title, plan=_in_script(shown_plan)), encoding='utf-8'
    )
  return key


def _names(test: str, count: int) -> Iterator[str]:
  """Names of sounds in a random order, so that they do not reveal the system."""
  return (f's{number:04d}' for number in np.random.default_rng(int(test, 16)).permutation(count))


def _leveled(wave: np.ndarray) -> bytes:
  return wav_bytes(normalize_loudness(wave, SAMPLE_RATE), SAMPLE_RATE)


def beeps(count: int) -> np.ndarray:
  """An attention check: so many beeps of 0.13 s, 0.22 s apart: (S,) at 22,050 Hz."""
  time = np.arange(int(0.13 * SAMPLE_RATE)) / SAMPLE_RATE
  beep = 0.3 * np.sin(2 * np.pi * 620 * time) * np.sin(np.pi * time / time[-1]) ** 0.5
  gap = np.zeros(int(0.22 * SAMPLE_RATE))
  return np.concatenate([gap, *[beep, gap] * count]).astype(np.float32)


def _address(data: bytes) -> str:
  return f'data:audio/wav;base64,{base64.b64encode(data).decode()}'


def _in_script(value) -> str:
  """JSON that cannot close the script element around it."""
  return json.dumps(value, ensure_ascii=False).replace('<', '\\u003c')


def _template():
  from jinja2 import Environment, StrictUndefined

  source = Path(__file__).with_name('page.html').read_text(encoding='utf-8')
  return Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
