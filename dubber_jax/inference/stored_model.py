"""A model directory of which nothing is loaded but its settings, until its networks are needed."""

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dubber_jax.config import ActorTask, Config, from_json
from dubber_jax.errors import BadInput
from dubber_jax.inference.voice_files import read_voices
from dubber_jax.storage.assets import ASSETS
from dubber_jax.storage.checked_folder import MANIFEST, check_files
from dubber_jax.storage.hashing import sha256_json
from dubber_jax.types import Voice

if TYPE_CHECKING:
  from dubber_jax.inference.model import Model

SHIPPED = ASSETS / 'first_voice'


@dataclass(frozen=True)
class StoredModel:
  """A model directory: its settings and voices at once; its networks, which take seconds to load, by `opened`."""

  path: Path
  config: Config

  @classmethod
  def find(cls, path: str | Path | None = None) -> 'StoredModel':
    """The model directory at `path`, the shipped one by default. Raises BadInput where it is none, or misses files."""
    path = Path(path) if path else SHIPPED
    check_files(path, hashes=False)
    return cls(path, read_config(path))

  @functools.cached_property
  def voices(self) -> dict[str, Voice]:
    """The voices that it ships with, by name."""
    return read_voices(self.path / 'voices.safetensors')

  @functools.cached_property
  def hash(self) -> str:
    """SHA-256 of what the manifest says of every file, and of the config as it is used."""
    return sha256_json({'files': (self.path / MANIFEST).read_text(), 'config': self.config.to_json()})

  @functools.cached_property
  def opened(self) -> 'Model':
    """The model with its networks. Raises BadInput where a file was changed, or the weights do not fit the config."""
    from dubber_jax.inference.model_directory import load

    return dataclasses.replace(load(self.path), config=self.config)


def opened(model: 'Model | StoredModel') -> 'Model':
  """The model with its networks."""
  return model.opened if isinstance(model, StoredModel) else model


def read_config(path: Path) -> Config:
  """The config of a model directory. Raises BadInput where it is damaged, and where the model is no actor of ours."""
  file = path / 'config.json'
  try:
    text = file.read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as e:
    raise BadInput(f'{file}: cannot be read ({e}); copy the folder again') from e
  if 'published' in text[:60]:
    raise BadInput(
      f'{path} holds the published system, whose features cannot be extracted from films here: '
      'open it by dubber_jax.authentic_dubber.directory.load_published'
    )
  config = from_json(text, str(file))
  if not isinstance(config.task, ActorTask):
    raise BadInput(f'{path} holds a {config.task.kind}; give the model directory of an actor')
  return config


def terms(path: Path) -> str:
  """The license paragraph of a model's card on one line; '' where it has none."""
  card = path / 'CARD.md'
  said = card.read_text(encoding='utf-8', errors='replace').partition('**Licence.**')[2] if card.exists() else ''
  return ' '.join(said.partition('\n\n')[0].split())
