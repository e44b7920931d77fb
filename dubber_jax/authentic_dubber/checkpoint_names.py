"""Name and layout map between the PyTorch state dicts of the published system and our variables, in both directions.

A `Rule` maps the parts of one torch tensor to paths of our variables; most tensors have one part, packed projections
and the graphs' `a` several. The layers of a stack share one array of ours, the layer being its first axis. There is a
list of rules a module, so that parts of the system can be converted alone. Dead tensors, on which no output depends,
have no rule: `is_dead` distinguishes them from unknown ones.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dubber_jax.authentic_dubber.config import PublishedConfig
from dubber_jax.errors import BadInput

PARAMS, STATS = ('params',), ('batch_stats',)


@dataclass(frozen=True)
class StateDictPart:
  """Rows start:stop of a torch tensor, at `path` of our variables; `layer` of a stack, or None.

  kind: 'same'; 'linear', (out, in) -> (in, out); 'conv', (out, in, k) -> (k, in, out); 'pointwise',
  (out, in, 1) -> (in, out); 'column', (n, 1) -> (n,).
  """

  path: tuple[str, ...]
  kind: str = 'same'
  layer: int | None = None
  start: int = 0
  stop: int | None = None


@dataclass(frozen=True)
class Rule:
  key: str
  parts: tuple[StateDictPart, ...]

  def __str__(self) -> str:
    """Destination of the tensor, as 'params/lips/stack/block/up/kernel[2]'."""
    return ', '.join('/'.join(p.path) + ('' if p.layer is None else f'[{p.layer}]') for p in self.parts)


TO_OURS = {
  'same': lambda w: w,
  'linear': lambda w: w.T,
  'conv': lambda w: w.transpose(2, 1, 0),
  'pointwise': lambda w: w[:, :, 0].T,
  'column': lambda w: w[:, 0],
}
TO_TORCH = {
  'same': lambda w: w,
  'linear': lambda w: w.T,
  'conv': lambda w: w.transpose(2, 1, 0),
  'pointwise': lambda w: w.T[:, :, None],
  'column': lambda w: w[:, None],
}
SHAPES = {
  'same': lambda s: s,
  'linear': lambda s: s[::-1],
  'conv': lambda s: s[::-1],
  'pointwise': lambda s: (*s[::-1], 1),
  'column': lambda s: (*s, 1),
}

# Constants and tensors that the published forward pass does not use (spec sections 3.5, 4 and 16).
DEAD = re.compile(
  r'variance_adaptor\.(pitch|energy)_(bins|embedding\.weight)$'
  r'|.*duration_predictor\.conv_layer3?\.|(pitch|energy)_embedding\.'
  r'|decoder_Condition\.proj_life\.|proj_life\.weight$|lip_encoder\.(position_enc|src_word_emb)'
  r'|.*relation_embedding\.|.*num_batches_tracked$|V_encoder\.|speaker_classifier\.|proj_a\.|trans_l_with_a\.'
  r'|trans_l_mem\.|trans_l_with_v\.(version|embed_positions)|proj[12]\.|out_layer\.|lin\.'
)


def is_dead(key: str) -> bool:
  """Whether a torch key of the whole checkpoint names a tensor on which no output depends."""
  return DEAD.match(key) is not None


def one(key: str, path: tuple[str, ...], kind: str = 'same', layer: int | None = None) -> Rule:
  return Rule(key, (StateDictPart(path, kind, layer),))


def dense(
  key: str, path: tuple[str, ...], kind: str = 'linear', layer: int | None = None, bias: bool = True
) -> Iterator[Rule]:
  yield one(f'{key}.weight', (*path, 'kernel'), kind, layer)
  if bias:
    yield one(f'{key}.bias', (*path, 'bias'), 'same', layer)


def norm(key: str, path: tuple[str, ...], layer: int | None = None) -> Iterator[Rule]:
  yield one(f'{key}.weight', (*path, 'scale'), 'same', layer)
  yield one(f'{key}.bias', (*path, 'bias'), 'same', layer)


def batch_norm(key: str, path: tuple[str, ...]) -> Iterator[Rule]:
  yield from norm(key, PARAMS + path)
  yield one(f'{key}.running_mean', (*STATS, *path, 'mean'))
  yield one(f'{key}.running_var', (*STATS, *path, 'var'))


def attention(key: str, path: tuple[str, ...], layer: int | None = None, out: str | None = None) -> Iterator[Rule]:
  """Attention with separate query, key and value projections; `out`: key of the output projection, by default `fc`."""
  for torch_name, name in (('w_qs', 'query'), ('w_ks', 'key'), ('w_vs', 'value')):
    yield from dense(f'{key}{torch_name}', (*path, name), layer=layer)
  yield from dense(out or f'{key}fc', (*path, 'out'), layer=layer)


def packed_attention(key: str, path: tuple[str, ...], width: int, layer: int | None = None) -> Iterator[Rule]:
  """Attention with query, key and value projections packed as rows of one matrix."""
  for suffix, leaf, kind in (('weight', 'kernel', 'linear'), ('bias', 'bias', 'same')):
    parts = (
      StateDictPart((*path, name, leaf), kind, layer, i * width, (i + 1) * width)
      for i, name in enumerate(('query', 'key', 'value'))
    )
    yield Rule(f'{key}.in_proj_{suffix}', tuple(parts))
  yield from dense(f'{key}.out_proj', (*path, 'out'), layer=layer)


def fft_stack(key: str, path: tuple[str, ...], layers: int, style: bool = False) -> Iterator[Rule]:
  path = (*PARAMS, *path, 'block')
  for i in range(layers):
    block = f'{key}layer_stack.{i}'
    yield from attention(f'{block}.slf_attn.', (*path, 'attention'), i)
    yield from norm(f'{block}.slf_attn.layer_norm', (*path, 'attention_norm'), i)
    yield from dense(f'{block}.pos_ffn.w_1', (*path, 'up'), 'conv', i)
    yield from dense(f'{block}.pos_ffn.w_2', (*path, 'down'), 'pointwise', i)
    yield from norm(f'{block}.pos_ffn.layer_norm', (*path, 'feed_norm'), i)
    if style:
      for j, name in enumerate(('attention_style', 'feed_style')):
        yield from dense(f'{block}.saln_{j}.style.affine', (*path, name, 'gain_shift'), layer=i)


def text_encoder(key: str, path: tuple[str, ...], layers: int) -> Iterator[Rule]:
  yield one(f'{key}src_word_emb.weight', (*PARAMS, *path, 'symbols', 'embedding'))
  yield from dense(f'{key}proj_life', (*PARAMS, *path, 'project'), 'pointwise', bias=False)
  yield from fft_stack(key, (*path, 'stack'), layers)


def style_encoder(key: str, path: tuple[str, ...]) -> Iterator[Rule]:
  ours = (*PARAMS, *path)
  for i, number in enumerate((0, 3)):
    yield from dense(f'{key}spectral.{number}.fc', (*ours, f'spectral_{i}'))
  for i in range(2):
    yield from dense(f'{key}temporal.{i}.conv1.conv', (*ours, f'temporal_{i}', 'Conv_0'), 'conv')
  yield from attention(f'{key}slf_attn.', (*ours, 'attention'))
  yield from dense(f'{key}fc.fc', (*ours, 'out'))


def downsampling_encoder(key: str, path: tuple[str, ...]) -> Iterator[Rule]:
  for i in range(4):
    yield from dense(f'{key}conv1ds.{i}', (*PARAMS, *path, f'conv_{i}'), 'conv')
    yield from batch_norm(f'{key}bns.{i}', (*path, f'norm_{i}'))
  yield from dense(f'{key}local_outlayer.0', (*PARAMS, *path, 'out'))


def cross_modal(key: str, path: tuple[str, ...], layers: int, width: int = 128) -> Iterator[Rule]:
  ours = (*PARAMS, *path, 'layer')
  for i in range(layers):
    layer = f'{key}layers.{i}'
    yield from packed_attention(f'{layer}.self_attn', (*ours, 'attention'), width, i)
    yield from dense(f'{layer}.fc1', (*ours, 'up'), layer=i)
    yield from dense(f'{layer}.fc2', (*ours, 'down'), layer=i)
    yield from norm(f'{layer}.layer_norms.0', (*ours, 'attention_norm'), i)
    yield from norm(f'{layer}.layer_norms.1', (*ours, 'feed_norm'), i)
  yield from norm(f'{key}layer_norm', (*PARAMS, *path, 'norm'))


def fusion(path: tuple[str, ...], config: PublishedConfig) -> Iterator[Rule]:
  """Rules of the second state dict, `fusion_model`."""
  yield from style_encoder('style_encoder.', (*path, 'style'))
  yield from downsampling_encoder('ds_speaker_encoder.', (*path, 'local'))
  yield from text_encoder('encoder.', (*path, 'text'), config.text_layers)
  yield from dense('proj_l', (*PARAMS, *path, 'query'), 'pointwise', bias=False)
  yield from dense('proj_v', (*PARAMS, *path, 'key'), 'pointwise', bias=False)
  yield from cross_modal('trans_l_with_v.', (*path, 'cross'), config.cross_layers, config.cross_width)
  yield from dense('linear_for_ref_mel', (*PARAMS, *path, 'out'))


def lip_encoder(key: str, path: tuple[str, ...], layers: int) -> Iterator[Rule]:
  yield from norm(f'{key}ln', (*PARAMS, *path, 'norm'))
  yield from dense(f'{key}fc_out', (*PARAMS, *path, 'out'))
  yield from fft_stack(key, (*path, 'stack'), layers)


def lip_text_attention(key: str, path: tuple[str, ...]) -> Iterator[Rule]:
  yield from attention(f'{key}energy.', (*PARAMS, *path, 'attention'), out=f'{key}last_layer')
  yield from norm(f'{key}layer_norm', (*PARAMS, *path, 'norm'))


def duration_predictor(key: str, path: tuple[str, ...]) -> Iterator[Rule]:
  for i in range(2):
    yield from dense(f'{key}conv_layer2.conv1d_{i + 1}.conv', (*PARAMS, *path, f'dense_{i}'), 'pointwise')
    yield from norm(f'{key}conv_layer2.layer_norm_{i + 1}', (*PARAMS, *path, f'norm_{i}'))
  yield from dense(f'{key}conv', (*PARAMS, *path, 'out'), 'pointwise')


def graph_attention(key: str, path: tuple[str, ...], width: int = 256) -> Iterator[Rule]:
  ours = (*PARAMS, *path)
  for torch_name, name in (('attention_0', 'head_0'), ('attention_1', 'head_1'), ('out_att', 'out')):
    yield one(f'{key}{torch_name}.W', (*ours, name, 'W', 'kernel'))
    ends = (('receiver', 0, width), ('sender', width, 2 * width), ('kind', 2 * width, None))
    yield Rule(
      f'{key}{torch_name}.a',
      tuple(StateDictPart((*ours, name, leaf), 'column', None, start, stop) for leaf, start, stop in ends),
    )
    yield from norm(f'{key}{torch_name}.layer_norm', (*ours, name, 'LayerNorm_0'))
  yield from dense(f'{key}fc', (*ours, 'mix'))
  yield from norm(f'{key}layer_norm', (*ours, 'LayerNorm_0'))


GRAPHS = ('Basic_Emotion_Graph.', 'Indirect_Emotion_Extended_Graph.', 'Direct_Emotion_Extended_Graph.')


def emotion_graphs(keys: tuple[str, str, str], path: tuple[str, ...], width: int = 256) -> Iterator[Rule]:
  stages = (('basic', 'own', ''), ('indirect', 'recalled', ''), ('direct', 'sound', '_audios'))
  for key, (stage, prefix, suffix) in zip(keys, stages, strict=True):
    yield from graph_attention(f'{key}RGAT.', (*path, stage), width)
    for modality in ('scene', 'face', 'text'):
      yield from dense(f'{key}linear_{modality}{suffix}', (*PARAMS, *path, f'{prefix}_{modality}'))


def aggregator(key: str, path: tuple[str, ...], width: int = 256) -> Iterator[Rule]:
  yield from packed_attention(f'{key}cross_att', (*PARAMS, *path, 'attention'), width)
  yield from dense(f'{key}pro_output', (*PARAMS, *path, 'out'), 'pointwise', bias=False)


def postnet(key: str, path: tuple[str, ...]) -> Iterator[Rule]:
  for i in range(5):
    yield from dense(f'{key}convolutions.{i}.0.conv', (*PARAMS, *path, f'conv_{i}'), 'conv')
    yield from batch_norm(f'{key}convolutions.{i}.1', (*path, f'norm_{i}'))
  yield from dense(f'{key}saln_0.style.affine', (*PARAMS, *path, 'style', 'gain_shift'))


def model(config: PublishedConfig) -> Iterator[Rule]:
  """Rules of the first state dict, `model`."""
  yield from duration_predictor('variance_adaptor.duration_predictor.', ('duration',))
  yield from fft_stack('decoder_Condition.', ('decoder',), config.decoder_layers, style=True)
  yield from dense('mel_linear', (*PARAMS, 'mel'))
  yield from postnet('postnet.', ('postnet',))
  yield from lip_encoder('lip_encoder.', ('lips',), config.lip_layers)
  yield from lip_text_attention('attn_lip_text.', ('lip_text',))
  yield from emotion_graphs(GRAPHS, ('graphs',), config.width)
  for i in range(3):
    yield from aggregator(f'aggregator_stage_{i + 1}.', (f'aggregators_{i}',), config.width)
  yield from dense('emoID_classifier.layers.0', (*PARAMS, 'emotion', 'Dense_0'))
  yield from dense('proj_fusion', (*PARAMS, 'join'), 'pointwise', bias=False)


def whole_model(config: PublishedConfig) -> list[Rule]:
  """Rules of both state dicts, whose keys are disjoint."""
  return [*model(config), *fusion(('fusion',), config)]


def torch_shapes(rules: Iterable[Rule], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
  """Shapes of the torch tensors of the rules, from those of our flat variables ('params/mel/kernel')."""

  def shape(part: StateDictPart):
    ours = shapes['/'.join(part.path)][part.layer is not None :]
    return SHAPES[part.kind](ours)

  pieces = {rule.key: [shape(part) for part in rule.parts] for rule in rules}
  return {key: (sum(s[0] for s in parts), *parts[0][1:]) for key, parts in pieces.items()}


def to_ours(rules: Iterable[Rule], weights: Mapping[str, np.ndarray]) -> dict:
  """Variables {'params': ..., 'batch_stats': ...} from torch-named arrays. Raises BadInput naming missing keys."""
  missing = [rule.key for rule in rules if rule.key not in weights]
  if missing:
    raise BadInput(f'the checkpoint lacks {len(missing)} tensors, the first is {missing[0]!r}; it is of another model')
  stacks, tree = {}, {}
  for rule in rules:
    for part in rule.parts:
      piece = TO_OURS[part.kind](np.asarray(weights[rule.key])[part.start : part.stop])
      if part.layer is None:
        _put(tree, part.path, np.ascontiguousarray(piece))
      else:
        stacks.setdefault(part.path, {})[part.layer] = piece
  for path, layers in stacks.items():
    _put(tree, path, np.stack([layers[i] for i in range(len(layers))]))
  return tree


def to_torch(rules: Iterable[Rule], variables: Mapping) -> dict[str, np.ndarray]:
  """The inverse of `to_ours`: torch-named arrays. Raises BadInput where our tree lacks a path."""

  def fetch(part: StateDictPart):
    node = variables
    for name in part.path:
      if name not in node:
        raise BadInput(f'the variables lack {"/".join(part.path)}; they are of another model')
      node = node[name]
    array = np.asarray(node)  # before a layer is taken: of a JAX array, each would be a program of its own
    return TO_TORCH[part.kind](array if part.layer is None else array[part.layer])

  return {r.key: np.ascontiguousarray(np.concatenate([fetch(p) for p in r.parts])) for r in rules}


def _put(tree: dict, path: tuple[str, ...], value) -> None:
  for name in path[:-1]:
    tree = tree.setdefault(name, {})
  tree[path[-1]] = value
