import json
from pathlib import Path

import jax
import numpy as np
import pytest

from dubber_jax.convert.vocoders import from_torch
from dubber_jax.errors import BadInput
from dubber_jax.vocoder.antialiasing import FILTER, AntiAliasedSnake, downsample, squared_sine, upsample
from dubber_jax.vocoder.bigvgan import PUBLISHED
from dubber_jax.vocoder.neural import NeuralVocoder, expected_shapes, read_config, read_vocoder, write_vocoder

REFERENCE = Path(__file__).parents[1] / 'reference_parity' / 'fixtures' / 'bigvgan_small.npz'


@pytest.fixture(scope='module')
def fixture():
  return np.load(REFERENCE)


@pytest.fixture(scope='module')
def vocoder(fixture):
  config = read_config('bigvgan', json.loads(str(fixture['cfg'])), 'fixture')
  state = {k.removeprefix('w/'): fixture[k] for k in fixture.files if k.startswith('w/')}
  return NeuralVocoder('bigvgan', config, from_torch(state, 'bigvgan', config))


def test_wave_equals_the_published_bigvgan(fixture, vocoder):
  mel, wave = fixture['in/mel'].transpose(0, 2, 1), fixture['out/wav'][:, 0]
  ours = jax.jit(vocoder.module.apply)({'params': vocoder.params}, mel)
  np.testing.assert_allclose(ours, wave, atol=1e-5, rtol=1e-5)


def test_activation_and_its_filters_equal_the_published_ones(fixture, vocoder):
  x = fixture['in/x_act'].transpose(0, 2, 1)[..., : fixture['out/up2'].shape[1]]
  up = np.asarray(upsample(x)).reshape(1, -1, x.shape[-1])
  np.testing.assert_allclose(up.transpose(0, 2, 1), fixture['out/up2'], atol=1e-5, rtol=1e-5)
  even = np.concatenate([x, x[:, -1:]], axis=1).reshape(1, -1, 2, x.shape[-1])  # an odd length: the edge is repeated
  np.testing.assert_allclose(downsample(even).transpose(0, 2, 1), fixture['out/down2'], atol=1e-5, rtol=1e-5)
  for name in ('filter_up', 'filter_down'):
    np.testing.assert_allclose(FILTER, fixture[f'out/{name}'].ravel(), atol=1e-7)
  params = {'params': vocoder.params['resblocks_0']['activations_0']}
  y = AntiAliasedSnake().apply(params, x)
  np.testing.assert_allclose(y.transpose(0, 2, 1), fixture['out/act_in_block0'], atol=1e-5, rtol=1e-5)


def test_polynomial_sine_is_a_sine_far_from_zero_too():
  x = np.linspace(-3000, 3000, 100_001).astype(np.float32)
  np.testing.assert_allclose(squared_sine(x), np.sin(x.astype(np.float64)) ** 2, atol=2e-7)


@pytest.mark.slow
def test_sound_does_not_depend_on_the_padding_of_a_batch(fixture, vocoder):
  mel = fixture['in/mel'].transpose(0, 2, 1)
  batch = np.concatenate([mel, np.full((2, 9, mel.shape[-1]), 7.0, np.float32)], axis=1)
  lengths = np.array([24, 11], np.int32)
  apply = jax.jit(vocoder.module.apply)
  waves = np.asarray(apply({'params': vocoder.params}, batch, lengths))
  whole, short = fixture['out/wav'][0, 0], apply({'params': vocoder.params}, mel[1:, :11])[0]
  for wave, alone in zip(waves, (whole, short), strict=True):
    np.testing.assert_allclose(wave[: len(alone)], alone, atol=1e-5, rtol=1e-5)
    assert not wave[len(alone) :].any()


@pytest.mark.parametrize('mel', [np.zeros((5, 100)), np.zeros(80), np.full((5, 80), np.nan)])
def test_mel_of_other_bands_or_with_holes_is_refused(vocoder, mel):
  with pytest.raises(BadInput, match='mel'):
    vocoder.vocode(mel)


def test_published_config_has_as_many_weights_as_was_published():
  from dubber_jax.vocoder.bigvgan import BigVGAN

  shapes = expected_shapes(BigVGAN(PUBLISHED['bigvgan_v2_22khz_80band_fmax8k_256x']))
  assert round(sum(np.prod(s) for s in shapes.values()) / 1e6, 1) == 112.2
  hops = {name: config.hop for name, config in PUBLISHED.items()}
  assert {name for name, hop in hops.items() if hop != 256} == {'bigvgan_v2_44khz_128band_512x'}
  assert hops['bigvgan_v2_44khz_128band_512x'] == 512


def test_written_vocoder_is_read_back_as_it_was(vocoder, tmp_path):
  write_vocoder(vocoder, tmp_path)
  again = read_vocoder(tmp_path)
  assert (again.name, again.config) == (vocoder.name, vocoder.config)
  jax.tree.map(np.testing.assert_array_equal, again.params, vocoder.params)
  weights = tmp_path / 'model.safetensors'
  weights.write_bytes(weights.read_bytes()[:-100])
  with pytest.raises(BadInput, match='cannot be read'):
    read_vocoder(tmp_path)


@pytest.mark.parametrize(
  'change',
  [
    {'activation': 'snake'},
    {'resblock': '2'},
    {'upsample_rates': [4]},
    {'upsample_rates': 4},
    {'upsample_rates': ['a', 2]},
    {'upsample_initial_channel': 2},
  ],
)
def test_config_that_no_generator_here_can_be_is_refused(fixture, change):
  with pytest.raises(BadInput, match='config.json'):
    read_config('bigvgan', json.loads(str(fixture['cfg'])) | change, 'config.json')
