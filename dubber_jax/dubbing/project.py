"""The project folder of a dub: the state of the film, and every line's takes, with what each was made from.

project.json       ProjectState
voices.safetensors the voices, by the hash under which lines ask for them
bed.flac           the film's sound without its dialogue; loudness.npz: how loud that and the film are
lines/001/take_1/  take.npz, take.wav, direction.json, result.json, made.json (inputs and hashes of the files);
                   figures.json, what the report page shows of it
lines/001/chosen.json  which take is in the film, and which one the dub itself made
lines/001/reference.json, references/  performances that a person gave it as exemplars (line_references.py)
desk.json          what was changed at the desk (serving/desk/history.py)
directions.json, index.html
"""

import contextlib
import dataclasses
import functools
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from dubber_jax.dubbing.comparison import TakeChange, TakeMeasures, measure_take
from dubber_jax.dubbing.directions import direction_from, read_json
from dubber_jax.dubbing.project_paths import check_moved, located, portable
from dubber_jax.dubbing.request import LineOptions
from dubber_jax.dubbing.result import DubbedLine, LineResult
from dubber_jax.errors import BadInput
from dubber_jax.inference.voice_files import read_voices, write_voices
from dubber_jax.media.loudness import TARGET_LUFS, integrated_loudness, limit_peaks
from dubber_jax.media.sound import write_wav
from dubber_jax.pages import stylesheet
from dubber_jax.separation import TRAINED
from dubber_jax.storage.atomic import complete_file, complete_folder, is_partial, remove_partials, write_json
from dubber_jax.storage.hashing import sha256_bytes, sha256_file, sha256_text
from dubber_jax.storage.json_files import checked_value, fields_of
from dubber_jax.storage.locks import locked
from dubber_jax.types import SAMPLE_RATE, Direction, Line, MouthTrack, Take, Voice

FORMAT = 1
TRACK = ('lips', 'opening', 'present', 'boxes')
TAKE = ('mel', 'durations', 'pitch', 'emotion', 'waveform')
DIGITS = 16  # of a hash
OWN_FILES = (
  'project.json',
  'desk.json',
  'bed.flac',
  'loudness.npz',
  'voices.safetensors',
  'directions.json',
  'index.html',
  '.lock',
)
FIRST_FILES = ('.lock', 'voices.safetensors')  # that a dub writes before project.json


@dataclass(frozen=True)
class ProjectState:
  """What project.json holds: of which film and model the project is, its lines and voices, and what is written.

  voice_of: the hash of each line's voice; voices: their names by hash; options: of the lines' rehearsals, as
  `option_fields` gives them; wrote: files that earlier exports wrote; exported: the takes that are in the film;
  film_stamp: size and time of the film's file. Paths are absolute here, and relative in the file (project_paths.py).
  """

  film: str
  film_hash: str
  seconds: float
  model: str
  model_hash: str
  director: bool
  library: str
  lines: tuple[Line, ...]
  voice_of: tuple[str, ...]
  voices: dict[str, str]
  options: dict[str, Any]
  fit: str
  background: str
  kept: bool  # the folder stays when the film is done
  out: str
  report: bool
  json: str | None
  warnings: tuple[str, ...]
  wrote: tuple[str, ...] = ()
  exported: tuple[int, ...] | None = None
  film_stamp: tuple[int, int] | None = None
  audio_track: int | None = None  # of the film
  separator: str = TRAINED
  tracks: str = 'add'  # of the dubbed film, as in MuxOptions
  language: str = 'eng'
  subtitles: bool = False
  editorial: bool = False

  def to_json(self) -> dict[str, Any]:
    """The fields in JSON's terms."""
    return dataclasses.asdict(self) | {'format': FORMAT}

  @classmethod
  def from_json(cls, found: Any, where: Path) -> 'ProjectState':
    """What `to_json` gave. Raises BadInput where it is damaged, or of another version."""
    try:
      if found['format'] != FORMAT:
        raise ValueError(f'format {found["format"]}')
      fields: dict[str, Any] = {f.name: found[f.name] for f in dataclasses.fields(cls) if f.name in found}
      fields['lines'] = tuple(Line(**line) for line in found['lines'])
      for name in ('voice_of', 'warnings', 'wrote', 'exported', 'film_stamp'):
        fields[name] = tuple(fields[name]) if fields.get(name) is not None else None
      fields['wrote'] = fields['wrote'] or ()
      state = cls(**fields)
      _check_state(state, where)
      return state
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
      raise BadInput(
        f'{where}: is not of this version (format {FORMAT}), or damaged ({error}); start again in another folder'
      ) from None

  @property
  def lexicon(self) -> dict[str, tuple[str, ...]]:
    """Pronunciations that the dub was given."""
    return {word: tuple(symbols) for word, symbols in (self.options.get('lexicon') or {}).items()}

  def line_options(self, **changes) -> LineOptions:
    """The options of its lines, with some changed."""
    names = {field.name for field in dataclasses.fields(LineOptions)}
    known = {name: value for name, value in self.options.items() if name in names}
    return LineOptions(**known | {'lexicon': self.lexicon, 'fit': self.fit} | changes)


def _check_state(state: ProjectState, where: Path) -> None:
  """Raises BadInput or another ValueError where a state has fields that no dub wrote, as after it was edited."""
  for field in dataclasses.fields(ProjectState):
    checked_value(field, getattr(state, field.name), str(where))
  if not state.lines or len(state.voice_of) != len(state.lines) or not set(state.voice_of) <= set(state.voices):
    raise ValueError(f'{len(state.lines)} lines, {len(state.voice_of)} voices of lines, {len(state.voices)} voices')
  if state.exported is not None and len(state.exported) != len(state.lines):
    raise ValueError(f'{len(state.exported)} takes in the film, {len(state.lines)} lines')
  for number, line in enumerate(state.lines, 1):
    for field in dataclasses.fields(Line):
      checked_value(field, getattr(line, field.name), f'{where}: line {number}')
    if not 0 <= float(line.start) < float(line.end) < float('inf'):  # pyright: ignore[reportArgumentType]
      raise ValueError(f'line {number} lasts from {line.start} to {line.end}')
  if not 0 < state.seconds < float('inf'):
    raise ValueError(f'a film of {state.seconds} s')
  given = state.options | {'lexicon': None}
  fields_of(LineOptions, given, f'{where}.options')
  state.line_options()
  symbols: list[object] = [symbol for spoken in state.lexicon.values() for symbol in spoken]
  if not all(isinstance(symbol, str) for symbol in symbols):
    raise ValueError('a lexicon of other things than symbols')


def _digest_now(path: Path) -> str:
  """The short hash of a file, read again where its size or its time of change is another."""
  found = path.stat()
  return _digest(path, found.st_size, found.st_mtime_ns, found.st_ino)


@functools.lru_cache(maxsize=8192)
def _digest(path: Path, *stamp: int) -> str:
  return sha256_file(path)[:DIGITS]


def option_fields(options: LineOptions) -> dict[str, Any]:
  """Options as they are stored, and by which takes are known; those that are as always are left out of the latter."""
  fields = dataclasses.asdict(options)
  seed = fields.pop('seed')
  del fields['fit']
  return fields | ({'seed': seed} if seed else {})


@dataclass(frozen=True)
class StoredTake:
  """A take as it lies in the folder. `made`: what it was made from; `note`: of a redo."""

  number: int
  line: Line
  take: Take
  direction: Direction
  result: LineResult
  made: Mapping[str, Any]
  track: MouthTrack | None = None

  @property
  def note(self) -> str:
    return self.made.get('note', '')


class Project:
  """A project folder that is open. One process at a time has it: see `open_project`."""

  def __init__(self, folder: Path):
    self.folder = folder

  @property
  def exists(self) -> bool:
    """Whether a dub was begun in it."""
    return (self.folder / 'project.json').exists()

  @property
  def state(self) -> ProjectState:
    """What project.json holds. Raises BadInput where it is damaged, or of another version."""
    path = self.folder / 'project.json'
    return ProjectState.from_json(located(read_json(path), self.folder), path)

  def write_state(self, state: ProjectState):
    write_json(portable(state.to_json(), self.folder), self.folder / 'project.json', overwrite=True)

  def keep_voices(self, voices: dict[str, Voice]):
    """Stores voices by the hash under which lines will ask for them."""
    with complete_file(self.folder / 'voices.safetensors', overwrite=True) as partial:
      write_voices(voices, partial)

  def voice(self, name: str) -> Voice:
    """The voice of a hash. Raises BadInput where it is missing."""
    path = self.folder / 'voices.safetensors'
    try:
      return dataclasses.replace(read_voices(path)[name], name=self.state.voices[name])
    except KeyError as error:
      raise BadInput(f'{path}: has no voice {name} ({error}); run the same `dubber dub` again') from None

  def line_folder(self, number: int) -> Path:
    return self.folder / 'lines' / f'{number:03d}'

  def takes(self, number: int) -> list[int]:
    """Numbers of the takes of a line that are whole."""
    found = self.line_folder(number).glob('take_*/made.json')
    return sorted(int(path.parent.name[5:]) for path in found if path.parent.name[5:].isdecimal())

  def made(self, number: int, take: int) -> dict[str, Any] | None:
    """What a take was made from; None where it is missing or a file of it is not as it was written."""
    folder = self.line_folder(number) / f'take_{take}'
    try:
      made = json.loads((folder / 'made.json').read_text(encoding='utf-8'))
      whole = all(_digest_now(folder / name) == digest for name, digest in made['files'].items())
      return made if whole and isinstance(made['key'], str) and isinstance(made['inputs'], dict) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
      return None

  def chosen(self, number: int) -> tuple[int, int] | None:
    """(take that is in the film, take that the dub made), or None."""
    path = self.line_folder(number) / 'chosen.json'
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
      found = json.loads(path.read_text(encoding='utf-8'))
      return int(found['take']), int(found['dubbed'])
    return None

  def choose(self, number: int, take: int, dubbed: int):
    write_json({'take': take, 'dubbed': dubbed}, self.line_folder(number) / 'chosen.json', overwrite=True)

  def settle(self, number: int, inputs: Mapping[str, Any]) -> bool:
    """Whether a line is done: the dub's own take of it was made from these inputs, and it and the chosen one are whole.

    An earlier take that was made from them is chosen again; a chosen one that is damaged gives way to the dub's own.
    """
    key = hash_of(inputs)
    fits = [take for take in self.takes(number) if _is_dubbed(made := self.made(number, take)) and made['key'] == key]
    take, dubbed = self.chosen(number) or (0, 0)
    if dubbed in fits and (made := self.made(number, take)) and made['key'] == key:
      return True
    if fits:
      self.choose(number, fits[-1], fits[-1])
    return bool(fits)

  def save(self, number: int, dubbed: DubbedLine, inputs: Mapping[str, Any], redone: Mapping | None = None) -> int:
    """Stores a line as a new take -> its number. redone: the `note` and the take it is `of`."""
    take = max(self.takes(number), default=0) + 1
    folder = self.line_folder(number) / f'take_{take}'
    arrays = {name: getattr(dubbed.take, name) for name in TAKE}
    if dubbed.track is not None:
      arrays |= {f'track_{name}': getattr(dubbed.track, name) for name in TRACK}
      arrays['track_face'] = np.array([dubbed.track.face, dubbed.track.faces])
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    level = integrated_loudness(dubbed.take.waveform, SAMPLE_RATE)
    gain = 10 ** ((TARGET_LUFS + dubbed.direction.loudness - level) / 20) if np.isfinite(level) else 1.0
    with complete_folder(folder, overwrite=True) as partial:
      (partial / 'take.npz').write_bytes(packed.getvalue())
      write_wav(partial / 'take.wav', limit_peaks(dubbed.take.waveform * gain, SAMPLE_RATE), SAMPLE_RATE)
      write_json(dataclasses.asdict(dubbed.direction), partial / 'direction.json')
      write_json(dubbed.result.to_json(), partial / 'result.json')
      files = {path.name: sha256_file(path)[:DIGITS] for path in sorted(partial.iterdir())}
      measures: dict[str, Any] = {'measures': measure_take(dubbed.take, dubbed.direction).to_json()}
      measures['rate'] = dubbed.take.rate
      made = {'key': hash_of(inputs), 'inputs': inputs, 'files': files, **measures, **(redone or {})}
      write_json(made, partial / 'made.json')
    return take

  def add_dubbed(self, number: int, dubbed: DubbedLine, inputs: Mapping[str, Any]):
    """Stores a take that the dub made, and chooses it, unless a redo of the same is chosen and whole."""
    take = self.save(number, dubbed, inputs)
    chosen = self.chosen(number)
    made = chosen and self.made(number, chosen[0])
    self.choose(number, chosen[0] if chosen and made and made['key'] == hash_of(inputs) else take, take)

  def measures(self, number: int, take: int) -> TakeMeasures:
    """Loudness, tempo, pitch and emotion of a take; measured now where an older version stored it."""
    try:
      return TakeMeasures.from_json((self.made(number, take) or {})['measures'])
    except (KeyError, TypeError):
      stored = self.load(number, take)
      return measure_take(stored.take, stored.direction)

  def direction(self, number: int, take: int) -> Direction:
    path = self.line_folder(number) / f'take_{take}' / 'direction.json'
    return direction_from(read_json(path), path)

  def load(self, number: int, take: int) -> StoredTake:
    """Raises BadInput where the line has no such take."""
    made = self.made(number, take)
    if made is None:
      raise BadInput(
        f'{self.folder}: line {number} has no whole take {take}; '
        f'it has {", ".join(map(str, self.takes(number))) or "none"}'
      )
    folder = self.line_folder(number) / f'take_{take}'
    try:
      result = LineResult.from_json(read_json(folder / 'result.json'))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
      raise BadInput(f'{folder}/result.json: is of another version ({error!r}); dub the line again') from None
    try:
      with np.load(folder / 'take.npz') as arrays:
        stored = Take(**{name: arrays[name] for name in TAKE}, phonemes=result.take.phonemes)
        track = None
        if 'track_lips' in arrays:
          face, faces = arrays['track_face'].tolist()
          track = MouthTrack(**{name: arrays[f'track_{name}'] for name in TRACK}, face=face, faces=faces)
    except (AttributeError, EOFError, LookupError, OSError, TypeError, ValueError, BadZipFile, zlib.error) as error:
      raise BadInput(f'{folder}/take.npz: is damaged ({error}); dub the line again') from None
    return StoredTake(take, result.line, stored, self.direction(number, take), result, made, track)

  def check_moved(self):
    """Raises BadInput where the project was moved, and would now write over a file that is not its own."""
    check_moved(read_json(self.folder / 'project.json'), self.folder)

  def check_line(self, number: int | None):
    """Raises BadInput where the script has no such line, or the dub is not over yet."""
    count = len(self.state.lines)
    if number is not None and not 1 <= number <= count:
      raise BadInput(f'{self.folder} has no line {number}: its lines are 1 to {count}')
    missing = [str(other) for other in range(1, count + 1) if self.chosen(other) is None]
    if missing:
      raise BadInput(
        f'{self.folder}: not all lines were played yet ({", ".join(missing[:10])}); run the same `dubber dub` again'
      )


@contextlib.contextmanager
def open_project(folder: str | Path, make: bool = False) -> Iterator[Project]:
  """Opens a project folder for one process; the lock goes with the process, however it ends.

  Raises BadInput where it is none, is damaged, or another process has it.
  """
  folder = Path(folder)
  if folder.exists() and not folder.is_dir():
    raise BadInput(f'{folder}: is a file; name a folder for the project')
  if not (folder / 'project.json').exists():
    if not make:
      raise BadInput(f'{folder}: is no project (no project.json); give the folder that `dubber dub --project` made')
    if folder.exists() and any(p.name not in FIRST_FILES and not is_partial(p.name) for p in folder.iterdir()):
      raise BadInput(f'{folder}: is not empty and no project; name another folder')
  with locked(folder, 'another dubber is at work in it; wait for it, or name another folder'):
    for place in (folder, *folder.glob('lines/*')):
      remove_partials(place)
    yield Project(folder)


def hash_of(inputs: Mapping[str, Any]) -> str:
  """Sixteen hex digits of what a take is made from: of its JSON with sorted keys."""
  return sha256_text(json.dumps(inputs, sort_keys=True, default=str))[:DIGITS]


def hash_of_voice(voice: Voice) -> str:
  """Sixteen hex digits of a voice's embedding, reference mel and adapted parameters."""
  fit = b''.join(name.encode() + np.float32(voice.fit[name]).tobytes() for name in sorted(voice.fit))
  mel = np.float32(voice.reference_mel).tobytes()
  return sha256_bytes(np.float32(voice.embedding).tobytes(), mel, fit)[:DIGITS]


def write_index(
  project: Project, takes: Sequence[StoredTake], changes: Sequence[Mapping[int, TakeChange]] | None = None
):
  """index.html: every line with all of its takes. changes: of each line, {take: its note and what that did}."""
  from jinja2 import Environment, StrictUndefined

  rows = []
  for number, stored in enumerate(takes, 1):
    folder = project.line_folder(number).relative_to(project.folder)
    told = changes[number - 1] if changes else {}
    heard = []
    for n in project.takes(number):
      done = told.get(n) or TakeChange((project.made(number, n) or {}).get('note', ''))
      sound = f'{folder.as_posix()}/take_{n}/take.wav'
      heard.append(
        {'number': n, 'chosen': n == stored.number, 'sound': sound, 'note': done.note, 'change': done.change}
      )
    rows.append(
      {
        'number': number,
        'line': stored.line,
        'direction': stored.direction,
        'takes': heard,
        'warnings': stored.result.warnings,
      }
    )
  source = Path(__file__).with_name('project.html').read_text(encoding='utf-8')
  environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
  page = environment.from_string(source).render(
    style=stylesheet(), film=Path(project.state.film).name, folder=project.folder.name, rows=rows
  )
  with complete_file(project.folder / 'index.html', overwrite=True) as partial:
    partial.write_text(page, encoding='utf-8')


def _is_dubbed(made: Mapping[str, Any] | None) -> bool:
  """Whether a whole take was made by the dub, not by a redo."""
  return made is not None and 'of' not in made
