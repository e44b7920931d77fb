"""Voices of a server: those of its model, and recordings that were uploaded with the speaker's consent.

An uploaded voice is a folder, home/voices/NAME: voice.safetensors (embedding, reference mel, adapted parameters),
voice.json and consent.json. The recording itself is not kept.
"""

import contextlib
import dataclasses
import datetime
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.inference.voice_files import read_voices, write_voices
from dubber_jax.serving.errors import ApiError
from dubber_jax.serving.home import check_name, folder_of
from dubber_jax.storage.atomic import atomic_folder, disk_errors, partial_name, remove_abandoned, write_json
from dubber_jax.storage.json_files import read_json
from dubber_jax.types import Voice

if TYPE_CHECKING:
  from dubber_jax.inference.model import Model

VOICE, ABOUT, CONSENT = 'voice.safetensors', 'voice.json', 'consent.json'
KEY = 'voice'  # in its file, whatever its name
LEAST_STATEMENT, LONGEST_STATEMENT = 20, 4000  # characters
EARLIEST = datetime.date(1990, 1, 1)


@dataclass(frozen=True)
class Consent:
  """Whose voice a recording has, and that person's agreement to its use.

  speaker: the person's name; date: ISO, when the person agreed; statement: to what, in the person's own words;
  received: UTC, when the server was told; recording: SHA-256 of the uploaded file.
  """

  speaker: str
  date: str
  statement: str
  received: str = ''
  recording: str = ''

  @classmethod
  def of(cls, fields: Mapping[str, str]) -> 'Consent':
    """Of the fields `consent_speaker`, `consent_date` and `consent_statement` of a form. Raises ApiError 400
    `consent_required` where one is missing or says nothing."""
    found = {name: fields.get(f'consent_{name}', '').strip() for name in ('speaker', 'date', 'statement')}
    wrong = {
      'speaker': 'give the name of the person whose voice it is' if not 1 <= len(found['speaker']) <= 200 else '',
      'date': _wrong_date(found['date']),
      'statement': f"give the person's statement, {LEAST_STATEMENT} to {LONGEST_STATEMENT} characters"
      if not LEAST_STATEMENT <= len(found['statement']) <= LONGEST_STATEMENT
      else '',
    }
    for name, what in wrong.items():
      if what:
        message = f'a voice needs the consent of the person who speaks: consent_{name}: {what}'
        raise ApiError(400, message, 'consent_required', f'consent_{name}')
    return cls(**found)


def _wrong_date(text: str) -> str:
  try:
    date = datetime.date.fromisoformat(text)
  except ValueError:
    return 'give the day on which the person agreed, as 2026-03-31'
  tomorrow = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1)  # somewhere it is already
  return '' if EARLIEST <= date <= tomorrow else f'{text} cannot be the day on which the person agreed'


class VoiceStore:
  """Voices by name. folder: home/voices; shipped: gives the voices of the model, once it is there; fits: whether a
  voice was adapted for that model, by the `fit_of` of its file."""

  def __init__(
    self, folder: Path, shipped: Callable[[], Mapping[str, Voice]], fits: Callable[[Voice], bool] = lambda _: True
  ):
    self.folder, self._shipped, self._fits = folder, shipped, fits
    self._lock = threading.Lock()
    self._making: set[str] = set()
    self._read: dict[str, tuple[int, Voice]] = {}  # time of the file's last change, ns
    remove_abandoned(folder / KEY)

  def names(self) -> list[str]:
    """Names of all voices: those of the model first."""
    shipped = [*self._shipped()]
    return shipped + [name for name in self._uploaded() if name not in shipped]

  def brief(self, name: str) -> dict[str, Any]:
    """What lists say of a voice that is there."""
    return {'name': name, 'object': 'voice', 'shipped': name in self._shipped()}

  def about(self, name: str) -> dict[str, Any]:
    """What answers say of a voice. Raises ApiError 404 `unknown_voice`."""
    if name in self._shipped():
      return self.brief(name)
    folder = self._folder(name)
    try:
      found, consent = read_json(folder / ABOUT), read_json(folder / CONSENT)
      return {**self.brief(name), **found, 'consent': consent}
    except (BadInput, TypeError):
      raise ApiError(409, f'the voice {name} is damaged; delete it and upload it again', 'damaged') from None

  def get(self, name: str) -> Voice:
    """A voice. Raises ApiError 404 `unknown_voice`. One that was adapted for another model is used without that."""
    shipped = self._shipped()
    if name in shipped:
      return shipped[name]
    path = self._folder(name) / VOICE
    try:
      stamp = path.stat().st_mtime_ns
      if self._read.get(name, (0, None))[0] != stamp:
        voice = dataclasses.replace(read_voices(path)[KEY], name=name)
        self._read[name] = (stamp, voice)
      voice = self._read[name][1]
    except (OSError, KeyError, BadInput):
      raise ApiError(409, f'the voice {name} is damaged; delete it and upload it again', 'damaged') from None
    return voice if not voice.fit or self._fits(voice) else dataclasses.replace(voice, fit={}, fit_of='')

  def __contains__(self, name: str) -> bool:
    return name in self._shipped() or folder_of(self.folder, name) is not None

  def check_new(self, name: str) -> str:
    """The name as it is stored. Raises ApiError 400 for one that cannot be, 409 where a voice has it already."""
    name = check_name(name)
    if name.casefold() in {other.casefold() for other in self.names()}:
      raise ApiError(409, f'there is a voice {name!r} already; delete it, or give another name', 'voice_exists', 'name')
    return name

  @contextlib.contextmanager
  def reserved(self, name: str, most: int) -> Iterator[str]:
    """Keeps a name for a voice that is being made -> the name as it is stored. Raises ApiError as `check_new`, and 429
    where `most` are being made."""
    with self._lock:
      if len(self._making) >= most:
        raise ApiError(429, f'{most} voices are being made already; ask again later', 'queue_full', retry_after=20)
      name = self.check_new(name)
      if name.casefold() in self._making:
        raise ApiError(409, f'a voice {name!r} is being made; give another name', 'voice_exists', 'name')
      self._making.add(name.casefold())
    try:
      yield name
    finally:
      with self._lock:
        self._making.discard(name.casefold())

  def add(self, name: str, voice: Voice, consent: Consent, seconds: float = 0.0) -> dict[str, Any]:
    """Stores a voice, as a whole or not at all -> `about` it. seconds: that its recording lasts."""
    name = self.check_new(name)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()
    about = {'created': now, 'seconds': round(seconds, 2), 'adapted': bool(voice.fit), 'warnings': list(voice.warnings)}
    self.folder.mkdir(parents=True, exist_ok=True)
    with disk_errors(self.folder / name), atomic_folder(self.folder / name) as partial:
      write_voices({KEY: voice}, partial / VOICE)
      write_json(about, partial / ABOUT)
      write_json(dataclasses.asdict(dataclasses.replace(consent, received=now)), partial / CONSENT)
    return self.about(name)

  def remove(self, name: str) -> None:
    """Deletes an uploaded voice. Raises ApiError 404 where there is none, and 403 for one of the model."""
    if name in self._shipped():
      raise ApiError(403, f'the voice {name} comes with the model and stays', 'shipped_voice')
    gone = self.folder / partial_name(KEY)
    self._folder(name).rename(gone)
    self._read.pop(name, None)
    shutil.rmtree(gone, ignore_errors=True)

  def _uploaded(self) -> list[str]:
    if not self.folder.is_dir():
      return []
    return sorted(path.name for path in self.folder.iterdir() if folder_of(self.folder, path.name) is not None)

  def _folder(self, name: str) -> Path:
    folder = folder_of(self.folder, name)
    if folder is None:
      known = ', '.join(self.names()[:20]) or 'none'
      raise ApiError(404, f'no voice {name[:80]!r}; known are: {known}', 'unknown_voice', 'voice')
    return folder


def make_stored_voice(model: 'Model', wave: np.ndarray, rate: int, name: str, steps: int | None = None) -> Voice:
  """The voice of a recording (S, C) as the command line makes it, adapted where the model is one that can be.

  Raises ApiError 501 where this server has no perception of voices. Blocks its thread for seconds.
  """
  try:
    from dubber_jax.inference.voices import make_voice

    return make_voice(wave, rate, name, '', None if is_artifact(model) else model, steps)
  except ImportError as error:
    raise ApiError(501, f'this server cannot make voices: {error.name} is not installed', 'not_available') from None


def is_artifact(model: object) -> bool:
  """Whether a model is an exported artifact, whose parameters cannot be adapted."""
  return hasattr(model, 'programs')
