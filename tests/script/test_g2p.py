import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubber_jax.errors import BadInput
from dubber_jax.script.g2p import encode, phonemize, read_lexicon
from dubber_jax.script.symbols import PUNCTUATION


def spoken(text, **kwargs):
  return ' '.join(phonemize(text, **kwargs).words)


def test_stress_punctuation_and_words_are_kept():
  phonemes = phonemize('Hello, world?')
  assert phonemes.symbols == (
    '@sil', '@HH', '@EH0', '@L', '@OW1', ',', '@W', '@ER1', '@L', '@D', '?', '@sil',
  )  # fmt: skip
  np.testing.assert_array_equal(phonemes.word_of, [-1, 0, 0, 0, 0, -1, 1, 1, 1, 1, -1, -1])
  assert phonemes.words == ('hello', 'world')


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('It cost $3.50 in 1984.', 'it cost three dollars fifty cents in nineteen eighty four'),
    ('$1.5 million, or 5kg', 'one point five million dollars or five kilograms'),
    ('Dr. Smith, Prof. Jones etc.', 'doctor smith professor jones et cetera'),
    ('the 1920s, at 3:45pm', 'the nineteen twenties at three forty five p m'),
    ('NASA and the BBC left the U.S.A.', 'nasa and the b b c left the u s a'),
    ('GET OUT OF HERE!', 'get out of here'),
    ('J. R. R. Tolkien and Henry VIII', 'j r r tolkien and henry eight'),
    ('Nooo! Sweeeet.', 'no sweet'),
    ('2 1/2 cups & 50%', 'two and one half cups and fifty percent'),
    ('café—naïve “rock ’n’ roll”', 'cafe naive rock and roll'),
    ('1914–1918', 'nineteen fourteen to nineteen eighteen'),
    ('£3, 20 € and $3.5m', 'three pounds twenty euros and three point five million dollars'),
    ('₹20.50', 'twenty rupees fifty paise'),
    ('at 120 km/h, 1 mph', 'at one hundred and twenty kilometers per hour one mile per hour'),
    ('the 3rd of Dec. 2020', 'the third of december twenty twenty'),
    ("the '90s and 60's", 'the nineties and sixties'),
    ('15:00, 7:05 a.m., 10:00', "fifteen hundred seven oh five a m ten o'clock"),
    ('5/8, 1/3 or 9/11', 'five eighths one third or nine eleven'),
    ('call 555-1234, agent 007', 'call five five five one two three four agent zero zero seven'),
    ('10-20 at 3-1', 'ten to twenty at three to one'),
    ('20°C or 98.6°F', 'twenty degrees celsius or ninety eight point six degrees fahrenheit'),
    ('me@foo-bar.co.uk', 'me at foo dash bar dot co dot uk'),
    ('https://example.com/a.', 'example dot com slash a'),
    ('12 Main St. near St. Paul', 'twelve main street near saint paul'),
    ('Mr Fox, Ph.D., w/o C-3PO', 'mister fox p h d without c three p o'),
    ('brb, 3 × 4 = 12', 'b r b three times four equals twelve'),
    ('soft\u00adly \ufeffnow', 'softly now'),
  ],
)
def test_numbers_and_abbreviations_are_written_out(text, words):
  assert spoken(text) == words


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


def test_what_is_not_spoken_or_guessed_is_told():
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


def test_lexicon_goes_before_the_dictionary(tmp_path):
  path = tmp_path / 'names.txt'
  path.write_text('# names\nZhivago ZH IH0 V AA1 G OW0\nVan_Gogh V AE N G OW1 # painter\nX\u00e9na Z IY N AH\n')
  lexicon = read_lexicon(path)
  assert lexicon['van gogh'] == ('@V', '@AE0', '@N', '@G', '@OW1')
  phonemes = phonemize("Zhivago's van Gogh, Xena.", lexicon)
  assert phonemes.words == ("zhivago's", 'van gogh', 'xena')
  assert phonemes.symbols[1:8] == ('@ZH', '@IH0', '@V', '@AA1', '@G', '@OW0', '@Z')
  assert phonemes.symbols[-6:] == ('@Z', '@IY1', '@N', '@AH0', '.', '@sil')


@pytest.mark.parametrize('row', ['Zhivago', 'Zhivago ZH QQ', 'Zhivago @sil', 'Zhivago ,'])
def test_a_bad_row_of_a_lexicon_is_named(tmp_path, row):
  path = tmp_path / 'names.txt'
  path.write_text(f'Anna AE1 N AH0\n\n{row}\n')
  with pytest.raises(BadInput, match='row 3'):
    read_lexicon(path)
  with pytest.raises(BadInput):
    read_lexicon(tmp_path / 'missing.txt')


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


def test_marks_within_words_are_not_spelled_into_them():
  assert spoken('visit www.foo.org at twelve:thirty') == 'visit w w w dot foo dot org at twelve thirty'


def test_number_too_long_to_be_said_as_one_is_read_digit_by_digit():
  assert phonemize('Call 1000000000000000000000000007.').words.count('zero') == 26
