"""Dialogue separation: takes the dialogue out of a film's sound and keeps music, effects and noise."""

import importlib.util
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.storage.assets import ASSETS

TRAINED, DEMUCS = 'trained', 'demucs'


class Separator(Protocol):
  """What removes dialogue from sound."""

  def remove_dialogue(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Sound in blocks (S, C) float32 at 48 kHz -> the same without its dialogue, in blocks of any size, of the same
    length in all, with bounded memory."""
    ...


def open_separator(name: str = TRAINED) -> Separator:
  """The separator `trained` (the network that ships with the package) or `demucs` (where it is installed). Raises
  BadInput for another name and where it cannot be opened."""
  if name == TRAINED:
    from dubber_jax.separation.inference import shipped_separator

    return shipped_separator()
  if name == DEMUCS:
    from dubber_jax.separation.demucs import open_demucs

    return open_demucs()
  raise BadInput(f'no separator {name!r}: there are {TRAINED} and {DEMUCS}')


def check_separator(name: str = TRAINED) -> None:
  """Raises BadInput where `open_separator` would not find what it opens; nothing is loaded."""
  if name == DEMUCS and importlib.util.find_spec('demucs') is None:
    raise BadInput("the separator demucs needs the extra demucs: pip install 'dubber_jax[demucs]'")
  if name == TRAINED and not (ASSETS / 'separator' / 'MANIFEST.json').is_file():
    raise BadInput('no separator is installed with this package')
