import pytest

from dubber_jax.errors import BadInput
from dubber_jax.media.sound import read_sound
from dubber_jax.script.asr import MAX_PIECE, recognize, split_at_pauses, transcript


def test_words_are_split_at_the_longest_pause_into_pieces_of_limited_length():
  words = [(float(t), t + 0.9, str(t)) for t in range(5)] + [(t + 1.0, t + 1.9, str(t)) for t in range(5, 10)]
  pieces = split_at_pauses(words)
  assert [transcript(piece) for piece in pieces] == ['0 1 2 3 4', '5 6 7 8 9']
  assert all(piece[-1][1] - piece[0][0] <= MAX_PIECE for piece in pieces)
  assert split_at_pauses([]) == []


def test_words_of_a_recording_are_in_order_and_within_it(data_dir):
  wave = read_sound(data_dir / 'grid/s1/bbaf2n.mp4', 16000)
  words = recognize(wave)
  assert len(words) >= 2 and transcript(words)
  times = [time for start, end, _ in words for time in (start, end)]
  assert times == sorted(times) and times[-1] <= len(wave) / 16000 + 0.1


def test_silence_is_refused():
  with pytest.raises(BadInput, match='silent'):
    recognize([0.0] * 16000)
