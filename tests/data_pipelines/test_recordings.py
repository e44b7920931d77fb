"""Where the data sets are looked for."""

from pathlib import Path

import pytest

from data_pipelines import recordings
from data_pipelines.recordings import data_root
from dubber_jax.errors import BadInput


def test_data_lie_beside_the_checkout_wherever_the_package_was_installed(tmp_path, monkeypatch):
  installed = tmp_path / 'lib' / 'site-packages' / 'data_pipelines' / 'recordings.py'
  monkeypatch.setattr(recordings, '__file__', str(installed))
  monkeypatch.delenv('DUBBER_DATA', raising=False)
  (tmp_path / 'work' / 'checkout').mkdir(parents=True)
  monkeypatch.chdir(tmp_path / 'work' / 'checkout')
  with pytest.raises(BadInput, match='DUBBER_DATA'):
    data_root()
  (tmp_path / 'work' / 'shared' / 'data').mkdir(parents=True)
  assert data_root() == Path.cwd().parent / 'shared' / 'data'


def test_a_folder_that_was_named_comes_first(tmp_path, monkeypatch):
  monkeypatch.setenv('DUBBER_DATA', str(tmp_path))
  assert data_root() == tmp_path
  with pytest.raises(BadInput, match='nowhere'):
    data_root(str(tmp_path / 'nowhere'))
