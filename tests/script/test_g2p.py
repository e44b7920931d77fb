import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubber_jax.errors import BadInput
from dubber_jax.script.g2p import encode, phonemize
from dubber_jax.script.symbols import PUNCTUATION


def test_stress_punctuation_and_words_are_kept():
  phonemes = phonemize('Hello, world?')
  assert phonemes.symbols == (
    '@sil', '@HH', '@EH0', '@L', '@OW1', ',', '@W', '@ER1', '@L', '@D', '?', '@sil',
  )  # fmt: skip
  np.testing.assert_array_equal(phonemes.word_of, [-1, 0, 0, 0, 0, -1, 1, 1, 1, 1, -1, -1])
  assert phonemes.words == ('hello', 'world')


@pytest.mark.parametrize(
  ('text', 'marks'),
  [('Well... yes?!', '... ?'), ('it — was; a: b', '- ; :'), ('"Stop!" he said.', '! .'), ('bob.com is 3.5', '')],
)
def test_one_mark_stands_between_two_words(text, marks):
  assert ' '.join(s for s in phonemize(text).symbols if s in PUNCTUATION) == marks


def test_part_of_speech_picks_the_pronunciation():
  assert phonemize('I will read it.').symbols[5:8] == ('@R', '@IY1', '@D')
  assert phonemize('the sad song was read').symbols[-4:-1] == ('@R', '@EH1', '@D')
  assert phonemize('the apple').symbols[1:3] == ('@DH', '@IY0')


def test_a_word_outside_the_dictionary_is_guessed():
  phonemes = phonemize('zorblax')
  assert phonemes.symbols[1] == '@Z' and phonemes.symbols[-2] == '@S' and not phonemes.unspoken


def test_what_cannot_be_spoken_is_named():
  phonemes = phonemize('日本 hello 😀')
  assert phonemes.words == ('hello',)
  assert phonemes.unspoken == ('日本', '😀')


def test_warnings_name_unspoken_and_guessed_words():
  (script,) = phonemize('Привет, hello').warnings
  assert 'Привет' in script and 'Cyrillic' in script
  (stammer,) = phonemize('B-but why?').warnings
  assert 'B-' in stammer
  (name,) = phonemize('Ask Xiaoming for it.').warnings
  assert 'Xiaoming' in name and '--lexicon' in name
  (language,) = phonemize('Guten Morgen, wie geht es dir?').warnings
  assert 'English' in language and 'geht' in language
  assert phonemize('Well, Mr. Bennet, we never asked for 3 of these.').warnings == ()
  assert phonemize('Xiaoming', {'xiaoming': ('@S', '@EH1')}).warnings == ()


@pytest.mark.parametrize('text', ['', '  \n', 'caf\udce9', '...?!', '😀 ♪', '日本', '- -- …'])
def test_a_line_without_a_word_is_refused(text):
  with pytest.raises(BadInput):
    phonemize(text)


@settings(max_examples=60, deadline=None)
@given(
  st.text(max_size=40)
  | st.text("aA1I.'$-/ ,?&\u2014\ue000", max_size=20)
  | st.text('0123456789:/.,-$£€¥₹¢%° aApPmMkKsSthCF+()@w', max_size=16)
)
def test_any_text_is_phonemes_or_refused(text):
  try:
    phonemes = phonemize(text)
  except BadInput as error:
    assert '\n' not in str(error)
    return
  assert all('\n' not in warning for warning in phonemes.warnings)
  assert phonemes.symbols[0] == phonemes.symbols[-1] == '@sil'
  assert len(encode(phonemes.symbols)) == len(phonemes.word_of)
  spoken_words = phonemes.word_of[phonemes.word_of >= 0]
  np.testing.assert_array_equal(np.unique(spoken_words), np.arange(len(phonemes.words)))
  assert (np.diff(spoken_words) >= 0).all()


def test_an_unknown_symbol_is_refused():
  with pytest.raises(BadInput, match='@QQ'):
    encode(['@QQ'])


def test_number_too_long_to_be_said_as_one_is_read_digit_by_digit():
  assert phonemize('Call 1000000000000000000000000007.').words.count('zero') == 26
