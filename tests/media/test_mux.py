import contextlib
import resource

import av
import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.mux_options import MuxOptions
from dubber_jax.media.sound import read_sound, resample, write_wav_blocks
from dubber_jax.media.video import probe, read_frames

SLOT = 0.0116  # s: one mel frame


def packets(path) -> list[bytes]:
  with av.open(str(path)) as file:
    return [bytes(p) for p in file.demux(file.streams.video[0]) if p.size]


def left_in(folder) -> set[str]:
  return {path.name for path in folder.iterdir()}


@contextlib.contextmanager
def disk_that_fills_up(size: int):
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize('out', ['.mp4', '.mkv', '.mpg', '.webm', '.flv'])
def test_two_channels_stay_two(out, tmp_path, media):
  film = media.film(tmp_path / 'film.mp4')
  time = np.arange(96000) / 48000
  stereo = np.stack([0.5 * np.sin(2 * np.pi * 500 * time), 0.2 * np.sin(2 * np.pi * 900 * time)], axis=1)
  write_dubbed(film, stereo, 48000, tmp_path / f'dubbed{out}')
  heard = read_sound(tmp_path / f'dubbed{out}', 48000, stereo=True)[4800:-4800]
  assert heard.std(axis=0) == pytest.approx(stereo.std(axis=0), rel=0.05)
  mono = read_sound(film, 48000, stereo=True)
  assert mono.ndim == 1


@pytest.mark.parametrize('source', ['.mp4', '.mkv', '.mov', '.mpg', '.webm', '.flv'])
@pytest.mark.parametrize('out', ['.mp4', '.mkv', '.mov', '.mpg', '.webm', '.flv'])
def test_pictures_stay_and_the_new_sound_fills_their_time(source, out, tmp_path, media):
  film = media.film(tmp_path / f'film{source}', sounds=1, sound=np.zeros(96000, np.float32))
  old, seconds = read_frames(film)
  dubbed = tmp_path / f'dubbed{out}'
  write_dubbed(film, media.clicks(1.99), 48000, dubbed)
  new, new_seconds = read_frames(dubbed)
  sound = read_sound(dubbed, 48000)
  assert new_seconds == pytest.approx(seconds, abs=0.01)
  assert media.index_of(new) == media.index_of(old)
  assert len(sound) / 48000 == pytest.approx(seconds, abs=SLOT)
  np.testing.assert_allclose(media.click_times(sound, 48000), media.CLICKS, atol=0.002)


@pytest.mark.parametrize(
  'source, out',
  [
    ('.mp4', '.mkv'),
    ('.mkv', '.mp4'),
    ('.mov', '.mp4'),
    ('.mpg', '.mpg'),
    ('.webm', '.webm'),
    ('.flv', '.flv'),
    ('.mp4', '.flv'),
    ('.webm', '.mkv'),
  ],
)
def test_pictures_are_copied_bit_for_bit_where_the_container_holds_them(source, out, tmp_path, media):
  film = media.film(tmp_path / f'film{source}')
  only = MuxOptions(tracks='replace')
  assert write_dubbed(film, media.clicks(2.0), 48000, tmp_path / f'dubbed{out}', options=only) == []
  assert packets(tmp_path / f'dubbed{out}') == packets(film)


@pytest.mark.parametrize('source, out, codec', [('.flv', '.mp4', 'h264'), ('.mp4', '.webm', 'vp9')])
def test_pictures_are_encoded_once_with_a_warning_where_it_does_not(source, out, codec, tmp_path, media):
  film = media.film(tmp_path / f'film{source}')
  only = MuxOptions(tracks='replace')
  warnings = write_dubbed(film, media.clicks(2.0), 48000, tmp_path / f'dubbed{out}', options=only)
  assert len(warnings) == 1 and 'encoded again' in warnings[0]
  assert probe(tmp_path / f'dubbed{out}').codec == codec


def test_pictures_of_odd_size_can_be_encoded(tmp_path, media):
  film = media.film(tmp_path / 'film.flv', sides=(97, 63))
  write_dubbed(film, media.clicks(2.0), 48000, tmp_path / 'dubbed.mp4')
  assert media.index_of(read_frames(tmp_path / 'dubbed.mp4')[0]) == [i % 10 for i in range(50)]


@pytest.mark.parametrize('out', ['.mp4', '.mov', '.mkv', '.webm', '.flv'])
def test_turned_pictures_are_still_upright_in_the_dubbed_film(out, tmp_path, media):
  film = media.turn(media.film(tmp_path / 'film.mp4'), 90)
  write_dubbed(film, media.clicks(2.0), 48000, tmp_path / f'dubbed{out}')
  info = probe(tmp_path / f'dubbed{out}')
  assert (info.width, info.height) == (64, 96)
  if out in ('.mp4', '.mov', '.mkv'):
    assert packets(tmp_path / f'dubbed{out}') == packets(film) and info.rotation == 270


@pytest.mark.parametrize('source, out', [('.mkv', '.mp4'), ('.mp4', '.mkv'), ('.mkv', '.webm'), ('.mp4', '.flv')])
def test_a_variable_rate_is_kept(source, out, tmp_path, media):
  film = media.film(tmp_path / f'film{source}', times=[0.0, 0.04, 0.08, 0.5, 0.52, 1.2, 1.28])
  write_dubbed(film, media.clicks(2.0), 48000, tmp_path / f'dubbed{out}')
  old, new = read_frames(film)[0], read_frames(tmp_path / f'dubbed{out}')[0]
  count = min(len(old), len(new))  # how long the last picture lasts is not told by every container
  assert count >= 32 and media.index_of(new)[:count] == media.index_of(old)[:count]


def test_a_film_without_sound_gets_one(tmp_path, media):
  film = media.film(tmp_path / 'film.mp4', sounds=0)
  write_dubbed(film, media.clicks(2.0), 48000, tmp_path / 'dubbed.mp4')
  np.testing.assert_allclose(media.click_times(read_sound(tmp_path / 'dubbed.mp4'), 22050), media.CLICKS, atol=0.002)


def test_replaced_sound_is_gone_and_the_further_one_stays(tmp_path, media):
  film = media.film(tmp_path / 'film.mkv', sounds=2, sound=0.5 * np.ones(96000, np.float32))
  only = MuxOptions(tracks='replace')
  assert write_dubbed(film, np.zeros(96000, np.float32), 48000, tmp_path / 'dubbed.mkv', options=only) == []
  with av.open(str(tmp_path / 'dubbed.mkv')) as file:
    assert len(file.streams.audio) == 2
  assert np.abs(read_sound(tmp_path / 'dubbed.mkv')).max() < 1e-3
  further = [read_sound(path, track=1)[1000:40000] for path in (film, tmp_path / 'dubbed.mkv')]
  np.testing.assert_allclose(further[1], further[0], atol=1e-3)


@pytest.mark.parametrize('seconds, word', [(1.5, 'filled up'), (2.6, 'cut')])
def test_a_sound_of_another_length_is_fitted_with_a_warning(seconds, word, tmp_path, media):
  warnings = write_dubbed(
    media.film(tmp_path / 'film.mp4'), np.zeros(round(48000 * seconds)), 48000, tmp_path / 'dubbed.mp4'
  )
  assert word in warnings[0]
  assert len(read_sound(tmp_path / 'dubbed.mp4', 48000)) == pytest.approx(96000, abs=SLOT * 48000)


@pytest.mark.parametrize('source', ['.mp4', '.mkv', '.flv'])
@pytest.mark.parametrize('start, copied', [(2.4, True), (2.52, False)])
def test_a_part_holds_just_its_pictures_and_is_copied_from_a_key_frame(start, copied, source, tmp_path, media):
  film = media.film(tmp_path / f'film{source}', seconds=6.0)  # a key frame every 12 pictures: 0.48 s
  warnings = write_dubbed(film, media.clicks(1.6), 48000, tmp_path / f'part{source}', start=start, end=start + 1.6)
  frames, seconds = read_frames(tmp_path / f'part{source}')
  assert seconds == pytest.approx(1.6, abs=0.002)
  assert media.index_of(frames) == media.index_of(read_frames(film)[0])[round(start * 25) : round(start * 25) + 40]
  assert bool(warnings) != copied or source == '.flv'


def test_what_exists_is_kept_unless_it_may_be_replaced(tmp_path, media):
  film = media.film(tmp_path / 'film.mp4')
  (tmp_path / 'dubbed.mp4').write_bytes(b'old')
  with pytest.raises(BadInput, match='--overwrite'):
    write_dubbed(film, media.clicks(2.0), 48000, tmp_path / 'dubbed.mp4')
  assert (tmp_path / 'dubbed.mp4').read_bytes() == b'old'
  write_dubbed(film, media.clicks(2.0), 48000, tmp_path / 'dubbed.mp4', overwrite=True)
  assert probe(tmp_path / 'dubbed.mp4').has_sound


def test_the_film_itself_is_never_written_over(tmp_path, media):
  film = media.film(tmp_path / 'film.mp4')
  before = film.read_bytes()
  with pytest.raises(BadInput, match='itself'):
    write_dubbed(film, media.clicks(2.0), 48000, film, overwrite=True)
  assert film.read_bytes() == before


@pytest.mark.parametrize('name', ['dubbed.xyz', 'dubbed', 'missing/dubbed.mp4', '.'])
def test_a_place_or_kind_that_cannot_be_written_is_refused(name, tmp_path, media):
  film = media.film(tmp_path / 'film.mp4')
  with pytest.raises(BadInput):
    write_dubbed(film, media.clicks(2.0), 48000, tmp_path / name)
  assert left_in(tmp_path) == {'film.mp4'}


@pytest.mark.parametrize('size', [0, 100, 2000, 8000])
@pytest.mark.parametrize(
  'source, out', [('.mp4', '.mp4'), ('.mp4', '.mkv'), ('.flv', '.mp4'), ('.mp4', '.mpg'), ('.mp4', '.webm')]
)
def test_a_full_disk_leaves_nothing_and_keeps_the_old_file(source, out, size, tmp_path, media):
  film = media.film(tmp_path / f'film{source}')
  dubbed = tmp_path / f'dubbed{out}'
  dubbed.write_bytes(b'old')
  noise = np.random.default_rng(0).normal(0, 0.1, 96000)  # which no codec makes small
  with disk_that_fills_up(size), pytest.raises(BadInput, match='cannot be written'):
    write_dubbed(film, noise, 48000, dubbed, overwrite=True)
  assert left_in(tmp_path) == {film.name, dubbed.name} and dubbed.read_bytes() == b'old'


def test_a_full_disk_leaves_no_stem(tmp_path, media):
  with disk_that_fills_up(5000), pytest.raises(BadInput, match='cannot be written'):
    write_wav_blocks(tmp_path / 'stem.wav', [media.clicks(2.0)[:, None]], 48000)
  assert not left_in(tmp_path)


def test_the_stem_is_48_khz_and_as_long_as_the_dialogue(tmp_path, media):
  write_wav_blocks(tmp_path / 'stem.wav', [resample(media.clicks(2.0, 22050), 22050, 48000)[:, None]], 48000)
  with av.open(str(tmp_path / 'stem.wav')) as file:
    stream = file.streams.audio[0]
    assert (stream.codec_context.name, stream.codec_context.sample_rate, stream.duration) == ('pcm_s16le', 48000, 96000)


@pytest.mark.parametrize('name', ['grid/s4/*.mp4', 'cremad/*.flv'])
def test_real_films_are_dubbed(name, data_dir, tmp_path):
  film = sorted(data_dir.glob(name))[0]
  seconds = read_frames(film, max_side=180)[1]
  warnings = write_dubbed(film, np.zeros(round(seconds * 22050), np.float32), 22050, tmp_path / 'dubbed.mp4')
  assert bool(warnings) == film.name.endswith('.flv')
  frames, new_seconds = read_frames(tmp_path / 'dubbed.mp4', max_side=180)
  assert new_seconds == pytest.approx(seconds, abs=0.002)
  assert np.abs(frames.astype(np.int16) - read_frames(film, max_side=180)[0]).mean() < 2
