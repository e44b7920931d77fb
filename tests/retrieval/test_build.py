import json

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.retrieval import build
from dubber_jax.retrieval.build import Entry, build_library, find_footage
from dubber_jax.retrieval.library import EMBEDDINGS, Library, LibraryClip


class TwoNumbers:
  """A reader that needs no pictures or sound: embeds a clip as its text's length. 'bad' cannot be read."""

  extractors = {m: {'name': 'length', 'version': '1', 'width': 2} for m in EMBEDDINGS}

  def __init__(self, stop_at=None):
    self.read, self.stop_at = [], stop_at

  def __call__(self, footage):
    if len(self.read) == self.stop_at:
      raise KeyboardInterrupt
    self.read.append(footage.key)
    if footage.text == 'bad':
      raise BadInput('truncated\nvideo')
    vector = np.array([1, len(footage.text)], np.float32)
    clip = LibraryClip(footage.key, footage.speaker, footage.text, media=footage.media, present=('scene', 'sound'))
    return Entry(clip, {'scene': vector, 'sound': vector}, {'pace': 10.0})


@pytest.fixture
def table(tmp_path):
  rows = [
    {'id': str(i), 'speaker': f's{i % 2}', 'file': f'{i}.wav', 'text': 'bad' if i == 4 else 'x' * i, 'split': 'train'}
    for i in range(10)
  ] + [{'id': 'secret', 'speaker': 's0', 'file': 'secret.wav', 'text': 'held out', 'split': 'test_unseen'}]
  (tmp_path / 'mine.jsonl').write_text('\n'.join(map(json.dumps, rows)))
  return tmp_path / 'mine.jsonl'


def test_library_holds_what_was_read_and_lists_what_was_not(table, tmp_path):
  library = build_library(table, tmp_path / 'lib', progress=False, reader=TwoNumbers(), licence='CC0')
  assert sorted(library.keys) == sorted(f'mine/s{i % 2}/{i}' for i in range(10) if i != 4)
  row = library.keys.tolist().index('mine/s1/7')
  assert library.embeddings['sound'][row].tolist() == [1, 7] and library.clips[row].present == ('scene', 'sound')
  assert np.nan_to_num(library.prosody[row]).tolist() == [10, 0, 0, 0, 0]
  skipped = [json.loads(line) for line in (tmp_path / 'lib' / 'skipped.jsonl').read_text().splitlines()]
  assert skipped == [{'key': 'mine/s0/4', 'file': '4.wav', 'reason': 'truncated video'}]
  assert Library.open(tmp_path / 'lib').manifest['licence'] == 'CC0'


def test_stopped_run_goes_on_where_it_was_and_ends_as_an_unstopped_one(table, tmp_path, monkeypatch):
  monkeypatch.setattr(build, 'SAVE_CLIPS', 2)
  with pytest.raises(KeyboardInterrupt):
    build_library(table, tmp_path / 'lib', progress=False, reader=TwoNumbers(stop_at=7))
  assert not (tmp_path / 'lib').exists()
  again = TwoNumbers()
  library = build_library(table, tmp_path / 'lib', progress=False, reader=again)
  assert len(again.read) == 3
  whole = build_library(table, tmp_path / 'whole', progress=False, reader=TwoNumbers())
  assert library.hash == whole.hash
  assert sorted(p.name for p in tmp_path.iterdir()) == ['lib', 'mine.jsonl', 'whole']


def test_stopped_run_is_not_continued_with_other_extractors(table, tmp_path):
  with pytest.raises(KeyboardInterrupt):
    build_library(table, tmp_path / 'lib', progress=False, reader=TwoNumbers(stop_at=5))
  newer = TwoNumbers()
  newer.extractors = {m: {'name': 'length', 'version': '2', 'width': 2} for m in EMBEDDINGS}
  build_library(table, tmp_path / 'lib', progress=False, reader=newer)
  assert len(newer.read) == 10


def stopped(table, out, at=7):
  with pytest.raises(KeyboardInterrupt):
    build_library(table, out, progress=False, reader=TwoNumbers(stop_at=at))
  return sorted((out.parent / f'.{out.name}.index').glob('part-*.npz'))


def test_a_part_that_is_cut_off_is_read_again_and_no_other_is_lost(table, tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(build, 'SAVE_CLIPS', 2)
  parts = stopped(table, tmp_path / 'lib')
  assert len(parts) > 2
  parts[0].write_bytes(parts[0].read_bytes()[:100])
  parts[1].write_bytes(b'')
  again = TwoNumbers()
  library = build_library(table, tmp_path / 'lib', progress=False, reader=again)
  assert len(library) == 9 and len(again.read) == 3 + 4 and 'damaged' in caplog.text


def test_two_at_once_do_not_meet(table, tmp_path):
  class Second(TwoNumbers):
    def __call__(self, footage):
      if not self.read:
        with pytest.raises(BadInput, match='another dubber is indexing'):
          build_library(table, tmp_path / 'lib', progress=False, reader=TwoNumbers())
      return super().__call__(footage)

  assert len(build_library(table, tmp_path / 'lib', progress=False, reader=Second())) == 9


def test_a_full_disk_is_one_line_and_the_rerun_goes_on(table, tmp_path, monkeypatch):
  monkeypatch.setattr(build, 'SAVE_CLIPS', 4)
  written, savez = [], np.savez

  def full(*given, **arrays):
    written.append(given)
    if len(written) == 2:
      raise OSError(28, 'No space left on device')
    savez(*given, **arrays)

  monkeypatch.setattr(build.np, 'savez', full)
  with pytest.raises(BadInput, match='No space left'):
    build_library(table, tmp_path / 'lib', progress=False, reader=TwoNumbers())
  assert not (tmp_path / 'lib').exists()
  again = TwoNumbers()
  assert len(build_library(table, tmp_path / 'lib', progress=False, reader=again)) == 9 and len(again.read) < 10
  assert not list(tmp_path.glob('.lib*'))


def test_held_out_splits_stay_out_unless_asked_for(table):
  assert all('secret' not in footage.key for footage in find_footage(table)[1])
  assert [f.key for f in find_footage(table, {'split': 'test_unseen'})[1]] == ['mine/s0/secret']
  with pytest.raises(BadInput, match='splits: test_unseen, train'):
    find_footage(table, {'split': 'tset'})


def test_folder_of_clips_takes_lines_from_text_and_subtitles_beside_them(tmp_path):
  folder = tmp_path / 'film'
  (folder / 'ada').mkdir(parents=True)
  for name in ('ada/one.mp4', 'two.WAV', 'three.mkv', 'notes.pdf'):
    (folder / name).touch()
  (folder / 'ada/one.txt').write_text('Come  in.\n')
  cues = ('1\n00:00:01,000 --> 00:00:02,500\nHello.', '2\n00:00:03,000 --> 00:00:04,000\nBye.')
  (folder / 'three.srt').write_text('\n\n'.join(cues) + '\n')
  found = {f.key: f for f in find_footage(folder)[1]}
  assert found['film/ada/one'].text == 'Come in.' and found['film/ada/one'].speaker == 'ada'
  assert found['film//two'].text == ''
  assert (found['film//three#1'].text, found['film//three#1'].start, found['film//three#1'].end) == ('Hello.', 1.0, 2.5)
  assert found['film//three#2'].text == 'Bye.' and len(found) == 4


@pytest.mark.parametrize(
  'content, message',
  [
    ('{"id": "1", "file": "a.wav"}\n{"id": ', 'line 2: not JSON'),
    ('{"id": "1"}', 'line 1: needs'),
    ('[1]', 'line 1: needs'),
    ('{"id": "1", "file": "a.wav", "start": "soon"}', 'line 1: start and end'),
    ('', 'no clip'),
  ],
)
def test_bad_table_is_told_with_its_line(tmp_path, content, message):
  (tmp_path / 'a.jsonl').write_text(content)
  with pytest.raises(BadInput, match=message):
    find_footage(tmp_path / 'a.jsonl')


def test_nothing_readable_and_existing_output_are_bad_input_before_and_after_the_work(tmp_path):
  (tmp_path / 'a.jsonl').write_text('{"id": "1", "file": "a.wav", "text": "bad"}')
  with pytest.raises(BadInput, match='none of the 1 clips .* truncated video'):
    build_library(tmp_path / 'a.jsonl', tmp_path / 'lib', progress=False, reader=TwoNumbers())
  (tmp_path / 'lib').mkdir()
  (tmp_path / 'lib' / 'mine.txt').touch()
  for overwrite in (False, True):
    reader = TwoNumbers()
    with pytest.raises(BadInput):
      build_library(tmp_path / 'a.jsonl', tmp_path / 'lib', progress=False, reader=reader, overwrite=overwrite)
    assert not reader.read


def test_second_clip_of_a_key_is_listed_and_the_first_kept(tmp_path):
  rows = [{'id': '1', 'file': f'{name}.wav', 'text': name} for name in ('first', 'second')]
  (tmp_path / 'a.jsonl').write_text('\n'.join(map(json.dumps, rows)))
  library = build_library(tmp_path / 'a.jsonl', tmp_path / 'lib', progress=False, reader=TwoNumbers())
  assert [clip.text for clip in library.clips] == ['first']
  assert json.loads((tmp_path / 'lib' / 'skipped.jsonl').read_text())['file'] == 'second.wav'


def test_portable_library_holds_neither_words_nor_paths_of_this_machine(table, tmp_path):
  build_library(table, tmp_path / 'lib', progress=False, reader=TwoNumbers(), portable=True)
  held = ''.join((tmp_path / 'lib' / name).read_text() for name in ('clips.jsonl', 'manifest.json'))
  assert str(tmp_path) not in held and 'xxx' not in held


@pytest.mark.filterwarnings('ignore')
def test_films_are_read_as_targets_are_and_bare_sound_from_its_label(data_dir, tmp_path, monkeypatch):
  monkeypatch.setenv('DUBBER_CACHE', str(tmp_path / 'cache'))
  rows = [json.loads(line) for line in (data_dir / 'cremad.jsonl').read_text().splitlines()]
  rows = [row for row in rows if row['id'] in ('1001_DFA_HAP_XX', '1002_DFA_HAP_XX')]
  assert len(rows) == 2
  (tmp_path / 'cremad').symlink_to(data_dir / 'cremad')
  (tmp_path / 'two.jsonl').write_text('\n'.join(map(json.dumps, rows)))
  library = build_library(tmp_path / 'two.jsonl', tmp_path / 'lib', progress=False, only={'split': 'test'})
  assert not (tmp_path / 'lib' / 'skipped.jsonl').exists()
  film, sound = sorted(library.clips, key=lambda clip: clip.key)
  assert film.present == sound.present == EMBEDDINGS
  assert 'happy' in film.captions['face'] and 'happy' not in sound.captions['face']
  assert 1.5 < film.seconds < 2.5 and np.isfinite(library.prosody).all()
  assert library.exemplar(0).media
