import json
from pathlib import Path

import numpy as np
import pytest

from dubber_jax.cli.main import main
from dubber_jax.convert.parity import compare
from dubber_jax.errors import BadInput

KEPT = Path(__file__).parents[1] / 'reference_parity' / 'fixtures'


def arrays_of(name):
  with np.load(KEPT / f'{name}.npz') as stored:
    return {key: stored[key] for key in stored.files}


def write(path, arrays):
  np.savez(path, **arrays)
  return str(path)


def test_command_ends_with_0_within_tolerance_and_1_beyond_it(tmp_path, capsys):
  arrays = arrays_of('diagonal_loss')
  assert main(['check', write(tmp_path / 'diagonal_loss.npz', arrays)]) == 0
  assert 'FAIL' not in capsys.readouterr().out
  arrays['out/focus_rate1'] = arrays['out/focus_rate1'] + np.float32(2e-3)
  assert main(['check', write(tmp_path / 'diagonal_loss.npz', arrays)]) == 1
  told = capsys.readouterr().out.splitlines()
  assert [line.split()[1] for line in told if line.startswith('FAIL')] == ['focus_rate1']


@pytest.mark.parametrize('name, output', [('diagonal_loss', 'band2'), ('text_symbols', 'symbols')])
def test_integers_and_text_must_be_equal(tmp_path, name, output):
  arrays = arrays_of(name)
  changed = arrays[f'out/{output}'].copy()
  changed.flat[-1] = '@zz' if changed.dtype.kind == 'U' else 1 - changed.flat[-1]
  arrays[f'out/{output}'] = changed
  rows = compare(write(tmp_path / f'{name}.npz', arrays))
  assert [row.output for row in rows if not row.within] == [output]


def test_a_value_that_is_not_finite_is_never_within_tolerance(tmp_path):
  arrays = arrays_of('diagonal_loss')
  arrays['out/loss0'] = np.float32(np.nan)
  assert not {row.output: row.within for row in compare(write(tmp_path / 'diagonal_loss.npz', arrays))}['loss0']


def damaged_recipe(arrays):
  recipe = json.loads(str(arrays['recipe']))
  recipe[0]['sum'] += 1
  arrays['recipe'] = np.array(json.dumps(recipe))


@pytest.mark.parametrize(
  'name, stem, damage, told',
  [
    ('diagonal_loss', 'opera', lambda a: None, 'opera'),
    ('diagonal_loss', 'diagonal_loss', lambda a: a.pop('in/src_len2'), 'src_len2'),
    ('diagonal_loss', 'diagonal_loss', lambda a: a.update({'out/new': np.zeros(2)}), 'new'),
    ('diagonal_loss', 'diagonal_loss', lambda a: a.update({'in/src_len2': np.zeros((5, 5), int)}), 'do not fit'),
    ('text_encoder', 'text_encoder', damaged_recipe, 'not the one'),
    ('text_encoder', 'text_encoder', lambda a: a.update({'recipe': np.array('[{')}), 'recipe'),
    ('bigvgan_small', 'bigvgan_full', lambda a: a.update({'cfg': np.array('{}')}), 'conv_pre.bias'),
  ],
)
def test_damaged_and_unknown_fixtures_are_refused_in_one_line(tmp_path, capsys, name, stem, damage, told):
  arrays = arrays_of(name)
  damage(arrays)
  path = write(tmp_path / f'{stem}.npz', arrays)
  assert main(['check', path]) == 2
  error = capsys.readouterr().err
  assert error.count('\n') == 1 and told in error and path in error


def test_files_that_are_no_fixtures_are_refused(tmp_path):
  whole = (KEPT / 'diagonal_loss.npz').read_bytes()
  for content in (b'', b'PK', whole[:2000], whole[:-30], b'{}'):
    (tmp_path / 'diagonal_loss.npz').write_bytes(content)
    with pytest.raises(BadInput, match='diagonal_loss.npz'):
      compare(tmp_path / 'diagonal_loss.npz')
  with pytest.raises(BadInput, match='absent.npz'):
    compare(tmp_path / 'absent.npz')
