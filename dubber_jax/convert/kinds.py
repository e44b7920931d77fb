"""Conversion of published PyTorch checkpoints to this package's folders, and back (`dubber convert`).

  kind               becomes                                                opened by
  authentic-dubber   a directory of the published system                    authentic_dubber.directory.load_published
  styledubber        the same; weights that StyleDubber lacks are random    authentic_dubber.directory.load_published
  bigvgan, hifigan   a vocoder's folder                                     vocoder.neural.read_vocoder
  ge2e               a speaker encoder's folder                             perception.ge2e.GE2ESpeaker

The way back restores every tensor bit for bit; tensors that no output depends on are kept in dead.safetensors.
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dubber_jax.authentic_dubber import checkpoint_names as names
from dubber_jax.authentic_dubber.config import PublishedConfig
from dubber_jax.authentic_dubber.directory import Published, expected_shapes, load_published, write_published
from dubber_jax.authentic_dubber.model import initialize
from dubber_jax.convert import speaker_encoder, vocoders
from dubber_jax.convert.checkpoints import read_checkpoint, require_all, state_dict, survey, write_state_dict
from dubber_jax.errors import BadInput
from dubber_jax.perception import ge2e
from dubber_jax.storage.atomic import check_output, complete_file, complete_folder
from dubber_jax.storage.distinct import check_distinct
from dubber_jax.storage.json_files import MOST_LAYERS
from dubber_jax.storage.weights import read_arrays
from dubber_jax.vocoder import neural

# Regular expressions of tensor names; the first kind with a match is the checkpoint's.
KEY_PATTERNS = {
  'authentic-dubber': r'(Basic|Indirect|Direct)_Emotion_|aggregator_stage_',
  'styledubber': r'decoder_Condition\.|trans_l_mem\.|ds_speaker_encoder\.',
  'ge2e': r'lstm\.weight_hh_l2$',
  'bigvgan': r'activation_post\.|\.activations\.',
  'hifigan': r'conv_pre\.weight',
}
STATE_DICTS = ('model', 'fusion_model')
MARKS = ('config.json',)  # of a folder that may be replaced by a converted one


@dataclasses.dataclass(frozen=True)
class Conversion:
  """A planned conversion: its writer, and rows (key, status, detail) as `checkpoints.survey` gives them."""

  kind: str
  path: Path
  rows: list[tuple[str, str, str]]
  write: Callable[[Path], None]  # into an empty folder

  @property
  def counts(self) -> Counter:
    """Number of keys by status."""
    return Counter(status for _, status, _ in self.rows)

  def check(self) -> None:
    """Raises BadInput naming the first key that does not fit."""
    allowed = 'missing' if self.kind == 'styledubber' else None
    require_all([row for row in self.rows if row[1] != allowed], self.path)

  def save(self, out: str | Path, overwrite: bool = False) -> None:
    """Writes the folder `out` atomically. Raises BadInput where a key does not fit or `out` exists."""
    self.check()
    with complete_folder(out, overwrite, MARKS) as folder:
      self.write(folder)


def survey_checkpoint(
  path: str | Path, kind: str | None = None, config: str | None = None, trust_pickle: bool = False
) -> Conversion:
  """Reads a PyTorch checkpoint and plans its conversion.

  `kind` is found by the names of its tensors unless given; `config` is a vocoder's (see vocoders.find_config). Raises
  BadInput where the file is damaged, unsafe or of an unknown kind.
  """
  return survey_loaded(read_checkpoint(path, trust_pickle), path, kind, config)


def survey_loaded(
  checkpoint: Mapping, path: str | Path, kind: str | None = None, config: str | None = None
) -> Conversion:
  """The same of a loaded checkpoint; `path` is for messages, and its folder is where a config.json is looked for."""
  path = Path(path)
  kind = kind or find_kind(checkpoint, path)
  if kind == 'ge2e':
    return _speaker_encoder(checkpoint, path)
  if kind in vocoders.CONVERTIBLE:
    return _vocoder(kind, checkpoint, path, config)
  return _published_system(kind, checkpoint, path)


def find_kind(checkpoint: Mapping, path: str | Path = 'the checkpoint') -> str:
  """The kind of a checkpoint by its tensors' names. Raises BadInput where none matches."""
  keys = [k for name, value in checkpoint.items() for k in (value if isinstance(value, Mapping) else (name,))]
  for kind, mark in KEY_PATTERNS.items():
    if any(re.search(mark, str(key)) for key in keys):
      return kind
  raise BadInput(
    f'{path}: its tensors ({", ".join(map(str, keys[:3]))}, ...) are of no known model; '
    f'known are {", ".join(KEY_PATTERNS)}'
  )


def _published_system(kind: str, checkpoint: Mapping, path: Path) -> Conversion:
  state = joint_state_dict(checkpoint, path)
  config = config_of(state, path)
  rules = published_rules(config)
  expected = names.torch_shapes(rules, expected_shapes(config))
  rows = survey(state, expected, lambda key: names.is_dead(key.split('.', 1)[1]))
  if kind == 'styledubber':
    rows = [(k, 'dead' if s == 'unknown' else s, d) for k, s, d in rows]
  place = {rule.key: str(rule) for rule in rules}
  fresh = tuple(key for key, status, _ in rows if status == 'missing')

  def write(folder: Path):
    weights = {k: np.asarray(v, np.float32) for k, v in state.items() if k in expected}
    if fresh:
      drawn = names.to_torch(rules, initialize(config, 0))
      weights |= {key: drawn[key] for key in fresh}
    dead = {k: v for k, v in state.items() if k not in expected}
    card = f'# {kind}\n\nConverted from {path.name}: {len(weights) - len(fresh)} tensors, {len(dead)} dead'
    card += f', {len(fresh)} drawn at random: train it before use.\n' if fresh else '.\n'
    write_published(folder, Published(config, names.to_ours(rules, weights), dead, fresh), card)

  return Conversion(kind, path, _with_targets(rows, place), write)


def joint_state_dict(checkpoint: Mapping, path: str | Path) -> dict[str, np.ndarray]:
  """One state dict with keys 'model.KEY' and 'fusion_model.KEY', of a checkpoint that holds two state dicts or such
  keys. Raises BadInput where one of the two is missing."""
  if all(isinstance(checkpoint.get(part), Mapping) for part in STATE_DICTS):
    dicts = {part: state_dict(checkpoint, part, path) for part in STATE_DICTS}
    return {f'{part}.{key}': value for part in STATE_DICTS for key, value in dicts[part].items()}
  checkpoint = {str(k): v for k, v in checkpoint.items()}
  prefixes = tuple(f'{part}.' for part in STATE_DICTS)
  flat = {k: v for k, v in checkpoint.items() if isinstance(v, np.ndarray) and k.startswith(prefixes)}
  absent = [part for part in STATE_DICTS if part not in checkpoint and not any(k.startswith(f'{part}.') for k in flat)]
  if absent or not flat:
    keys = ', '.join(str(k) for k in list(checkpoint)[:3])
    lacking = ' and '.join(absent or STATE_DICTS)
    raise BadInput(f'{path}: {lacking} cannot be found in it (it holds {keys}, ...); both state dicts are needed')
  return flat


def config_of(state: Mapping[str, np.ndarray], path: str | Path = 'the checkpoint') -> PublishedConfig:
  """The config of a joint state dict, whose keys give the number of layers of each stack. Raises BadInput where that is
  none that a network could have."""

  def depth(stack: str, default: int) -> int:
    found = [re.match(re.escape(stack) + r'\.(\d{1,9})\.', key) for key in state]
    layers = max((int(m.group(1)) + 1 for m in found if m), default=default)
    if layers > MOST_LAYERS:  # the network is built layer by layer before its shapes are known
      raise BadInput(f'{path}: {stack} has {layers} layers; there can be {MOST_LAYERS}')
    return layers

  c = PublishedConfig()
  return PublishedConfig(
    text_layers=depth('fusion_model.encoder.layer_stack', c.text_layers),
    cross_layers=depth('fusion_model.trans_l_with_v.layers', c.cross_layers),
    lip_layers=depth('model.lip_encoder.layer_stack', c.lip_layers),
    decoder_layers=depth('model.decoder_Condition.layer_stack', c.decoder_layers),
  )


def published_rules(config: PublishedConfig) -> list[names.Rule]:
  """Name rules of the whole published system, for the keys of a joint state dict."""
  parts = zip(STATE_DICTS, (names.model(config), names.fusion(('fusion',), config)), strict=True)
  return [dataclasses.replace(rule, key=f'{part}.{rule.key}') for part, rules in parts for rule in rules]


def _vocoder(kind: str, checkpoint: Mapping, path: Path, config: str | None) -> Conversion:
  name, settings = vocoders.find_config(path, config)
  if name != kind:
    raise BadInput(f'{path} holds a {kind}, but its config is that of a {name}; give the right one by --config')
  state = state_dict(checkpoint, 'generator', path)
  folded = vocoders.fold_weight_norm(state, path)
  place = {vocoders.torch_key(ours, name): ours for ours in vocoders.expected_paths(name, settings)}
  status = {row[0]: row for row in survey(folded, vocoders.torch_shapes(name, settings), vocoders.is_filter)}
  rows = []
  for key, array in state.items():
    whole = vocoders.folded_key(key)
    kept = status[whole][2] if status[whole][1] == 'wrong shape' or whole == key else str(array.shape)
    rows.append((key, status[whole][1], kept))
    if whole in place:
      place[key] = place[whole] + ('' if whole == key else ', weight norm folded')
  rows += [row for row in status.values() if row[1] == 'missing']

  def write(folder: Path):
    params = vocoders.from_torch(folded, name, settings, path)
    neural.write_vocoder(neural.NeuralVocoder(name, settings, params), folder)

  return Conversion(kind, path, _with_targets(rows, place), write)


def _speaker_encoder(checkpoint: Mapping, path: Path) -> Conversion:
  state = state_dict(checkpoint, speaker_encoder.STATE_DICT, path)
  rules = speaker_encoder.rules()
  shapes = {f'params/{k}': v for k, v in ge2e.expected_shapes().items()}
  expected = names.torch_shapes(rules, shapes)
  rows = survey(state, expected, lambda key: key in speaker_encoder.DEAD)

  def write(folder: Path):
    speaker_encoder.write_encoder(speaker_encoder.from_torch(state), folder)
    write_state_dict({k: v for k, v in state.items() if k not in expected}, folder / 'dead.safetensors')

  return Conversion('ge2e', path, _with_targets(rows, {rule.key: str(rule) for rule in rules}), write)


def _with_targets(rows: list[tuple], place: Mapping[str, str]) -> list[tuple]:
  return [(k, s, f'{d} -> {place[k]}' if s == 'mapped' else d) for k, s, d in rows]


def torch_state(folder: str | Path) -> tuple[str, dict[str, np.ndarray]]:
  """The kind of a converted folder, and its tensors by their PyTorch names.

  Keys of the published system begin with the name of their state dict, 'model' or 'fusion_model'. Raises BadInput for
  a folder that `dubber convert` did not write.
  """
  folder = Path(folder)
  try:
    settings = json.loads((folder / 'config.json').read_text())
    name = settings.get('assembly') or settings['name']
  except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as e:
    raise BadInput(f'{folder}: no folder that `dubber convert` wrote ({e}); give one, or a checkpoint') from e
  if name == 'published':
    model = load_published(folder)
    state = names.to_torch(published_rules(model.config), model.variables)
    return 'authentic-dubber', {k: v for k, v in state.items() if k not in model.fresh} | model.dead
  if name == 'ge2e':
    speaker = ge2e.GE2ESpeaker(folder)
    dead = read_arrays(folder / 'dead.safetensors') if (folder / 'dead.safetensors').exists() else {}
    return name, speaker_encoder.to_torch_state(speaker.params) | dead
  if name in vocoders.CONVERTIBLE:
    return name, vocoders.to_torch(neural.read_vocoder(folder).params, name)
  raise BadInput(f'{folder} holds a {name}, for which there is no PyTorch program; known are {", ".join(KEY_PATTERNS)}')


def write_torch(folder: str | Path, out: str | Path, overwrite: bool = False) -> str:
  """Writes a converted folder as a PyTorch checkpoint and returns its kind.

  `out` is a .safetensors file or, where PyTorch is installed, a .pt. Raises BadInput where one cannot be read or
  written.
  """
  out = Path(out)
  check_distinct({'the folder': folder}, {'-o': out})
  check_output(out, overwrite)
  if out.suffix not in ('.safetensors', '.pt', '.pth'):
    raise BadInput(f'{out}: name a .safetensors or .pt file')
  kind, state = torch_state(folder)
  if out.suffix == '.safetensors':
    write_state_dict(state, out)
  else:
    _write_torch_file(kind, state, out)
  return kind


def _write_torch_file(kind: str, state: dict, out: Path):
  try:
    import torch
  except ImportError as e:
    raise BadInput(f'{out}: PyTorch writes such files and is not installed; name a .safetensors file instead') from e
  tensors = {k: torch.from_numpy(np.array(v)) for k, v in state.items()}
  if kind == 'authentic-dubber':
    parts = {p: {k.split('.', 1)[1]: v for k, v in tensors.items() if k.startswith(f'{p}.')} for p in STATE_DICTS}
  else:
    parts = {'model_state' if kind == 'ge2e' else 'generator': tensors}
  with complete_file(out, overwrite=True) as part:
    torch.save(parts, part)
