"""Conversion of PyTorch BigVGAN and HiFi-GAN generators to this package's parameters, and back.

Weight norm (w = g v / |v|, the norm over all axes but the first) is folded into the weights; on the way back they
stay folded, as in the published code after `remove_weight_norm`.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

import flax
import jax
import numpy as np

from dubber_jax.convert.checkpoints import require_all, survey
from dubber_jax.errors import BadInput
from dubber_jax.vocoder import bigvgan, hifigan
from dubber_jax.vocoder.antialiasing import FILTER, AntiAliasedSnake, downsample, squared_sine, upsample
from dubber_jax.vocoder.neural import ARCHITECTURES, expected_shapes, read_config

CONV = (2, 1, 0)  # ours (k, in, out) <-> torch (out, in, k); its own inverse
TRANSPOSED = (1, 2, 0)  # ours (k, in, out) -> torch (in, out, k)
CONVERTIBLE = ('bigvgan', 'hifigan')
PUBLISHED = {
  **{name: ('bigvgan', config) for name, config in bigvgan.PUBLISHED.items()},
  **{name: ('hifigan', config) for name, config in hifigan.PUBLISHED.items()},
}


def find_config(checkpoint: str | Path, config: str | Path | None = None) -> tuple:
  """The architecture's name, 'bigvgan' or 'hifigan', and the config of a generator checkpoint.

  `config` is a config.json, or a name of PUBLISHED; by default the config.json beside the checkpoint. Raises BadInput
  where the file is missing or damaged.
  """
  if str(config) in PUBLISHED:
    return PUBLISHED[str(config)]
  path = Path(config) if config else Path(checkpoint).parent / 'config.json'
  try:
    settings = json.loads(path.read_text())
  except FileNotFoundError as e:
    raise BadInput(f'{path}: there is no such file: give a config.json, or one of {", ".join(PUBLISHED)}') from e
  except (OSError, ValueError, RecursionError) as e:
    raise BadInput(f'{path} is not a config.json ({e})') from e
  if not isinstance(settings, dict):
    raise BadInput(f'{path} is not a config.json: it holds a {type(settings).__name__}')
  name = 'bigvgan' if 'snake_logscale' in settings or 'activation' in settings else 'hifigan'
  return name, read_config(name, settings, str(path))


def fold_weight_norm(state: Mapping[str, np.ndarray], path: str | Path = 'state dict') -> dict[str, np.ndarray]:
  """A state dict with each pair weight_g, weight_v (or parametrizations.weight.original0, 1) folded into one weight.

  Raises BadInput where one of a pair is missing or their shapes do not fit.
  """
  folded = {}
  for key, array in state.items():
    old = re.fullmatch(r'(.*\.)?weight_(g|v)', key)
    new = re.fullmatch(r'(.*\.)?parametrizations\.weight\.original(0|1)', key)
    if not (old or new):
      folded[key] = array
      continue
    prefix, which = (old or new).groups(default='')
    if which in 'g0':
      other = f'{prefix}weight_v' if old else f'{prefix}parametrizations.weight.original1'
      if other not in state:
        raise BadInput(f'{path}: {key} is there without {other}; the checkpoint is incomplete')
      folded[f'{prefix}weight'] = _fold(array, state[other], f'{path}: {key}')
    elif (f'{prefix}weight_g' if old else f'{prefix}parametrizations.weight.original0') not in state:
      raise BadInput(f'{path}: {key} is there without its scale; the checkpoint is incomplete')
  return folded


def _fold(scale, direction, where):
  if scale.shape != (len(direction),) + (1,) * (direction.ndim - 1):
    raise BadInput(f'{where} is {scale.shape}, which does not scale a weight of {direction.shape}')
  wide = direction.astype(np.float64)
  norm = np.sqrt(np.square(wide).sum(axis=tuple(range(1, wide.ndim)), keepdims=True))
  return (wide * (scale / np.maximum(norm, 1e-300))).astype(np.float32)


def torch_key(path: str, name: str) -> str:
  """'resblocks_0/convs1_2/kernel' -> 'resblocks.0.convs1.2.weight'."""
  *modules, leaf = path.split('/')
  modules = [re.sub(r'_(\d+)$', r'.\1', m) for m in modules]
  if name == 'bigvgan' and modules[0].startswith('ups.'):
    modules.append('0')
  if leaf in ('alpha', 'beta'):
    modules.append('act')
  return '.'.join([*modules, 'weight' if leaf == 'kernel' else leaf])


def folded_key(key: str) -> str:
  """The weight that a factor of weight norm belongs to; any other key unchanged."""
  return re.sub(r'weight_[gv]$|parametrizations\.weight\.original[01]$', 'weight', key)


def expected_paths(name: str, config: bigvgan.BigVGANConfig | hifigan.HiFiGANConfig) -> list[str]:
  """Flattened names of a generator's parameters."""
  return list(expected_shapes(ARCHITECTURES[name][0](config)))


def torch_shapes(name: str, config: bigvgan.BigVGANConfig | hifigan.HiFiGANConfig) -> dict[str, tuple[int, ...]]:
  """Shape of every folded tensor of the published generator, by its PyTorch name."""
  return {
    torch_key(path, name): tuple(shape[i] for i in _order(path)) if len(shape) == 3 else shape
    for path, shape in expected_shapes(ARCHITECTURES[name][0](config)).items()
  }


def _order(path: str) -> tuple[int, int, int]:
  return TRANSPOSED if path.startswith('ups_') else CONV


def is_filter(key: str) -> bool:
  """Whether a key names a buffer of BigVGAN's fixed low-pass filters."""
  return key.endswith(('.upsample.filter', '.downsample.lowpass.filter'))


def from_torch(
  state: Mapping[str, np.ndarray],
  name: str,
  config: bigvgan.BigVGANConfig | hifigan.HiFiGANConfig,
  path: str | Path = 'state dict',
) -> dict:
  """Nested parameters of a generator's state dict, folded or not. Raises BadInput where it does not fit."""
  folded = fold_weight_norm(state, path)
  require_all(survey(folded, torch_shapes(name, config), is_filter), path)
  for key, array in folded.items():
    if is_filter(key) and not (array.size == FILTER.size and np.allclose(array.ravel(), FILTER, atol=1e-5)):
      raise BadInput(f'{path}: {key} is not the low-pass filter of the published configs; it cannot be converted')
  flat = {}
  for ours in expected_shapes(ARCHITECTURES[name][0](config)):
    array = folded[torch_key(ours, name)].astype(np.float32)
    if array.ndim == 3:
      array = array.transpose(np.argsort(_order(ours)))
    flat[tuple(ours.split('/'))] = np.ascontiguousarray(array)
  return flax.traverse_util.unflatten_dict(flat)


def to_torch(params: dict, name: str, filters: bool = True) -> dict[str, np.ndarray]:
  """The state dict of nested parameters, as the published code loads it after `remove_weight_norm`.

  With `filters` it contains BigVGAN's fixed filters, which a strict load requires.
  """
  state = {}
  for path, array in flax.traverse_util.flatten_dict(params, sep='/').items():
    array = np.asarray(array, np.float32)
    state[torch_key(path, name)] = np.ascontiguousarray(array.transpose(_order(path)) if array.ndim == 3 else array)
    if filters and path.endswith('/alpha'):
      before = torch_key(path, name).removesuffix('act.alpha')
      for key in ('upsample.filter', 'downsample.lowpass.filter'):
        state[before + key] = FILTER.reshape(1, 1, -1).copy()
  return state


def parity_outputs(inputs: Mapping, weights: Mapping, settings: Mapping) -> dict[str, np.ndarray]:
  """Outputs of a bigvgan parity fixture in PyTorch's layouts, as far as `inputs` and `weights` determine them.

  `settings` is the fixture's cfg; an empty one stands for the published v2 for 22 kHz and 8 kHz.
  """
  config = bigvgan.PUBLISHED['bigvgan_v2_22khz_80band_fmax8k_256x']
  if settings:
    config = read_config('bigvgan', {**_fields(config), **settings}, 'cfg')
  params = from_torch(weights, 'bigvgan', config, 'weights')
  outputs = {'filter_up': FILTER.reshape(1, 1, -1), 'filter_down': FILTER.reshape(1, 1, -1)}
  outputs['folded_conv_pre'] = params['conv_pre']['kernel'].transpose(CONV)
  outputs['folded_ups0'] = params['ups_0']['kernel'].transpose(TRANSPOSED)
  if 'mel' in inputs:
    module = bigvgan.BigVGAN(config)
    wave = np.asarray(jax.jit(module.apply)({'params': params}, inputs['mel'].transpose(0, 2, 1)))[:, None]
    outputs |= {'wav': wave, 'wav_after_remove_weight_norm': wave}
  if 'x_act' in inputs:
    own = params['resblocks_0']['activations_0']
    x_btc = inputs['x_act'].transpose(0, 2, 1)[..., : len(own['alpha'])]
    act = AntiAliasedSnake(config.snake_logscale).apply({'params': own}, x_btc)
    alpha, beta = (np.exp(own[k]) if config.snake_logscale else own[k] for k in ('alpha', 'beta'))
    snake = x_btc + squared_sine(x_btc * alpha) / (beta + 1e-9)
    batch, length, width = x_btc.shape
    even = np.pad(x_btc, ((0, 0), (0, length % 2), (0, 0)), mode='edge').reshape(batch, -1, 2, width)
    up = upsample(x_btc).reshape(batch, 2 * length, width)
    rows = {'act_in_block0': act, 'snakebeta_only': snake, 'up2': up, 'down2': downsample(even)}
    outputs |= {k: np.asarray(v).transpose(0, 2, 1) for k, v in rows.items()}
  return outputs


def _fields(config) -> dict:
  return {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
