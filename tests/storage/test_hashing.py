import numpy as np

from dubber_jax.storage.hashing import (
  content_key,
  sha256_bytes,
  sha256_file,
  sha256_json,
  sha256_named_arrays,
  sha256_text,
)

ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'  # of 'abc', FIPS 180-4


def test_bytes_text_and_file_of_the_same_content_have_the_standard_hash(tmp_path):
  (tmp_path / 'file').write_bytes(b'abc')
  assert {sha256_bytes(b'abc'), sha256_bytes(b'a', b'bc'), sha256_text('abc'), sha256_file(tmp_path / 'file')} == {ABC}


def test_json_is_hashed_without_regard_to_the_order_of_keys():
  assert sha256_json({'b': 1, 'a': [2]}) == sha256_json({'a': [2], 'b': 1}) == sha256_text('{"a": [2], "b": 1}')
  assert sha256_json({'a': 1}) != sha256_json({'a': 2})


def test_named_arrays_differ_by_name_type_shape_and_content():
  flat = np.arange(4, dtype=np.int32)
  variants = [{'x': flat}, {'y': flat}, {'x': flat.reshape(2, 2)}, {'x': flat.view(np.uint32)}, {'x': flat[::-1]}]
  assert len({sha256_named_arrays(arrays) for arrays in variants}) == len(variants)
  assert sha256_named_arrays({'x': flat.reshape(2, 2).T.copy()}) == sha256_named_arrays({'x': flat.reshape(2, 2).T})


def test_stored_hashes_of_arrays_stay_what_they_are():
  """Caches and resumed runs compare these with what earlier versions stored."""
  arrays = {"['w']": np.arange(6, dtype=np.float32).reshape(2, 3), "['step']": np.int32(7)}
  assert sha256_named_arrays(arrays)[:16] == '38582c9ef7984535'
  assert content_key('name', 1, np.arange(3, dtype=np.uint8)) == 'd1332b8ad487ea82d5417e228bd7ee99c3d1e9b9'
