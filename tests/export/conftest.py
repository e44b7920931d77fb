import json

import pytest

from dubber_jax.export import export
from dubber_jax.storage.checked_folder import write_manifest


@pytest.fixture(scope='session')
def artifact(model, tmp_path_factory):
  """The folder of its artifact: one bucket."""
  out = tmp_path_factory.mktemp('artifact') / 'tiny'
  export(model.path, out)
  return out


@pytest.fixture
def change_facts():
  """(artifact, name=value) -> the artifact as if it had been exported so."""

  def change(folder, **facts):
    path = folder / 'programs.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    write_manifest(folder)
    return folder

  return change
