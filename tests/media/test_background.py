import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.media.background import ducking_gain, mix_background, read_background
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.loudness import integrated_loudness
from dubber_jax.media.sound import write_wav
from dubber_jax.media.video import write_silent_clip

RATE = SOUND_RATE


@pytest.fixture
def film(tmp_path):
  """A sound of 4 s that stands for a film's own."""
  write_wav(tmp_path / 'film.wav', np.full(4 * RATE, 0.25, np.float32), RATE)
  return Film(tmp_path / 'film.wav')


def test_kept_sound_is_muted_inside_lines_and_untouched_outside(film):
  wave, warnings = read_background('keep', film, [(1.0, 2.0), (2.02, 3.0)])
  assert len(wave) == 4 * RATE and not warnings
  assert not wave[RATE : 2 * RATE].any() and np.abs(wave[2 * RATE : 3 * RATE]).max() < 0.1
  np.testing.assert_allclose(wave[: round(0.96 * RATE)], 0.25, atol=1e-4)
  np.testing.assert_allclose(wave[round(3.04 * RATE) :], 0.25, atol=1e-4)
  assert np.abs(np.diff(wave)).max() < 0.001  # nothing clicks


def test_ducked_sound_is_18_db_lower_inside_lines(film):
  wave, _ = read_background('duck', film, [(1.0, 2.0)])
  assert 20 * np.log10(wave[round(1.5 * RATE)] / 0.25) == pytest.approx(-18, abs=0.05)
  np.testing.assert_allclose(wave[round(2.2 * RATE) :], 0.25, atol=1e-4)


def test_film_without_sound_has_no_background_and_says_so(film, tmp_path):
  write_silent_clip(tmp_path / 'silent.mp4', np.zeros((25, 16, 16, 3), np.uint8))
  wave, (warning,) = read_background('keep', Film(tmp_path / 'silent.mp4'), [])
  assert wave is None and 'no sound' in warning
  assert read_background('none', film, []) == (None, [])


def test_track_of_another_rate_and_two_channels_fits_the_film_and_keeps_both(tmp_path, film):
  from scipy.io import wavfile

  wavfile.write(tmp_path / 'music.wav', 32000, np.tile(np.int16([8192, -4096]), (6 * 32000, 1)))
  wave, (warning,) = read_background(str(tmp_path / 'music.wav'), film, [(1.0, 2.0)])
  assert wave.shape == (4 * RATE, 2) and '6.00 s' in warning
  np.testing.assert_allclose(wave[RATE : 2 * RATE], np.tile([0.25, -0.125], (RATE, 1)), atol=1e-3)


def test_dialogue_is_as_loud_over_two_channels_as_over_one():
  dialogue = 0.1 * np.sin(np.arange(4 * RATE) * 0.13).astype(np.float32)
  one, two = (mix_background(dialogue, np.zeros((3 * RATE, *channels), np.float32)) for channels in ((), (2,)))
  assert integrated_loudness(one, RATE) == pytest.approx(integrated_loudness(two, RATE), abs=0.05)


def test_dialogue_over_loud_music_does_not_clip():
  mixed = mix_background(np.full(RATE, 0.7, np.float32), np.full((RATE, 2), 0.7, np.float32))
  assert np.abs(mixed).max() <= 10 ** (-1 / 20) + 1e-6


@pytest.mark.parametrize('fault', ['short', 'silent', 'missing', 'no sound'])
def test_track_that_is_no_background_is_refused(tmp_path, film, fault):
  path = tmp_path / 'music.wav'
  if fault == 'no sound':
    path.write_text('no sound')
  elif fault != 'missing':
    write_wav(path, np.full((2 if fault == 'short' else 4) * RATE, 0.1 * (fault == 'short'), np.float32), RATE)
  with pytest.raises(BadInput, match='music.wav'):
    read_background(str(path), film, [])


def test_gain_at_the_films_ends_is_that_of_the_lines_there():
  gain = ducking_gain([(-1.0, 0.5), (1.5, 9.0)], 2 * RATE, RATE, 0.0, 0.1)
  assert gain[0] == gain[-1] == 0 and gain[RATE] == 1
