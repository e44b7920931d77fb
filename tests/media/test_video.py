import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.media import video
from dubber_jax.media.video import probe, read_frames

FILM_SUFFIXES = ['.mp4', '.mkv', '.mov', '.mpg', '.webm', '.flv']


@pytest.mark.parametrize('suffix', FILM_SUFFIXES)
def test_every_container_gives_each_picture_at_its_time(suffix, tmp_path, media):
  path = media.film(tmp_path / f'film{suffix}')
  frames, seconds = read_frames(path)
  assert seconds == pytest.approx(2.0, abs=0.001)
  assert frames.shape == (50, 64, 96, 3) and frames.dtype == np.uint8
  assert media.index_of(frames) == [i % 10 for i in range(50)]


@pytest.mark.parametrize('suffix', FILM_SUFFIXES)
def test_probe_says_what_the_film_holds(suffix, tmp_path, media):
  info = probe(media.film(tmp_path / f'film{suffix}'))
  assert (info.has_video, info.has_sound, info.width, info.height, info.rotation) == (True, True, 96, 64, 0)
  assert info.fps == pytest.approx(25) and info.seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize('suffix', ['.mp4', '.mkv'])
def test_variable_rate_keeps_time(suffix, tmp_path, media):
  times = [0.0, 0.04, 0.08, 0.5, 0.52, 1.2, 1.28]
  frames, seconds = read_frames(media.film(tmp_path / f'film{suffix}', times=times))
  shown = [int(np.searchsorted(times, (i + 0.5) / 25, side='right')) - 1 for i in range(len(frames))]
  assert media.index_of(frames) == shown
  assert seconds >= 1.28


def test_thirty_pictures_a_second_are_thinned_evenly(tmp_path, media):
  frames, seconds = read_frames(media.film(tmp_path / 'film.mp4', seconds=1.0, fps=30))
  assert len(frames) == 25 and seconds == pytest.approx(1.0, abs=0.002)
  frames, _ = read_frames(tmp_path / 'film.mp4', fps=30)
  assert len(frames) == 30


@pytest.mark.parametrize('degrees', [90, 180, 270])
def test_turned_pictures_come_upright(degrees, tmp_path, media):
  path = media.film(tmp_path / 'film.mp4', seconds=0.4)
  stored = np.zeros((64, 96, 3), np.uint8)
  stored[:20, :20] = 255  # the stored picture's top left corner
  import av

  with av.open(str(path), 'w') as file:
    stream = file.add_stream('libx264', rate=25, width=96, height=64, pix_fmt='yuv420p')
    for _ in range(10):
      file.mux(stream.encode(av.VideoFrame.from_ndarray(stored)))
    file.mux(stream.encode(None))
  media.turn(path, degrees)
  frames, _ = read_frames(path)
  wanted = np.rot90(stored, -degrees // 90)
  assert frames.shape[1:] == wanted.shape
  assert np.abs(frames[3].astype(int) - wanted).mean() < 10
  info = probe(path)
  assert (info.width, info.height) == (wanted.shape[1], wanted.shape[0]) and info.rotation == -degrees % 360


@pytest.mark.parametrize('suffix', FILM_SUFFIXES)
def test_a_part_is_the_same_pictures_as_in_the_whole(suffix, tmp_path, media):
  path = media.film(tmp_path / f'film{suffix}', seconds=6.0)
  whole, _ = read_frames(path)
  part, seconds = read_frames(path, start=3.4, end=5.0)
  assert seconds == pytest.approx(1.6) and len(part) == 40
  np.testing.assert_array_equal(part, whole[85:125])


def test_an_end_just_past_the_film_is_the_films_end(tmp_path, media):
  path = media.film(tmp_path / 'film.mp4')
  assert read_frames(path, start=1.0, end=2.3)[1] == pytest.approx(1.0)
  with pytest.raises(BadInput, match='lasts 2.00 s'):
    read_frames(path, start=1.0, end=3.0)


def test_the_track_asked_for_is_read(tmp_path, media):
  path = media.film(tmp_path / 'film.mkv', videos=2)
  first, second = read_frames(path, track=0)[0], read_frames(path, track=1)[0]
  assert media.index_of(second[:3]) == [1, 2, 3] and media.index_of(first[:3]) == [0, 1, 2]
  np.testing.assert_array_equal(read_frames(path)[0], first)
  with pytest.raises(BadInput, match='has 2'):
    read_frames(path, track=2)


def test_large_pictures_are_shrunk_on_the_longer_side(tmp_path, media):
  frames, _ = read_frames(media.film(tmp_path / 'film.mp4', seconds=0.4), max_side=48)
  assert frames.shape[1:] == (32, 48, 3)


def test_a_film_without_sound_is_read(tmp_path, media):
  path = media.film(tmp_path / 'film.mp4', sounds=0)
  assert len(read_frames(path)[0]) == 50 and not probe(path).has_sound


def test_what_is_no_film_is_refused_in_one_line(tmp_path, media):
  (tmp_path / 'empty.mp4').touch()
  (tmp_path / 'words.txt').write_text('INT. HOUSE - NIGHT\n' * 50)
  (tmp_path / 'words.mp4').write_text('INT. HOUSE - NIGHT\n' * 50)
  film = media.film(tmp_path / 'film.mp4')
  (tmp_path / 'list.m3u8').write_text(f'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{film}\n#EXT-X-ENDLIST\n')
  media.sound_file(tmp_path / 'sound.mp3', media.clicks(2.0))
  for name in ('missing.mp4', '.', 'empty.mp4', 'words.txt', 'words.mp4', 'list.m3u8', 'sound.mp3'):
    with pytest.raises(BadInput) as error:
      read_frames(tmp_path / name)
    assert '\n' not in str(error.value) and str(tmp_path) in str(error.value)


@pytest.mark.parametrize('suffix', ['.mp4', '.mkv', '.flv'])
def test_a_film_cut_off_in_the_middle_is_refused(suffix, tmp_path, media):
  noise = np.random.default_rng(0).normal(0, 0.1, 48000 * 6).astype(np.float32)
  path = media.film(tmp_path / f'film{suffix}', seconds=6.0, sound=noise, faststart=True)
  content = path.read_bytes()
  path.write_bytes(content[: len(content) // 2])
  with pytest.raises(BadInput, match='cut off'):
    read_frames(path)


def test_too_long_and_too_large_are_refused_before_memory_runs_out(tmp_path, media, monkeypatch):
  path = media.film(tmp_path / 'film.mkv')
  with pytest.raises(BadInput, match='limit is 1.5 s'):
    read_frames(path, max_seconds=1.5)
  assert len(read_frames(path, max_seconds=1.5, start=0.2, end=1.2)[0]) == 25
  monkeypatch.setattr(video, 'MAX_BYTES', 96 * 64 * 3 * 20)
  with pytest.raises(BadInput, match='shrink'):
    read_frames(path)


@pytest.mark.parametrize('start, end', [(-1, None), (1.0, 1.0), (1.0, 0.5), (5.0, None), (float('nan'), None)])
def test_a_part_that_cannot_be_is_refused(start, end, tmp_path, media):
  with pytest.raises(BadInput):
    read_frames(media.film(tmp_path / 'film.mp4'), start, end)


def test_a_film_of_no_length_is_refused(tmp_path, media):
  path = media.film(tmp_path / 'film.mkv', times=[], sounds=1)
  with pytest.raises(BadInput):
    read_frames(path)


def test_real_films_are_read_whole(data_dir):
  frames, seconds = read_frames(sorted((data_dir / 'grid' / 's4').glob('*.mp4'))[0])
  assert seconds == pytest.approx(3.0) and len(frames) == 75 and frames.std() > 10
  path = sorted((data_dir / 'cremad').glob('*.flv'))[0]
  frames, seconds = read_frames(path)
  assert len(frames) == round(seconds * 25) and frames.shape[1:] == (360, 480, 3)
  steps = np.diff(frames[:, ::4, ::4].astype(np.int16), axis=0)
  assert np.abs(steps).mean(axis=(1, 2, 3)).max() < 30  # no torn picture
