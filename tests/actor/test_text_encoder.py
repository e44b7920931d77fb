import jax
import numpy as np
import pytest

from dubber_jax.actor.text_encoder import TextEncoder
from dubber_jax.script.g2p import encode
from dubber_jax.script.symbols import SYMBOLS

# Outputs of the text encoder before languages were added, first four channels.
STORED = [
  [-0.517955, -0.174824, 0.173435, 0.185151],
  [-0.330493, 0.084178, 0.153107, 0.410845],
  [-0.268687, -0.227777, 0.164104, 0.320622],
  [-0.324690, -0.457554, 0.125029, 0.350220],
  [-0.000000, -0.000000, 0.000000, 0.000000],
]


def encoder(languages=2):
  return TextEncoder(len(SYMBOLS), 16, 1, 2, languages=languages)


@pytest.fixture(scope='module')
def params():
  ids = np.ones((1, 4), np.int32)
  language = np.zeros(1, np.int32)
  shapes = jax.eval_shape(lambda: encoder().init(jax.random.key(0), ids, ids > 0, language_b=language)['params'])
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda s: rng.normal(0, 0.2, s.shape).astype(np.float32), shapes)


def run(params, symbols, language):
  ids = encode(symbols)[None]
  return np.asarray(encoder().apply({'params': params}, ids, ids > 0, False, np.int32([language])))[0]


def without(params, table):
  return params | {table: jax.tree.map(np.zeros_like, params[table])}


def test_language_is_heard_in_every_symbol_and_not_in_padding(params):
  symbols = ['@sil', '@AA1', '@sil', '_']
  moved = np.abs(run(params, symbols, 0) - run(params, symbols, 1)).max(1)
  assert (moved[:3] > 1e-3).all() and moved[3] == 0


def test_variants_of_a_symbol_differ_by_their_own_row_and_the_tones_alone(params):
  bare = without(params, 'Embed_0')
  a, b = ['zh:m', 'zh:a1', '@sil'], ['zh:m', 'zh:a4', '@sil']
  assert np.abs(run(bare, a, 1) - run(bare, b, 1)).max() > 1e-3
  bare = without(bare, 'tone')
  np.testing.assert_array_equal(run(bare, a, 1), run(bare, b, 1))
  assert np.abs(run(bare, a, 1) - run(bare, ['zh:m', 'zh:o1', '@sil'], 1)).max() > 1e-3


def test_model_without_languages_has_the_tree_that_it_had():
  ids = np.ones((1, 4), np.int32)
  shapes = jax.eval_shape(encoder(languages=0).init, jax.random.key(0), ids, ids > 0)['params']
  assert set(shapes) == {'Embed_0', 'block', 'norm'}


def test_model_without_languages_encodes_as_before_there_were_any():
  ids = encode(['@sil', '@HH', '@AH0', '!', '_'])[None]
  text = TextEncoder(96, 16, 1, 2)
  shapes = jax.eval_shape(text.init, jax.random.key(0), ids, ids > 0)['params']
  rng = np.random.default_rng(0)
  drawn = jax.tree.map(lambda s: rng.normal(0, 0.2, s.shape).astype(np.float32), shapes)
  hidden = text.apply({'params': drawn}, ids, ids > 0)
  np.testing.assert_allclose(hidden[0, :, :4], STORED, atol=1e-5)
