import tracemalloc

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.media.background import (
  DUCK,
  MUTE,
  SEPARATE,
  background_blocks,
  check_background,
  ducking_gain,
  mixed_blocks,
  read_bed,
  separated_blocks,
  write_bed,
)
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.loudness import integrated_loudness
from dubber_jax.media.sound import write_wav, write_wav_blocks
from dubber_jax.media.video import write_silent_clip

RATE = SOUND_RATE


@pytest.fixture
def film(tmp_path):
  """A sound of 4 s that stands for a film's own."""
  write_wav(tmp_path / 'film.wav', np.full(4 * RATE, 0.25, np.float32), RATE)
  return Film(tmp_path / 'film.wav')


def background(*arguments):
  return np.concatenate(list(background_blocks(*arguments)))


def test_muted_sound_is_silent_inside_lines_and_untouched_outside(film):
  wave = background(MUTE, film, [(1.0, 2.0), (2.02, 3.0)])
  assert wave.shape == (4 * RATE, 1)
  assert not wave[RATE : 2 * RATE].any() and np.abs(wave[2 * RATE : 3 * RATE]).max() < 0.1
  np.testing.assert_allclose(wave[: round(0.96 * RATE)], 0.25, atol=1e-4)
  np.testing.assert_allclose(wave[round(3.04 * RATE) :], 0.25, atol=1e-4)
  assert np.abs(np.diff(wave[:, 0])).max() < 0.001  # nothing clicks


def test_ducked_sound_is_18_db_lower_inside_lines(film):
  wave = background(DUCK, film, [(1.0, 2.0)])[:, 0]
  assert 20 * np.log10(wave[round(1.5 * RATE)] / 0.25) == pytest.approx(-18, abs=0.05)
  np.testing.assert_allclose(wave[round(2.2 * RATE) :], 0.25, atol=1e-4)


def test_film_without_sound_has_no_background_and_says_so(film, tmp_path):
  write_silent_clip(tmp_path / 'silent.mp4', np.zeros((25, 16, 16, 3), np.uint8))
  silent = Film(tmp_path / 'silent.mp4')
  for what in (MUTE, SEPARATE):
    assert background_blocks(what, silent) is None and 'no sound' in check_background(what, silent)[0]
  assert background_blocks('none', film) is None and check_background('none', film) == []


def test_old_name_of_mute_is_refused_with_the_new_one(film):
  with pytest.raises(BadInput, match='mute') as refused:
    check_background('keep', film)
  assert '\n' not in str(refused.value)


def test_track_of_another_rate_and_two_channels_fits_the_film_and_keeps_both(tmp_path, film):
  from scipy.io import wavfile

  wavfile.write(tmp_path / 'music.wav', 32000, np.tile(np.int16([8192, -4096]), (6 * 32000, 1)))
  (warning,) = check_background(str(tmp_path / 'music.wav'), film)
  wave = background(str(tmp_path / 'music.wav'), film, [(1.0, 2.0)])
  assert wave.shape == (4 * RATE, 2) and '6.00 s' in warning
  np.testing.assert_allclose(wave[RATE : 2 * RATE], np.tile([0.25, -0.125], (RATE, 1)), atol=1e-3)


def mixed(dialogue, channels, bed=0.0):
  back = np.full((len(dialogue), channels), bed, np.float32)
  return np.concatenate(list(mixed_blocks([dialogue[:, None]], [back])))


@pytest.mark.parametrize('channels', [1, 2, 6, 8])
def test_dialogue_is_as_loud_in_every_channel_layout(channels):
  dialogue = 0.1 * np.sin(np.arange(4 * RATE) * 0.13).astype(np.float32)
  assert integrated_loudness(mixed(dialogue, channels), RATE) == pytest.approx(
    integrated_loudness(dialogue, RATE), abs=0.05
  )


def test_dialogue_of_surround_sound_is_in_the_center_alone():
  out = mixed(np.full(RATE, 0.25, np.float32), 6, bed=0.125)
  np.testing.assert_allclose(out[100], [0.125, 0.125, 0.375, 0.125, 0.125, 0.125], atol=1e-6)


def test_dialogue_over_loud_music_does_not_clip():
  for channels in (1, 2, 6):
    assert np.abs(mixed(np.full(RATE, 0.7, np.float32), channels, 0.7)).max() <= 10 ** (-1 / 20) + 1e-6


def test_blocks_are_mixed_as_the_whole_would_be():
  rng = np.random.default_rng(0)
  voice, bed = rng.laplace(0, 0.2, (25 * RATE, 1)).astype(np.float32), rng.laplace(0, 0.3, (25 * RATE, 2)).astype('f4')
  whole = np.concatenate(list(mixed_blocks([voice], [bed])))
  parts = mixed_blocks(np.array_split(voice, 7), np.array_split(bed, 3))
  np.testing.assert_allclose(np.concatenate(list(parts)), whole, atol=1e-6)
  assert np.abs(whole).max() <= 1


@pytest.mark.parametrize('fault', ['short', 'silent', 'missing', 'no sound'])
def test_track_that_is_no_background_is_refused(tmp_path, film, fault):
  path = tmp_path / 'music.wav'
  if fault == 'no sound':
    path.write_text('no sound')
  elif fault != 'missing':
    write_wav(path, np.full((2 if fault == 'short' else 4) * RATE, 0.1 * (fault == 'short'), np.float32), RATE)
  with pytest.raises(BadInput, match='music.wav'):
    check_background(str(path), film)


def test_gain_at_the_films_ends_is_that_of_the_lines_there():
  gain = ducking_gain([(-1.0, 0.5), (1.5, 9.0)], 0, 2 * RATE, RATE, 0.0, 0.1)
  assert gain[0] == gain[-1] == 0 and gain[RATE] == 1
  later = ducking_gain([(-1.0, 0.5), (1.5, 9.0)], RATE, RATE, RATE, 0.0, 0.1)
  np.testing.assert_array_equal(later, gain[RATE:])


class HalfOf:
  """Stands in for a separator: half of the sound is dialogue. It gives blocks of another size than it takes, later."""

  def remove_dialogue(self, blocks):
    held = None
    for block in blocks:
      held = block if held is None else np.concatenate([held, block])
      while len(held) > 12_345:
        yield held[:12_345] / 2
        held = held[12_345:]
    yield held / 2


@pytest.mark.parametrize('channels', [1, 2, 6, 8])
def test_separated_background_has_the_films_channels_and_length(tmp_path, channels):
  wave = np.random.default_rng(channels).uniform(-0.9, 0.9, (12 * RATE + 77, channels)).astype(np.float32)
  write_wav_blocks(tmp_path / 'film.wav', [wave], RATE, channels)
  film = Film(tmp_path / 'film.wav')
  front = min(channels, 3)
  expected = np.concatenate([wave[:, :front] / 2, wave[:, front:]], axis=1)
  direct = np.concatenate(list(separated_blocks(film, HalfOf())))
  np.testing.assert_allclose(direct, expected, atol=1e-4)
  write_bed(film, HalfOf(), tmp_path / 'bed.flac')
  np.testing.assert_allclose(np.concatenate(list(read_bed(tmp_path / 'bed.flac', film))), expected, atol=2e-4)


def test_loud_background_is_kept_above_full_scale(tmp_path):
  wave = np.full((RATE, 2), 0.99, np.float32)
  write_wav_blocks(tmp_path / 'film.wav', [wave], RATE, 2)

  class Louder:
    def remove_dialogue(self, blocks):
      return (1.5 * block for block in blocks)

  film = Film(tmp_path / 'film.wav')
  write_bed(film, Louder(), tmp_path / 'bed.flac')
  np.testing.assert_allclose(np.concatenate(list(read_bed(tmp_path / 'bed.flac', film))), 1.485, atol=1e-3)


def test_memory_does_not_grow_with_the_film(tmp_path):
  def peak(seconds):
    blocks = (np.zeros((RATE, 2), np.float32) + 0.1 for _ in range(seconds))
    write_wav_blocks(tmp_path / f'{seconds}.wav', blocks, RATE, 2)
    film = Film(tmp_path / f'{seconds}.wav')
    voice = (np.full((RATE, 1), 0.1, np.float32) for _ in range(seconds))
    tracemalloc.start()
    for _ in mixed_blocks(voice, background_blocks(MUTE, film, [(1.0, 2.0)])):
      pass
    reached = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return reached

  short, long = peak(60), peak(180)
  assert long - short < 0.02e6 * 120  # B: of 120 s more
