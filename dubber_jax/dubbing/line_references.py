"""References of a project's lines: performances that a person gave as exemplars, kept beside the takes.

lines/001/references/KEY/  reference.json, reference.npz, sound.wav and picture.jpg where it has them
lines/001/reference.json   which one the line is played with
"""

import contextlib
import io
import json
from typing import Any

import numpy as np

from dubber_jax.dubbing.project import DIGITS, Project
from dubber_jax.errors import BadInput
from dubber_jax.media.sound import wav_bytes
from dubber_jax.retrieval.reference import from_arrays, to_arrays
from dubber_jax.storage.atomic import complete_folder, write_json
from dubber_jax.storage.json_files import read_json
from dubber_jax.types import SAMPLE_RATE, Reference

SOUND, PICTURE = 'sound.wav', 'picture.jpg'


def chosen_reference(work: Project, number: int) -> str:
  """The key of the reference that a line is played with, '' for none."""
  with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
    key = json.loads((work.line_folder(number) / 'reference.json').read_text(encoding='utf-8'))['key']
    return key if _is_key(key) else ''
  return ''


def choose_reference(work: Project, number: int, key: str) -> None:
  """Plays a line with one of its references from now on; '': with none."""
  write_json({'key': key}, work.line_folder(number) / 'reference.json', overwrite=True)


def keep_reference(
  work: Project, number: int, reference: Reference, wave: np.ndarray | None = None, picture: np.ndarray | None = None
) -> None:
  """Stores a reference of a line. wave: (S,) at SAMPLE_RATE; picture: (H, W, 3) uint8, to be shown."""
  fields, arrays = to_arrays(reference)
  packed = io.BytesIO()
  np.savez(packed, **arrays)  # pyright: ignore[reportArgumentType]
  with complete_folder(reference_folder(work, number, reference.key), overwrite=True) as partial:
    (partial / 'reference.npz').write_bytes(packed.getvalue())
    write_json(fields, partial / 'reference.json')
    if wave is not None and len(wave):
      (partial / SOUND).write_bytes(wav_bytes(wave, SAMPLE_RATE))
    if picture is not None:
      (partial / PICTURE).write_bytes(jpeg_bytes(picture))


def load_reference(work: Project, number: int, key: str | None = None) -> Reference | None:
  """The reference of a line by its key, by default the one that it is played with; None where it has none.

  Raises BadInput where it is damaged.
  """
  key = chosen_reference(work, number) if key is None else key
  if not key:
    return None
  folder = reference_folder(work, number, key)
  fields: Any = read_json(folder / 'reference.json', 'give the line its reference again')
  try:
    with np.load(folder / 'reference.npz') as arrays:
      return from_arrays(fields, dict(arrays))
  except (AttributeError, EOFError, KeyError, OSError, TypeError, ValueError) as error:
    raise BadInput(f'{folder}: is damaged ({error!r}); give the line its reference again') from None


def reference_folder(work: Project, number: int, key: str):
  """Raises BadInput for what is no key."""
  if not _is_key(key):
    raise BadInput(f'line {number} has no reference {key!r:.40}')
  return work.line_folder(number) / 'references' / key


def jpeg_bytes(picture: np.ndarray, side: int = 640) -> bytes:
  """(H, W, 3) uint8 RGB as a JPEG of at most `side` pixels on its longer side."""
  from PIL import Image

  image, file = Image.fromarray(picture), io.BytesIO()
  image.thumbnail((side, side))
  image.save(file, 'JPEG', quality=85)
  return file.getvalue()


def _is_key(key: Any) -> bool:
  return isinstance(key, str) and len(key) == DIGITS and set(key) <= set('0123456789abcdef')
