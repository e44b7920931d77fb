"""Paths of a project: stored so that it can be moved and shared, and the film of one that was moved."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubber_jax.errors import BadInput, FilmMissing
from dubber_jax.media.film import Film
from dubber_jax.storage.assets import ASSETS

if TYPE_CHECKING:
  from dubber_jax.dubbing.project import ProjectState

PACKAGE = 'dubber_jax:'  # before the path of what comes with the package
FARTHEST = 2  # folders up: what lies further away is not taken along when a project is moved
PATHS = ('film', 'model', 'library', 'background', 'out', 'json')
OUTPUTS = 'wrote'


def portable(found: dict[str, Any], folder: Path) -> dict[str, Any]:
  """project.json's fields with paths relative to the project's folder; absolute of what is more than FARTHEST folders
  up. Of `wrote`, which are paths too, the sizes go along."""
  base, changed = folder.absolute(), _each(found, lambda path: _relative(path, folder.absolute()))
  sizes = [Path(path).stat().st_size if Path(path).is_file() else None for path in found.get(OUTPUTS) or ()]
  return changed | {'place': str(base), 'wrote_sizes': sizes}


def located(found: Any, folder: Path) -> Any:
  """The inverse of `portable` in the folder where the project is now. Other values pass as they are."""
  return _each(found, lambda path: _absolute(path, folder.absolute())) if isinstance(found, dict) else found


def _each(found: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
  named = {name: found[name] for name in PATHS if isinstance(found.get(name), str) and found[name]}
  changed: dict[str, Any] = {name: change(path) for name, path in named.items()}
  wrote = found.get(OUTPUTS)
  if isinstance(wrote, list | tuple):
    changed[OUTPUTS] = [change(path) if isinstance(path, str) else path for path in wrote]
  return found | changed


def _relative(path: str, folder: Path) -> str:
  if not os.path.isabs(path):
    return path  # a name, as that of a background
  if Path(path).is_relative_to(ASSETS):
    return PACKAGE + Path(path).relative_to(ASSETS).as_posix()
  try:
    relative = Path(os.path.relpath(path, folder))
  except ValueError:  # on another drive
    return path
  up = relative.parts.count('..')
  if up > FARTHEST:
    return path
  return relative.as_posix() if up else f'./{relative.as_posix()}'  # names, as 'separate', do not begin so


def _absolute(path: str, folder: Path) -> str:
  if path.startswith(PACKAGE):
    return str(ASSETS / path.removeprefix(PACKAGE))
  if path.startswith(('./', '../')):
    return os.path.normpath(folder / path)
  return path


def find_film(state: 'ProjectState', folder: Path, given: Path | None = None) -> Film:
  """The film of a project: `given`, or where project.json says, or of its name beside or in the project.

  Raises FilmMissing where there is none, and where one of this name is another film, by its hash.
  """
  name = Path(state.film).name
  places = [given] if given else [Path(state.film), folder.absolute().parent / name, folder.absolute() / name]
  there = [place for place in dict.fromkeys(places) if place.is_file()]
  if not there:
    raise FilmMissing(f'{places[0]}: the film of {folder} is not there; give its place by --film PATH')
  for place in there:
    if is_film(state, place):
      return Film(place.absolute(), state.audio_track)
  raise FilmMissing(
    f'{there[0]} is not the film that {folder} was made of (its content differs); put that one back, or give its place '
    'by --film PATH'
  )


def is_film(state: 'ProjectState', path: Path) -> bool:
  """Whether a file is the project's film: by its hash, or by place, size and time where they are as they were."""
  return (str(path.absolute()) == state.film and file_stamp(path) == state.film_stamp) or (
    Film(path).hash == state.film_hash
  )


def file_stamp(path: str | Path) -> tuple[int, int] | None:
  """Size and time of a file's last change, ns; None where it is missing."""
  try:
    found = Path(path).stat()
  except OSError:
    return None
  return found.st_size, found.st_mtime_ns


def check_moved(found: Any, folder: Path) -> None:
  """Raises BadInput where a project was moved, and a file that it did not write lies where it would write now.

  found: project.json's fields as they are stored.
  """
  if not isinstance(found, dict) or found.get('place') in (None, str(folder.absolute())):
    return
  paths: Sequence[object] = located(found, folder).get(OUTPUTS) or ()
  for path, size in zip(paths, found.get('wrote_sizes') or (), strict=False):
    if isinstance(path, str) and os.path.isfile(path) and os.path.getsize(path) != size:
      raise BadInput(
        f'{folder} was moved here, and {path} is not what it wrote: give another name by -o, or move that file away'
      )
