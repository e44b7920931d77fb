from pathlib import Path

import pytest

from dubber_jax.convert.check import compare

KEPT = Path(__file__).parents[1] / 'reference'
ALL = Path(__file__).parents[2] / '..' / 'shared' / 'spec' / 'fixtures'

MODULES = [
  'rgat', 'graphs', 'aggregator', 'lip_text_attention', 'lip_encoder', 'duration_length', 'text_encoder',
  'decoder_saln', 'postnet', 'mel_style', 'crossmodal', 'fusion_small',
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
  wrong = [f'{row.output}: off by {row.error:.2e}, {row.share:.2f} of the tolerance' for row in rows if not row.within]
  assert not wrong, '\n'.join(wrong)
