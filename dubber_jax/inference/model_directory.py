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

from dubber_jax.config import Config
from dubber_jax.critic.inference import CriticModel, read_critic
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape, empty_batch
from dubber_jax.inference.model import Model
from dubber_jax.inference.stored_model import SHIPPED, read_config
from dubber_jax.inference.voice_files import read_voices, write_voices
from dubber_jax.media.mel import MAX_FREQUENCY
from dubber_jax.nn.scan import stack_stored
from dubber_jax.storage.atomic import check_folder, disk_errors, remove_abandoned
from dubber_jax.storage.checked_folder import MANIFEST, check_files, new_checked_folder, write_manifest
from dubber_jax.storage.json_files import read_json
from dubber_jax.storage.programs import kept_shapes
from dubber_jax.storage.weights import check_finite, check_shapes, flatten, read_arrays, unflatten, write_arrays
from dubber_jax.types import HOP, MEL_BANDS, SAMPLE_RATE, Voice
from dubber_jax.vocoder.griffin_lim import GriffinLim
from dubber_jax.vocoder.neural import read_vocoder

MARKS = (MANIFEST, 'config.json')  # of a folder that may be replaced by a model directory


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
  out: str | Path, contents: ModelContents, overwrite: bool = False, weights: str = 'bfloat16', opened: bool = False
) -> None:
  """Writes a model directory to `out`, whole or not at all; `weights` is the type that they are stored in.

  opened: open it before it takes its name, so that a model which could not be opened is never left. Raises BadInput
  where `out` exists, where the vocoder or the critic is damaged, and where the vocoder has other mels.
  """
  out, vocoder, critic = Path(out), contents.vocoder, contents.critic
  check_folder(out, overwrite, MARKS)
  if vocoder:
    open_vocoder(Path(vocoder))
  if critic:
    read_critic(critic)
  remove_abandoned(out.absolute())
  with disk_errors(out), new_checked_folder(out) as folder:
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
    (folder / 'CARD.md').write_text(contents.card, encoding='utf-8')
    kind = ml_dtypes.bfloat16 if weights == 'bfloat16' else np.dtype(weights)
    write_arrays(folder / 'model.safetensors', flatten(contents.params), kind)
    write_voices(contents.voices, folder / 'voices.safetensors', np.float16)
    if opened:
      write_manifest(folder)
      load(folder, check=False)


def feature_versions() -> dict[str, dict]:
  """Name, version and width of every feature extractor of the model's inputs, by input."""
  from dubber_jax.perception.analyze import Extractors

  return Extractors().manifest()


def load_params(path: Path, config: Config) -> dict:
  """Reads model.safetensors as nested float32 parameters, names and shapes checked against the config's model."""
  stored = read_arrays(path, np.float32)
  expected = kept_shapes('actor', config.to_json(), lambda: _param_shapes(config, path))
  stored = stack_stored(stored, expected)
  check_shapes(stored, expected, path)
  check_finite(stored, path)
  return unflatten(stored)


def _param_shapes(config: Config, path: Path) -> dict[str, Any]:
  from dubber_jax.model import DirectorActor

  try:
    batch = empty_batch(config, Shape(1, 16, 8, 8, 16))
    expected = jax.eval_shape(lambda: DirectorActor(config).init({'params': jax.random.key(0)}, batch)['params'])
  except Exception as e:  # sizes that make no network: JAX and Flax raise many types
    raise BadInput(f'{path}: the sizes in its config.json make no network ({_first_line(e)}); copy it again') from e
  return flax.traverse_util.flatten_dict(expected, sep='/')


def load(path: str | Path | None = None, check: bool = True) -> Model:
  """Opens a model directory; the shipped one by default.

  Raises BadInput where it is no model directory, a file's hash differs from the manifest, the weights do not fit the
  config, or the installed extractors are not those it was trained with.
  """
  path = Path(path) if path else SHIPPED
  check_files(path, hashes=check)
  config = read_config(path)
  check_features(path)
  params = load_params(path / 'model.safetensors', config)
  voices = read_voices(path / 'voices.safetensors')
  return Model(config, params, open_vocoder(path / 'vocoder'), voices, path, open_critic(path))


def _first_line(error: Exception) -> str:
  return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def open_critic(path: Path) -> CriticModel | None:
  """The critic of a model directory, or None where it has none."""
  return read_critic(path / 'critic') if (path / 'critic').is_dir() else None


def check_features(path: Path):
  """Raises BadInput where the installed extractors are not those of features.json."""
  made_with, installed = read_json(path / 'features.json', 'copy the folder again'), feature_versions()
  if not isinstance(made_with, dict):
    raise BadInput(f'{path}/features.json is damaged; copy the folder again')
  unlike = [f'{k}: {v} there, {installed.get(k)} here' for k, v in made_with.items() if installed.get(k) != v]
  if unlike:
    raise BadInput(f'{path} was trained with other extractors ({"; ".join(unlike)}); install those, or another model')


def open_vocoder(folder: Path) -> Any:
  """The vocoder of a folder: Griffin-Lim, or a network with its weights.

  Raises BadInput where the folder is damaged, and where its vocoder has other mels than the actor.
  """
  settings = read_json(folder / 'config.json', 'it is no config of a vocoder: copy the folder again')
  try:
    if settings['name'] == GriffinLim.name:
      if not (isinstance(settings['iterations'], int) and 0 <= settings['iterations'] <= 1000):
        raise ValueError(f'{str(settings["iterations"])[:40]!r} iterations')
      return GriffinLim(settings['iterations'])
  except (KeyError, TypeError, ValueError) as e:
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
