from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dubber_jax.authentic_dubber.losses import diagonal_band
from dubber_jax.authentic_dubber.optimizer import published_optimizer
from dubber_jax.convert.parity import compare

KEPT = Path(__file__).parents[1] / 'reference_parity' / 'fixtures'
ALL = Path(__file__).parents[2] / '..' / 'shared' / 'spec' / 'fixtures'

MODULES = [
  'rgat', 'graphs', 'aggregator', 'lip_text_attention', 'lip_encoder', 'duration_length', 'text_encoder',
  'decoder_saln', 'postnet', 'mel_style', 'crossmodal', 'fusion_small', 'whole_small', 'losses', 'diagonal_loss',
  'optimizer', 'collate', 'bigvgan_small', 'mel_spectrogram', 'text_symbols',
]  # fmt: skip


def fixture(name):
  """The fixture kept in the repository, or else among the larger ones beside it."""
  for folder in (KEPT, ALL):
    if (folder / f'{name}.npz').exists():
      return folder / f'{name}.npz'
  pytest.skip(f'no fixture {name}.npz at {ALL.resolve()}; the larger ones are not kept in the repository')


@pytest.mark.parametrize('name', MODULES)
def test_module_computes_what_the_published_one_does(name):
  rows = compare(fixture(name))
  assert rows
  wrong = [
    f'{row.output}: error {row.max_error:.2e}, {row.tolerance_ratio:.2f} of tolerance' for row in rows if not row.within
  ]
  assert not wrong, '\n'.join(wrong)


def test_band_of_the_diagonal_loss_is_cut_exactly_where_float32_says():
  phonemes, lips = (x.ravel() for x in np.meshgrid(np.arange(1, 81), np.arange(1, 121)))
  ours = np.asarray(jax.jit(diagonal_band, static_argnums=(0, 1))(80, 120, jnp.asarray(phonemes), jnp.asarray(lips)))
  one = np.float32
  center = (lips.astype(one) / phonemes.astype(one))[:, None] * np.arange(80, dtype=one)
  reach = (lips.astype(one) / one(10))[:, None]
  first, end = np.trunc(np.maximum(center - reach, 0))[..., None], np.trunc(center + reach)[..., None]
  frame = np.arange(120)
  spoken = (np.arange(80) < phonemes[:, None])[..., None]
  np.testing.assert_array_equal(ours, (frame >= first) & (frame < end) & spoken)


def test_model_gradients_are_clipped_as_pytorch_does_and_those_of_fusion_are_not():
  params = {'lips': jnp.zeros(3), 'mel': jnp.zeros(2), 'fusion': jnp.zeros(3)}
  optimizer = published_optimizer()
  state = optimizer.init(params)
  grads = {'lips': jnp.full(3, 3.0), 'mel': jnp.full(2, 4.0), 'fusion': jnp.full(3, 3.0)}
  _, state = optimizer.update(grads, state, params)
  moments = jax.tree.leaves([mu for _, mu in optax.tree_utils.tree_get_all_with_path(state, 'mu')])
  norm = np.sqrt(3 * 9 + 2 * 16)
  largest = sorted({round(float(np.abs(m).max()), 6) for m in moments if np.asarray(m).size})
  assert largest == sorted({round(0.1 * g, 6) for g in (3.0 / (norm + 1e-6), 4.0 / (norm + 1e-6), 3.0)})
