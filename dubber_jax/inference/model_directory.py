"""Model directory: the files of a model, written atomically and verified by hash when opened.

config.json  features.json  model.safetensors (director and actor)  vocoder/  critic/  voices.safetensors
CARD.md  MANIFEST.json (sha256 of every other file)
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import ml_dtypes
import numpy as np

from dubber_jax.config import Config, from_json
from dubber_jax.critic.inference import CriticModel, read_critic
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape, empty_batch
from dubber_jax.inference.model import Model
from dubber_jax.inference.voice_files import read_voices, write_voices
from dubber_jax.media.mel import MAX_FREQUENCY
from dubber_jax.nn.scan import stack_stored
from dubber_jax.storage.assets import ASSETS
from dubber_jax.storage.checked_folder import check_files, new_checked_folder
from dubber_jax.storage.weights import check_shapes, flatten, read_arrays, unflatten, write_arrays
from dubber_jax.types import HOP, MEL_BANDS, SAMPLE_RATE, Voice
from dubber_jax.vocoder.griffin_lim import GriffinLim
from dubber_jax.vocoder.neural import read_vocoder

SHIPPED = ASSETS / 'first_voice'


@dataclass(frozen=True)
class ModelContents:
  """What a model directory is written of. `vocoder` and `critic` are folders that are copied; without a vocoder the
  model has Griffin-Lim."""

  config: Config
  params: Any  # of DirectorActor
  voices: Mapping[str, Voice]
  card: str
  vocoder: str | Path | None = None
  critic: str | Path | None = None


def write_model_directory(
  out: str | Path, contents: ModelContents, overwrite: bool = False, weights: str = 'bfloat16'
) -> None:
  """Writes a model directory to `out`, whole or not at all; `weights` is the type that they are stored in.

  Raises BadInput where `out` exists, where the vocoder or the critic is damaged, and where the vocoder has other mels.
  """
  out, vocoder, critic = Path(out), contents.vocoder, contents.critic
  if out.exists() and not overwrite:
    raise BadInput(f'{out} exists: give --overwrite to replace it, or another folder')
  if vocoder:
    open_vocoder(Path(vocoder))
  if critic:
    read_critic(critic)
  with new_checked_folder(out) as folder:
    (folder / 'vocoder').mkdir()
    (folder / 'config.json').write_text(contents.config.to_json() + '\n')
    (folder / 'features.json').write_text(json.dumps(feature_versions(), indent=2) + '\n')
    settings = json.dumps({'name': GriffinLim.name, 'iterations': GriffinLim().iterations}) + '\n'
    (folder / 'vocoder' / 'config.json').write_text(settings)
    for name in ('config.json', 'model.safetensors') if vocoder else ():
      if (Path(vocoder) / name).exists():
        shutil.copyfile(Path(vocoder) / name, folder / 'vocoder' / name)
    if critic:
      shutil.copytree(critic, folder / 'critic')
    (folder / 'CARD.md').write_text(contents.card)
    kind = ml_dtypes.bfloat16 if weights == 'bfloat16' else np.dtype(weights)
    write_arrays(folder / 'model.safetensors', flatten(contents.params), kind)
    write_voices(contents.voices, folder / 'voices.safetensors', np.float16)


def feature_versions() -> dict[str, dict]:
  """Name, version and width of every feature extractor of the model's inputs, by input."""
  from dubber_jax.perception.analyze import Extractors

  return Extractors().manifest()


def load_params(path: Path, config: Config) -> dict:
  """Reads model.safetensors as nested float32 parameters, names and shapes checked against the config's model."""
  from dubber_jax.model import DirectorActor

  stored = read_arrays(path, np.float32)
  batch = empty_batch(config, Shape(1, 16, 8, 8, 16))
  expected = jax.eval_shape(lambda: DirectorActor(config).init({'params': jax.random.key(0)}, batch)['params'])
  expected = flax.traverse_util.flatten_dict(expected, sep='/')
  stored = stack_stored(stored, expected)
  check_shapes(stored, expected, path)
  return unflatten(stored)


def load(path: str | Path | None = None, check: bool = True) -> Model:
  """Opens a model directory; the shipped one by default.

  Raises BadInput where it is no model directory, a file's hash differs from the manifest, the weights do not fit the
  config, or the installed extractors are not those it was trained with.
  """
  path = Path(path) if path else SHIPPED
  check_files(path, hashes=check)
  if 'published' in (path / 'config.json').read_text()[:60]:
    raise BadInput(
      f'{path} holds the published system, whose features cannot be extracted from films here: '
      'open it by dubber_jax.authentic_dubber.directory.load_published'
    )
  config = from_json((path / 'config.json').read_text(), str(path / 'config.json'))
  check_features(path)
  params = load_params(path / 'model.safetensors', config)
  voices = read_voices(path / 'voices.safetensors')
  return Model(config, params, open_vocoder(path / 'vocoder'), voices, path, open_critic(path))


def open_critic(path: Path) -> CriticModel | None:
  """The critic of a model directory, or None where it has none."""
  return read_critic(path / 'critic') if (path / 'critic').is_dir() else None


def check_features(path: Path):
  """Raises BadInput where the installed extractors are not those of features.json."""
  made_with = json.loads((path / 'features.json').read_text())
  installed = feature_versions()
  unlike = [f'{k}: {v} there, {installed.get(k)} here' for k, v in made_with.items() if installed.get(k) != v]
  if unlike:
    raise BadInput(f'{path} was trained with other extractors ({"; ".join(unlike)}); install those, or another model')


def terms(path: Path) -> str:
  """The license paragraph of a model's card on one line; '' where it has none."""
  card = path / 'CARD.md'
  said = card.read_text(encoding='utf-8').partition('**Licence.**')[2] if card.exists() else ''
  return ' '.join(said.partition('\n\n')[0].split())


def open_vocoder(folder: Path) -> Any:
  """The vocoder of a folder: Griffin-Lim, or a network with its weights.

  Raises BadInput where the folder is damaged, and where its vocoder has other mels than the actor.
  """
  try:
    settings = json.loads((folder / 'config.json').read_text())
    if settings['name'] == GriffinLim.name:
      return GriffinLim(settings['iterations'])
  except (OSError, KeyError, TypeError, ValueError) as e:
    raise BadInput(f'{folder}/config.json: not the config of a vocoder ({e}); copy the folder again') from e
  vocoder = read_vocoder(folder)
  ours = {'num_mels': MEL_BANDS, 'sampling_rate': SAMPLE_RATE, 'hop': HOP, 'fmax': MAX_FREQUENCY}
  for name, value in ours.items():
    if getattr(vocoder.config, name, value) != value:
      raise BadInput(
        f'{folder}: this vocoder has {name} {getattr(vocoder.config, name)}, mels here have {value}: '
        'take one for 80 bands to 8000 Hz at 22050 Hz, as bigvgan_v2_22khz_80band_fmax8k_256x'
      )
  return vocoder
