"""OUT.editorial: stems, timeline, edit decision list and cue sheet of a dub, which appear together."""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubber_jax.dubbing.editorial.cue_sheet import cue_sheet
from dubber_jax.dubbing.editorial.frames import FrameClock, film_clock, import_otio
from dubber_jax.dubbing.editorial.lines import NOBODY, EditorialLine, by_character
from dubber_jax.dubbing.editorial.stems import file_names, stem_blocks, write_broadcast_wave
from dubber_jax.dubbing.editorial.timeline import Stem, edl_texts, make_timeline, write_timeline
from dubber_jax.errors import BadInput
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.storage.atomic import complete_folder

MANIFEST = 'manifest.json'
BED, BED_FILE = 'Music and effects', 'music_and_effects'


@dataclass(frozen=True)
class EditorialFilm:
  """The film of an editorial folder: `title` names its files, `samples` at SOUND_RATE are the length of its stems."""

  film: Film
  title: str
  samples: int


def editorial_folder(out: str | os.PathLike[str]) -> Path:
  """OUT.editorial of a dubbed film."""
  return Path(out).with_name(f'{Path(out).stem}.editorial')


def check_editorial(folder: Path, overwrite: bool = False) -> None:
  """Raises BadInput where the folder cannot be written: to be called before long work as well."""
  import_otio()
  if folder.exists() and not folder.is_dir():
    raise BadInput(f'{folder}: is a file; name a folder')
  if folder.exists() and any(folder.iterdir()) and not (overwrite or (folder / MANIFEST).is_file()):
    raise BadInput(f'{folder}: is not empty and not of this command; give --overwrite to add to it, or another folder')
  if not folder.absolute().parent.is_dir():
    raise BadInput(f'{folder}: its folder {folder.absolute().parent} does not exist; make it first')


def write_editorial(
  folder: Path,
  film: EditorialFilm,
  lines: Sequence[EditorialLine],
  bed: Iterable[np.ndarray] | None = None,
  start: str | None = None,
) -> list[str]:
  """Writes the folder anew -> warnings. What an earlier call wrote goes; files that others put there stay.

  bed: blocks (S,) or (S, C) at SOUND_RATE of music and effects, as long as the film; start: timecode of the first
  picture, in place of the film's own. Raises BadInput where the film cannot be read or the folder not be written; it is
  unchanged then.
  """
  folder = folder.absolute()
  check_editorial(folder, overwrite=True)
  clock, warnings = film_clock(film.film.path, start)
  frames = clock.after(film.samples / SOUND_RATE)
  with complete_folder(folder, overwrite=True) as partial:
    stems = _write_stems(partial, folder, film, lines, bed, clock)
    sound = film.film.info.has_sound
    timeline = make_timeline(film.title, film.film.path.absolute(), frames, clock, stems, folder, sound)
    write_timeline(timeline, partial / f'{film.title}.otio')
    for number, text in enumerate(edl_texts(film.title, film.film.path, frames, clock, stems), 1):
      name = f'{film.title}.edl' if number == 1 else f'{film.title}_{number}.edl'
      (partial / name).write_text(text, encoding='utf-8', newline='\r\n')  # ASCII but for the film's own name
    (partial / f'{film.title}.adr.csv').write_bytes(cue_sheet(lines, clock, film.film.path.stem))
    written = sorted(str(path.relative_to(partial)) for path in partial.rglob('*') if path.is_file())
    (partial / MANIFEST).write_text(json.dumps({'files': written}, indent=2, ensure_ascii=False), encoding='utf-8')
    _keep_others(folder, partial)
  return warnings


def _write_stems(
  partial: Path,
  folder: Path,
  film: EditorialFilm,
  lines: Sequence[EditorialLine],
  bed: Iterable[np.ndarray] | None,
  clock: FrameClock,
) -> list[Stem]:
  """Writes the stems -> these with their later paths, the bed last."""
  (partial / 'stems').mkdir()
  characters = by_character(lines)
  names = file_names(characters, taken=[BED_FILE])
  reference, stems = clock.samples(SOUND_RATE), []
  for character, own in characters.items():
    path = Path('stems') / f'{names[character]}.wav'
    write_broadcast_wave(partial / path, stem_blocks(own, film.samples), character or NOBODY, reference)
    stems.append(Stem(character or NOBODY, folder / path, tuple(own)))
  if bed is not None:
    path = Path('stems') / f'{BED_FILE}.wav'
    write_broadcast_wave(partial / path, bed, BED, reference)
    stems.append(Stem(BED, folder / path))
  return stems


def _keep_others(folder: Path, partial: Path) -> None:
  """Takes over files of the old folder that this program did not write: an editor may have begun to work there."""
  if not folder.is_dir():
    return
  try:
    own = set(json.loads((folder / MANIFEST).read_text(encoding='utf-8'))['files']) | {MANIFEST}
  except (OSError, ValueError, KeyError, TypeError):
    own = {MANIFEST}
  for path in sorted(folder.rglob('*')):
    name = path.relative_to(folder)
    if path.is_dir() and not path.is_symlink():
      (partial / name).mkdir(exist_ok=True)
    elif str(name) not in own and not (partial / name).exists():
      try:
        os.link(path, partial / name, follow_symlinks=False)
      except OSError:
        shutil.copy2(path, partial / name, follow_symlinks=False)
