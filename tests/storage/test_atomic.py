import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.storage import atomic
from dubber_jax.storage.atomic import (
  atomic_file,
  atomic_folder,
  check_output,
  check_outputs,
  complete_file,
  complete_folder,
  complete_together,
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


def test_an_old_folder_stands_where_the_new_one_cannot_take_its_name(tmp_path, monkeypatch):
  out, replace = tmp_path / 'model', Path.replace
  out.mkdir()
  (out / 'old').touch()
  monkeypatch.setattr(atomic, 'exchange', lambda *_: False)

  def fails(self, target):
    if (self / 'new').exists():
      raise OSError(5, 'Input/output error')
    return replace(self, target)

  monkeypatch.setattr(Path, 'replace', fails)
  with pytest.raises(BadInput, match='Input/output'), complete_folder(out, overwrite=True) as partial:
    (partial / 'new').touch()
  assert [path.name for path in out.iterdir()] == ['old'] and [*tmp_path.iterdir()] == [out]


def test_two_folders_are_exchanged_in_one_step(tmp_path):
  for name in 'ab':
    (tmp_path / name).mkdir()
    (tmp_path / name / f'in_{name}').touch()
  if not atomic.exchange(tmp_path / 'a', tmp_path / 'b'):
    pytest.skip('not on this system')
  assert (tmp_path / 'a' / 'in_b').exists() and (tmp_path / 'b' / 'in_a').exists()
  assert not atomic.exchange(tmp_path / 'a', tmp_path / 'none') and (tmp_path / 'a' / 'in_b').exists()


def test_only_what_the_command_writes_is_replaced(tmp_path):
  (tmp_path / 'photos').mkdir()
  (tmp_path / 'photos' / 'holiday.jpg').touch()
  with pytest.raises(BadInput, match='something else'), complete_folder(tmp_path / 'photos', True, ('config.json',)):
    pass
  assert (tmp_path / 'photos' / 'holiday.jpg').exists()
  with pytest.raises(BadInput, match='file'), complete_folder(tmp_path / 'photos' / 'holiday.jpg', True):
    pass


def test_a_device_is_not_replaced():
  with pytest.raises(BadInput, match='device'):
    check_output('/dev/null', overwrite=True)


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
  events, sync, replace = [], os.fsync, Path.replace
  monkeypatch.setattr(os, 'fsync', lambda handle: (events.append('sync'), sync(handle))[1])
  monkeypatch.setattr(Path, 'replace', lambda self, target: (events.append('rename'), replace(self, target))[1])
  with atomic_file(tmp_path / 'a') as partial:
    partial.write_text('1')
  with atomic_folder(tmp_path / 'b') as partial:
    (partial / 'a').write_text('1')
  renames = [i for i, event in enumerate(events) if event == 'rename']
  assert len(renames) == 2 and all(events[i - 1] == 'sync' for i in renames)


def test_outputs_appear_together_or_not_at_all(tmp_path):
  outs = [tmp_path / 'film.mp4', tmp_path / 'film.wav', tmp_path / 'other' / 'result.json']
  outs[2].parent.mkdir()
  outs[1].write_text('old')
  for failure in (KeyboardInterrupt, OSError(28, 'No space left on device')):
    with pytest.raises((KeyboardInterrupt, BadInput)), complete_together(outs, overwrite=True) as staged:
      staged[outs[0]].write_text('new')
      raise failure
    assert sorted(tmp_path.iterdir()) == [outs[1], outs[2].parent] and outs[1].read_text() == 'old'
  with complete_together(outs, overwrite=True) as staged:
    for path in outs:
      assert staged[path].name == path.name and staged[path].parent.parent == path.parent
      staged[path].write_text('new')
    assert not outs[0].exists() and outs[1].read_text() == 'old'
  assert [path.read_text() for path in outs] == ['new'] * 3
  assert len(list(tmp_path.iterdir())) == 3 and len(list(outs[2].parent.iterdir())) == 1


KILLED = """
import os, sys
from pathlib import Path
from dubber_jax.storage import atomic
replace = Path.replace
def killed(self, target):
  if target.name == sys.argv[2]:
    os._exit(9)
  return replace(self, target)
Path.replace = killed
outs = [Path(sys.argv[1]) / name for name in ('film.mp4', 'film.wav', 'film.html')]
with atomic.complete_together(outs) as staged:
  for path in outs:
    staged[path].write_text('1')
"""


@pytest.mark.parametrize('at', ['film.mp4', 'film.wav'])
def test_outputs_of_a_command_killed_while_it_named_them_do_not_stop_its_rerun(tmp_path, at):
  assert subprocess.run([sys.executable, '-c', KILLED, str(tmp_path), at]).returncode == 9
  assert (tmp_path / 'film.mp4').exists() == (at == 'film.wav') and len(list(tmp_path.glob('.*'))) == 1
  outs = [tmp_path / name for name in ('film.mp4', 'film.wav', 'film.html')]
  check_outputs(outs)
  assert not list(tmp_path.iterdir())


def test_partials_of_processes_that_ended_go_and_those_of_running_ones_stay(tmp_path):
  ended = subprocess.Popen([sys.executable, '-c', ''])
  ended.wait()
  names = [atomic.partial_name('out', '.json') for _ in range(2)]
  names[0] = names[0].replace(f'-{os.getpid()}-', f'-{ended.pid}-')
  for name in names:
    (tmp_path / name).touch()
  write_json({}, tmp_path / 'out.json')
  assert sorted(path.name for path in tmp_path.iterdir()) == sorted([names[1], 'out.json'])
