import json
import os
import shutil
from types import SimpleNamespace

import pytest

from dubber_jax.dubbing.project_paths import check_moved, file_stamp, find_film, located, portable
from dubber_jax.errors import BadInput
from dubber_jax.storage.assets import ASSETS
from dubber_jax.storage.hashing import sha256_file


@pytest.fixture
def place(tmp_path):
  """A folder with a film, what a dub wrote, and the project's folder."""
  folder = tmp_path / 'work' / 'dubbed.project'
  folder.mkdir(parents=True)
  (tmp_path / 'work' / 'film.mp4').write_bytes(b'the film')
  (tmp_path / 'work' / 'dubbed.mp4').write_bytes(b'the dub')
  return folder


def fields(place):
  work = place.parent
  return {
    'film': str(work / 'film.mp4'),
    'model': str(ASSETS / 'first_voice'),
    'library': '',
    'background': 'separate',
    'out': str(work / 'dubbed.mp4'),
    'json': None,
    'wrote': [str(work / 'dubbed.mp4')],
  }


def state_of(place, film=None):
  film = film or place.parent / 'film.mp4'
  hashed = sha256_file(film)[:16]
  return SimpleNamespace(film=str(film), film_hash=hashed, film_stamp=file_stamp(film), audio_track=None)


def test_stored_paths_name_no_place_of_this_machine_but_where_the_project_was(place):
  stored = portable(fields(place), place)
  assert stored.pop('place') == str(place)
  assert str(place.parent) not in json.dumps(stored) and str(ASSETS) not in json.dumps(stored)
  assert stored['film'] == '../film.mp4' and stored['background'] == 'separate'


def test_paths_come_back_and_follow_a_project_that_is_moved(place, tmp_path):
  stored = portable(fields(place), place)
  assert {name: located(stored, place)[name] for name in fields(place)} == fields(place)
  moved = tmp_path / 'elsewhere'
  shutil.move(place.parent, moved)
  assert located(stored, moved / place.name)['film'] == str(moved / 'film.mp4')


def test_what_is_far_away_and_what_older_versions_wrote_stays_absolute(place):
  far = fields(place) | {'film': '/a/b/c/film.mp4', 'background': '/music/score.wav'}
  stored = portable(far, place)
  assert stored['film'] == '/a/b/c/film.mp4' and located(stored, place)['background'] == '/music/score.wav'
  assert located(far, place) == far


def test_file_in_the_project_with_the_name_of_a_background_is_still_a_file(place):
  stored = portable(fields(place) | {'background': str(place / 'separate')}, place)
  assert located(stored, place)['background'] == str(place / 'separate')


def test_film_is_found_where_it_was_and_beside_a_project_that_was_moved(place, tmp_path):
  state = state_of(place)
  assert find_film(state, place).path == place.parent / 'film.mp4'
  (tmp_path / 'new').mkdir()
  shutil.move(place, tmp_path / 'new' / 'dubbed.project')
  shutil.move(place.parent / 'film.mp4', tmp_path / 'new' / 'film.mp4')
  assert find_film(state, tmp_path / 'new' / 'dubbed.project').path == tmp_path / 'new' / 'film.mp4'


def test_missing_film_is_told_with_the_option_that_names_it(place, tmp_path):
  state = state_of(place)
  os.rename(place.parent / 'film.mp4', tmp_path / 'other name.mp4')
  with pytest.raises(BadInput, match='is not there; give its place by --film PATH'):
    find_film(state, place)
  assert find_film(state, place, tmp_path / 'other name.mp4').path == tmp_path / 'other name.mp4'


def test_another_film_of_that_name_is_told(place):
  state = state_of(place)
  (place.parent / 'film.mp4').write_bytes(b'a new cut')
  with pytest.raises(BadInput, match='not the film that .* was made of'):
    find_film(state, place)


def test_film_that_was_only_touched_or_copied_is_still_the_film(place):
  state = state_of(place)
  os.utime(place.parent / 'film.mp4', (1, 1))
  assert find_film(state, place).path == place.parent / 'film.mp4'


def test_moved_project_writes_over_no_file_that_is_not_its_own(place, tmp_path):
  stored = portable(fields(place), place)
  check_moved(stored, place)
  moved = tmp_path / 'new' / 'dubbed.project'
  shutil.copytree(place, moved)
  check_moved(stored, moved)  # nothing is there
  shutil.copy(place.parent / 'dubbed.mp4', moved.parent)
  check_moved(stored, moved)  # what it wrote came along
  (moved.parent / 'dubbed.mp4').write_bytes(b"somebody else's film")
  with pytest.raises(BadInput, match='is not what it wrote: give another name by -o'):
    check_moved(stored, moved)
