import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from dubber_jax.convert.checkpoints import write_state_dict
from dubber_jax.convert.kinds import survey_checkpoint
from dubber_jax.convert.vocoders import (
  PUBLISHED,
  find_config,
  fold_weight_norm,
  from_torch,
  is_filter,
  parity_outputs,
  to_torch,
  torch_shapes,
)
from dubber_jax.errors import BadInput
from dubber_jax.vocoder.hifigan import HiFiGANConfig
from dubber_jax.vocoder.neural import read_config, read_vocoder

REFERENCE = Path(__file__).parents[1] / 'reference_parity' / 'fixtures' / 'bigvgan_small.npz'
SMALL_HIFIGAN = HiFiGANConfig(
  upsample_rates=(4, 2), upsample_kernel_sizes=(8, 4), upsample_initial_channel=16, num_mels=6
)


@pytest.fixture(scope='module')
def fixture():
  return np.load(REFERENCE)


@pytest.fixture(scope='module')
def config(fixture):
  return read_config('bigvgan', json.loads(str(fixture['cfg'])), 'fixture')


@pytest.fixture
def state(fixture):
  return {k.removeprefix('w/'): fixture[k] for k in fixture.files if k.startswith('w/')}


@pytest.fixture
def checkpoint(fixture, state, tmp_path):
  write_state_dict(state, tmp_path / 'generator.safetensors')
  (tmp_path / 'config.json').write_text(str(fixture['cfg']))
  return tmp_path / 'generator.safetensors'


def test_weight_norm_folds_as_pytorch_removes_it(fixture, state):
  folded = fold_weight_norm(state)
  np.testing.assert_allclose(folded['conv_pre.weight'], fixture['out/folded_conv_pre'], atol=1e-7, rtol=1e-5)
  np.testing.assert_allclose(folded['ups.0.0.weight'], fixture['out/folded_ups0'], atol=1e-7, rtol=1e-5)
  newer = {
    k.replace('weight_g', 'parametrizations.weight.original0').replace(
      'weight_v', 'parametrizations.weight.original1'
    ): v
    for k, v in state.items()
  }
  for key, array in fold_weight_norm(newer).items():
    np.testing.assert_array_equal(array, folded[key])


def test_folded_bigvgan_survives_the_way_there_and_back(state, config):
  folded = fold_weight_norm(state)
  back = to_torch(from_torch(state, 'bigvgan', config), 'bigvgan')
  assert {k for k in back if not is_filter(k)} == set(folded)
  for key, array in folded.items():
    np.testing.assert_array_equal(back[key], array)
  again = from_torch(back, 'bigvgan', config)  # with the filters in it, as real checkpoints have them
  np.testing.assert_array_equal(again['ups_0']['kernel'], folded['ups.0.0.weight'].transpose(2, 0, 1))


def test_folded_hifigan_survives_the_way_there_and_back():
  rng = np.random.default_rng(0)
  state = {k: rng.normal(size=s).astype(np.float32) for k, s in torch_shapes('hifigan', SMALL_HIFIGAN).items()}
  assert {'ups.0.weight', 'resblocks.5.convs2.2.bias', 'conv_post.bias'} <= set(state)
  back = to_torch(from_torch(state, 'hifigan', SMALL_HIFIGAN), 'hifigan')
  assert back.keys() == state.keys()
  for key in state:
    np.testing.assert_array_equal(back[key], state[key])


def test_every_output_of_the_parity_fixture_is_within_tolerance(fixture, state):
  inputs = {k.removeprefix('in/'): fixture[k] for k in fixture.files if k.startswith('in/')}
  ours = parity_outputs(inputs, state, json.loads(str(fixture['cfg'])))
  for key in fixture.files:
    if key.startswith('out/'):
      np.testing.assert_allclose(ours[key.removeprefix('out/')], fixture[key], atol=1e-5, rtol=1e-5, err_msg=key)


@pytest.mark.slow
def test_converted_checkpoint_speaks_as_the_published_bigvgan(fixture, checkpoint, tmp_path):
  conversion = survey_checkpoint(checkpoint)
  assert set(conversion.counts) == {'mapped'}
  conversion.save(tmp_path / 'ours')
  vocoder = read_vocoder(tmp_path / 'ours')
  assert vocoder.vocode(np.zeros((0, 80))).shape == (0,)
  wave = vocoder.vocode(fixture['in/mel'][0].T)  # padded to a longer length inside
  np.testing.assert_allclose(wave, fixture['out/wav'][0, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
  'damage, told',
  [
    (lambda s: s.pop('resblocks.2.convs1.0.bias'), 'resblocks.2.convs1.0.bias is missing'),
    (lambda s: s.pop('conv_pre.weight_g'), 'without its scale'),
    (lambda s: s.pop('conv_pre.weight_v'), 'without conv_pre.weight_v'),
    (lambda s: s.update({'conv_pre.bias': np.zeros(65, np.float32)}), 'conv_pre.bias is wrong shape'),
    (lambda s: s.update({'encoder.weight': np.zeros(3, np.float32)}), 'encoder.weight is unknown'),
    (lambda s: s.update({'activation_post.upsample.filter': np.ones((1, 1, 12), np.float32)}), 'low-pass'),
  ],
)
def test_checkpoint_that_is_not_this_model_is_refused_with_the_key(state, config, damage, told):
  damage(state)
  with pytest.raises(BadInput, match=told):
    from_torch(state, 'bigvgan', config, 'some.safetensors')


def test_config_is_found_by_name_beside_the_checkpoint_or_asked_for(checkpoint, config, tmp_path):
  assert find_config(checkpoint) == ('bigvgan', config)
  assert find_config('anything', 'hifigan_universal_v1') == PUBLISHED['hifigan_universal_v1']
  (tmp_path / 'config.json').unlink()
  with pytest.raises(BadInput, match='give a config.json'):
    find_config(checkpoint)
  (tmp_path / 'hifi.json').write_text(json.dumps(dataclasses.asdict(SMALL_HIFIGAN) | {'batch_size': 16}))
  assert find_config(checkpoint, tmp_path / 'hifi.json') == ('hifigan', SMALL_HIFIGAN)
