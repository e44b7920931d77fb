import json

import pytest

from dubber_jax.errors import BadInput
from dubber_jax.storage.checked_folder import changed_file, check_files, new_checked_folder
from dubber_jax.storage.hashing import sha256_text


@pytest.fixture
def folder(tmp_path):
  with new_checked_folder(tmp_path / 'model') as folder:
    (folder / 'part').mkdir()
    (folder / 'part' / 'weights').write_text('numbers')
    (folder / 'card').write_text('a card')
  return tmp_path / 'model'


def test_the_manifest_names_every_file_with_its_hash(folder):
  assert check_files(folder) == {'card': sha256_text('a card'), 'part/weights': sha256_text('numbers')}
  assert json.loads((folder / 'MANIFEST.json').read_text()) == check_files(folder)


def test_a_new_folder_replaces_the_old_one_as_a_whole_or_not_at_all(folder):
  with pytest.raises(RuntimeError), new_checked_folder(folder) as partial:
    (partial / 'card').write_text('half')
    raise RuntimeError
  check_files(folder)
  with new_checked_folder(folder) as partial:
    (partial / 'other').write_text('whole')
  assert check_files(folder) == {'other': sha256_text('whole')} and [*folder.parent.iterdir()] == [folder]


@pytest.mark.parametrize(
  ('damage', 'fault'),
  [
    (lambda f: (f / 'card').unlink(), 'card is missing'),
    (lambda f: (f / 'part' / 'weights').write_text('number'), 'part/weights was changed or cut off'),
    (lambda f: (f / 'MANIFEST.json').write_text('{"card": '), 'MANIFEST.json is damaged'),
    (lambda f: (f / 'MANIFEST.json').write_text('7'), 'MANIFEST.json is damaged'),
    (lambda f: (f / 'MANIFEST.json').unlink(), 'is not a judge .*the folder that its recipe wrote'),
  ],
)
def test_what_does_not_fit_the_manifest_is_named(folder, damage, fault):
  damage(folder)
  with pytest.raises(BadInput, match=fault):
    check_files(folder, kind='a judge', made_by='its recipe')


def test_large_files_are_asked_only_whether_they_exist(folder):
  manifest = check_files(folder)
  (folder / 'part' / 'weights').write_text('another')
  assert changed_file(folder, manifest, largest=6) is None
  assert changed_file(folder, manifest, largest=7)
  (folder / 'part' / 'weights').unlink()
  assert changed_file(folder, manifest, largest=6) == 'part/weights is missing'
