import ml_dtypes
import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.storage.weights import (
  check_shapes,
  flatten,
  read_arrays,
  read_arrays_and_metadata,
  read_params,
  unflatten,
  write_arrays,
)

PARAMS = {'decoder': {'kernel': np.arange(6, dtype=np.float32).reshape(2, 3)}, 'bias': np.ones(3, np.float32)}


def test_params_come_back_nested_as_float32(tmp_path):
  path = tmp_path / 'model.safetensors'
  write_arrays(path, flatten(PARAMS), ml_dtypes.bfloat16)
  assert path.stat().st_mode & 0o777 == 0o644
  assert read_arrays(path)['bias'].dtype == ml_dtypes.bfloat16
  back = read_params(path, PARAMS)
  assert back['decoder']['kernel'].dtype == np.float32
  np.testing.assert_array_equal(back['decoder']['kernel'], PARAMS['decoder']['kernel'])
  assert flatten(unflatten(flatten(PARAMS))).keys() == {'decoder/kernel', 'bias'}


def test_arrays_of_any_memory_order_and_metadata_come_back(tmp_path):
  path, turned = tmp_path / 'voices.safetensors', np.arange(6.0).reshape(2, 3).T
  write_arrays(path, {'turned': turned}, metadata={'fitted_to': 'abc'})
  arrays, metadata = read_arrays_and_metadata(path)
  np.testing.assert_array_equal(arrays['turned'], turned)
  assert metadata == {'fitted_to': 'abc'}


@pytest.mark.parametrize(
  ('arrays', 'fault'),
  [
    ({'bias': (3,)}, 'decoder/kernel is missing (1 of 2 do not fit)'),
    ({'bias': (3,), 'decoder/kernel': (2, 3), 'extra': ()}, 'extra is not of this model'),
    ({'bias': (3,), 'decoder/kernel': (3, 2)}, 'decoder/kernel has the shape (3, 2), expected (2, 3)'),
  ],
)
def test_weights_of_another_network_are_refused_by_name(arrays, fault):
  with pytest.raises(BadInput) as refusal:
    check_shapes(arrays, flatten(PARAMS), 'model.safetensors', 'convert it again')
  assert str(refusal.value).startswith(f'model.safetensors: {fault}') and 'convert it again' in str(refusal.value)


@pytest.mark.parametrize('content', [None, b'', b'\x10\0\0\0\0\0\0\0{"a":', b'no weights at all'])
def test_a_file_that_cannot_be_read_is_named_with_what_to_do(tmp_path, content):
  path = tmp_path / 'model.safetensors'
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(BadInput, match=r'model\.safetensors: cannot be read .*; download it again$'):
    read_arrays(path, remedy='download it again')
