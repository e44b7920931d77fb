import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from dubber_jax.authentic_dubber import checkpoint_names
from dubber_jax.authentic_dubber.config import PublishedConfig
from dubber_jax.authentic_dubber.directory import expected_shapes, load_published
from dubber_jax.authentic_dubber.model import initialize, synthesize
from dubber_jax.cli.main import main
from dubber_jax.convert.checkpoints import write_state_dict
from dubber_jax.convert.fixtures import read_fixture
from dubber_jax.convert.kinds import (
  config_of,
  find_kind,
  published_rules,
  survey_checkpoint,
  survey_loaded,
  torch_state,
)
from dubber_jax.convert.parity import published_batch
from dubber_jax.convert.vocoders import torch_shapes
from dubber_jax.errors import BadInput
from dubber_jax.inference.model_directory import load
from dubber_jax.vocoder.hifigan import HiFiGANConfig

FIXTURE = Path(__file__).parents[1] / 'reference_parity' / 'fixtures' / 'whole_small.npz'
LACKING = re.compile(r'(Basic|Indirect|Direct)_Emotion|aggregator_stage|proj_fusion|linear_for_ref_mel')  # StyleDubber
TINY = HiFiGANConfig(upsample_rates=(4, 2), upsample_kernel_sizes=(8, 4), upsample_initial_channel=16, num_mels=6)


@pytest.fixture(scope='module')
def fixture():
  return read_fixture(FIXTURE)


@pytest.fixture(scope='module')
def checkpoint(fixture):
  """As PyTorch would have loaded it: two state dicts and the optimizer's."""
  both = {'model': {}, 'fusion_model': {}, 'optimizer': {'param_groups': [], 'lr': 1e-4}}
  for key, array in fixture.weights.items():
    both['model' if fixture.parts[key] == 'model' else 'fusion_model'][key] = array
  both['model']['postnet.convolutions.0.1.num_batches_tracked'] = np.array(7)
  return both


def without(checkpoint, unwanted):
  return {
    part: {k: v for k, v in state.items() if not unwanted(k)} if part != 'optimizer' else state
    for part, state in checkpoint.items()
  }


def changed(checkpoint, part, **tensors):
  return checkpoint | {part: checkpoint[part] | tensors}


@pytest.mark.slow
def test_converted_checkpoint_gives_the_published_mel_and_comes_back_to_the_bit(fixture, checkpoint, tmp_path, capsys):
  flat = {f'{part}.{k}': v for part in ('model', 'fusion_model') for k, v in checkpoint[part].items()}
  write_state_dict(flat, tmp_path / 'checkpoint.safetensors')
  assert main(['convert', str(tmp_path / 'checkpoint.safetensors'), '-o', str(tmp_path / 'ours')]) == 0
  assert 'authentic-dubber' in capsys.readouterr().out
  model = load_published(tmp_path / 'ours')
  assert (model.config.text_layers, model.config.decoder_layers, model.fresh) == (2, 2, ())
  take = synthesize(model.config, model.variables, published_batch(fixture.inputs))
  np.testing.assert_allclose(take['finished'], fixture.outputs['i_mel_post'], atol=5e-5, rtol=2e-5)
  with pytest.raises(BadInput, match='load_published'):
    load(tmp_path / 'ours')
  assert main(['convert', str(tmp_path / 'ours'), '-o', str(tmp_path / 'back.safetensors')]) == 0
  back = load_file(tmp_path / 'back.safetensors')
  assert back.keys() == flat.keys()
  for key, array in flat.items():
    assert back[key].dtype == array.dtype and back[key].shape == array.shape
    np.testing.assert_array_equal(back[key], array, err_msg=key)


def test_survey_says_where_each_tensor_goes_and_which_are_dead(checkpoint):
  conversion = survey_loaded(checkpoint, 'x.pt')
  rows = {key: (status, detail) for key, status, detail in conversion.rows}
  assert rows['model.mel_linear.weight'] == ('mapped', '(80, 256) -> params/mel/kernel')
  assert rows['model.decoder_Condition.layer_stack.1.pos_ffn.w_1.bias'][1].endswith('params/decoder/block/up/bias[1]')
  assert rows['fusion_model.trans_l_mem.layers.0.fc1.weight'][0] == 'dead'
  assert rows['model.postnet.convolutions.0.1.num_batches_tracked'][0] == 'dead'
  assert conversion.counts['mapped'] == len(published_rules(config_of({key: None for key, _, _ in conversion.rows})))
  assert set(conversion.counts) == {'mapped', 'dead'}


def test_every_tensor_of_the_published_state_dicts_is_mapped_or_dead_and_of_its_shape():
  path = Path(__file__).parents[2] / '..' / 'shared' / 'spec' / 'state_dict.txt'
  if not path.exists():
    pytest.skip(f'no list of the published tensors at {path.resolve()}')
  rows = [line.split('\t') for line in path.read_text().splitlines()[1:]]
  listed = {f'{part}.{key}': (tuple(json.loads(shape)), status) for part, key, shape, _, status in rows}
  config = PublishedConfig()
  expected = checkpoint_names.torch_shapes(published_rules(config), expected_shapes(config))
  for key, (shape, status) in listed.items():
    assert (key in expected) != checkpoint_names.is_dead(key.split('.', 1)[1]), key
    assert expected.get(key, shape) == shape, key
    assert status != 'trained' or key in expected, key
  assert not expected.keys() - listed.keys()


@pytest.mark.parametrize(
  'damage, told',
  [
    (lambda c: without(c, lambda k: k == 'mel_linear.weight'), 'model.mel_linear.weight is missing'),
    (lambda c: changed(c, 'model', **{'mel_linear.bias': np.zeros(81)}), 'model.mel_linear.bias is wrong shape'),
    (lambda c: changed(c, 'fusion_model', novel=np.zeros(2)), 'fusion_model.novel is unknown'),
    (lambda c: {k: v for k, v in c.items() if k != 'fusion_model'}, 'fusion_model cannot be found'),
    (lambda c: {'encoder': {'weight': np.zeros(2)}}, 'no known model'),
  ],
)
def test_checkpoint_that_does_not_fit_is_refused_with_the_key(checkpoint, tmp_path, damage, told):
  with pytest.raises(BadInput, match=f'x.pt.*{told}'):
    survey_loaded(damage(checkpoint), 'x.pt').save(tmp_path / 'out')
  assert not list(tmp_path.iterdir())


def test_styledubber_is_mapped_where_it_is_the_same_and_drawn_where_it_lacks_something(checkpoint, tmp_path):
  style = changed(without(checkpoint, LACKING.search), 'fusion_model', **{'face.weight': np.ones((2, 3), np.float32)})
  conversion = survey_loaded(style, 'style.pt')
  assert conversion.kind == 'styledubber'
  status = {key: status for key, status, _ in conversion.rows}
  lacking = ('model.aggregator_stage_2.pro_output.weight', 'fusion_model.linear_for_ref_mel.bias')
  assert [status[key] for key in lacking] == ['missing', 'missing']
  assert status['fusion_model.face.weight'] == 'dead' and status['model.postnet.saln_0.style.affine.bias'] == 'mapped'
  conversion.save(tmp_path / 'ours')
  kind, back = torch_state(tmp_path / 'ours')
  assert back.keys() == {f'{part}.{k}' for part in ('model', 'fusion_model') for k in style[part]}
  for part in ('model', 'fusion_model'):
    for key, array in style[part].items():
      np.testing.assert_array_equal(back[f'{part}.{key}'], array, err_msg=key)
  assert any('aggregator_stage_1' in key for key in load_published(tmp_path / 'ours').fresh)


def test_hifigan_is_known_by_its_keys_converted_and_taken_back(tmp_path, capsys):
  rng = np.random.default_rng(0)
  state = {k: rng.normal(size=s).astype(np.float32) for k, s in torch_shapes('hifigan', TINY).items()}
  write_state_dict(state, tmp_path / 'g.safetensors')
  assert main(['convert', str(tmp_path / 'g.safetensors'), '--dry-run']) == 2  # no config.json beside it
  (tmp_path / 'config.json').write_text(json.dumps(TINY.__dict__))
  assert main(['convert', str(tmp_path / 'g.safetensors'), '--dry-run']) == 0
  assert 'mapped       conv_pre.weight  (16, 6, 7) -> conv_pre/kernel' in capsys.readouterr().out
  assert main(['convert', str(tmp_path / 'g.safetensors'), '-o', str(tmp_path / 'ours')]) == 0
  assert main(['convert', str(tmp_path / 'ours'), '-o', str(tmp_path / 'back.safetensors')]) == 0
  back = load_file(tmp_path / 'back.safetensors')
  assert back.keys() == state.keys() and all((back[k] == state[k]).all() for k in state)
  assert main(['convert', str(tmp_path / 'ours'), '-o', str(tmp_path / 'back.safetensors')]) == 2  # it exists
  assert main(['convert', str(tmp_path / 'g.safetensors'), '--kind', 'bigvgan', '--dry-run']) == 2
  assert main(['convert', str(tmp_path), '-o', str(tmp_path / 'other.safetensors')]) == 2


def test_folded_and_unfolded_tensors_of_a_bigvgan_are_listed_one_by_one():
  small = read_fixture(FIXTURE.with_name('bigvgan_small.npz'))
  assert find_kind({'generator': small.weights}) == 'bigvgan'
  with pytest.raises(BadInput, match='config'):
    survey_loaded({'generator': small.weights}, 'nowhere/g.pt')


def test_damaged_checkpoints_end_the_command_with_one_line(tmp_path, capsys):
  write_state_dict({'lstm.weight_hh_l2': np.zeros((1024, 256), np.float32)}, tmp_path / 'part.safetensors')
  whole = (tmp_path / 'part.safetensors').read_bytes()
  (tmp_path / 'cut.safetensors').write_bytes(whole[:-9])
  (tmp_path / 'page.pt').write_text('<html>')
  for name in ('part.safetensors', 'cut.safetensors', 'page.pt', 'absent.pt'):
    capsys.readouterr()
    assert main(['convert', str(tmp_path / name), '-o', str(tmp_path / 'out')]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and str(tmp_path / name) in error
  assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_whole_published_model_survives_the_way_to_torch_and_back(tmp_path):
  config = PublishedConfig()
  state = checkpoint_names.to_torch(published_rules(config), initialize(config, 3))
  assert round(sum(v.size for v in state.values()) / 1e6, 1) == 149.1
  write_state_dict(state, tmp_path / 'full.safetensors')
  conversion = survey_checkpoint(tmp_path / 'full.safetensors')
  assert set(conversion.counts) == {'mapped'}
  conversion.save(tmp_path / 'ours')
  for key, array in torch_state(tmp_path / 'ours')[1].items():
    np.testing.assert_array_equal(array, state[key], err_msg=key)
