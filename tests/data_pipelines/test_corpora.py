import pytest

from data_pipelines.corpora import find_recordings
from data_pipelines.recordings import read_recordings
from dubber_jax.errors import BadInput


def touch(root, *paths):
  for path in paths:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(b'')


def by_id(name, root):
  return {r.id: r for r in find_recordings(name, root)}


def test_grid_is_read_from_its_own_folders(tmp_path):
  touch(tmp_path, 's1/video/mpg_6000/bbaf2n.mpg', 's1/video/mpg_vcd/bbaf2n.mpg', 's4/video/sgia8s.mpg', 's1/notes.mpg')
  (tmp_path / 's1' / 'align').mkdir()
  ends = [0, 23750, 29500, 34000, 35500, 41000, 47250, 53000, 74500]
  words = zip(ends[:-1], ends[1:], 'sil bin blue at f two now sil'.split(), strict=True)
  (tmp_path / 's1' / 'align' / 'bbaf2n.align').write_text(''.join(f'{a} {b} {word}\n' for a, b, word in words))
  found = by_id('grid', tmp_path)
  assert sorted(found) == ['bbaf2n', 'sgia8s']
  one = found['bbaf2n']
  assert (one.key, one.text, one.split, one.has_video) == ('grid/s1/bbaf2n', 'bin blue at F two now', 'train', True)
  assert one.words[1] == (0.95, 1.18, 'bin')
  two = found['sgia8s']
  assert (two.text, two.split, two.words) == ('set green in A eight soon', 'test_unseen', ())


def test_alignment_file_that_is_none_is_named(tmp_path):
  touch(tmp_path, 's1/video/bbaf2n.mpg', 's1/align/bbaf2n.align')
  (tmp_path / 's1/align/bbaf2n.align').write_text('<html>')
  with pytest.raises(BadInput, match='bbaf2n.align'):
    find_recordings('grid', tmp_path)


def test_ravdess_is_read_from_its_own_folders(tmp_path):
  touch(
    tmp_path,
    'Actor_01/03-01-02-01-01-02-01.wav',
    'Actor_12/03-01-06-02-02-01-12.wav',
    'Video/Actor_12/01-01-06-02-02-01-12.mp4',
    'Video/Actor_12/02-01-06-02-02-01-12.mp4',
    'Actor_20/03-02-03-01-01-01-20.wav',
    'Actor_20/03-01-08-01-01-01-20.wav',
  )
  found = by_id('ravdess', tmp_path)
  assert sorted(found) == ['01-01-06-02-02-01-12', '03-01-02-01-01-02-01', '03-01-08-01-01-01-20']
  assert {r.emotion for r in found.values()} == {'fear', 'neutral', 'surprise'}
  film = found['01-01-06-02-02-01-12']
  assert (film.speaker, film.text, film.split) == ('ravdess_12', 'Dogs are sitting by the door.', 'train_b')


def test_cremad_is_read_from_its_own_folders(tmp_path):
  touch(tmp_path, 'VideoFlash/1001_DFA_ANG_XX.flv', 'AudioWAV/1001_DFA_ANG_XX.wav', 'AudioWAV/1050_IEO_HAP_HI.wav')
  found = by_id('cremad', tmp_path)
  kinds = [(r.has_video, r.emotion, r.split) for r in found.values()]
  assert kinds == [(True, 'angry', 'test'), (False, 'happy', 'train')]
  assert found['1050_IEO_HAP_HI'].text == "It's eleven o'clock."


def test_originals_and_lists_agree_on_every_recording(data_dir, tmp_path):
  for name, suffix in (('grid', '.mpg'), ('ravdess', '.wav'), ('cremad', '.flv')):
    listed = find_recordings(name, data_dir)
    root = tmp_path / name
    touch(root, *(f'{r.speaker}/{r.id}{suffix}' for r in listed))
    found = {r.key: r for r in find_recordings(name, root)}
    assert sorted(found) == sorted(r.key for r in listed)
    for r in listed:
      assert (r.text, r.emotion) == (found[r.key].text, found[r.key].emotion)
      assert r.split.startswith('test') == found[r.key].split.startswith('test') or r.speaker == 's1'


def test_letter_a_of_grid_is_spoken_as_a_letter(data_dir):
  from dubber_jax.script.g2p import phonemize

  text = next(r.text for r in read_recordings('grid', data_dir) if r.id[3] == 'a')
  assert '@EY1' in phonemize(text).symbols


def test_clips_of_a_film_are_its_subtitles(tmp_path):
  touch(tmp_path, 'film.mp4', 'mary/hello.mp4', 'test/tom/hello.wav')
  cues = '1\n00:00:01,000 --> 00:00:02,500\nANNA: [sad] No.\n\n2\n00:00:03,000 --> 00:00:04,000\nWhy?\n'
  (tmp_path / 'film.srt').write_text(cues)
  for path in ('mary/hello.txt', 'test/tom/hello.txt'):
    (tmp_path / path).write_text('Hello there.')
  found = {r.key: r for r in find_recordings('clip_folder', tmp_path)}
  assert len(found) == 4
  first = found['clips/Anna/film#1']
  assert (first.text, first.start, first.end, first.split) == ('No.', 1.0, 2.5, 'train')
  assert found['clips/tom/test_hello'].split == 'test' and not found['clips/tom/test_hello'].has_video


@pytest.mark.parametrize('name', ['grid', 'ravdess', 'cremad', 'clip_folder'])
def test_folder_without_recordings_is_refused(name, tmp_path):
  with pytest.raises(BadInput, match=str(tmp_path)):
    find_recordings(name, tmp_path)
  with pytest.raises(BadInput, match='no such folder'):
    find_recordings(name, tmp_path / 'nowhere')
