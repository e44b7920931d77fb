import sys
import unicodedata

import pytest

from dubber_jax.script.characters import SIGNS, plain_text, spell_character


@pytest.mark.parametrize(
  ('text', 'plain'),
  [
    ('Søren, Æon, ÆON, Łódź, Đoković', 'Soren, Aeon, AEON, Lodz, Dokovic'),
    ('œuvre þorn ðe ırk straße Ŋ', 'oeuvre thorn de irk strasse Ng'),
    ('don´t it’s o`clock', "don't it's o'clock"),
    ('½ 2½ x² 10⁵ H₂O', '1/2 2 1/2 x^2 10^5 H2O'),
    ('٣ ৪ Ⅷ ① １２', '3 4 VIII 1 12'),
    ('20℃ № 5 Nº5', '20°C No. 5 No. 5'),
    ('soft\u00adly \ufeffnow\u200bthere\u3000x', 'softly now there x'),
    ('wait… a–b — c', 'wait... a–b — c'),
  ],
)
def test_letters_digits_and_signs_get_their_plain_form(text, plain):
  unspoken = []
  assert plain_text(text, unspoken) == plain and not unspoken


def test_what_has_no_spelling_is_named_in_runs():
  unspoken = []
  assert plain_text('日本 語 hello 😀 ™', unspoken) == 'hello'
  assert unspoken == ['日本 語', '😀 ™']


def test_every_letter_and_digit_of_unicode_is_spelled_or_named():
  for code in range(sys.maxunicode + 1):
    character = chr(code)
    if unicodedata.category(character)[0] in 'LN':
      spelled = spell_character(character)
      assert spelled is None or spelled.strip(), f'U+{code:04X} is dropped'


def test_plain_text_is_ascii_and_signs():
  for code in (*range(0x3000), *range(0x1D400, 0x1D800), 0x1F600):
    assert set(spell_character(chr(code)) or '') <= {chr(c) for c in range(32, 127)} | SIGNS
