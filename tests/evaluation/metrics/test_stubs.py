import sys

import pytest

from dubber_jax.evaluation.metrics.stubs import stub_module


def test_a_missing_module_is_there_in_the_context_alone():
  with stub_module('no_such_module', answer=42):
    import no_such_module

    assert no_such_module.answer == 42
  assert 'no_such_module' not in sys.modules


def test_an_installed_module_stays_unless_it_is_to_be_replaced():
  sys.modules.pop('this', None)
  with stub_module('colorsys', answer=42):
    import colorsys

    assert hasattr(colorsys, 'rgb_to_hsv')
  with stub_module('this', replace=True, answer=42):
    import this

    assert this.answer == 42


def test_the_stub_goes_when_the_import_fails():
  with pytest.raises(ImportError), stub_module('no_such_module'):
    raise ImportError
  assert 'no_such_module' not in sys.modules
