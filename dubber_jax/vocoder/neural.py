"""Neural vocoder: a generator with its weights, and its folder on disk.

config.json         {'name': one of ARCHITECTURES, 'config': {...}}
model.safetensors   weights, float32 or bfloat16
"""

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path

import flax.linen
import flax.traverse_util
import jax
import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.storage.json_files import fields_of, read_json
from dubber_jax.storage.programs import KeptProgram, kept_shapes
from dubber_jax.storage.weights import check_finite, check_shapes, flatten, read_arrays, unflatten, write_arrays
from dubber_jax.vocoder.bigvgan import BigVGAN, BigVGANConfig
from dubber_jax.vocoder.hifigan import HiFiGAN, HiFiGANConfig
from dubber_jax.vocoder.inputs import Input, batch_inputs
from dubber_jax.vocoder.source_filter import SourceFilter, SourceFilterConfig

ARCHITECTURES = {
  'bigvgan': (BigVGAN, BigVGANConfig),
  'hifigan': (HiFiGAN, HiFiGANConfig),
  'source-filter': (SourceFilter, SourceFilterConfig),
}
MOST_BLOCKS = 32  # residual blocks of one kind, or steps of upsampling


class NeuralVocoder:
  """A generator and its weights as a vocoder (see vocoder/inputs.py) for the mels of its `config`."""

  def __init__(self, name: str, config: BigVGANConfig | HiFiGANConfig | SourceFilterConfig, params: dict):
    """name: one of ARCHITECTURES; params: nested weights. Raises BadInput where their shapes do not fit the config."""
    self.name = name
    self.config = config
    self.module = ARCHITECTURES[name][0](config)
    remedy = 'these are the weights of another config'
    check_shapes(flax.traverse_util.flatten_dict(params, sep='/'), expected_shapes(self.module), name, remedy)
    self.params = jax.tree.map(jax.numpy.asarray, params)
    self._synthesize = KeptProgram(f'vocoder-{name}', repr(config), self.synthesize)

  @property
  def sample_rate(self) -> int:
    return self.config.sampling_rate

  @property
  def hop(self) -> int:
    return self.config.hop

  def inputs(self, frames: int) -> dict[str, Input]:
    """See vocoder/inputs.py. A generator with random inputs declares them in `noise(frames)`."""
    noise = self.module.noise(frames) if hasattr(self.module, 'noise') else {}
    return {'mel': Input((frames, self.config.num_mels), fill=LOG_FLOOR), 'frames': Input((), 'int32'), **noise}

  def synthesize(self, params: dict, arrays: dict) -> jax.Array:
    noise = {k: v for k, v in arrays.items() if k not in ('mel', 'frames')}
    return self.module.apply({'params': params}, arrays['mel'], arrays['frames'], **noise)

  def vocode(self, mel: np.ndarray, seed: int = 0, breathiness: float = 0.0, tremor: float = 0.0) -> np.ndarray:
    """(T, bands) natural-log mel -> (T * hop,) float32 in -1..1 at `sample_rate`. seed: of the noise inputs, if
    any; breathiness, tremor: 0 to 1, ignored by vocoders without these controls.

    Lengths are padded to a multiple of 64 frames, so that few shapes are compiled; the result does not depend
    on the padding. Raises BadInput for other bands and for values that are not finite.
    """
    mel = np.asarray(mel, np.float32)
    if mel.ndim != 2 or mel.shape[1] != self.config.num_mels:
      raise BadInput(f'this {self.name} takes a mel of (frames, {self.config.num_mels}), not {mel.shape}')
    if not np.isfinite(mel).all():
      raise BadInput(f'the mel has {np.count_nonzero(~np.isfinite(mel))} values that are not finite')
    frames = len(mel)
    if frames == 0:
      return np.zeros(0, np.float32)
    bucket = -(-frames // 64) * 64
    return self.vocode_batch([mel], [seed], np.array([[breathiness, tremor]], np.float32), 1, bucket)[0]

  def vocode_batch(
    self, mels: Sequence[np.ndarray], seeds: Sequence[int], quality: np.ndarray, items: int, frames: int
  ) -> list[np.ndarray]:
    """Waveforms of several mels (T, bands), each as `vocode` gives it, in one batch of `items` of `frames` mel frames.

    quality: breathiness and tremor of each, (B, 2)."""
    arrays = batch_inputs(self.inputs(frames), mels, seeds, quality, items)
    waves = np.asarray(self._synthesize(self.params, arrays))
    return [wave[: len(mel) * self.hop].copy() for wave, mel in zip(waves, mels, strict=False)]


@functools.lru_cache(maxsize=16)
def expected_shapes(module: flax.linen.Module) -> dict[str, tuple[int, ...]]:
  """Parameter shapes of a generator, {'conv_pre/kernel': (7, 80, 1536), ...}, without initializing it."""
  return kept_shapes('vocoder', repr(module), lambda: _shapes(module))


def _shapes(module: flax.linen.Module) -> dict[str, tuple[int, ...]]:
  try:
    mel = jax.ShapeDtypeStruct((1, 8, module.config.num_mels), np.float32)
    tree = jax.eval_shape(lambda m: module.init(jax.random.key(0), m)['params'], mel)
  except Exception as e:  # sizes that make no network: JAX and Flax raise many types
    reason = (str(e).strip() or type(e).__name__).splitlines()[0][:200]
    raise BadInput(f'{type(module).__name__}: the sizes of its config make no network ({reason})') from e
  return {k: v.shape for k, v in flax.traverse_util.flatten_dict(tree, sep='/').items()}


def read_config(name: str, settings: dict, where: str) -> BigVGANConfig | HiFiGANConfig | SourceFilterConfig:
  """Config of an architecture from the fields of its config.json; unknown fields are ignored.

  Raises BadInput for an unsupported activation or residual block, and for a field of the wrong type.
  """
  kind = ARCHITECTURES[name][1]
  known = {f.name for f in dataclasses.fields(kind)}
  try:
    config = kind(**fields_of(kind, settings, where))
    if 'upsample_rates' in known:
      _check_generator(name, config, settings, where)
  except (AttributeError, TypeError) as e:
    raise BadInput(f'{where}: a field has the wrong type ({e})') from e
  return config


def _check_generator(name: str, config, settings: dict, where: str):
  if settings.get('activation', 'snakebeta') != 'snakebeta':
    raise BadInput(f'{where}: activation {settings["activation"]!r} is not supported, only snakebeta')
  blocks = ('1',) if name == 'bigvgan' else ('1', '2')
  if str(settings.get('resblock', '1')) not in blocks:
    raise BadInput(f'{where}: resblock {settings["resblock"]!r} is not supported, only {" and ".join(blocks)}')
  needed = {'upsample_rates', 'upsample_kernel_sizes', 'upsample_initial_channel'} - settings.keys()
  if needed:
    raise BadInput(f'{where}: no {sorted(needed)[0]}; it is not the config of a {name} generator')
  lists = (
    config.upsample_rates,
    config.upsample_kernel_sizes,
    config.resblock_kernel_sizes,
    *config.resblock_dilation_sizes,
  )
  valid = all(isinstance(v, int) and 0 < v < 10_000 for values in lists for v in values)
  valid &= max(map(len, (lists[0], lists[2], *lists[3:])), default=0) <= MOST_BLOCKS and config.upsample_rates != ()
  valid &= len(config.upsample_rates) == len(config.upsample_kernel_sizes)
  valid &= len(config.resblock_kernel_sizes) == len(config.resblock_dilation_sizes)
  valid &= config.upsample_initial_channel >> len(config.upsample_rates) > 0
  ups = zip(config.upsample_kernel_sizes, config.upsample_rates, strict=False)  # lengths are compared above
  valid &= all(k >= u and (k - u) % 2 == 0 for k, u in ups)
  if not valid:
    raise BadInput(f'{where}: rates, kernels, dilations and channels do not fit each other')


def write_vocoder(vocoder: NeuralVocoder, folder: str | Path, dtype: str = 'float32') -> None:
  """Writes the vocoder's two files into `folder`, which must exist, the weights as `dtype`."""
  folder = Path(folder)
  settings = {'name': vocoder.name, 'config': dataclasses.asdict(vocoder.config)}
  (folder / 'config.json').write_text(json.dumps(settings, indent=2) + '\n')
  write_arrays(folder / 'model.safetensors', flatten(vocoder.params), jax.numpy.dtype(dtype))


def read_vocoder(folder: str | Path) -> NeuralVocoder:
  """Loads a folder of `write_vocoder`. Raises BadInput where a file is missing, damaged or does not fit the config."""
  folder = Path(folder)
  settings = read_json(folder / 'config.json')
  try:
    name, fields = settings['name'], settings['config']
  except (KeyError, TypeError) as e:
    raise BadInput(f'{folder}: the vocoder cannot be read ({e}); copy it again') from e
  if not isinstance(name, str) or name not in ARCHITECTURES:
    raise BadInput(f'{folder}/config.json: no vocoder {str(name)[:60]!r}, only {", ".join(ARCHITECTURES)}')
  config = read_config(name, fields, f'{folder}/config.json')
  arrays = read_arrays(folder / 'model.safetensors', np.float32)
  check_finite(arrays, folder / 'model.safetensors')
  return NeuralVocoder(name, config, unflatten(arrays))
