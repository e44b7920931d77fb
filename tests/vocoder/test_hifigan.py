"""HiFi-GAN against a slow generator in NumPy, written with loops from the paper and PyTorch's definitions."""

import jax
import numpy as np
import pytest

from dubber_jax.convert.vocoders import from_torch, torch_shapes
from dubber_jax.vocoder.hifigan import PUBLISHED, HiFiGAN, HiFiGANConfig
from dubber_jax.vocoder.neural import NeuralVocoder, expected_shapes

TWO = HiFiGANConfig(
  upsample_rates=(4, 2),
  upsample_kernel_sizes=(8, 4),
  upsample_initial_channel=16,
  resblock_kernel_sizes=(3, 5),
  resblock_dilation_sizes=((1, 3), (1, 5)),
  num_mels=6,
)
ONE = HiFiGANConfig(
  resblock='2',
  upsample_rates=(3,),
  upsample_kernel_sizes=(7,),
  upsample_initial_channel=8,
  resblock_kernel_sizes=(3,),
  resblock_dilation_sizes=((2, 4),),
  num_mels=5,
)


def slow_conv(x_ct, weight_oik, bias, dilation=1):
  outputs, _, kernel = weight_oik.shape
  reach = dilation * (kernel - 1) // 2
  y = np.tile(bias[:, None], (1, x_ct.shape[1])).astype(np.float64)
  for t in range(x_ct.shape[1]):
    for j in range(kernel):
      source = t + j * dilation - reach
      if 0 <= source < x_ct.shape[1]:
        y[:, t] += weight_oik[:, :, j] @ x_ct[:, source]
  return y


def slow_transposed_conv(x_ct, weight_iok, bias, stride):
  kernel, length = weight_iok.shape[2], x_ct.shape[1]
  full = np.zeros((weight_iok.shape[1], (length - 1) * stride + kernel))
  for t in range(length):
    for j in range(kernel):
      full[:, t * stride + j] += weight_iok[:, :, j].T @ x_ct[:, t]
  cut = (kernel - stride) // 2
  return full[:, cut : full.shape[1] - cut] + bias[:, None]


def slow_generator(state, config, mel_mt):
  def lrelu(x, slope=0.1):
    return np.where(x > 0, x, slope * x)

  def conv(x, name, dilation=1):
    return slow_conv(x, state[f'{name}.weight'], state[f'{name}.bias'], dilation)

  x = conv(mel_mt, 'conv_pre')
  number = len(config.resblock_kernel_sizes)
  for i, rate in enumerate(config.upsample_rates):
    x = slow_transposed_conv(lrelu(x), state[f'ups.{i}.weight'], state[f'ups.{i}.bias'], rate)
    outputs = []
    for j, dilations in enumerate(config.resblock_dilation_sizes):
      y, block = x, f'resblocks.{i * number + j}'
      for n, dilation in enumerate(dilations):
        if config.resblock == '1':
          y = y + conv(lrelu(conv(lrelu(y), f'{block}.convs1.{n}', dilation)), f'{block}.convs2.{n}')
        else:
          y = y + conv(lrelu(y), f'{block}.convs.{n}', dilation)
      outputs.append(y)
    x = sum(outputs) / number
  return np.tanh(conv(lrelu(x, 0.01), 'conv_post'))[0]


def random_state(config, rng):
  return {
    k: rng.normal(scale=1 / np.sqrt(np.prod(s[1:])) if len(s) == 3 else 0.1, size=s).astype(np.float32)
    for k, s in torch_shapes('hifigan', config).items()
  }


@pytest.mark.parametrize('config', [TWO, ONE], ids=['resblock 1', 'resblock 2'])
def test_wave_equals_the_slow_generator(config):
  rng = np.random.default_rng(3)
  state, mel = random_state(config, rng), rng.normal(size=(12, config.num_mels)).astype(np.float32)
  vocoder = NeuralVocoder('hifigan', config, from_torch(state, 'hifigan', config))
  slow = slow_generator(state, config, mel.T)
  assert np.abs(slow).std() > 1e-3
  apply = jax.jit(vocoder.module.apply)
  np.testing.assert_allclose(apply({'params': vocoder.params}, mel[None])[0], slow, atol=2e-6)
  np.testing.assert_allclose(vocoder.vocode(mel), slow, atol=2e-6)  # padded to a longer length inside


def test_universal_v1_has_as_many_weights_as_was_published():
  shapes = expected_shapes(HiFiGAN(PUBLISHED['hifigan_universal_v1']))
  assert round(sum(np.prod(s) for s in shapes.values()) / 1e6, 2) == 13.93
  assert PUBLISHED['hifigan_v3'].hop == 256
