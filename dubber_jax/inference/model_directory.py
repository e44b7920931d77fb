"""The model directory: what `load`, `dub`, `convert` and `export` use. Written whole, checked by hash when opened.

config.json  features.json  model.safetensors (director and actor)  vocoder/  critic/  voices.safetensors
CARD.md  MANIFEST.json (sha256 of every other file)
"""

import dataclasses
import functools
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from dubber_jax.config import Config, from_json
from dubber_jax.critic.inference import CriticModel, read_critic
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape, empty_batch, padded_shape
from dubber_jax.media.mel import MAX_FREQUENCY
from dubber_jax.nn.scan import stack_stored
from dubber_jax.storage.assets import ASSETS
from dubber_jax.types import HOP, MEL_BANDS, SAMPLE_RATE, Voice
from dubber_jax.vocoder.griffin_lim import GriffinLim
from dubber_jax.vocoder.neural import read_vocoder

SHIPPED = ASSETS / 'first_voice'


@dataclasses.dataclass(frozen=True)
class Model:
  """A loaded model directory, ready to perform."""

  config: Config
  params: Any  # of DirectorActor, float32 NumPy arrays
  vocoder: Any
  voices: dict[str, Voice]  # the voices it ships with, by name
  path: Path
  critic: CriticModel | None = None  # what the director listens with

  @functools.cached_property
  def module(self):
    from dubber_jax.model import DirectorActor

    return DirectorActor(self.config)

  def speaking_as(self, voice: Voice) -> 'Model':
    """The model as a voice that was fitted to it shapes it; itself where none was. Raises BadInput where the voice
    was fitted to another one."""
    if not voice.fit:
      return self
    if voice.fit_of != norms_hash(self.params):
      raise BadInput(f'the voice {voice.name!r} was fitted to another model: find it again, with this one')
    return dataclasses.replace(self, params=moved_params(self.params, voice.fit))

  def shape(self, frames: float, phonemes: int) -> Shape:
    """The padded lengths in which a line of so many mel frames and phonemes is performed."""
    return padded_shape(frames, phonemes)

  def predict_durations(self, batch) -> jax.Array:
    """Log durations (B, N), of a batch as `empty_line` lays it out."""
    return _predict(self.module)(self.params, batch)

  def synthesize(self, batch, durations, controls, num_frames: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mel (B, T, 80), pitch (B, T) Hz, emotion (B, 8); see DirectorActor.synthesize."""
    return _synthesize(self.module, num_frames)(self.params, batch, durations, controls)


@functools.lru_cache(maxsize=64)
def _predict(module):
  return jax.jit(lambda params, batch: module.apply({'params': params}, batch, method='encode')[2])


@functools.lru_cache(maxsize=64)
def _synthesize(module, num_frames: int):
  def synthesize(params, batch, durations, controls):
    return module.apply({'params': params}, batch, durations, controls, num_frames, method='synthesize')

  return jax.jit(synthesize)


def fitted_names(params) -> list[str]:
  """Names of the parameters by which alone a fitted voice shapes an actor; none in those that cannot be fitted."""
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  norms = [k for k in flat if k.startswith('decoder/') and k.endswith('gain_shift/bias')]
  return sorted([*norms, 'prosody/out/bias']) if norms and 'prosody/out/bias' in flat else []


def moved_params(params, moved):
  """Parameters with what is added to some of them, by their flattened names."""
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  return flax.traverse_util.unflatten_dict({k: v + moved[k] if k in moved else v for k, v in flat.items()}, sep='/')


def norms_hash(params) -> str:
  """Sixteen hex digits of the parameters that a voice is fitted by."""
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  state = hashlib.sha256()
  for name in fitted_names(params):
    state.update(name.encode() + np.ascontiguousarray(flat[name], np.float32).tobytes())
  return state.hexdigest()[:16]


def flatten(params) -> dict[str, np.ndarray]:
  """Nested parameters -> {'text/block/conv/up/kernel': array}."""
  return {k: np.asarray(v) for k, v in flax.traverse_util.flatten_dict(params, sep='/').items()}


def sha256(path: Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()


def write_model_directory(
  out,
  config: Config,
  params,
  voices: dict[str, Voice],
  card: str,
  overwrite: bool = False,
  weights: str = 'bfloat16',
  vocoder=None,
  critic=None,
):
  """Writes `out` as a whole or not at all; `weights` is the type they are stored in.

  `vocoder` and `critic` are folders of one, shipped as they are; without a vocoder, Griffin-Lim is. Raises BadInput
  where `out` exists, where one of the two is damaged, and where the vocoder speaks other mels.
  """
  out = Path(out)
  if out.exists() and not overwrite:
    raise BadInput(f'{out} exists: give --overwrite to replace it, or another folder')
  if vocoder:
    open_vocoder(Path(vocoder))
  if critic:
    read_critic(critic)
  beside = out.with_name(f'{out.name}.{os.getpid()}')
  (beside / 'vocoder').mkdir(parents=True)
  (beside / 'config.json').write_text(config.to_json() + '\n')
  (beside / 'features.json').write_text(json.dumps(feature_versions(), indent=2) + '\n')
  settings = json.dumps({'name': GriffinLim.name, 'iterations': GriffinLim().iterations}) + '\n'
  (beside / 'vocoder' / 'config.json').write_text(settings)
  for name in ('config.json', 'model.safetensors') if vocoder else ():
    if (Path(vocoder) / name).exists():
      shutil.copyfile(Path(vocoder) / name, beside / 'vocoder' / name)
  if critic:
    shutil.copytree(critic, beside / 'critic')
  (beside / 'CARD.md').write_text(card)
  kind = ml_dtypes.bfloat16 if weights == 'bfloat16' else np.dtype(weights)
  save_file({k: v.astype(kind) for k, v in flatten(params).items()}, beside / 'model.safetensors')
  write_voices(voices, beside / 'voices.safetensors', np.float16)
  for stored in beside.rglob('*.safetensors'):
    stored.chmod(0o644)  # safetensors writes them for the owner alone
  write_manifest(beside)
  if out.exists():
    shutil.rmtree(out)
  os.replace(beside, out)


def write_manifest(folder: Path):
  """MANIFEST.json: the sha256 of every other file of the folder."""
  files = sorted(p for p in folder.rglob('*') if p.is_file() and p != folder / 'MANIFEST.json')
  hashes = {str(p.relative_to(folder)): sha256(p) for p in files}
  (folder / 'MANIFEST.json').write_text(json.dumps(hashes, indent=2) + '\n')


def feature_versions() -> dict[str, dict]:
  """Name, version and width of every extractor that feeds the model, by need."""
  from dubber_jax.perception.analyze import Extractors

  return Extractors().manifest()


def load_params(path: Path, config: Config):
  """model.safetensors as a nested dictionary of float32, every shape checked against the config's model."""
  from dubber_jax.model import DirectorActor

  try:
    stored = {k: v.astype(np.float32) for k, v in load_file(path).items()}
  except (OSError, SafetensorError) as e:
    raise BadInput(f'{path}: cannot be read ({e}); the file is damaged') from e
  batch = empty_batch(config, Shape(1, 16, 8, 8, 16))
  expected = jax.eval_shape(lambda: DirectorActor(config).init({'params': jax.random.key(0)}, batch)['params'])
  expected = flax.traverse_util.flatten_dict(expected, sep='/')
  stored = stack_stored(stored, expected)
  wrong = [f'{k} is missing' for k in expected if k not in stored]
  wrong += [f'{k} is not of this model' for k in stored if k not in expected]
  wrong += [
    f'{k} is {stored[k].shape}, the config says {v.shape}'
    for k, v in expected.items()
    if k in stored and stored[k].shape != v.shape
  ]
  if wrong:
    raise BadInput(
      f'{path} does not fit its config.json: {wrong[0]} ({len(wrong)} in all); it is a checkpoint of another config'
    )
  return flax.traverse_util.unflatten_dict({tuple(k.split('/')): v for k, v in stored.items()})


def load(path: str | Path | None = None, check: bool = True) -> Model:
  """Opens a model directory; the shipped one by default.

  Raises BadInput where it is no model directory, a file's hash is not the manifest's, the weights do not
  fit the config, or the extractors installed here are not the ones it was trained with.
  """
  path = Path(path) if path else SHIPPED
  check_files(path, hashes=check)
  if 'published' in (path / 'config.json').read_text()[:60]:
    raise BadInput(
      f'{path} holds the published system, whose features are not read from films here: '
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


def check_files(path: Path, hashes: bool = True):
  """Raises BadInput where a file of the manifest is missing or, with `hashes`, not the one that was written."""
  if not (path / 'MANIFEST.json').exists():
    raise BadInput(f'{path} is not a model directory (no MANIFEST.json): give the folder that `dubber release` wrote')
  try:
    manifest = json.loads((path / 'MANIFEST.json').read_text())
  except json.JSONDecodeError as e:
    raise BadInput(f'{path}/MANIFEST.json is damaged: {e.msg}') from e
  for name, digest in manifest.items() if hashes else ():
    if not (path / name).exists():
      raise BadInput(f'{path}/{name} is missing; copy the model directory again')
    if sha256(path / name) != digest:
      raise BadInput(f'{path}/{name} is not the file that was released (its hash differs); copy it again')


def check_features(path: Path):
  """Raises BadInput where the extractors installed here are not those of features.json."""
  made_with = json.loads((path / 'features.json').read_text())
  installed = feature_versions()
  unlike = [f'{k}: {v} there, {installed.get(k)} here' for k, v in made_with.items() if installed.get(k) != v]
  if unlike:
    raise BadInput(f'{path} was trained with other extractors ({"; ".join(unlike)}); install those, or another model')


def terms(path: Path) -> str:
  """What a model's card says of its licence, on one line; '' where it says nothing."""
  card = path / 'CARD.md'
  said = card.read_text(encoding='utf-8').partition('**Licence.**')[2] if card.exists() else ''
  return ' '.join(said.partition('\n\n')[0].split())


def write_voices(voices: dict[str, Voice], path: Path, mel_type=np.float32):
  """Voices by name in one file: NAME/embedding, NAME/reference_mel and, of fitted ones, NAME/fit/PARAMETER; the actor
  that they were fitted to stands in its metadata."""
  arrays, fitted = {}, {}
  for name, voice in voices.items():
    arrays[f'{name}/embedding'] = np.float32(voice.embedding)
    arrays[f'{name}/reference_mel'] = voice.reference_mel.astype(mel_type)
    arrays |= {f'{name}/fit/{parameter}': np.float32(value) for parameter, value in voice.fit.items()}
    if voice.fit:
      fitted[name] = voice.fit_of
  save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, path, fitted or None)


def read_voices(path: Path) -> dict[str, Voice]:
  """What `write_voices` wrote."""
  by_name: dict[str, dict] = {}
  with safe_open(path, 'np') as file:
    fitted = file.metadata() or {}
    for key in file.keys():  # noqa: SIM118 (a file is no dictionary)
      name, fit, part = key.partition('/fit/')
      if not fit:
        name, _, part = key.rpartition('/')
      by_name.setdefault(name, {})[f'{fit[1:]}{part}'] = file.get_tensor(key)
  return {
    name: Voice(
      parts['embedding'],
      parts['reference_mel'].astype(np.float32),
      name,
      fit={k.removeprefix('fit/'): v for k, v in parts.items() if k.startswith('fit/')},
      fit_of=fitted.get(name, ''),
    )
    for name, parts in sorted(by_name.items())
  }


def open_vocoder(folder: Path):
  """The vocoder of a folder: Griffin-Lim, or a network with its weights.

  Raises BadInput where the folder is damaged, and where its vocoder speaks mels other than ours.
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
