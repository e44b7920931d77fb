import json

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.storage.atomic import (
  atomic_file,
  atomic_folder,
  check_output,
  complete_file,
  complete_folder,
  remove_partials,
  write_json,
)


def test_a_file_appears_only_when_it_is_complete(tmp_path):
  out = tmp_path / 'result.json'
  with complete_file(out) as part:
    part.write_text('{}')
    assert part.suffix == '.json' and part.parent == tmp_path and not out.exists()
  assert out.read_text() == '{}' and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize('failure', [KeyboardInterrupt, ValueError, OSError(28, 'No space left on device')])
def test_whatever_fails_leaves_the_old_file_and_nothing_else(failure, tmp_path):
  out = tmp_path / 'result.json'
  out.write_text('old')
  with pytest.raises((KeyboardInterrupt, ValueError)), complete_file(out, overwrite=True) as part:
    part.write_text('half')
    raise failure
  assert out.read_text() == 'old' and list(tmp_path.iterdir()) == [out]


def test_a_file_that_appeared_meanwhile_is_not_lost(tmp_path):
  out = tmp_path / 'result.json'
  with pytest.raises(BadInput, match='exists'), complete_file(out) as part:
    part.write_text('new')
    out.write_text("someone else's")
  assert out.read_text() == "someone else's" and list(tmp_path.iterdir()) == [out]


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path):
  for place in (tmp_path, tmp_path / 'missing' / 'out.mp4'):
    with pytest.raises(BadInput):
      check_output(place)
  check_output(tmp_path / 'new.mp4')


def test_what_fails_leaves_a_folder_as_it_was_and_success_replaces_it_whole(tmp_path):
  out = tmp_path / 'set'
  out.mkdir()
  (out / 'old').write_text('1')
  with pytest.raises(ValueError), atomic_folder(out) as partial:
    (partial / 'new').write_text('2')
    raise ValueError
  assert [path.name for path in out.iterdir()] == ['old']
  with atomic_folder(out) as partial:
    (partial / 'new').write_text('2')
  assert [path.name for path in out.iterdir()] == ['new'] and [*tmp_path.iterdir()] == [out]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
  out = tmp_path / 'state.json'
  with atomic_file(out) as first, atomic_file(str(out)) as second:
    first.write_text('first')
    second.write_text('second')
    assert first != second
  assert out.read_text() == 'first' and [*tmp_path.iterdir()] == [out]


def test_folders_are_refused_where_they_exist_unless_overwritten(tmp_path):
  with pytest.raises(BadInput, match='--overwrite'), complete_folder(tmp_path):
    pass
  with pytest.raises(BadInput, match='No space left'), complete_folder(tmp_path / 'new'):
    raise OSError(28, 'No space left on device')
  assert [*tmp_path.iterdir()] == []


def test_partials_of_killed_processes_are_removed_and_nothing_else(tmp_path):
  kept = [tmp_path / name for name in ('take.wav', '.hidden', 'a.part', '.other.77.part.wav')]
  for path in kept:
    path.write_text('kept')
  (tmp_path / '.take.77.part.wav').write_text('half')
  (tmp_path / '.take.78.part').mkdir()
  remove_partials(tmp_path, 'take')
  assert sorted(tmp_path.iterdir()) == sorted(kept)
  remove_partials(tmp_path)
  assert sorted(tmp_path.iterdir()) == sorted(kept[:3])


def test_json_holds_arrays_as_lists(tmp_path):
  write_json({'mel': np.ones((1, 2), np.float32), 'path': tmp_path}, tmp_path / 'a.json')
  assert json.loads((tmp_path / 'a.json').read_text()) == {'mel': [[1.0, 1.0]], 'path': str(tmp_path)}
