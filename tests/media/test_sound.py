import json
import wave as wave_file

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.media.sound import check_voice, read_sound, resample, write_wav

ALL_SUFFIXES = ['.mp4', '.mkv', '.mov', '.mpg', '.webm', '.flv', '.wav', '.flac', '.opus', '.mp3']


def made(path, media, **how):
  return media.film(path, **how) if path.suffix in media.FILMS else media.sound_file(path, media.clicks(2.0))


@pytest.mark.parametrize('suffix', ALL_SUFFIXES)
def test_every_container_gives_its_sound_in_time_with_the_pictures(suffix, tmp_path, media):
  wave = read_sound(made(tmp_path / f'file{suffix}', media), 22050)
  assert wave.ndim == 1 and wave.dtype == np.float32
  assert len(wave) / 22050 == pytest.approx(2.0, abs=0.025)  # a coder's last packet may run on
  np.testing.assert_allclose(media.click_times(wave, 22050), np.array(media.CLICKS), atol=0.002)
  assert np.abs(wave).max() == pytest.approx(0.6, abs=0.06)


@pytest.mark.parametrize('suffix', ALL_SUFFIXES)
def test_a_part_of_the_sound_is_where_it_was_in_the_whole(suffix, tmp_path, media):
  path = tmp_path / f'file{suffix}'
  sound = np.concatenate([np.zeros(4 * 48000, np.float32), media.clicks(2.0)])
  if suffix in media.FILMS:
    media.film(path, seconds=6.0, sound=sound)
  else:
    media.sound_file(path, sound)
  part = read_sound(path, 16000, start=4.5, end=5.8)
  assert len(part) == pytest.approx(1.3 * 16000, abs=1)
  heard = np.flatnonzero(np.abs(part) > 0.3) / 16000
  assert heard.min() == pytest.approx(0.4 + 0.004, abs=0.004) and heard.max() == pytest.approx(1.1 + 0.006, abs=0.004)


def test_sound_that_starts_late_is_preceded_by_silence(tmp_path, media):
  wave = read_sound(media.film(tmp_path / 'film.mkv', delay=0.3), 48000)
  np.testing.assert_allclose(media.click_times(np.roll(wave, -14400), 48000), media.CLICKS, atol=0.002)


def test_two_channels_are_mixed_and_neither_is_lost(tmp_path, media):
  time = np.arange(48000) / 48000
  stereo = np.stack([0.5 * np.sin(2 * np.pi * 500 * time), 0.5 * np.sin(2 * np.pi * 3000 * time)]).astype(np.float32)
  spectrum = np.abs(np.fft.rfft(read_sound(media.sound_file(tmp_path / 'both.wav', stereo), 48000)))
  assert spectrum[500] == pytest.approx(spectrum[3000], rel=0.01) and spectrum[500] > 1000


def test_the_sound_track_asked_for_is_read(tmp_path, media):
  path = media.film(tmp_path / 'film.mkv', sounds=2)
  first, second = (np.abs(read_sound(path, track=i)).max() for i in (0, 1))
  assert first == pytest.approx(2 * second, rel=0.1)
  assert np.abs(read_sound(path)).max() == first


def test_a_film_without_sound_is_refused(tmp_path, media):
  with pytest.raises(BadInput, match='no sound track'):
    read_sound(media.film(tmp_path / 'film.mp4', sounds=0))


def test_a_flac_cut_off_in_the_middle_is_refused(tmp_path, media):
  noise = np.random.default_rng(0).normal(0, 0.1, 48000 * 3).astype(np.float32)
  path = media.sound_file(tmp_path / 'voice.flac', noise)
  path.write_bytes(path.read_bytes()[:150_000])
  with pytest.raises(BadInput, match='cut off'):
    read_sound(path)


def test_a_wav_of_numbers_that_are_no_sound_is_refused(tmp_path):
  from scipy.io import wavfile

  wave = np.zeros(22050, np.float32)
  wave[100] = np.nan
  wavfile.write(tmp_path / 'nan.wav', 22050, wave)
  with pytest.raises(BadInput, match='damaged'):
    read_sound(tmp_path / 'nan.wav')


def test_written_wav_reads_back_the_same(tmp_path, media):
  wave = media.clicks(2.0, 22050)
  write_wav(tmp_path / 'out.wav', wave, 22050)
  np.testing.assert_allclose(read_sound(tmp_path / 'out.wav', 22050), wave, atol=1e-4)
  write_wav(tmp_path / 'loud.wav', 3 * wave, 22050)  # clipped, not wrapped round
  assert np.abs(read_sound(tmp_path / 'loud.wav', 22050) - np.clip(3 * wave, -1, 1)).max() < 1e-3


def test_resampling_keeps_length_pitch_and_removes_what_would_alias():
  time = np.arange(48000) / 48000
  low, high = np.sin(2 * np.pi * 1000 * time), np.sin(2 * np.pi * 15000 * time)
  changed = resample(low + high, 48000, 22050)
  assert len(changed) == 22050
  spectrum = np.abs(np.fft.rfft(changed)) / 11025
  assert spectrum[1000] == pytest.approx(1, abs=0.01) and np.delete(spectrum, range(990, 1011)).max() < 0.01


def test_a_file_that_exists_is_kept_unless_it_may_be_replaced(tmp_path):
  write_wav(tmp_path / 'out.wav', np.zeros(100), 22050)
  with pytest.raises(BadInput, match='--overwrite'):
    write_wav(tmp_path / 'out.wav', np.ones(200), 22050, overwrite=False)
  with wave_file.open(str(tmp_path / 'out.wav')) as file:
    assert file.getnframes() == 100


def test_writing_where_one_cannot_is_refused(tmp_path):
  for place in (tmp_path, tmp_path / 'missing' / 'out.wav'):
    with pytest.raises(BadInput):
      write_wav(place, np.zeros(100), 22050)


def voice_like(seconds: float, rate=22050) -> np.ndarray:
  time = np.arange(round(seconds * rate)) / rate
  tone = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 12))
  return (0.15 * tone * (1 + np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def test_a_good_voice_passes_and_a_useless_one_is_refused():
  good = voice_like(6.0)
  assert check_voice(good, 22050, 'good.wav') == ()
  for bad, why in (
    (voice_like(0.8), '0.80 s'),
    (np.zeros(66150, np.float32), 'silent'),
    (good * 1e-4, 'silent'),
    (np.clip(good * 6, -0.9, 0.9), 'clipped'),
    (np.clip(good * 6, -0.9, 1), 'clipped'),
  ):
    with pytest.raises(BadInput, match=why):
      check_voice(bad, 22050, 'bad.wav')


def test_a_poor_voice_is_used_with_a_warning():
  assert 'only' in check_voice(voice_like(1.5), 22050, 'short.wav')[0]
  assert 'quiet' in check_voice(voice_like(6.0) * 0.01, 22050, 'quiet.wav')[0]


def test_real_voices_are_accepted(data_dir):
  for name in ('vctk', 'ravdess', 'grid', 'kathleen', 'asterisk', 'cremad', 'teacher'):
    rows = [json.loads(row) for row in (data_dir / f'{name}.jsonl').read_text().splitlines()]
    for row in rows[:: max(1, len(rows) // 4)]:
      wave = read_sound(data_dir / row['file'])
      if len(wave) > 22050:
        check_voice(wave, 22050, row['file'])
