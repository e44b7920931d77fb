import os

import pytest

from dubber_jax.errors import BadInput
from dubber_jax.storage.distinct import check_distinct


@pytest.fixture
def film(tmp_path):
  path = tmp_path / 'film.mp4'
  path.write_bytes(b'film')
  return path


def test_an_output_may_not_be_an_input_by_any_name(film, tmp_path, monkeypatch):
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'link.mp4').symlink_to(film)
  os.link(film, tmp_path / 'hard.mp4')
  (tmp_path / 'linked').symlink_to(tmp_path)
  monkeypatch.chdir(tmp_path / 'folder')
  for name in ('../film.mp4', tmp_path / 'link.mp4', tmp_path / 'hard.mp4', tmp_path / 'linked' / 'film.mp4'):
    with pytest.raises(BadInput, match='--json .* is the film too'):
      check_distinct({'the film': film}, {'--json': name})
  check_distinct({'the film': film}, {'--json': 'film.mp4'})


def test_two_outputs_may_not_be_one_file_however_it_is_spelled(tmp_path):
  for first, second in (('a.json', 'a.json'), ('a.json', './A.JSON'), ('caf\u00e9.mp4', 'cafe\u0301.mp4')):
    with pytest.raises(BadInput, match='one file'):
      check_distinct({}, {'-o': tmp_path / first, '--json': tmp_path / second})
  check_distinct({}, {'-o': tmp_path / 'a.json', '--json': tmp_path / 'b' / 'a.json', 'the report': None})
  (tmp_path / 'a').touch()
  (tmp_path / 'A').touch()
  if len(list(tmp_path.iterdir())) == 2:  # a file system on which these are two
    check_distinct({}, {'-o': tmp_path / 'a', '--json': tmp_path / 'A'})


def test_a_link_that_leads_nowhere_yet_is_what_it_leads_to(tmp_path):
  (tmp_path / 'link').symlink_to(tmp_path / 'out.mp4')
  with pytest.raises(BadInput, match='one file'):
    check_distinct({}, {'-o': tmp_path / 'out.mp4', '--json': tmp_path / 'link'})


def test_a_folder_that_is_replaced_may_not_hold_an_input(film, tmp_path):
  (tmp_path / 'other').mkdir()
  for folder in (tmp_path, tmp_path / 'other' / '..'):
    with pytest.raises(BadInput, match='holds the checkpoint'):
      check_distinct({'the checkpoint': film}, {}, {'-o': folder})
  with pytest.raises(BadInput, match='holds'):
    check_distinct({}, {'--json': tmp_path / 'other' / 'a.json'}, {'-o': tmp_path / 'other'})
  check_distinct({'the checkpoint': film}, {}, {'-o': tmp_path / 'other'})


def test_an_output_may_not_be_a_part_of_an_input_folder(tmp_path):
  (tmp_path / 'model').mkdir()
  (tmp_path / 'model' / 'config.json').touch()
  with pytest.raises(BadInput, match='part of'):
    check_distinct({'--model': tmp_path / 'model'}, {'--json': tmp_path / 'model' / 'config.json'})
  check_distinct({'--model': tmp_path / 'model'}, {'--json': tmp_path / 'model' / 'new.json'})
