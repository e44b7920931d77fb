import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.teacher_speech import RATE, STEP
from data_pipelines.teacher_symbols import (
  ARPABET,
  ATTACK,
  CLOSURE,
  LAG,
  MARKS,
  UNSPOKEN,
  map_english,
  parse_english,
  place,
)
from dubber_jax.errors import BadInput
from dubber_jax.script.alignment import durations_in_frames
from dubber_jax.script.symbols import INITIALS, SILENCES, SYMBOLS, VOWELS

# What espeak writes of English, with Kokoro's shorthands, and what the teacher knows besides.
OF_ENGLISH = ' !,.:;?—ˈˌːAIOQWYabdefhijklmnpstuvwzæðŋɐɑɒɔəɚɛɜɡɪɹɾʃʊʌʒʔʤʧθᵻᵊ'
FOREIGN = 'cqryxøœçɕɖɟɥɯɰɳɴɸʁɽʂʈʋɣɤχʎβʝ→↗↘↓ʰʲꭧ'


def symbols_of(phonemes):
  return map_english(phonemes, [1] * (len(phonemes) + 2))[0]


@pytest.mark.parametrize(
  ('phonemes', 'expected'),
  [
    ('nˈɪɹ', 'N IH1 R'),
    ('nˈɪə', 'N IH1 R'),
    ('ðˈeəɹ ɪz', 'DH EH1 R sp IH0 Z'),
    ('fˈɜɹst', 'F ER1 S T'),
    ('fˈɜːst', 'F ER1 S T'),
    ('bˈɛɾɚ', 'B EH1 T ER0'),
    ('bˈɛtə', 'B EH1 T AH0'),
    ('əɹˈWnd', 'AH0 R AW1 N D'),
    ('bˈʌʔnz', 'B AH1 T AH0 N Z'),
    ('ɡˌQ hˈOm', 'G OW2 sp HH OW1 M'),
    ('ʧˈYsᵻz', 'CH OY1 S IH0 Z'),
    ('dˈɒɡ kˈɑː', 'D AA1 G sp K AA1'),
    ('ʤˈʌʤ', 'JH AH1 JH'),
  ],
)
def test_pronunciation_is_written_as_it_is_heard(phonemes, expected):
  assert ' '.join(s[1:] for s in symbols_of(phonemes)[1:-1]) == expected


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text(OF_ENGLISH, min_size=1, max_size=60), st.data())
def test_time_is_kept_and_only_vowels_have_stress(phonemes, data):
  durations = data.draw(st.lists(st.integers(1, 30), min_size=len(phonemes) + 2, max_size=len(phonemes) + 2))
  if not any(piece.codes for piece in parse_english(phonemes)):
    with pytest.raises(BadInput, match='contains no phone'):
      map_english(phonemes, durations)
    return
  symbols, steps = map_english(phonemes, durations)
  assert len(symbols) == len(steps)
  assert np.isclose(steps.sum(), sum(durations))
  assert (steps >= 0).all()
  assert set(symbols) <= set(SYMBOLS)
  assert symbols[0] == symbols[-1] == '@sil'
  for symbol in symbols:
    if symbol not in SILENCES:
      assert (symbol[1:-1] in VOWELS) == symbol[-1].isdigit()


@pytest.mark.parametrize('symbol', OF_ENGLISH + FOREIGN)
def test_each_symbol_of_the_teacher_is_written_or_refused_by_name(symbol):
  known = symbol in ARPABET or symbol in MARKS or symbol in UNSPOKEN or symbol in 'ˈˌː'
  assert known or symbol not in OF_ENGLISH
  if known:
    assert set(symbols_of(f'ɑ{symbol}ɑ')) <= set(SYMBOLS)
  else:
    with pytest.raises(BadInput, match=f'{symbol!r}.*no ARPAbet'):
      symbols_of(f'ɑ{symbol}ɑ')


def test_the_whole_vocabulary_is_written_or_refused():
  teacher_speech = pytest.importorskip('data_pipelines.teacher_speech')
  try:
    vocabulary = teacher_speech.read_vocabulary()
  except BadInput as e:
    pytest.skip(str(e))
  assert set(OF_ENGLISH) <= set(vocabulary)
  for symbol in vocabulary:
    try:
      assert set(symbols_of(f'ɑ{symbol}ɑ')) <= set(SYMBOLS)
    except BadInput as e:
      assert repr(symbol) in str(e)


def test_durations_of_another_line_are_refused():
  with pytest.raises(BadInput, match='which need two more'):
    map_english('hˈI', [1, 2, 3])


def test_marks_between_words_are_one_and_the_strongest():
  assert symbols_of('hˈI,! hˈO—…hˈI.') == ['@sil', '@HH', '@AY1', '!', '@HH', '@OW1', '...', '@HH', '@AY1', '.', '@sil']


def spoken(silences, seconds):
  """A noise with silences (start s, end s)."""
  wave = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
  for start, end in silences:
    wave[round(start * RATE) : round(end * RATE)] = 0
  return wave


def test_phones_are_moved_by_the_lag_and_pauses_are_where_it_is_quiet():
  # Silence to 0.3 s, two phones, a comma's pause from 0.7 to 0.9 s, a space without a pause, and the end.
  symbols = ['@sil', '@HH', '@AY1', ',', '@M', '@AY1', '@sp', '@S', '@AH0', '.', '@sil']
  steps = np.array([14, 6, 14, 4, 4, 8, 2, 6, 20, 6, 2])
  seconds = steps.sum() * STEP / RATE
  wave = spoken([(0, 0.3), (0.7, 0.9), (1.6, seconds)], seconds)
  alignment = place(wave, symbols, steps)
  assert alignment.phonemes == ('@sil', '@HH', '@AY1', ',', '@M', '@AY1', '@S', '@AH0', '.', '@sil')
  at = dict(zip(range(10), zip(alignment.starts, alignment.ends, strict=True), strict=True))
  assert at[0][0] == 0 and at[9][1] == seconds
  assert np.isclose(at[1][0], 0.3, atol=0.03)  # the first phone
  assert np.isclose(at[2][0], 20 * 0.025 - LAG)
  assert np.isclose(at[3], (0.7, 0.9), atol=0.05).all()  # the comma
  assert np.isclose(at[5][0], 42 * 0.025 - LAG)
  assert np.isclose(at[6][0], 51 * 0.025 - LAG)  # the middle of the space
  assert np.isclose(at[7][1], 1.6, atol=0.05)
  assert at[8][0] == at[8][1]  # the last mark
  assert durations_in_frames(alignment, 163).sum() == 163


def pause_before(phone):
  """(start s, end s) of a pause without a mark, from 0.5 to 0.7 s in the sound, before `phone`."""
  symbols, steps = ['@sil', '@AY1', '@sp', phone, '@sil'], np.array([10, 20, 2, 12, 10])
  seconds = steps.sum() * STEP / RATE
  alignment = place(spoken([(0, 0.2), (0.5, 0.7), (1.0, seconds)], seconds), symbols, steps)
  return alignment.starts[2], alignment.ends[2]


def test_the_closure_of_a_stop_after_a_pause_belongs_to_it_in_either_language():
  open_end = pause_before('@M')[1]
  assert np.isclose(pause_before('@T')[1], open_end - CLOSURE + ATTACK)
  for initial in INITIALS:
    end = pause_before(f'zh:{initial}')[1]
    is_stop = initial in 'b p d t g k j q zh ch z c'.split()
    assert np.isclose(end, open_end - (CLOSURE - ATTACK) * is_stop), initial
  assert pause_before('zh:a1')[1] == open_end


def test_a_real_pause_without_a_mark_is_a_short_silence():
  symbols, steps = ['@sil', '@AY1', '@sp', '@AY1', '@sil'], np.array([10, 20, 2, 12, 10])
  seconds = steps.sum() * STEP / RATE
  alignment = place(spoken([(0, 0.2), (0.5, 0.7), (1.0, seconds)], seconds), symbols, steps)
  assert alignment.phonemes == tuple(symbols)
  assert np.isclose((alignment.starts[2], alignment.ends[2]), (0.5, 0.7), atol=0.05).all()
