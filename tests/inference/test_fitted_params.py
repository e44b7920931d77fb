import numpy as np

from dubber_jax.inference.fitted_params import fitted_names, moved_params, norms_hash

NAMES = ['decoder/layer/gain_shift/bias', 'decoder/out/gain_shift/bias', 'prosody/out/bias']


def params():
  gain = {'gain_shift': {'bias': np.zeros(4, np.float32), 'kernel': np.ones((2, 4), np.float32)}}
  return {
    'decoder': {'layer': gain, 'out': {'gain_shift': {'bias': np.ones(4, np.float32)}}},
    'prosody': {'out': {'bias': np.zeros(2, np.float32)}},
    'text': {'gain_shift': {'bias': np.zeros(4, np.float32)}},
  }


def test_only_norm_biases_of_the_decoder_and_the_prosody_bias_are_adapted():
  assert fitted_names(params()) == NAMES


def test_actor_without_a_prosody_output_is_not_adapted():
  assert fitted_names({'decoder': params()['decoder']}) == []
  assert fitted_names({'prosody': params()['prosody']}) == []


def test_offsets_are_added_to_their_parameters_and_the_input_stays():
  before = params()
  moved = moved_params(before, {NAMES[0]: np.full(4, 2.0, np.float32)})
  np.testing.assert_array_equal(moved['decoder']['layer']['gain_shift']['bias'], np.full(4, 2.0))
  np.testing.assert_array_equal(moved['decoder']['layer']['gain_shift']['kernel'], np.ones((2, 4)))
  np.testing.assert_array_equal(before['decoder']['layer']['gain_shift']['bias'], np.zeros(4))
  np.testing.assert_array_equal(moved['text']['gain_shift']['bias'], np.zeros(4))


def test_hash_depends_on_the_adapted_parameters_alone():
  same = moved_params(params(), {'text/gain_shift/bias': np.ones(4, np.float32)})
  other = moved_params(params(), {NAMES[2]: np.ones(2, np.float32)})
  assert norms_hash(params()) == norms_hash(same) != norms_hash(other) and len(norms_hash(same)) == 16
