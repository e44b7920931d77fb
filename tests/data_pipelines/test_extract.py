import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from synthetic import made_up_features, made_up_recordings

from data_pipelines.extract import ExtractionJob, WorkFolder, extract_all
from dubber_jax.errors import BadInput

needs_beam = pytest.mark.skipif(
  find_spec('apache_beam') is None, reason="needs Apache Beam: pip install 'dubber_jax[beam]'"
)
RUNNERS = [None, pytest.param('', marks=needs_beam)]


def work(folder):
  return ExtractionJob(WorkFolder(folder), features=made_up_features)


def results(folder):
  """Every number that was extracted, by file."""
  return {p.name: {k: v.tolist() for k, v in np.load(p).items()} for p in sorted(folder.glob('*.npz'))}


@pytest.mark.parametrize('beam', RUNNERS)
def test_bad_recordings_are_listed_with_the_reason_and_the_rest_is_done(tmp_path, beam):
  recordings = made_up_recordings(tmp_path, 6, {2: 'bad', 3: 'broken'})
  skipped = extract_all(recordings, work(tmp_path / 'work'), beam=beam)
  assert [row['key'] for row in skipped] == ['made-up/speaker_0/2', 'made-up/speaker_1/3']
  assert 'nobody speaks' in skipped[0]['why'] and 'ZeroDivisionError' in skipped[1]['why']
  assert len(results(tmp_path / 'work')) == 4


@pytest.mark.slow
@pytest.mark.parametrize('beam', [None, pytest.param('', marks=[needs_beam, pytest.mark.slow])])
def test_killed_extraction_goes_on_and_ends_as_an_unkilled_one(tmp_path, beam, monkeypatch):
  recordings = made_up_recordings(tmp_path, 12, {5: 'bad', 7: 'killer'})
  tally = tmp_path / 'tally'
  code = f"""
import sys
sys.path[:0] = {[os.path.dirname(__file__), *sys.path]!r}
from pathlib import Path
from test_extract import *
recordings = made_up_recordings({str(tmp_path)!r}, 12, {{5: 'bad', 7: 'killer'}})
extract_all(recordings, work(Path({str(tmp_path / 'work')!r})), beam={beam!r})
"""
  run = [sys.executable, '-c', code]
  first = subprocess.run(run, env=os.environ | {'TALLY': str(tally)}, capture_output=True, timeout=120, check=False)
  assert first.returncode == -9, first.stderr[-2000:]
  before = set(tally.read_text().split())
  monkeypatch.setenv('TALLY', str(tally))
  skipped = extract_all(recordings, work(tmp_path / 'work'), beam=beam)
  assert [row['key'] for row in skipped] == ['made-up/speaker_1/5']
  tries = tally.read_text().split()
  assert sorted(set(tries)) == sorted(r.id for r in recordings)
  assert {i for i in before if tries.count(i) > 1} == {'7'}  # what was done is not done again
  monkeypatch.delenv('TALLY')
  extract_all(recordings, work(tmp_path / 'unkilled'), workers=2 if beam is None else 1)  # Beam's are the same too
  assert results(tmp_path / 'work') == results(tmp_path / 'unkilled')


def test_nothing_usable_is_an_error(tmp_path):
  with pytest.raises(BadInput, match='none of 2 recordings'):
    extract_all(made_up_recordings(tmp_path, 2, {0: 'bad', 1: 'bad'}), work(tmp_path / 'work'))


def test_second_process_in_one_folder_is_refused(tmp_path):
  import fcntl

  (tmp_path / 'work').mkdir()
  with open(tmp_path / 'work' / '.lock', 'w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(BadInput, match='another process'):
      extract_all(made_up_recordings(tmp_path, 2), work(tmp_path / 'work'))


def test_beam_that_is_not_installed_is_asked_for(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'apache_beam', None)
  with pytest.raises(BadInput, match='beam'):
    extract_all(made_up_recordings(tmp_path, 2), work(tmp_path / 'work'), beam='')
