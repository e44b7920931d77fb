import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.media import film as module
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.sound import read_sound, write_wav_blocks
from dubber_jax.media.video import write_silent_clip
from dubber_jax.types import SAMPLE_RATE


@pytest.fixture
def film(tmp_path):
  write_silent_clip(tmp_path / 'silent.mp4', np.zeros((50, 16, 16, 3), np.uint8))
  tone = np.stack([0.2 * np.sin(np.arange(2 * SOUND_RATE) * 0.05), np.zeros(2 * SOUND_RATE)], axis=1)
  write_dubbed(tmp_path / 'silent.mp4', tone.astype(np.float32), SOUND_RATE, tmp_path / 'film.mkv')
  return Film(tmp_path / 'film.mkv')


def recording(path, seconds=25.0, channels=2, rate=SOUND_RATE):
  time = np.arange(round(seconds * rate)) / rate
  wave = np.stack([0.1 * np.sin(2 * np.pi * 100 * (i + 1) * time) * (1 + time) / seconds for i in range(channels)], 1)
  write_wav_blocks(path, [wave.astype(np.float32)], rate, channels)
  return Film(path)


def test_film_is_probed_once(film, monkeypatch):
  calls = []
  monkeypatch.setattr(module, 'probe', lambda path, f=module.probe: calls.append(path) or f(path))
  for _ in range(2):
    assert film.info.has_sound and film.seconds == pytest.approx(2.0, abs=0.05)
  assert calls == [film.path]


def test_blocks_of_sound_have_the_films_channels_rate_and_length(film):
  block = np.concatenate(list(film.sound_blocks()))
  assert film.channels == 2 and block.shape == (film.samples, 2) and film.samples == round(film.seconds * SOUND_RATE)
  assert np.std(block[:, 0]) == pytest.approx(0.2 / np.sqrt(2), rel=0.05) and np.std(block[:, 1]) < 0.01


@pytest.mark.parametrize('rate', [16000, 44100, 48000])
def test_blocks_together_are_the_whole_sound(tmp_path, rate):
  film = recording(tmp_path / 'long.wav', rate=rate)
  blocks = list(film.sound_blocks())
  assert [len(block) for block in blocks] == [480_000, 480_000, 240_000]
  whole = read_sound(film.path, SOUND_RATE, stereo=True)
  np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


def test_sound_that_ends_before_the_pictures_is_filled_up_with_silence(tmp_path):
  write_silent_clip(tmp_path / 'silent.mp4', np.zeros((100, 16, 16, 3), np.uint8))
  import av

  with av.open(str(tmp_path / 'film.mkv'), 'w') as out, av.open(str(tmp_path / 'silent.mp4')) as pictures:
    stream = out.add_stream_from_template(pictures.streams.video[0])
    sound = out.add_stream('pcm_s16le', rate=SOUND_RATE, layout='mono')
    for packet in pictures.demux(video=0):
      if packet.size:
        packet.stream = stream
        out.mux(packet)
    frame = av.AudioFrame.from_ndarray(np.full((1, SOUND_RATE), 8000, np.int16), 's16', 'mono')
    frame.sample_rate, frame.pts = SOUND_RATE, 0
    out.mux(sound.encode(frame))
    out.mux(sound.encode(None))
  wave = np.concatenate(list(Film(tmp_path / 'film.mkv').sound_blocks()))
  assert len(wave) == round(4 * SOUND_RATE) and wave[: SOUND_RATE - 100].all() and not wave[SOUND_RATE + 100 :].any()


def test_span_is_the_mean_of_the_channels_at_the_models_rate(film):
  middle = film.mono_span(0.5, 1.0)
  assert len(middle) == round(1.0 * SAMPLE_RATE) - round(0.5 * SAMPLE_RATE)
  assert np.std(middle) == pytest.approx(0.1 / np.sqrt(2), rel=0.05)
  beyond = film.mono_span(1.5, 3.0)
  assert len(beyond) == round(3.0 * SAMPLE_RATE) - round(1.5 * SAMPLE_RATE)
  assert beyond[: SAMPLE_RATE // 3].any() and not beyond[SAMPLE_RATE * 3 // 4 :].any()


@pytest.mark.parametrize('suffix', ['.wav', '.mp3'])
def test_spans_are_those_of_the_whole_sound(tmp_path, media, suffix):
  time = np.arange(25 * SOUND_RATE) / SOUND_RATE
  path = media.sound_file(tmp_path / f'guide{suffix}', (0.1 * np.sin(2 * np.pi * (100 + 5 * time) * time)))
  spans = [(12.0, 13.5), (0.5, 1.0), (9.5, 10.5), (13.0, 14.0), (30.0, 30.5)]
  whole = read_sound(path, SAMPLE_RATE)
  for (start, end), wave in zip(spans, Film(path).mono_spans(spans), strict=True):
    expected = whole[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    assert len(wave) == round(end * SAMPLE_RATE) - round(start * SAMPLE_RATE)
    if len(expected):
      np.testing.assert_allclose(wave[200:-200], expected[200:-200], atol=0.01)


def test_track_that_is_asked_for_is_the_one_that_is_heard(tmp_path, media):
  path = media.film(tmp_path / 'film.mkv', sounds=2)
  first, second = (np.abs(np.concatenate(list(Film(path, track).sound_blocks()))).max() for track in (0, 1))
  assert first == pytest.approx(2 * second, rel=0.1)
  with pytest.raises(BadInput, match='no sound track 2'):
    next(Film(path, 2).sound_blocks())


def test_frames_are_those_of_the_part(film):
  frames, seconds = film.frames(0.4, 1.2)
  assert frames.shape == (20, 16, 16, 3) and seconds == pytest.approx(0.8)


def test_two_files_of_the_same_content_have_one_hash(film, tmp_path):
  (tmp_path / 'copy.mkv').write_bytes(film.path.read_bytes())
  assert Film(tmp_path / 'copy.mkv').hash == film.hash and len(film.hash) == 16
