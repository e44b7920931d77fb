from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from dubber_jax.storage import programs
from dubber_jax.storage.programs import KeptProgram, kept_shapes


@pytest.fixture
def kept(tmp_path, monkeypatch):
  """A cache folder of its own, with programs kept."""
  monkeypatch.setenv('DUBBER_CACHE', str(tmp_path))
  monkeypatch.setenv(programs.SWITCH, '1')
  return tmp_path / 'programs'


@pytest.fixture
def program():
  """A function of a key -> (program, list that grows with each trace)."""
  traced = []

  def make(key='a', factor=2.0):
    def double(weights, x):
      traced.append(key)
      return {'y': weights['w'] * factor * x}

    return KeptProgram('double', key, double)

  return make, traced


WEIGHTS = {'w': np.float32([1, 2, 3])}


def test_program_that_was_kept_is_not_traced_again(kept, program):
  make, traced = program
  for _ in range(2):
    result = make()(WEIGHTS, np.float32(10))
    np.testing.assert_array_equal(result['y'], [20, 40, 60])
  assert traced == ['a'] and len([*kept.iterdir()]) == 1


def test_program_that_several_threads_ask_for_is_compiled_once_and_leaves_xlas_cache_as_it_was(kept, program):
  make, traced = program
  one, enabled = make(), jax.config.values['jax_enable_compilation_cache']
  shapes = [np.ones(1 + i % 3, np.float32) for i in range(9)]
  with ThreadPoolExecutor(9) as pool:
    results = list(pool.map(lambda x: one({'w': x}, np.float32(3))['y'], shapes))
  for result, x in zip(results, shapes, strict=True):
    np.testing.assert_array_equal(result, 6 * x)
  assert len(traced) == 3 and len([*kept.iterdir()]) == 3
  assert jax.config.values['jax_enable_compilation_cache'] == enabled


def test_other_keys_shapes_and_types_are_other_programs(kept, program):
  make, traced = program
  make()(WEIGHTS, np.float32(10))
  other = make('b', 3.0)(WEIGHTS, np.float32(10))
  np.testing.assert_array_equal(other['y'], [30, 60, 90])
  make()(WEIGHTS, np.float32([1, 1, 1]))
  make()({'w': np.int32([1, 2, 3])}, np.float32(10))
  assert len(traced) == 4 and len([*kept.iterdir()]) == 4


def test_damaged_file_is_compiled_again(kept, program):
  make, traced = program
  make()(WEIGHTS, np.float32(10))
  (file,) = kept.iterdir()
  file.write_bytes(file.read_bytes()[:100])
  np.testing.assert_array_equal(make()(WEIGHTS, np.float32(10))['y'], [20, 40, 60])
  assert len(traced) == 2


def test_file_that_cannot_be_run_is_compiled_again(kept, program, monkeypatch):
  make, traced = program
  make()(WEIGHTS, np.float32(10))

  def broken(*_):
    raise RuntimeError('NOT_FOUND: Function fusion.1 not found')

  monkeypatch.setattr(programs, '_load', lambda path: broken)
  np.testing.assert_array_equal(make()(WEIGHTS, np.float32(10))['y'], [20, 40, 60])
  assert len(traced) == 2


def test_what_is_kept_does_not_come_from_the_cache_of_xla(kept, program, tmp_path, monkeypatch):
  settings = {
    'jax_compilation_cache_dir': str(tmp_path / 'xla'),
    'jax_persistent_cache_min_compile_time_secs': 0.0,
    'jax_persistent_cache_min_entry_size_bytes': -1,
  }
  before = {name: getattr(jax.config, name) for name in settings}
  hits = []
  jax.monitoring.register_event_listener(lambda event, **_: hits.append(event) if 'cache_hits' in event else None)
  make, _ = program
  try:
    for name, value in settings.items():
      jax.config.update(name, value)
    compilation_cache.reset_cache()
    make().jitted(WEIGHTS, np.float32(10))  # fills the cache of XLA
    assert [*(tmp_path / 'xla').iterdir()]
    make()(WEIGHTS, np.float32(10))
    assert not hits and len([*kept.iterdir()]) == 1
    jax.clear_caches()
    make().jitted(WEIGHTS, np.float32(10))
    assert hits  # it is in use as before
  finally:
    for name, value in before.items():
      jax.config.update(name, value)
    compilation_cache.reset_cache()


def test_program_of_other_code_is_not_taken(kept, program, monkeypatch):
  make, traced = program
  make()(WEIGHTS, np.float32(10))
  monkeypatch.setattr(programs, '_environment', lambda: 'another version')
  make()(WEIGHTS, np.float32(10))
  assert len(traced) == 2


def test_nothing_is_kept_unasked(kept, program, monkeypatch):
  monkeypatch.delenv(programs.SWITCH)
  make, _ = program
  make()(WEIGHTS, np.float32(10))
  assert not kept.exists()


def test_shapes_are_made_once(kept):
  made = []

  def make():
    made.append(1)
    return {'a/kernel': np.zeros((2, 3)), 'b': np.zeros(()), 'c': (4,)}

  for _ in range(2):
    assert kept_shapes('net', 'key', make) == {'a/kernel': (2, 3), 'b': (), 'c': (4,)}
  assert len(made) == 1
