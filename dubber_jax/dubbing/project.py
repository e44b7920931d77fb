"""A folder for a film that is being dubbed: every line's takes, to be listened to, noted upon and played again.

    project.json            the film and the model by their hashes, the lines, the options
    voices.safetensors      the cast, so that a line can be played again without the recordings
    directions.json         how every line is directed: no words, for a dub in another language
    index.html              all lines with their takes, to be heard in a browser
    lines/012/chosen.json   which take is in the film, and which the dub itself made
    lines/012/take_2/       take.wav, take.npz (mel, durations, waveform, mouth), direction.json, result.json, made.json

A take's folder appears when it is whole, and `made.json` holds hashes of its files and what it was made from: so a dub
that was stopped at any moment goes on where it was.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from dubber_jax.director.notes.apply import describe
from dubber_jax.errors import BadInput
from dubber_jax.inference.voice_files import read_voices, write_voices
from dubber_jax.media.loudness import TARGET_LUFS, integrated, limit_peaks
from dubber_jax.media.sound import write_wav
from dubber_jax.storage.atomic import complete_file, complete_folder, write_json
from dubber_jax.types import EMOTIONS, SAMPLE_RATE, Direction, Line, MouthTrack, Take, Voice

FORMAT = 1
TRACK = ('lips', 'opening', 'present', 'boxes')
TAKE = ('mel', 'durations', 'pitch', 'emotion', 'waveform')


@dataclass(frozen=True)
class StoredTake:
  """A take as it lies in the folder. `made`: what it was made from; `note`: of a redo."""

  number: int
  line: Line
  take: Take
  direction: Direction
  result: dict
  made: dict
  track: MouthTrack | None = None

  @property
  def note(self) -> str:
    return self.made.get('note', '')


class Project:
  """A project folder that is open. One process at a time has it: see `opened`."""

  def __init__(self, folder: Path):
    self.folder = folder

  @property
  def facts(self) -> dict:
    """What project.json holds. Raises BadInput where it is damaged, or of another version."""
    path = self.folder / 'project.json'
    facts = _read_json(path)
    if not isinstance(facts, dict) or facts.get('format') != FORMAT or not isinstance(facts.get('lines'), list):
      raise BadInput(f'{path}: is not of this version (format {FORMAT}), or damaged; start again in another folder')
    return facts

  def write_facts(self, facts: dict):
    write_json(facts | {'format': FORMAT}, self.folder / 'project.json', overwrite=True)

  @property
  def lines(self) -> list[Line]:
    return [Line(**line) for line in self.facts['lines']]

  def keep_voices(self, voices: dict[str, Voice]):
    """Stores voices by the name under which lines will ask for them."""
    with complete_file(self.folder / 'voices.safetensors', overwrite=True) as beside:
      write_voices(voices, beside)

  def voice(self, name: str) -> Voice:
    path = self.folder / 'voices.safetensors'
    try:
      return dataclasses.replace(read_voices(path)[name], name=self.facts['voices'][name])
    except (OSError, KeyError, SafetensorError) as error:
      raise BadInput(f'{path}: has no voice {name} ({error}); run the same `dubber dub` again') from None

  def line_folder(self, number: int) -> Path:
    return self.folder / 'lines' / f'{number:03d}'

  def takes(self, number: int) -> list[int]:
    """Numbers of the takes of a line that are whole."""
    found = self.line_folder(number).glob('take_*/made.json')
    return sorted(int(path.parent.name[5:]) for path in found if path.parent.name[5:].isdigit())

  def made(self, number: int, take: int) -> dict | None:
    """What a take was made from; None where it is missing or a file of it is not as it was written."""
    folder = self.line_folder(number) / f'take_{take}'
    try:
      made = json.loads((folder / 'made.json').read_text(encoding='utf-8'))
      whole = all(_digest((folder / name).read_bytes()) == digest for name, digest in made['files'].items())
      return made if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
      return None

  def chosen(self, number: int) -> tuple[int, int] | None:
    """(take that is in the film, take that the dub made), or None."""
    path = self.line_folder(number) / 'chosen.json'
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
      found = json.loads(path.read_text(encoding='utf-8'))
      return int(found['take']), int(found['dubbed'])
    return None

  def choose(self, number: int, take: int, dubbed: int):
    write_json({'take': take, 'dubbed': dubbed}, self.line_folder(number) / 'chosen.json', overwrite=True)

  def settle(self, number: int, inputs: dict) -> bool:
    """Whether a line is done: the dub's own take of it was made from these inputs, and it and the chosen one are whole.

    An earlier take that was made from them is chosen again; a chosen one that is damaged gives way to the dub's own.
    """
    key = hash_of(inputs)
    fits = [take for take in self.takes(number) if _is_dubbed(made := self.made(number, take)) and made['key'] == key]
    take, dubbed = self.chosen(number) or (0, 0)
    if dubbed in fits and self.made(number, take) and self.made(number, take)['key'] == key:
      return True
    if fits:
      self.choose(number, fits[-1], fits[-1])
    return bool(fits)

  def save(self, number: int, dubbed, inputs: dict, redone: dict | None = None) -> int:
    """Stores a DubbedLine as a new take of its line -> its number. redone: the `note` and the take it is `of`."""
    take = max(self.takes(number), default=0) + 1
    folder = self.line_folder(number) / f'take_{take}'
    arrays = {name: getattr(dubbed.take, name) for name in TAKE}
    if dubbed.track is not None:
      arrays |= {f'track_{name}': getattr(dubbed.track, name) for name in TRACK}
      arrays['track_face'] = np.array([dubbed.track.face, dubbed.track.faces])
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    loudness = dubbed.direction.loudness
    level = integrated(dubbed.take.waveform, SAMPLE_RATE)
    gain = 10 ** ((TARGET_LUFS + loudness - level) / 20) if np.isfinite(level) else 1.0
    with complete_folder(folder, overwrite=True) as beside:
      (beside / 'take.npz').write_bytes(packed.getvalue())
      write_wav(beside / 'take.wav', limit_peaks(dubbed.take.waveform * gain, SAMPLE_RATE), SAMPLE_RATE)
      write_json(dataclasses.asdict(dubbed.direction), beside / 'direction.json')
      write_json(dubbed.result, beside / 'result.json')
      files = {path.name: _digest(path.read_bytes()) for path in sorted(beside.iterdir())}
      write_json({'key': hash_of(inputs), 'inputs': inputs, 'files': files, **(redone or {})}, beside / 'made.json')
    return take

  def add_dubbed(self, number: int, dubbed, inputs: dict):
    """Stores a take that the dub made, and chooses it, unless a redo of the same is chosen and whole."""
    take = self.save(number, dubbed, inputs)
    chosen = self.chosen(number)
    made = chosen and self.made(number, chosen[0])
    self.choose(number, chosen[0] if made and made['key'] == hash_of(inputs) else take, take)

  def direction(self, number: int, take: int) -> Direction:
    path = self.line_folder(number) / f'take_{take}' / 'direction.json'
    return direction_from(_read_json(path), path)

  def load(self, number: int, take: int) -> StoredTake:
    """Raises BadInput where the line has no such take."""
    made = self.made(number, take)
    if made is None:
      raise BadInput(
        f'{self.folder}: line {number} has no whole take {take}; '
        f'it has {", ".join(map(str, self.takes(number))) or "none"}'
      )
    folder = self.line_folder(number) / f'take_{take}'
    result = _read_json(folder / 'result.json')
    with np.load(folder / 'take.npz') as arrays:
      stored = Take(**{name: arrays[name] for name in TAKE}, phonemes=tuple(result['take']['phonemes']))
      track = None
      if 'track_lips' in arrays:
        face, faces = arrays['track_face'].tolist()
        track = MouthTrack(**{name: arrays[f'track_{name}'] for name in TRACK}, face=face, faces=faces)
    direction = direction_from(_read_json(folder / 'direction.json'), folder)
    return StoredTake(take, Line(**result['line']), stored, direction, result, made, track)

  def check_line(self, number: int):
    """Raises BadInput where the script has no such line, or the dub is not over yet."""
    lines = self.facts['lines']
    if not 1 <= number <= len(lines):
      raise BadInput(f'{self.folder} has no line {number}: its lines are 1 to {len(lines)}')
    unplayed = [str(other) for other in range(1, len(lines) + 1) if self.chosen(other) is None]
    if unplayed:
      raise BadInput(
        f'{self.folder}: not all lines were played yet ({", ".join(unplayed[:10])}); run the same `dubber dub` again'
      )


@contextlib.contextmanager
def opened(folder, make: bool = False) -> Iterator[Project]:
  """Opens a project folder for one process; the lock goes with the process, however it ends.

  Raises BadInput where it is none, is damaged, or another process has it.
  """
  folder = Path(folder)
  if folder.exists() and not folder.is_dir():
    raise BadInput(f'{folder}: is a file; name a folder for the project')
  if not (folder / 'project.json').exists():
    if not make:
      raise BadInput(f'{folder}: is no project (no project.json); give the folder that `dubber dub --project` made')
    if folder.exists() and any(path.name != '.lock' for path in folder.iterdir()):
      raise BadInput(f'{folder}: is not empty and no project; name another folder')
  try:
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / '.lock', 'w')
  except OSError as error:
    raise BadInput(f'{folder}: cannot be written ({error.strerror}); choose another place') from None
  with lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      raise BadInput(f'{folder}: another dubber is at work in it; wait for it, or name another folder') from None
    for left in [*folder.glob('.*.part*'), *folder.glob('lines/*/.*.part*')]:  # by a process that was killed
      shutil.rmtree(left) if left.is_dir() else left.unlink()
    yield Project(folder)


def hash_of(inputs: dict) -> str:
  return _digest(json.dumps(inputs, sort_keys=True, default=str).encode())


def hash_of_voice(voice: Voice) -> str:
  fit = b''.join(name.encode() + np.float32(voice.fit[name]).tobytes() for name in sorted(voice.fit))
  return _digest(np.float32(voice.embedding).tobytes() + np.float32(voice.reference_mel).tobytes() + fit)


def hash_of_file(path) -> str:
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()[:16]


def direction_from(fields: dict, where) -> Direction:
  """A Direction of its JSON. Raises BadInput where that is not one."""
  known = {field.name for field in dataclasses.fields(Direction)}
  try:
    fields = {k: v for k, v in fields.items() if k in known}
    for name in ('emotion', 'emphasis'):
      if name in fields:
        fields[name] = tuple(float(value) for value in fields[name])
    if 'pauses' in fields:
      fields['pauses'] = tuple((int(word), float(seconds)) for word, seconds in fields['pauses'])
    direction = Direction(**fields)
    numbers = [getattr(direction, name) for name in known if isinstance(getattr(Direction(), name), float)]
    if len(direction.emotion) != len(EMOTIONS) or not np.isfinite([*map(float, numbers), *direction.emotion]).all():
      raise ValueError('numbers are missing')
  except (AttributeError, TypeError, ValueError) as error:
    raise BadInput(f'{where}: not a direction ({error}); give directions that `dubber dub` wrote') from None
  return direction


def read_directions(path, lines, words) -> tuple[list[Direction | None], list[str]]:
  """The directions of a project, or of its directions.json, for other lines of the same film, and warnings.

  Each line takes the direction whose slot it shares most of, rather one of the same character; None where there is
  none. words: of each line. Pauses and emphasis, which count words, go along only where the text is the same.
  """
  path = Path(path)
  path = path / 'directions.json' if path.is_dir() else path
  stored = _read_json(path, 'give a project folder, or its directions.json')
  try:
    rows = [
      (
        Line('', float(row['start']), float(row['end']), row['character']),
        row['text_hash'],
        direction_from(row['direction'], path),
      )
      for row in stored['lines']
    ]
  except BadInput:
    raise
  except (KeyError, TypeError, ValueError) as error:
    raise BadInput(f'{path}: not directions that `dubber dub` wrote ({error!r})') from None
  found, warnings = [], []
  for number, (line, own) in enumerate(zip(lines, words, strict=True), 1):
    shared = [min(line.end, other.end) - max(line.start, other.start) for other, _, _ in rows]
    if max(shared, default=0.0) <= 0:
      warnings.append(f'line {number}: {path} has no direction for {line.start:.2f} to {line.end:.2f} s; it is planned')
      found.append(None)
      continue
    own_first = [
      (seconds > 0 and row[0].character == line.character, seconds) for seconds, row in zip(shared, rows, strict=True)
    ]
    _, text_hash, direction = rows[own_first.index(max(own_first))]
    if text_hash != hash_of_text(line) and (direction.pauses or direction.emphasis):
      direction = direction.replace(pauses=(), emphasis=())
      warnings.append(f'line {number}: its words are others than those directed: pauses and emphasis are left out')
    note, note_zh = describe(direction, own)
    found.append(direction.replace(note=note, note_zh=note_zh))
  return found, warnings


def write_directions(work: Project, takes: list[StoredTake]):
  """directions.json: how each line is played, without its words or the notes that name them."""
  rows = []
  for number, stored in enumerate(takes, 1):
    direction = {k: v for k, v in dataclasses.asdict(stored.direction).items() if not k.startswith('note')}
    line = stored.line
    rows.append(
      {
        'line': number,
        'start': line.start,
        'end': line.end,
        'character': line.character,
        'text_hash': hash_of_text(line),
        'direction': direction,
      }
    )
  write_json({'format': FORMAT, 'lines': rows}, work.folder / 'directions.json', overwrite=True)


def hash_of_text(line: Line) -> str:
  return _digest(line.text.encode())


def write_index(work: Project, takes: list[StoredTake]):
  """index.html: every line with all of its takes."""
  from jinja2 import Environment, StrictUndefined

  rows = []
  for number, stored in enumerate(takes, 1):
    folder = work.line_folder(number).relative_to(work.folder)
    heard = [
      {
        'number': n,
        'chosen': n == stored.number,
        'sound': f'{folder.as_posix()}/take_{n}/take.wav',
        'note': (work.made(number, n) or {}).get('note', ''),
      }
      for n in work.takes(number)
    ]
    rows.append(
      {
        'number': number,
        'line': stored.line,
        'direction': stored.direction,
        'takes': heard,
        'warnings': stored.result['warnings'],
      }
    )
  source = Path(__file__).with_name('project.html').read_text(encoding='utf-8')
  environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
  page = environment.from_string(source).render(film=Path(work.facts['film']).name, folder=work.folder.name, rows=rows)
  with complete_file(work.folder / 'index.html', overwrite=True) as beside:
    beside.write_text(page, encoding='utf-8')


def _read_json(path: Path, what_to_do: str = 'run the same `dubber dub` again') -> dict:
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except (OSError, ValueError) as error:
    raise BadInput(f'{path}: cannot be read ({error}); {what_to_do}') from None


def _digest(data: bytes) -> str:
  return hashlib.sha256(data).hexdigest()[:16]


def _is_dubbed(made: dict | None) -> bool:
  """Whether a whole take was made by the dub, not by a redo."""
  return made is not None and 'of' not in made
