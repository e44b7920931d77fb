"""Our outputs beside the reference's, for any parity fixture: `compare(path)` -> one row per output."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.actor.duration import PointwiseDurationPredictor, spread_over_slot
from dubber_jax.actor.emotion import ConcatAggregator
from dubber_jax.actor.lip_alignment import (
  FocusedLipTextAttention,
  PositionedLipEncoder,
  focus_rate,
  interleaved_sinusoids,
)
from dubber_jax.actor.local_style import DownsamplingEncoder, MelStyleEncoder, before, utterance_style
from dubber_jax.actor.postnet import Postnet
from dubber_jax.actor.regulator import LengthRegulator
from dubber_jax.actor.text import FFTTextEncoder
from dubber_jax.blocks.crossmodal import CrossModalTransformer
from dubber_jax.blocks.fft import FFTBlock, FFTStack
from dubber_jax.blocks.graph_attention import RelationalGraphAttention
from dubber_jax.clip import MODALITIES
from dubber_jax.config import DirectorConfig
from dubber_jax.convert import authentic_dubber as names
from dubber_jax.convert.fixtures import Fixture, read_fixture
from dubber_jax.director.graphs import EmotionGraphs, relations
from dubber_jax.errors import BadInput
from dubber_jax.published import Fusion, PublishedConfig


@dataclass(frozen=True)
class Row:
  """One output: the largest difference, and by how much of the tolerance (1 or less is within)."""

  output: str
  error: float
  share: float

  @property
  def within(self) -> bool:
    return self.share <= 1.0


def compare(path: str | Path) -> list[Row]:
  """Computes what the fixture's stem names and compares every output that it holds.

  Integers and booleans must be equal. Raises BadInput for a fixture of a module that is not known here.
  """
  fixture = read_fixture(path)
  stem = fixture.name.removesuffix('_small').removesuffix('_full')
  if stem not in MODULES:
    raise BadInput(f'{path}: no module is called {stem!r}; known are {", ".join(sorted(MODULES))}')
  with jax.default_matmul_precision('highest'):
    computed = MODULES[stem](fixture)
  atol, rtol = TOLERANCES.get(fixture.name, TOLERANCES[stem])
  missing = sorted(set(fixture.outputs) - set(computed))
  if missing:
    raise BadInput(f'{path}: nothing here computes the outputs {", ".join(missing)}')
  return [_row(name, np.asarray(computed[name]), fixture.outputs[name], atol, rtol) for name in fixture.outputs]


def _row(name: str, ours: np.ndarray, reference: np.ndarray, atol: float, rtol: float) -> Row:
  if ours.shape != reference.shape:
    return Row(f'{name}: shape {ours.shape}, not {reference.shape}', np.inf, np.inf)
  if not reference.size:
    return Row(name, 0.0, 0.0)
  error = np.abs(ours.astype(np.float64) - reference.astype(np.float64))
  if reference.dtype.kind in 'iub':
    return Row(name, float(error.max()), float(error.max() > 0) * np.inf if error.max() > 0 else 0.0)
  share = error / (atol + rtol * np.abs(reference.astype(np.float64)))
  worst = float(share.max()) if np.isfinite(share).all() else np.inf
  return Row(name, float(error.max()), worst)


def _layer(variables: dict, name: str, number: int) -> dict:
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
  text_mask = before(jnp.asarray(f.inputs['src_len']), f.inputs['text'].shape[1])
  lip_mask = before(jnp.asarray(f.inputs['lip_len']), f.inputs['lip'].shape[1])
  context, alignment, heads = FocusedLipTextAttention(f.config['n_head']).apply(
    variables, f.inputs['text'], text_mask, f.inputs['lip'], lip_mask
  )
  rate = focus_rate(heads, lip_mask)
  return {
    'context': context, 'attn_best_head': alignment, 'focus_rate': rate, 'head': rate.argmax(1),
    'fr_max': rate.max(1).mean(), 'attn_all_heads': heads,
  }  # fmt: skip


def _lip_encoder(f: Fixture) -> dict:
  variables = names.to_ours(list(names.lip_encoder('', (), f.config['layers'])), f.weights)
  mask = before(jnp.asarray(f.inputs['lip_len']), f.inputs['lip'].shape[1])
  y = PositionedLipEncoder(layers=f.config['layers']).apply(variables, f.inputs['lip'], mask)
  return {'y': y, 'pos_first4': interleaved_sinusoids(4, f.config['d'])}


def _duration_length(f: Fixture) -> dict:
  variables = names.to_ours(list(names.duration_predictor('duration_predictor.', ())), f.weights)
  mask = before(jnp.asarray(f.inputs['src_len']), f.inputs['x'].shape[1])
  log_d = PointwiseDurationPredictor().apply(variables, f.inputs['ctx'], mask)
  durations, unrounded = spread_over_slot(log_d, jnp.asarray(f.inputs['mel_len']))
  regulator = LengthRegulator(place=False)
  given = jnp.asarray(f.inputs['durations'])
  teacher, _ = regulator.apply({}, f.inputs['x'], given, int(given.sum(1).max()))
  inferred, mask_bt = regulator.apply({}, f.inputs['x'], durations, int(durations.sum(1).max()))
  return {
    'log_d': log_d, 'teacher_x': teacher, 'teacher_mel_len': given.sum(1), 'teacher_dur': given, 'infer_x': inferred,
    'infer_mel_len': durations.sum(1), 'infer_dur': durations, 'infer_mel_mask': ~mask_bt,
    'infer_dur_unrounded': unrounded,
  }  # fmt: skip


def _first_block(variables, heads, x, mask, condition=None) -> dict:
  """What the first block of a stack gives, and its attention sublayer (padding not yet zeroed) and style norm."""
  block = _layer(variables, 'block', 0)
  filters = block['params']['up']['bias'].shape[0]
  y, state = FFTBlock(heads, filters).apply(block, x, mask, condition, capture_intermediates=True)
  inner = state['intermediates']
  outputs = {'block0': y, 'block0_attention_sublayer': inner['attention_norm']['__call__'][0]}
  if condition is not None:
    outputs['block0_saln0'] = inner['attention_style']['__call__'][0]
  return outputs


def _text_encoder(f: Fixture) -> dict:
  variables = names.to_ours(list(names.text_encoder('', (), f.config['layers'])), f.weights)
  mask = before(jnp.asarray(f.inputs['src_len']), f.inputs['ids'].shape[1])
  encoder = FFTTextEncoder(layers=f.config['layers'], heads=f.config['heads'])
  y, state = encoder.apply(variables, f.inputs['ids'], mask, capture_intermediates=True)
  x = state['intermediates']['project']['__call__'][0]
  stack = {'params': variables['params']['stack']}
  return {'y': y} | _first_block(stack, f.config['heads'], x, mask)


def _decoder_saln(f: Fixture) -> dict:
  variables = names.to_ours(list(names.fft_stack('', (), f.config['layers'], style=True)), f.weights)
  x, speaker = f.inputs['x'], jnp.asarray(f.inputs['spk'])
  mask = before(jnp.asarray(f.inputs['mel_len']), x.shape[1])
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
  extent = jnp.full_like(length, mel.shape[1])
  style, state = MelStyleEncoder().apply(
    {'params': variables['params']['style']}, mel, length, extent, capture_intermediates=True
  )
  inner = state['intermediates']
  local, _ = DownsamplingEncoder().apply({c: tree['local'] for c, tree in variables.items()}, style, extent)
  temporal = inner['temporal_1']['__call__'][0]
  masked = jnp.where(before(length, mel.shape[1])[..., None], temporal, 0.0)
  return {
    'style': style, 'local': local, 'utterance': utterance_style(local, length),
    'spectral': jax.nn.mish(inner['spectral_1']['__call__'][0]), 'temporal': temporal,
    'attention': masked + inner['attention']['__call__'][0][0],
  }  # fmt: skip


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
  """The fixture's depths in our names; an empty config is the published one."""
  ours = {
    'encoder_layer': 'text_layers', 'decoder_layer': 'decoder_layers', 'lip_encoder_layer': 'lip_layers',
    'multimodal_layers': 'cross_layers',
  }  # fmt: skip
  return PublishedConfig(**{ours[k]: v for k, v in config.items() if k in ours}, **changes)


def _fusion(f: Fixture) -> dict:
  config = published_config(f.config)
  variables = names.to_ours(list(names.fusion((), config)), f.weights)
  length = jnp.asarray(f.inputs['src_len'])
  out = jax.jit(Fusion(config).apply)(
    variables, f.inputs['text'], length, f.inputs['ref_mels'], jnp.asarray(f.inputs['ref_mel_lens'])
  )
  return {
    'feature': out['styled'], 'src_mask': ~before(length, f.inputs['text'].shape[1]),
    'utterance_style': out['utterance_style'], 'text_encoder': out['text'],
    'cross_time_first': out['cross'].swapaxes(0, 1), 'local_style': out['local_style'],
  }  # fmt: skip


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
}

# Absolute and relative, on every element of a float output.
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
}
