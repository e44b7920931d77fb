"""Dubs as they lie in a server's home folder: dubs/ID with dub.json, film.*, script.*, project/ and dubbed.*.

A dub goes on being what dub.json says when the server is killed; one that says 'queued' or 'running' while no job of it
is there was interrupted.
"""

import dataclasses
import datetime
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubber_jax.errors import BadInput
from dubber_jax.serving.errors import ApiError
from dubber_jax.serving.home import folder_of
from dubber_jax.serving.jobs import DONE, QUEUED
from dubber_jax.storage.atomic import atomic_folder, disk_errors, partial_name, remove_abandoned, write_json
from dubber_jax.storage.json_files import checked_value, read_json
from dubber_jax.types import Line

ABOUT, PROJECT, STEM = 'dub.json', 'project', 'dub'
FORMAT = 1


@dataclass(frozen=True)
class DubRecord:
  """What dub.json holds.

  name: of the film, to be shown; film: its file, in the dub's own folder or, where a request named one, elsewhere;
  lines: fields of each Line, as the script has them; cast: voices by character; out: name of the dubbed film; state:
  as of a Job; error: as answers have it; files: {what: path} of the result; decoded: whether the film was decoded whole
  by a process with limits.
  """

  name: str
  film: str
  lines: tuple[dict[str, Any], ...]
  voice: str = ''
  cast: dict[str, str] = dataclasses.field(default_factory=dict)
  options: dict[str, Any] = dataclasses.field(default_factory=dict)
  out: str = 'dubbed.mp4'
  warnings: tuple[str, ...] = ()
  state: str = QUEUED
  error: dict[str, Any] | None = None
  created: str = ''
  finished: str | None = None
  files: dict[str, str] = dataclasses.field(default_factory=dict)
  decoded: bool = False
  format: int = FORMAT

  @classmethod
  def read(cls, path: Path) -> 'DubRecord':
    """Raises BadInput where the file is damaged or of another version."""
    found = read_json(path, 'delete this dub')
    if not isinstance(found, dict) or found.get('format') != FORMAT:
      raise BadInput(f'{path}: is not of this version; delete this dub')
    fields = {f.name: f for f in dataclasses.fields(cls)}
    try:
      record = cls(**{name: checked_value(fields[name], value, str(path)) for name, value in found.items()})
      record.script()
    except (KeyError, TypeError) as error:
      raise BadInput(f'{path}: is damaged ({error!r}); delete this dub') from None
    return record

  def script(self) -> tuple[Line, ...]:
    """Its lines."""
    return tuple(Line(**line) for line in self.lines)


@dataclass(frozen=True)
class Dub:
  """A dub's folder with its record."""

  folder: Path
  record: DubRecord

  @property
  def id(self) -> str:
    return self.folder.name

  @property
  def project(self) -> Path:
    return self.folder / PROJECT

  @property
  def film(self) -> Path:
    return self.folder / self.record.film

  @property
  def out(self) -> Path:
    return self.folder / self.record.out

  @property
  def is_unchecked(self) -> bool:
    """Whether its film was uploaded, and not decoded whole by a process with limits yet, before which the server does
    not decode it. One of an earlier version that was dubbed has been decoded."""
    uploaded = not Path(self.record.film).is_absolute()
    return uploaded and not self.record.decoded and self.record.state != DONE

  def with_record(self, **changes: Any) -> 'Dub':
    """Writes changes of the record -> the dub with them."""
    record = dataclasses.replace(self.record, **changes)
    write_json(dataclasses.asdict(record), self.folder / ABOUT, overwrite=True)
    return Dub(self.folder, record)


def new_dub(folder: Path, record: DubRecord, files: Mapping[str, Path]) -> Dub:
  """Makes a dub of a record and files by name, which are moved to it; as a whole or not at all. folder: home/dubs."""
  folder.mkdir(parents=True, exist_ok=True)
  remove_abandoned(folder / STEM)
  place = folder / uuid.uuid4().hex[:12]
  record = dataclasses.replace(record, created=now())
  with disk_errors(place), atomic_folder(place) as partial:
    for name, path in files.items():
      path.replace(partial / name)
    write_json(dataclasses.asdict(record), partial / ABOUT)
  return Dub(place, record)


def all_dubs(folder: Path) -> list[Dub]:
  """All dubs that can be read, the newest first."""
  found = []
  for place in folder.iterdir() if folder.is_dir() else ():
    if folder_of(folder, place.name) is not None and (place / ABOUT).is_file():
      try:
        found.append(Dub(place, DubRecord.read(place / ABOUT)))
      except BadInput:
        continue
  return sorted(found, key=lambda dub: (dub.record.created, dub.id), reverse=True)


def find_dub(folder: Path, dub_id: str) -> Dub:
  """A dub by its ID. Raises ApiError 404 where there is none, 409 where it is damaged."""
  place = folder_of(folder, dub_id)
  if place is None or not (place / ABOUT).is_file():
    raise ApiError(404, f'no dub {dub_id[:40]!r}', 'unknown_dub')
  try:
    return Dub(place, DubRecord.read(place / ABOUT))
  except BadInput:
    raise ApiError(409, f'the record of the dub {dub_id} is damaged; delete its folder', 'damaged') from None


def delete_dub(dub: Dub) -> None:
  """Deletes a dub with all of its files; a film that lies elsewhere stays."""
  gone = dub.folder.with_name(partial_name(STEM))
  dub.folder.rename(gone)
  shutil.rmtree(gone, ignore_errors=True)


def now() -> str:
  """The time in UTC, ISO."""
  return datetime.datetime.now(datetime.UTC).isoformat(timespec='milliseconds')
