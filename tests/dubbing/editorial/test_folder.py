"""The folder as a whole, and its cue sheet."""

import csv
import importlib.util
import io
import json
import sys
from fractions import Fraction as F

import numpy as np
import opentimelineio as otio
import pytest
import soundfile

from dubber_jax.dubbing.editorial import frames
from dubber_jax.dubbing.editorial.cue_sheet import cue_sheet
from dubber_jax.dubbing.editorial.folder import EditorialFilm, check_editorial, editorial_folder, write_editorial
from dubber_jax.dubbing.editorial.frames import clock_at
from dubber_jax.errors import BadInput
from dubber_jax.media.film import Film


@pytest.fixture
def film(make_film):
  return EditorialFilm(Film(make_film(F(30000, 1001), '00:59:59;28', 3.0)), 'dub', 144_144)


@pytest.fixture
def lines(make_line):
  return [
    make_line(1, 'Good day.', 0.5, 1.2, 'Anna', direction='softly'),
    make_line(2, 'Who, "me"?', 1.0, 2.0, 'Ben', take=2, note='louder'),
    make_line(3, '- Naïve', 1.2, 2.4, 'ANNA', approved=False),
  ]


def names(folder):
  return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


FILES = ['dub.adr.csv', 'dub.edl', 'dub.otio', 'manifest.json', 'stems/Anna.wav', 'stems/Ben.wav']


def test_the_folder_holds_everything_and_its_media_are_found(film, lines, tmp_path):
  folder = editorial_folder(tmp_path / 'dub.mp4')
  bed = (np.zeros((count, 2), np.float32) for count in (480 * 48, 144_144 - 480 * 48))
  assert write_editorial(folder, film, lines, bed) == []
  assert folder.name == 'dub.editorial' and names(folder) == [*FILES, 'stems/music_and_effects.wav'][:6] + [
    'stems/music_and_effects.wav'
  ]
  timeline = otio.adapters.read_from_file(str(folder / 'dub.otio'))
  urls = {clip.media_reference.target_url for clip in timeline.find_clips()}
  assert len(urls) == 4 and all((folder / url).exists() for url in urls)
  assert otio.adapters.read_from_file(str(folder / 'dub.edl'), rate=30000 / 1001).tracks
  for stem in folder.glob('stems/*.wav'):
    info = soundfile.info(stem)
    assert (info.frames, info.samplerate, info.subtype) == (144_144, 48_000, 'PCM_24')


def test_the_cue_sheet_opens_in_a_spreadsheet(film, lines, tmp_path):
  write_editorial(tmp_path / 'e', film, lines)
  data = (tmp_path / 'e' / 'dub.adr.csv').read_bytes()
  assert data.startswith(b'\xef\xbb\xbf') and data.count(b'\r\n') == 4 == data.count(b'\n')
  rows = list(csv.DictReader(io.StringIO(data.decode('utf-8-sig'), newline='')))
  assert [row['Status'] for row in rows] == ['dubbed', 'redone', 'check']
  assert rows[0] | {} == {
    'Cue': '1',
    'Reel': 'film',
    'Character': 'Anna',
    'TC In': '01:00:00;13',
    'TC Out': '01:00:01;04',
    'Duration': '0:21',
    'Text': 'Good day.',
    'Direction': 'softly',
    'Note': '',
    'Take': '1',
    'Status': 'dubbed',
    'Warnings': '',
  }
  assert rows[1]['Text'] == 'Who, "me"?' and rows[1]['Note'] == 'louder' and rows[2]['Text'] == '- Naïve'


def test_another_start_timecode_goes_before_the_film_s_own(film, lines, tmp_path):
  write_editorial(tmp_path / 'e', film, lines, start='10:00:00:00')
  timeline = otio.adapters.read_from_file(str(tmp_path / 'e' / 'dub.otio'))
  assert timeline.global_start_time.value == 36_000 * 30
  with pytest.raises(BadInput, match='timecode'):
    write_editorial(tmp_path / 'e', film, lines, start='99:00:00:00')


def test_writing_again_renews_its_own_files_and_leaves_those_of_others(film, lines, tmp_path):
  folder = tmp_path / 'e'
  write_editorial(folder, film, lines)
  (folder / 'session.ptx').write_text('mine')
  (folder / 'stems' / 'notes.txt').write_text('mine too')
  write_editorial(folder, film, lines[:1])
  assert names(folder) == [*FILES[:4], 'session.ptx', 'stems/Anna.wav', 'stems/notes.txt']
  assert (folder / 'session.ptx').read_text() == 'mine'


def test_a_fault_leaves_the_folder_as_it_was(film, lines, tmp_path):
  folder = tmp_path / 'e'
  write_editorial(folder, film, lines)
  before = {name: (folder / name).read_bytes() for name in names(folder)}

  def broken():
    yield np.zeros(100, np.float32)
    raise OSError(28, 'No space left on device')

  with pytest.raises(BadInput, match='No space left'):
    write_editorial(folder, film, lines[:1], broken())
  assert {name: (folder / name).read_bytes() for name in names(folder)} == before
  assert not [path for path in tmp_path.iterdir() if path.name.startswith('.')]


def test_a_folder_of_somebody_else_is_refused_before_the_work(tmp_path):
  (tmp_path / 'mine').mkdir()
  (tmp_path / 'mine' / 'novel.txt').write_text('...')
  (tmp_path / 'file').write_text('')
  with pytest.raises(BadInput, match='is not empty'):
    check_editorial(tmp_path / 'mine')
  with pytest.raises(BadInput, match='is a file'):
    check_editorial(tmp_path / 'file')
  with pytest.raises(BadInput, match='does not exist'):
    check_editorial(tmp_path / 'no' / 'folder')
  check_editorial(tmp_path / 'mine', overwrite=True)
  check_editorial(tmp_path / 'new')


def test_manifest_names_what_was_written(film, lines, tmp_path):
  write_editorial(tmp_path / 'e', film, lines)
  found = json.loads((tmp_path / 'e' / 'manifest.json').read_text())
  assert sorted(found['files']) == [name for name in FILES if name != 'manifest.json']


def test_lines_of_one_character_do_not_overlap_in_the_sheet(make_line):
  lines = [make_line(i, 'Yes.', i * 0.5, i * 0.5 + 0.51) for i in range(6)]
  rows = list(csv.DictReader(io.StringIO(cue_sheet(lines, clock_at('00:00:00:00', F(24)), 'r').decode('utf-8-sig'))))
  assert all(before['TC Out'] <= after['TC In'] for before, after in zip(rows, rows[1:], strict=False))


@pytest.mark.parametrize('missing', ['opentimelineio', 'otio_cmx3600_adapter'])
def test_a_missing_package_is_told_before_the_work_with_its_extra(tmp_path, monkeypatch, missing):
  find = importlib.util.find_spec
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *more: None if name == missing else find(name, *more))
  if missing == 'opentimelineio':
    monkeypatch.setitem(sys.modules, 'opentimelineio', None)
  frames.import_otio.cache_clear()
  with pytest.raises(BadInput, match=r'pip install "dubber_jax\[editorial\]"'):
    check_editorial(tmp_path / 'e')
