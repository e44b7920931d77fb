import numpy as np
import pytest

from dubber_jax.storage.cache import cached
from dubber_jax.storage.hashing import content_key


class Counting:
  name, version, width = 'counting', '1', 3

  def __init__(self):
    self.calls = 0

  def compute(self):
    self.calls += 1
    return {'vector': np.arange(3, dtype=np.float32), 'caption': 'wörter', 'number': 2, 'words': np.array(['a', 'bc'])}


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.setenv('DUBBER_CACHE', str(tmp_path / 'cache'))
  return tmp_path / 'cache'


def test_second_look_at_the_same_content_computes_nothing(folder):
  extractor, frames = Counting(), np.ones((2, 4), np.uint8)
  first = cached(extractor, (frames,), extractor.compute)
  second = cached(extractor, (frames.copy(),), extractor.compute)
  assert extractor.calls == 1
  np.testing.assert_array_equal(first['vector'], second['vector'])
  assert second['caption'] == 'wörter' and second['number'] == 2 and list(second['words']) == ['a', 'bc']


def test_other_content_or_another_version_is_computed(folder):
  extractor = Counting()
  cached(extractor, (np.ones(3),), extractor.compute)
  cached(extractor, (np.zeros(3),), extractor.compute)
  extractor.version = '2'
  cached(extractor, (np.ones(3),), extractor.compute)
  assert extractor.calls == 3


def test_damaged_entry_is_computed_afresh(folder):
  extractor = Counting()
  cached(extractor, ('x',), extractor.compute)
  (entry,) = folder.rglob('*.npz')
  entry.write_bytes(entry.read_bytes()[:50])
  assert cached(extractor, ('x',), extractor.compute)['number'] == 2
  assert extractor.calls == 2


def test_folder_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
  (tmp_path / 'file').write_text('in the way')
  monkeypatch.setenv('DUBBER_CACHE', str(tmp_path / 'file' / 'cache'))
  extractor = Counting()
  assert cached(extractor, ('x',), extractor.compute)['number'] == 2


def test_shape_and_type_are_part_of_the_content():
  flat = np.zeros(4, np.uint8)
  assert (
    len(
      {
        content_key(flat),
        content_key(flat.reshape(2, 2)),
        content_key(flat.view(np.int8)),
        content_key('0'),
        content_key(0),
      }
    )
    == 5
  )
