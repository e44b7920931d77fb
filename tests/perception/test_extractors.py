import json

import pytest

from dubber_jax.errors import BadInput
from dubber_jax.perception.analyze import Extractors
from dubber_jax.perception.extractors import extractor_identity, import_or_explain, package_file


def test_identity_of_an_extractor_a_mapping_and_a_name():
  identity = extractor_identity(Extractors().face)
  assert identity.keys() == {'name', 'version', 'width'}
  assert extractor_identity(identity | {'speed': 1}) == identity
  assert extractor_identity('minilm') == {'name': 'minilm'}
  assert json.loads(json.dumps(Extractors().manifest()))['face'] == identity


def test_missing_file_or_module_says_what_to_install():
  with pytest.raises(BadInput, match='a test needs numpy/no_such_file.*pip install'):
    package_file('numpy', 'no_such_file', 'a test')
  with pytest.raises(BadInput, match='a test needs the Python module no_such_module.*pip install'):
    import_or_explain('no_such_module', 'a test')
