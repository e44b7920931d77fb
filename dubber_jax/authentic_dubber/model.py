"""PublishedDirectorActor: the published system, 149.1 M parameters.

Its methods take a batch, a dictionary of arrays with these names (B items; N, L, T, R padded lengths):

  phonemes (B, N) int, 0 is padding         durations (B, N) int mel frames
  lips (B, L, 512)   speaker (B, 256)       reference (B, R, 80) natural-log mel, at least 16 frames
  phoneme_length, lip_length, reference_length, mel_length (B,) int
  scene, face (B, 1024), text (B, 2048)     scene_refs, face_refs (B, K, 1024), text_refs (B, K, 2048)
  sounds (B, 3, K, 1024)                    for training also mel (B, T, 80) and emotion (B,) int

The published system's output depends on the padding of its batch (spec section 14). With padding 'published' that is
kept: the longest item of the batch counts, not the arrays' own sizes, so that buckets change nothing. With padding
'safe' every item is what it would be alone.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.actor.emotion_fusion import EmotionHead
from dubber_jax.actor.length_regulator import LengthRegulator
from dubber_jax.authentic_dubber.aggregator import ConcatAggregator
from dubber_jax.authentic_dubber.config import PublishedConfig
from dubber_jax.authentic_dubber.crossmodal import CrossModalTransformer
from dubber_jax.authentic_dubber.duration import PointwiseDurationPredictor, spread_over_slot
from dubber_jax.authentic_dubber.fft import FFTStack
from dubber_jax.authentic_dubber.lip_alignment import FocusedLipTextAttention, PositionedLipEncoder
from dubber_jax.authentic_dubber.postnet import Postnet
from dubber_jax.authentic_dubber.style import DownsamplingEncoder, MelStyleEncoder, utterance_style
from dubber_jax.authentic_dubber.text_encoder import FFTTextEncoder
from dubber_jax.director.config import DirectorConfig
from dubber_jax.director.graphs import EmotionGraphs
from dubber_jax.errors import BadInput
from dubber_jax.nn.batch_axes import batch_max
from dubber_jax.nn.masks import length_mask
from dubber_jax.nn.random_bits import training_key
from dubber_jax.nn.scan import Stacking
from dubber_jax.types import MEL_BANDS, MODALITIES


def visible_length(config: PublishedConfig, length_b: jax.Array) -> jax.Array:
  """Number of positions of each item, (B,), that layers without a mask see: its own, or the longest of the batch."""
  return length_b if config.padding == 'safe' else jnp.full_like(length_b, batch_max(length_b.max()))


class Fusion(nn.Module):
  """Fusion of text and reference style (spec section 3): phonemes and a reference mel -> text (B, N, D), styled text
  (B, N, D), utterance style (B, D)."""

  config: PublishedConfig
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(
    self,
    ids_bn: jax.Array,
    length_b: jax.Array,
    reference_brm: jax.Array,
    reference_length_b: jax.Array,
    train: bool = False,
  ) -> dict:
    c, rate = self.config, float(self.config.dropout)
    if reference_brm.shape[1] < 16:
      raise BadInput(f'the reference mel has {reference_brm.shape[1]} frames; at least 16 (0.19 s) are needed')
    text = FFTTextEncoder(
      width=c.width,
      layers=c.text_layers,
      heads=c.text_heads,
      filter=c.filter,
      dropout=0.2 * rate,
      stacking=self.stacking,
      name='text',
    )(ids_bn, length_mask(length_b, ids_bn.shape[1]), train)
    visible_b = visible_length(c, reference_length_b)
    style = MelStyleEncoder(c.width, dropout=0.1 * rate, name='style')(
      reference_brm, reference_length_b, visible_b, train
    )
    local, steps_b = DownsamplingEncoder(out=c.width, dropout=0.2 * rate, name='local')(style, visible_b, train)
    query = nn.Dropout(0.25 * rate, deterministic=not train)(text)
    query = nn.Dense(c.cross_width, use_bias=False, name='query')(query)
    key = nn.Dense(c.cross_width, use_bias=False, name='key')(local)
    transformer = CrossModalTransformer(
      c.cross_layers, c.cross_heads, 0.25 * rate, 0.1 * rate, self.stacking, name='cross'
    )
    cross = transformer(query, key, visible_length(c, length_b), jnp.maximum(steps_b, 1), train)
    styled = (nn.Dense(c.width, name='out')(cross) + text) / 2
    utterance = utterance_style(local, reference_length_b)
    return {'text': text, 'styled': styled, 'utterance_style': utterance, 'cross': cross, 'local_style': local}


class PublishedDirectorActor(nn.Module):
  """The published system. Parameters under `fusion` are the checkpoint's second state dict, the rest its first."""

  config: PublishedConfig
  stacking: Stacking = Stacking()

  def setup(self):
    c, rate = self.config, float(self.config.dropout)
    self.fusion = Fusion(c, self.stacking)
    self.lips = PositionedLipEncoder(c.width, c.lip_layers, c.lip_heads, c.filter, 0.2 * rate, self.stacking)
    self.lip_text = FocusedLipTextAttention(dropout=0.2 * rate)
    self.duration = PointwiseDurationPredictor(c.width, 0.5 * rate)
    self.regulator = LengthRegulator(place=False)
    director = DirectorConfig(width=c.width, heads=2, dropout=0.2 * rate)
    self.graphs = EmotionGraphs(director, isolated_average=True)
    self.aggregators = [ConcatAggregator(dropout=0.1 * rate) for _ in range(3)]
    self.emotion = EmotionHead()
    self.join = nn.Dense(c.width, use_bias=False)
    self.decoder = FFTStack(c.decoder_layers, c.decoder_heads, c.filter, dropout=0.2 * rate, stacking=self.stacking)
    self.mel = nn.Dense(MEL_BANDS)
    self.postnet = Postnet(c.width, dropout=0.5 * rate)

  def encode(self, batch: dict, train: bool = False) -> dict:
    """Text, style and lips -> encodings, alignment and log durations, by name."""
    outputs = self.fusion(
      batch['phonemes'], batch['phoneme_length'], batch['reference'], batch['reference_length'], train
    )
    mask_bn = length_mask(batch['phoneme_length'], batch['phonemes'].shape[1])
    lip_mask_bl = length_mask(batch['lip_length'], batch['lips'].shape[1])
    lips = self.lips(batch['lips'], lip_mask_bl, train)
    context, alignment, _ = self.lip_text(outputs['text'], mask_bn, lips, lip_mask_bl, train)
    log_durations = self.duration(context, mask_bn, train)
    return outputs | {'lips': lips, 'context': context, 'alignment': alignment, 'log_durations': log_durations}

  def emotion_nodes(self, batch: dict, train: bool = False) -> list[jax.Array]:
    """The three sets of emotion nodes: (B, 3, D), (B, 3 + 3K, D), (B, 3 + 6K, D)."""
    items, _, exemplars = batch['sounds'].shape[:3]
    mask_bv = jnp.ones((items, 3 + 6 * exemplars), bool)
    refs = {m: batch[f'{m}_refs'] for m in MODALITIES}
    return list(self.graphs({m: batch[m] for m in MODALITIES}, refs, batch['sounds'], mask_bv, train))

  def decode(
    self,
    styled_bnd: jax.Array,
    durations_bn: jax.Array,
    mel_length_b: jax.Array,
    batch: dict[str, Any],
    num_frames: int,
    train: bool = False,
  ) -> dict:
    """Frames, fused with the emotion nodes stage by stage, and the mel before and after the postnet, by name."""
    frames, regulated_bt = self.regulator(styled_bnd, durations_bn, num_frames)
    nodes = self.emotion_nodes(batch, train)
    fused, stages = frames, []
    for aggregate, stage in zip(self.aggregators, nodes, strict=True):
      fused = aggregate(fused, stage, jnp.ones(stage.shape[:2], bool), train)
      stages.append(fused)
    emotion = jax.nn.softmax(self.emotion(fused, regulated_bt))
    mask_bt = length_mask(mel_length_b, num_frames)
    joined = self.join(jnp.concatenate([frames, fused], axis=-1))
    decoded = self.decoder(joined, mask_bt, batch['speaker'], train)
    mel = self.mel(decoded)
    visible_bt = length_mask(visible_length(self.config, mel_length_b), num_frames)
    finished = self.postnet(mel, batch['speaker'], visible_bt, train)
    return {
      'frames': frames,
      'nodes': nodes,
      'fused': stages,
      'decoded': decoded,
      'mel': mel,
      'finished': finished,
      'mask': mask_bt,
      'emotion': emotion,
    }

  def __call__(self, batch: dict, train: bool = False) -> dict:
    """Teacher-forced pass, with the target's own durations -> outputs by name."""
    encoded = self.encode(batch, train)
    decoded = self.decode(
      encoded['styled'], batch['durations'], batch['mel_length'], batch, batch['mel'].shape[1], train
    )
    return encoded | decoded

  def synthesize(self, batch: dict, num_frames: int) -> dict:
    """A take with predicted durations, scaled to `mel_length` frames, padded to the static `num_frames`.

    The take's `length` (B,) differs from mel_length by rounding; a take longer than num_frames is cut.
    """
    predicted = self.predict_durations(batch)
    return predicted | self.decode_predicted(predicted, batch, num_frames)

  def predict_durations(self, batch: dict) -> dict:
    """First half of `synthesize`: the outputs of `encode` and predicted durations (B, N) int32, scaled to the slot."""
    encoded = self.encode(batch)
    durations, unrounded = spread_over_slot(encoded['log_durations'], batch['mel_length'])
    scaled = {'durations': durations, 'unrounded_durations': unrounded, 'length': durations.sum(1)}
    return encoded | scaled

  def decode_predicted(self, predicted: dict, batch: dict, num_frames: int) -> dict:
    """Second half of `synthesize`: the outputs of `decode` at the predicted durations."""
    length_b = jnp.minimum(predicted['length'], num_frames)
    return self.decode(predicted['styled'], predicted['durations'], length_b, batch, num_frames)


def synthesize(config: PublishedConfig, variables: dict, batch: dict, bucket: int = 1) -> dict:
  """Takes of a batch, jitted; frames are padded to a multiple of `bucket`, which does not change a take."""
  model = PublishedDirectorActor(config)
  predicted = _predict(model, variables, batch)
  num_frames = max(-(-int(predicted['length'].max()) // bucket) * bucket, 1)
  return predicted | _decode(model, variables, predicted, batch, num_frames)


@partial(jax.jit, static_argnums=0)
def _predict(model, variables, batch):
  return model.apply(variables, batch, method='predict_durations')


@partial(jax.jit, static_argnums=(0, 4))
def _decode(model, variables, predicted, batch, num_frames):
  return model.apply(variables, predicted, batch, num_frames, method='decode_predicted')


def initialize(config: PublishedConfig, seed: int | jax.Array) -> dict:
  """Initial variables, float32, from the distributions of the released code (spec section 12): NumPy arrays from an
  integer seed, JAX arrays from a key, which may be traced."""
  batch = {
    name: jnp.zeros((1, *shape), jnp.int32 if len(shape) < 2 and name != 'speaker' else jnp.float32)
    for name, shape in {
      'phonemes': (4,),
      'durations': (4,),
      'lips': (4, 512),
      'reference': (16, 80),
      'mel': (4, 80),
      'speaker': (config.width,),
      'phoneme_length': (),
      'lip_length': (),
      'reference_length': (),
      'mel_length': (),
      'sounds': (3, 1, 1024),
      'scene_refs': (1, 1024),
      'face_refs': (1, 1024),
      'text_refs': (1, 2048),
    }.items()
  }
  batch |= {'scene': jnp.zeros((1, 1024)), 'face': jnp.zeros((1, 1024)), 'text': jnp.zeros((1, 2048))}
  model = PublishedDirectorActor(config)
  shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), batch))
  draws = _KeyedDraws(seed) if isinstance(seed, jax.Array) else np.random.default_rng(seed)
  params = _drawn(shapes['params'], draws, ())
  stats = jax.tree_util.tree_map_with_path(
    lambda path, s: np.full(s.shape, float(path[-1].key == 'var'), np.float32), shapes['batch_stats']
  )
  return {'params': params, 'batch_stats': stats}


class _KeyedDraws:
  """A NumPy generator's methods on a JAX key, so that weights are drawn on their own devices."""

  def __init__(self, key: jax.Array):
    self.key, self.drawn = training_key(key), 0  # 300 draws by threefry take minutes to compile

  def _next(self):
    self.drawn += 1
    return jax.random.fold_in(self.key, self.drawn)

  def uniform(self, low, high, shape):
    return jax.random.uniform(self._next(), shape, minval=low, maxval=high)

  def normal(self, mean, deviation, shape):
    return mean + deviation * jax.random.normal(self._next(), shape)


def _drawn(tree, rng, path: tuple[str, ...]) -> dict:
  if not {'kernel', 'scale', 'embedding', 'receiver'} & set(tree):
    return {name: _drawn(sub, rng, (*path, name)) for name, sub in tree.items()}

  def uniform(name, bound):
    return rng.uniform(-bound, bound, tree[name].shape).astype(np.float32)

  if 'scale' in tree:
    return {'scale': np.ones(tree['scale'].shape, np.float32), 'bias': np.zeros(tree['bias'].shape, np.float32)}
  if 'embedding' in tree:
    table = rng.normal(0, 1, tree['embedding'].shape).astype(np.float32)
    return {'embedding': table * (np.arange(len(table)) > 0)[:, None].astype(np.float32)}
  if 'receiver' in tree:
    rest = {name: _drawn(tree[name], rng, (*path, name)) for name in tree if isinstance(tree[name], dict)}
    rows = sum(tree[name].shape[0] for name in ('receiver', 'sender', 'kind'))
    bound = 1.414 * (6 / (1 + rows)) ** 0.5
    return rest | {name: uniform(name, bound) for name in ('receiver', 'sender', 'kind')}
  stacked = 'block' in path or 'layer' in path
  shape = tree['kernel'].shape[stacked:]
  fan_in, fan_out = int(np.prod(shape[:-1])), shape[-1]
  bound = fan_in**-0.5
  zero_bias = False
  if 'cross' in path and 'layer' in path:
    packed = 3 if path[-1] in ('query', 'key', 'value') else 1  # Xavier over the packed projection
    bound, zero_bias = (6 / (fan_in + packed * fan_out)) ** 0.5, True
  elif path[0].startswith('aggregators') and 'attention' in path:
    zero_bias = True
    if path[-1] != 'out':
      bound = (6 / (fan_in + 3 * fan_out)) ** 0.5
  elif path[-1] == 'W':
    bound = 1.414 * (6 / (fan_in + fan_out)) ** 0.5
  drawn = {'kernel': uniform('kernel', bound)}
  if 'bias' in tree:
    drawn['bias'] = np.zeros(tree['bias'].shape, np.float32) if zero_bias else uniform('bias', fan_in**-0.5)
    if path[-1] == 'gain_shift':
      half = tree['bias'].shape[-1] // 2
      gain = (np.arange(2 * half) < half).astype(np.float32)
      drawn['bias'] = np.broadcast_to(gain, drawn['bias'].shape).copy()
  return drawn
