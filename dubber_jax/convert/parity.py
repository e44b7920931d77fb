"""Numerical comparison with the published system: the outputs of a parity fixture computed here (`dubber check`).

`compare(path)` gives one row an output. The fixture's file name, up to `_small` or `_full`, names the module that
computes it (MODULES). A setting that its cfg does not give has the published value. All is computed in float32 with
matrix products in full precision.
"""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import FlaxError

from dubber_jax.actor.length_regulator import LengthRegulator
from dubber_jax.authentic_dubber import checkpoint_names as names
from dubber_jax.authentic_dubber.aggregator import ConcatAggregator
from dubber_jax.authentic_dubber.collate import collate
from dubber_jax.authentic_dubber.crossmodal import CrossModalTransformer
from dubber_jax.authentic_dubber.duration import PointwiseDurationPredictor, spread_over_slot
from dubber_jax.authentic_dubber.fft import FFTBlock, FFTStack
from dubber_jax.authentic_dubber.lip_alignment import (
  FocusedLipTextAttention,
  PositionedLipEncoder,
  focus_rate,
  interleaved_sinusoids,
)
from dubber_jax.authentic_dubber.losses import diagonal_band, diagonal_share, published_losses
from dubber_jax.authentic_dubber.model import Fusion, PublishedConfig, PublishedDirectorActor, synthesize
from dubber_jax.authentic_dubber.optimizer import learning_rate, published_optimizer
from dubber_jax.authentic_dubber.postnet import Postnet
from dubber_jax.authentic_dubber.style import DownsamplingEncoder, MelStyleEncoder, utterance_style
from dubber_jax.authentic_dubber.text_encoder import FFTTextEncoder
from dubber_jax.convert.fixtures import Fixture, read_fixture
from dubber_jax.convert.vocoders import parity_outputs
from dubber_jax.director.config import DirectorConfig
from dubber_jax.director.graphs import EmotionGraphs, relations
from dubber_jax.errors import BadInput
from dubber_jax.media.mel import filterbank, mel_spectrogram
from dubber_jax.nn.graph_attention import RelationalGraphAttention
from dubber_jax.nn.masks import length_mask
from dubber_jax.script.g2p import published_ids
from dubber_jax.script.symbols import ARPABET_87
from dubber_jax.types import MODALITIES


@dataclasses.dataclass(frozen=True)
class OutputComparison:
  """The largest absolute error of one output, and the largest ratio of an element's error to its tolerance."""

  output: str
  max_error: float
  tolerance_ratio: float
  float64_ratio: float | None = None  # recomputed in float64, of a gradient beyond its tolerance in float32

  @property
  def within(self) -> bool:
    """Whether every element is within its tolerance."""
    return self.tolerance_ratio <= 1.0


def compare(path: str | Path) -> list[OutputComparison]:
  """Computes every output that a fixture holds and compares it, within the module's TOLERANCES.

  Integers, booleans and text must be equal. Raises BadInput for a damaged fixture, and for an unknown module or output.
  """
  fixture = read_fixture(path)
  stem = re.split('_(?:small|full)', fixture.name)[0]
  module = max((name for name in MODULES if stem == name or stem.startswith(f'{name}_')), key=len, default=None)
  if module is None and 'grad_names' in fixture.outputs:
    module = 'whole'  # fixtures of other modules list no gradients
  if module is None:
    raise BadInput(f'{path}: no module is called {stem!r}; known are {", ".join(sorted(MODULES))}')
  if not fixture.outputs:
    raise BadInput(f'{path}: no outputs (out/...) are in it; the file is damaged')
  fixture = dataclasses.replace(fixture, config=PUBLISHED_SETTINGS.get(module, {}) | fixture.config)
  try:
    with jax.default_matmul_precision('highest'):
      computed = MODULES[module](fixture)
  except BadInput as e:
    raise BadInput(f'{path}: {e}') from e
  except KeyError as e:
    raise BadInput(f'{path}: {e.args[0]!r} is missing; it is not a whole fixture of {module}') from e
  except (TypeError, ValueError, IndexError, FlaxError) as e:  # arrays whose shapes do not fit each other
    reason = (str(e) or type(e).__name__).splitlines()[0][:200]
    raise BadInput(f'{path}: its arrays do not fit a {module} ({reason})') from e
  unknown = sorted(set(fixture.outputs) - set(computed) - {'grad_names'})
  if unknown:
    raise BadInput(f'{path}: nothing here computes the outputs {", ".join(unknown)}')
  full = '_full' in fixture.name and f'{module}_full' in TOLERANCES
  atol, rtol = TOLERANCES[f'{module}_full' if full else module]
  margins = _gradient_margins(fixture)
  rows = [
    _compare_output(name, np.asarray(computed[name]), reference, margins.get(name, atol + rtol * _magnitude(reference)))
    for name, reference in fixture.outputs.items()
    if name != 'grad_names'
  ]
  if any(row.output in margins and not row.within for row in rows):
    with jax.default_matmul_precision('highest'), jax.enable_x64(True):
      exact = _whole_model(fixture, np.float64)
    for i, row in enumerate(rows):
      if row.output in margins and not row.within:
        output = np.asarray(exact[row.output])
        again = _compare_output(row.output, output, fixture.outputs[row.output], margins[row.output])
        rows[i] = dataclasses.replace(row, float64_ratio=again.tolerance_ratio)
  return rows


def _magnitude(reference: np.ndarray):
  return np.abs(reference.astype(np.float64)) if reference.dtype.kind == 'f' else 0.0


def _gradient_margins(fixture: Fixture) -> dict:
  """Tolerances of gradients: 1e-4 + 2e-4 of the larger of the parameter's own gradient norm and a thousandth of the
  global norm."""
  if 'grad_norms' not in fixture.outputs:
    return {}
  norms = fixture.outputs['grad_norms'] = _without_gradient(fixture.outputs['grad_norms'])
  margins = 1e-4 + 2e-4 * np.maximum(norms, 1e-3 * np.linalg.norm(norms))
  own = {f'grad/{name}': margin for name, margin in zip(_gradient_names(fixture), margins, strict=True)}
  return own | {'grad_norms': margins}


def _without_gradient(norms: np.ndarray) -> np.ndarray:
  """Norms in float64, zero for a parameter without a gradient (stored as NaN or -1)."""
  norms = norms.astype(np.float64)
  return np.where(norms > 0, norms, 0.0)


def _gradient_names(fixture: Fixture) -> list[str]:
  """Names of the parameters whose gradients are listed: stored as an array of text, or as one text in JSON."""
  if 'grad_names' not in fixture.outputs:
    raise BadInput(f'{fixture.name}: grad_norms are in it without grad_names; the file is damaged')
  names_given = fixture.outputs['grad_names']
  if names_given.ndim == 0:
    names_given = json.loads(str(names_given))
  return [n.decode() if isinstance(n, bytes) else str(n) for n in names_given]


def _compare_output(name: str, ours: np.ndarray, reference: np.ndarray, margin) -> OutputComparison:
  if ours.shape != reference.shape:
    return OutputComparison(f'{name}: shape {ours.shape}, not {reference.shape}', np.inf, np.inf)
  if not reference.size:
    return OutputComparison(name, 0.0, 0.0)
  if reference.dtype.kind == 'U':
    wrong = float((ours != reference).sum())
    return OutputComparison(name, wrong, np.inf if wrong else 0.0)
  error = np.abs(np.float64(ours) - np.float64(reference))
  if reference.dtype.kind in 'iub':
    return OutputComparison(name, float(error.max()), np.inf if error.any() else 0.0)
  share = error / np.maximum(margin, 1e-30)
  return OutputComparison(name, float(error.max()), float(share.max()) if np.isfinite(share).all() else np.inf)


def _layer_params(variables: dict, name: str, number: int) -> dict:
  return {'params': jax.tree.map(lambda w: w[number], variables['params'][name])}


def _rgat(f: Fixture) -> dict:
  module = RelationalGraphAttention(f.config['heads'], f.config['num_relation'], isolated_average=True)
  variables = names.to_ours(list(names.graph_attention('', ())), f.weights)
  y, state = module.apply(variables, f.inputs['x'], f.inputs['adj'], capture_intermediates=True)
  inner = {name: value['__call__'][0] for name, value in state['intermediates'].items() if name != '__call__'}
  x_star, adj_star = f.inputs['x_star'], f.inputs['adj_star']
  return {
    'y': y,
    'head0': jax.nn.gelu(inner['head_0'], approximate=False),
    'head1': jax.nn.gelu(inner['head_1'], approximate=False),
    'out_att_before_gelu': inner['out'],
    'y_star': module.apply(variables, x_star, adj_star),
    'y_isolated': module.apply(variables, x_star, np.zeros_like(adj_star)),
  }


def _graphs(f: Fixture) -> dict:
  module = EmotionGraphs(DirectorConfig(width=256), isolated_average=True)
  variables = names.to_ours(list(names.emotion_graphs(('basic.', 'indirect.', 'direct.'), ())), f.weights)
  targets = {m: f.inputs[m][:, 0] for m in MODALITIES}
  items, outputs = len(targets['scene']), {}
  apply = jax.jit(module.apply)
  for k in f.config['K']:
    refs = {m: f.inputs[f'{m}_refs_K{k}'] for m in MODALITIES}
    sounds = np.stack([f.inputs[f'{m}_audios_K{k}'] for m in MODALITIES], axis=1)
    nodes = apply(variables, targets, refs, sounds, np.ones((items, 3 + 6 * k), bool))
    outputs |= {'g1': nodes[0], f'g2_K{k}': nodes[1], f'g3_K{k}': nodes[2]}
    kinds = np.repeat(relations(k)[None], items, axis=0)
    outputs['adj1'] = kinds[:, :3, :3]
    outputs[f'adj2_K{k}'], outputs[f'adj3_K{k}'] = kinds[:, : 3 + 3 * k, : 3 + 3 * k], kinds
  return outputs


def _aggregator(f: Fixture) -> dict:
  module = ConcatAggregator()
  variables = names.to_ours(list(names.aggregator('', ())), f.weights)

  def run(ignored_bv):
    inputs = f.inputs['text_feature'], f.inputs['graph_feature'], ~ignored_bv
    y, state = module.apply(variables, *inputs, capture_intermediates=True)
    cross, weights = state['intermediates']['attention']['__call__'][0]
    return y, cross, weights[:, 0]

  y, cross, weights = run(f.inputs['graph_masks'])
  return {'y': y, 'cross': cross, 'attn': weights, 'y_partial_mask': run(f.inputs['graph_masks_partial'])[0]}


def _lip_text_attention(f: Fixture) -> dict:
  variables = names.to_ours(list(names.lip_text_attention('', ())), f.weights)
  text_mask = length_mask(jnp.asarray(f.inputs['src_len']), f.inputs['text'].shape[1])
  lip_mask = length_mask(jnp.asarray(f.inputs['lip_len']), f.inputs['lip'].shape[1])
  context, alignment, heads = FocusedLipTextAttention(f.config['n_head']).apply(
    variables, f.inputs['text'], text_mask, f.inputs['lip'], lip_mask
  )
  rate = focus_rate(heads, lip_mask)
  return {
    'context': context,
    'attn_best_head': alignment,
    'focus_rate': rate,
    'head': rate.argmax(1),
    'fr_max': rate.max(1).mean(),
    'attn_all_heads': heads,
  }


def _lip_encoder(f: Fixture) -> dict:
  variables = names.to_ours(list(names.lip_encoder('', (), f.config['layers'])), f.weights)
  mask = length_mask(jnp.asarray(f.inputs['lip_len']), f.inputs['lip'].shape[1])
  y = PositionedLipEncoder(layers=f.config['layers']).apply(variables, f.inputs['lip'], mask)
  return {'y': y, 'pos_first4': interleaved_sinusoids(4, f.config['d'])}


def _duration_length(f: Fixture) -> dict:
  variables = names.to_ours(list(names.duration_predictor('duration_predictor.', ())), f.weights)
  mask = length_mask(jnp.asarray(f.inputs['src_len']), f.inputs['x'].shape[1])
  log_d = PointwiseDurationPredictor().apply(variables, f.inputs['ctx'], mask)
  durations, unrounded = spread_over_slot(log_d, jnp.asarray(f.inputs['mel_len']))
  regulator = LengthRegulator(place=False)
  given = jnp.asarray(f.inputs['durations'])
  teacher, _ = regulator.apply({}, f.inputs['x'], given, int(given.sum(1).max()))
  inferred, mask_bt = regulator.apply({}, f.inputs['x'], durations, int(durations.sum(1).max()))
  return {
    'log_d': log_d,
    'teacher_x': teacher,
    'teacher_mel_len': given.sum(1),
    'teacher_dur': given,
    'infer_x': inferred,
    'infer_mel_len': durations.sum(1),
    'infer_dur': durations,
    'infer_mel_mask': ~mask_bt,
    'infer_dur_unrounded': unrounded,
  }


def _first_block(variables, heads, x, mask, condition=None) -> dict:
  """Output of a stack's first FFT block, of its attention sublayer (before padding is zeroed) and of its style norm."""
  block = _layer_params(variables, 'block', 0)
  filters = block['params']['up']['bias'].shape[0]
  y, state = FFTBlock(heads, filters).apply(block, x, mask, condition, capture_intermediates=True)
  inner = state['intermediates']
  outputs = {'block0': y, 'block0_attention_sublayer': inner['attention_norm']['__call__'][0]}
  if condition is not None:
    outputs['block0_saln0'] = inner['attention_style']['__call__'][0]
  return outputs


def _text_encoder(f: Fixture) -> dict:
  variables = names.to_ours(list(names.text_encoder('', (), f.config['layers'])), f.weights)
  mask = length_mask(jnp.asarray(f.inputs['src_len']), f.inputs['ids'].shape[1])
  encoder = FFTTextEncoder(layers=f.config['layers'], heads=f.config['heads'])
  y, state = encoder.apply(variables, f.inputs['ids'], mask, capture_intermediates=True)
  x = state['intermediates']['project']['__call__'][0]
  stack = {'params': variables['params']['stack']}
  return {'y': y} | _first_block(stack, f.config['heads'], x, mask)


def _decoder_saln(f: Fixture) -> dict:
  variables = names.to_ours(list(names.fft_stack('', (), f.config['layers'], style=True)), f.weights)
  x, speaker = f.inputs['x'], jnp.asarray(f.inputs['spk'])
  mask = length_mask(jnp.asarray(f.inputs['mel_len']), x.shape[1])
  stack = FFTStack(f.config['layers'], f.config['heads'], f.config['filter'])
  y = stack.apply(variables, x, mask, speaker)
  return {'y': y} | _first_block(variables, f.config['heads'], x, mask, speaker)


def _postnet(f: Fixture) -> dict:
  variables = names.to_ours(list(names.postnet('', ())), f.weights)
  mel, speaker = jnp.asarray(f.inputs['mel']), f.inputs['spk']
  every = jnp.ones(mel.shape[:2], bool)
  trained, state = Postnet(dropout=0.0).apply(variables, mel, speaker, every, True, mutable='batch_stats')
  # The fixture holds the postnet's correction, to which the model adds its input.
  outputs = {'y': Postnet().apply(variables, mel, speaker, every) - mel, 'y_train_nodrop': trained - mel}
  for i in range(5):
    stats = state['batch_stats'][f'norm_{i}']
    outputs[f'bn{i}_running_mean_after'], outputs[f'bn{i}_running_var_after'] = stats['mean'], stats['var']
  return outputs


def _mel_style(f: Fixture) -> dict:
  rules = [*names.style_encoder('style_encoder.', ('style',)), *names.downsampling_encoder('ds.', ('local',))]
  variables = names.to_ours(rules, f.weights)
  mel, length = f.inputs['ref_mel'], jnp.asarray(f.inputs['ref_len'])
  visible = jnp.full_like(length, mel.shape[1])
  style, state = MelStyleEncoder().apply(
    {'params': variables['params']['style']}, mel, length, visible, capture_intermediates=True
  )
  inner = state['intermediates']
  local, _ = DownsamplingEncoder().apply({c: tree['local'] for c, tree in variables.items()}, style, visible)
  temporal = inner['temporal_1']['__call__'][0]
  masked = jnp.where(length_mask(length, mel.shape[1])[..., None], temporal, 0.0)
  return {
    'style': style,
    'local': local,
    'utterance': utterance_style(local, length),
    'spectral': jax.nn.mish(inner['spectral_1']['__call__'][0]),
    'temporal': temporal,
    'attention': masked + inner['attention']['__call__'][0][0],
  }


def _crossmodal(f: Fixture) -> dict:
  variables = names.to_ours(list(names.cross_modal('', (), f.config['layers'])), f.weights)
  outputs = {}
  for name in f.outputs:
    query, key = (jnp.asarray(f.inputs[f'{side}_{name}']).swapaxes(0, 1) for side in 'qk')
    extents = (jnp.full(len(query), x.shape[1]) for x in (query, key))
    transformer = CrossModalTransformer(f.config['layers'], f.config['heads'])
    outputs[name] = jax.jit(transformer.apply)(variables, query, key, *extents).swapaxes(0, 1)
  return outputs


def published_config(config: dict, **changes) -> PublishedConfig:
  """The config of a fixture's cfg, whose depths have the released code's names; of an empty one, the published."""
  ours = {
    'encoder_layer': 'text_layers',
    'decoder_layer': 'decoder_layers',
    'lip_encoder_layer': 'lip_layers',
    'multimodal_layers': 'cross_layers',
  }
  return PublishedConfig(**{ours[k]: v for k, v in config.items() if k in ours}, **changes)


def _fusion(f: Fixture) -> dict:
  config = published_config(f.config)
  variables = names.to_ours(list(names.fusion((), config)), f.weights)
  length = jnp.asarray(f.inputs['src_len'])
  out = jax.jit(Fusion(config).apply)(
    variables, f.inputs['text'], length, f.inputs['ref_mels'], jnp.asarray(f.inputs['ref_mel_lens'])
  )
  return {
    'feature': out['styled'],
    'src_mask': ~length_mask(length, f.inputs['text'].shape[1]),
    'utterance_style': out['utterance_style'],
    'text_encoder': out['text'],
    'cross_time_first': out['cross'].swapaxes(0, 1),
    'local_style': out['local_style'],
  }


def published_batch(inputs: dict) -> dict:
  """A fixture's inputs of the whole model as a batch of dubber_jax.authentic_dubber.model."""
  same = {
    'phonemes': 'text',
    'phoneme_length': 'src_len',
    'reference': 'ref_mels',
    'reference_length': 'ref_mel_lens',
    'lips': 'lip_embedding',
    'lip_length': 'face_lens',
    'durations': 'durations',
    'mel': 'mel_target',
    'mel_length': 'mel_lens',
    'speaker': 'spk_embedding',
    'emotion': 'emotion_id',
  }
  batch = {ours: jnp.asarray(inputs[theirs]) for ours, theirs in same.items()}
  for m in MODALITIES:
    batch[m], batch[f'{m}_refs'] = jnp.asarray(inputs[f'{m}_emo'][:, 0]), jnp.asarray(inputs[f'{m}_refs'])
  batch['sounds'] = jnp.stack([inputs[f'{m}_ref_audios'] for m in MODALITIES], axis=1)
  return batch


LOSS_NAMES = {
  'total': 'total',
  'mel': 'mel',
  'mel_post': 'finished',
  'speaker': 'speaker',
  'duration': 'duration',
  'diagonal': 'diagonal',
  'emotion': 'emotion',
}


def _whole_model(f: Fixture, dtype=np.float32) -> dict:
  train = f.config.get('mode') == 'train'
  if train and f.config.get('dropout', 0):
    raise BadInput(f'dropout {f.config["dropout"]} is drawn at random and cannot be repeated; only 0 can')
  config = published_config(f.config, dropout=not train)
  rules = names.whole_model(config)
  variables = jax.tree.map(lambda w: w.astype(dtype), names.to_ours(rules, f.weights))
  batch = jax.tree.map(lambda x: x.astype(dtype) if x.dtype.kind == 'f' else x, published_batch(f.inputs))
  model = PublishedDirectorActor(config)

  def loss(params):
    out, _ = model.apply(variables | {'params': params}, batch, train, mutable='batch_stats')
    losses = published_losses(out, batch)
    return losses['total'], (out, losses)

  outputs = {}
  if 'grad_names' in f.outputs:
    grads, (out, losses) = jax.jit(jax.grad(loss, has_aux=True))(variables['params'])
    trained = [rule for rule in rules if rule.parts[0].path[0] == 'params']
    grads = names.to_torch(trained, {'params': jax.device_get(grads)})
    listed = _gradient_names(f)
    norms = np.zeros(len(listed))
    for number, name in enumerate(listed):
      key = name.split('.', 1)[1]
      grad = np.asarray(grads.get(key, np.zeros_like(f.weights.get(key, 0.0))))  # no rule: nothing depends on it
      norms[number], outputs[f'grad/{name}'] = np.linalg.norm(grad.astype(np.float64)), grad
    outputs['grad_norms'] = norms
  else:
    out, losses = jax.jit(lambda params: loss(params)[1])(variables['params'])
  outputs |= {
    't_lip_encoder': out['lips'],
    't_lip_text_context': out['context'],
    't_expanded': out['frames'],
    't_decoder': out['decoded'],
    'feature': out['styled'],
    'utterance_style': out['utterance_style'],
    'text_encoder': out['text'],
    't_mel': out['mel'],
    't_mel_post': out['finished'],
    'log_d': out['log_durations'],
    'mel_mask': ~out['mask'],
    'attn': out['alignment'],
    'emotion_probs': out['emotion'],
    'src_mask': ~length_mask(batch['phoneme_length'], batch['phonemes'].shape[1]),
    'lip_mask': ~length_mask(batch['lip_length'], batch['lips'].shape[1]),
  }
  for i in range(3):
    outputs |= {f't_graph{i + 1}': out['nodes'][i], f't_agg{i + 1}': out['fused'][i]}
  outputs |= {f'loss_{theirs}': losses[ours] for theirs, ours in LOSS_NAMES.items()}
  if any(name.startswith('i_') for name in f.outputs):
    take = synthesize(config, variables, batch)
    outputs |= {
      'i_expanded': take['frames'],
      'i_agg3': take['fused'][2],
      'i_mel_post': take['finished'],
      'i_mel_len': take['length'],
      'i_dur_unrounded': take['unrounded_durations'],
    }
  return outputs


def _losses(f: Fixture) -> dict:
  given = {name: jnp.asarray(value) for name, value in f.inputs.items()}
  batch = {
    'mel': given['mel_target'],
    'speaker': given['spk_embedding'],
    'emotion': given['emotion_id'],
    'durations': given['durations'],
    'phoneme_length': given['src_len'],
    'lip_length': given['lip_len'],
    'mel_length': given['mel_len'],
  }
  ours = {
    'mel': 'mel',
    'mel_post': 'finished',
    'log_d': 'log_durations',
    'utterance_style': 'utterance_style',
    'attn': 'alignment',
    'emotion_probs': 'emotion',
  }

  def total(outputs):
    losses = published_losses(outputs, batch)
    return losses['total'], losses

  outputs = {ours[name]: given[name] for name in ours}
  grads, losses = jax.jit(jax.grad(total, has_aux=True))(outputs)
  outputs = {theirs: losses[name] for theirs, name in LOSS_NAMES.items()}
  return outputs | {f'grad_{theirs}': grads[name] for theirs, name in ours.items()}


def _diagonal_loss(f: Fixture) -> dict:
  outputs = {}
  for i in range(sum(name.startswith('attn') for name in f.inputs)):
    attention = jnp.asarray(f.inputs[f'attn{i}'])
    lengths = jnp.asarray(f.inputs[f'src_len{i}']), jnp.asarray(f.inputs[f'lip_len{i}'])
    rate = jax.jit(diagonal_share)(attention, *lengths)
    band = jax.jit(diagonal_band, static_argnums=(0, 1))(*attention.shape[1:], *lengths)
    outputs |= {f'band{i}': band.swapaxes(1, 2), f'focus_rate{i}': rate, f'loss{i}': -jnp.log(rate.mean())}
  return outputs


def _optimizer(f: Fixture) -> dict:
  x = jnp.asarray(f.inputs['x'])
  outputs = {'lr': jax.vmap(learning_rate)(jnp.asarray(f.inputs['steps']))}
  params = {}
  for group, a in (('model', 'a'), ('fusion', 'c')):
    # The run of the fixture did not start from its stored weights but from these times 0.89547 (a) and 0.95480 (c).
    # Its start is reconstructed from the weights after its first update, which with Adam is the learning rate times
    # the gradient's sign; every later update is compared.
    sign = np.sign(f.outputs[f'grad_{a}_w_0'])
    start = f.outputs[f'{a}_w_1'] + np.float32(learning_rate(3991)) * sign
    params[group] = {'w': jnp.asarray(start), 'b': jnp.asarray(f.inputs[f'{a}_b'])}

  def loss(p):
    first = x @ p['model']['w'].T + p['model']['b']
    second = x @ p['fusion']['w'].T + p['fusion']['b']
    return (first**2).mean() + (second**3).mean()

  optimizer = published_optimizer(restore_step=3990, clip=None)  # the fixture does not clip
  state = optimizer.init(params)
  for k in range(7):
    grads = jax.grad(loss)(params)
    for group, a in (('model', 'a'), ('fusion', 'c')):
      outputs[f'grad_{a}_w_{k}'] = grads[group]['w']
      outputs |= {f'{a}_{n}_{k}': params[group][n] for n in 'wb'}
    updates, state = optimizer.update(grads, state, params)
    params = jax.tree.map(lambda p, u: p + u, params, updates)
  return outputs


def _collate(f: Fixture) -> dict:
  items = [{} for _ in {name.split('/')[0] for name in f.inputs}]
  for name, value in f.inputs.items():
    number, field = name.split('/')
    items[int(number)][field] = value
  batch = collate(items)
  same = {
    'text': 'phonemes',
    'src_len': 'phoneme_length',
    'sid': 'speaker_number',
    'ref_mels': 'reference',
    'ref_mel_lens': 'reference_length',
    'mel_target': 'mel',
    'mel_len': 'mel_length',
    'f0': 'pitch',
    'energy': 'energy',
    'D': 'durations',
    'ref_linguistics': 'reference_phonemes',
    'face_lens': 'lip_length',
    'Lipmotion': 'lips',
    'spk_embedding': 'speaker',
    'Ref_texts': 'reference_order',
    'Ref_text_lens': 'reference_order_length',
    'emos_embedding': 'emotion_features',
    'face_embedding': 'face_features',
    'emotion_ids': 'emotion',
  }
  outputs = {theirs: batch[ours] for theirs, ours in same.items()}
  for i, m in enumerate(MODALITIES):
    outputs |= {f'{m}_emo_embedding': batch[m][:, None], f'{m}_refs': batch[f'{m}_refs']}
    outputs[f'{m}_ref_audios'] = batch['sounds'][:, i]
  return outputs


def _bigvgan(f: Fixture) -> dict:
  return parity_outputs(f.inputs, f.weights, f.config)


def _mel_spectrogram(f: Fixture) -> dict:
  return {'mel': mel_spectrogram(jnp.asarray(f.inputs['wav'])).T, 'mel_basis': filterbank()}


def _text_symbols(f: Fixture) -> dict:
  sequences = {f'seq{i}': published_ids(str(line)) for i, line in enumerate(f.inputs['lines'])}
  return sequences | {'symbols': np.array(ARPABET_87)}


MODULES: dict[str, Callable[[Fixture], dict]] = {
  'rgat': _rgat,
  'graphs': _graphs,
  'aggregator': _aggregator,
  'lip_text_attention': _lip_text_attention,
  'lip_encoder': _lip_encoder,
  'duration_length': _duration_length,
  'text_encoder': _text_encoder,
  'decoder_saln': _decoder_saln,
  'postnet': _postnet,
  'mel_style': _mel_style,
  'crossmodal': _crossmodal,
  'fusion': _fusion,
  'whole': _whole_model,
  'losses': _losses,
  'diagonal_loss': _diagonal_loss,
  'optimizer': _optimizer,
  'collate': _collate,
  'bigvgan': _bigvgan,
  'mel_spectrogram': _mel_spectrogram,
  'text_symbols': _text_symbols,
}

# Defaults of a fixture's cfg. Depths of fusion and whole are those of PublishedConfig.
PUBLISHED_SETTINGS = {
  'rgat': {'heads': 2, 'num_relation': 4},
  'graphs': {'K': [3]},
  'lip_text_attention': {'n_head': 8},
  'lip_encoder': {'layers': 4, 'd': 512},
  'text_encoder': {'layers': 12, 'heads': 8},
  'decoder_saln': {'layers': 24, 'heads': 4, 'filter': 1024},
  'crossmodal': {'layers': 16, 'heads': 8},
}

# Absolute and relative tolerance of every element of a float output.
TOLERANCES = {
  'rgat': (3e-5, 1e-5),
  'graphs': (3e-5, 1e-5),
  'aggregator': (3e-5, 1e-5),
  'lip_text_attention': (3e-5, 1e-5),
  'lip_encoder': (2e-5, 1e-5),
  'duration_length': (3e-5, 1e-5),
  'text_encoder': (2e-5, 1e-5),
  'decoder_saln': (2e-5, 1e-5),
  'postnet': (2e-5, 1e-5),
  'mel_style': (3e-5, 1e-5),
  'crossmodal': (2e-5, 1e-5),
  'fusion': (3e-5, 1e-5),
  'whole': (5e-5, 2e-5),
  'whole_full': (1e-4, 2e-5),
  'losses': (2e-5, 1e-5),
  'diagonal_loss': (1e-6, 1e-4),
  'optimizer': (1e-7, 1e-6),
  'collate': (0.0, 0.0),
  'bigvgan': (1e-5, 1e-5),
  'bigvgan_full': (2e-6, 1e-4),
  'mel_spectrogram': (1e-4, 1e-5),
  'text_symbols': (0.0, 0.0),
}
