import json

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.media.sound import read_sound
from dubber_jax.script.alignment import RATE, Alignment, align, durations_in_frames
from dubber_jax.script.g2p import encode, phonemize
from dubber_jax.script.symbols import SILENCES


@pytest.fixture(scope='module')
def grid(data_dir):
  """The first GRID clips: (wave at 16 kHz, text, GRID's own word times)."""
  rows = map(json.loads, (data_dir / 'grid.jsonl').read_text().splitlines())
  rows = [row for row in rows if row.get('words')][:240:8]
  return [
    (
      read_sound(data_dir / row['file'], RATE),
      row['text'],
      [word for word in row['words'] if word[2] not in ('sil', 'sp')],
    )
    for row in rows
  ]


def test_word_times_agree_with_those_of_grid(grid):
  errors = []
  for wave, text, words in grid:
    ours = align(wave, text).words
    assert [word for _, _, word in ours] == [word for _, _, word in words]
    errors += [abs(ours[0][0] - words[0][0])]
    errors += [abs(a[1] - b[1]) for a, b in zip(ours, words, strict=True)]
  assert np.median(errors) <= 0.025
  assert np.percentile(errors, 90) <= 0.060


def test_symbols_fill_the_recording_without_gaps(grid):
  wave, text, _ = grid[0]
  alignment = align(wave, text)
  assert alignment.phonemes[0] == alignment.phonemes[-1] == '@sil'
  assert alignment.starts[0] == 0
  np.testing.assert_array_equal(alignment.starts[1:], alignment.ends[:-1])
  assert alignment.ends[-1] == pytest.approx(len(wave) / RATE)
  spoken = tuple(s for s in alignment.phonemes if s not in SILENCES)
  assert spoken == tuple(s for s in phonemize(text).symbols if s not in SILENCES)
  assert len(encode(alignment.phonemes)) == len(durations_in_frames(alignment, 250))


def test_quiet_loud_and_digitally_silent_sound_is_aligned_alike(grid):
  wave, text, _ = grid[1]
  expected = align(wave, text).starts
  for changed in (wave * 0.003, np.clip(wave * 1.3, -1, 1)):
    starts = align(changed, text).starts
    assert len(starts) == len(expected)
    assert np.median(np.abs(starts - expected)) <= 0.02
  padded = np.concatenate([np.zeros(RATE, np.float32), wave, np.zeros(RATE, np.float32)])
  assert np.median(np.abs(align(padded, text).starts[1:] - expected[1:] - 1)) <= 0.02


def test_a_pause_goes_to_the_mark_or_to_sp(grid):
  wave, text, words = grid[3]
  cut = round(words[2][1] * RATE)  # after the third word
  wave = np.concatenate([wave[:cut], wave[: RATE // 2], wave[cut:]])  # the room before he speaks
  parts = text.split()
  for mark, token in ((',', ','), ('', '@sp')):
    marked = ' '.join(parts[:3]) + mark + ' ' + ' '.join(parts[3:])
    alignment = align(wave, marked)
    at = alignment.phonemes.index(token)
    assert alignment.ends[at] - alignment.starts[at] == pytest.approx(0.5, abs=0.15)
  assert align(wave, text + '.').phonemes[-2:] == ('.', '@sil')


def test_durations_add_up_to_any_number_of_frames():
  alignment = Alignment(
    ('@sil', '@AA1', ',', '@T', '@sil'), np.array([0, 0.2, 0.5, 0.5, 0.6]), np.array([0.2, 0.5, 0.5, 0.6, 1.0]), ()
  )
  for frames in (86, 87, 60, 3):
    durations = durations_in_frames(alignment, frames)
    assert durations.sum() == frames and (durations >= 0).all() and durations.dtype == np.int32
  np.testing.assert_array_equal(durations_in_frames(alignment, 86), [17, 26, 0, 9, 34])


@pytest.mark.parametrize('wave', [np.zeros(RATE), np.full(RATE, np.nan), np.zeros(0), np.ones(400)])
def test_sound_without_speech_is_refused(wave):
  with pytest.raises(BadInput):
    align(wave, 'hello there')


def test_too_many_words_for_the_sound_are_refused(grid):
  with pytest.raises(BadInput, match='too short'):
    align(grid[0][0], 'many words ' * 100)
