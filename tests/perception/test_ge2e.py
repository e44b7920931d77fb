from pathlib import Path

import flax.traverse_util
import jax
import numpy as np
import pytest

from dubber_jax.cli.main import main
from dubber_jax.convert.checkpoints import write_state_dict
from dubber_jax.convert.speaker_encoder import from_torch, to_torch_state
from dubber_jax.errors import BadInput
from dubber_jax.perception.extractors import SpeakerExtractor
from dubber_jax.perception.ge2e import GE2E, GE2ESpeaker, expected_shapes, network_params, partial_mels

REFERENCE = (
  Path(__file__).parents[1] / 'reference_parity' / 'fixtures' / 'ge2e.npz'
)  # of PyTorch's LSTM, with the weights below
SHAPES = {
  f'lstm.{kind}_l{i}': shape
  for i in range(3)
  for kind, shape in {
    'weight_ih': (1024, 256 if i else 40),
    'weight_hh': (1024, 256),
    'bias_ih': (1024,),
    'bias_hh': (1024,),
  }.items()
} | {'linear.weight': (256, 256), 'linear.bias': (256,)}


@pytest.fixture(scope='module')
def state():
  rng = np.random.RandomState(0)
  return {key: rng.uniform(-0.12, 0.12, shape).astype(np.float32) for key, shape in SHAPES.items()}


def test_network_computes_what_pytorch_does(state):
  stored = np.load(REFERENCE)
  ours = GE2E().apply({'params': network_params(from_torch(state))}, stored['mel'])
  np.testing.assert_allclose(ours, stored['embedding'], atol=1e-6)


def test_conversion_is_invertible(state):
  back = to_torch_state(from_torch(state))
  assert back.keys() == state.keys()
  for key in state:
    np.testing.assert_array_equal(back[key], state[key])


@pytest.mark.parametrize('seconds, partials', [(0.5, 1), (1.9, 1), (2.0, 2), (2.6, 2), (5.0, 5)])
def test_partial_utterances_cover_the_speech(seconds, partials):
  assert partial_mels(np.ones(round(16000 * seconds), np.float32)).shape == (partials, 160, 40)


def test_converted_checkpoint_is_a_speaker_extractor(state, tmp_path):
  write_state_dict(state | {'similarity_weight': np.ones(1, np.float32)}, tmp_path / 'pretrained.safetensors')
  assert main(['convert', str(tmp_path / 'pretrained.safetensors'), '-o', str(tmp_path / 'ge2e')]) == 0
  speaker = GE2ESpeaker(tmp_path / 'ge2e')
  assert isinstance(speaker, SpeakerExtractor)
  wave = np.random.default_rng(0).normal(0, 0.1, 30000).astype(np.float32)
  vector = speaker.embed_speech(wave)
  assert vector.shape == (256,) and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
  np.testing.assert_allclose(vector, GE2ESpeaker(params=from_torch(state)).embed_speech(wave), atol=1e-6)
  assert speaker.version == GE2ESpeaker(params=from_torch(state)).version


def test_silence_short_sounds_and_other_folders_are_refused(state, tmp_path):
  speaker = GE2ESpeaker(params=from_torch(state))
  for wave in (np.zeros(16000), np.ones(100), np.full(16000, np.nan), np.ones((2, 16000))):
    with pytest.raises(BadInput, match='voice|silent'):
      speaker.embed(wave, 16000)
  with pytest.raises(BadInput, match='dubber convert'):
    GE2ESpeaker(tmp_path)
  with pytest.raises(BadInput, match='not weights of GE2E'):
    GE2ESpeaker(params=from_torch(state | {'linear.bias': np.zeros(3, np.float32)}))


def test_stored_layout_and_network_have_as_many_weights(state):
  stored = from_torch(state)
  shapes = {'/'.join(k): v.shape for k, v in flax.traverse_util.flatten_dict(stored).items()}
  assert shapes == expected_shapes()
  expected = jax.eval_shape(lambda: GE2E().init(jax.random.key(0), np.zeros((1, 4, 40), np.float32)))['params']
  assert jax.tree.map(np.shape, network_params(stored)) == jax.tree.map(np.shape, expected)
