import pytest

from dubber_jax.script.g2p import phonemize
from dubber_jax.script.normalize import mark_spelled, normalize_text


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
  assert ' '.join(phonemize(text).words) == words


def test_marks_within_words_are_not_spelled_into_them():
  assert (
    ' '.join(phonemize('visit www.foo.org at twelve:thirty').words) == 'visit w w w dot foo dot org at twelve thirty'
  )


@pytest.mark.parametrize(
  ('text', 'normalized'),
  [
    ('$3.50', '3 dollars 50 cents'),
    ('£1', '1 pound'),
    ('at 7:05', 'at 7 oh 5'),
    ('5 km/h', '5 kilometers per hour'),
    ('Dr. No', 'doctor No'),
    ('Henry VIII', 'Henry 8'),
    ('GET OUT', 'get out'),
    ('the BBC', f'the {mark_spelled("BBC")}'),
  ],
)
def test_each_kind_of_token_is_normalized(text, normalized):
  assert normalize_text(text, []) == normalized


def test_removed_parts_are_reported():
  unspoken = []
  assert normalize_text('日本 hello 😀', unspoken) == 'hello'
  assert unspoken == ['日本', '😀']
