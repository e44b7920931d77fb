import re

import pytest
from num2words import num2words

from dubber_jax.script.numbers import (
  cardinal,
  digit_words,
  name_number,
  number_words,
  ordinal,
  plural_words,
  roman_value,
  year,
)


def plain(words):
  return re.sub('[-, ]+', ' ', words)


@pytest.mark.parametrize(
  ('value', 'cardinal_words', 'ordinal_words'),
  [
    (0, 'zero', 'zeroth'),
    (12, 'twelve', 'twelfth'),
    (30, 'thirty', 'thirtieth'),
    (105, 'one hundred and five', 'one hundred and fifth'),
    (1001, 'one thousand and one', 'one thousand and first'),
    (12345, 'twelve thousand three hundred and forty five', 'twelve thousand three hundred and forty fifth'),
    (10**12 + 7, 'one trillion and seven', 'one trillion and seventh'),
  ],
)
def test_cardinals_and_ordinals_have_no_marks(value, cardinal_words, ordinal_words):
  assert cardinal(value) == cardinal_words and ordinal(value) == ordinal_words


@pytest.mark.parametrize('value', [1001, 1066, 1100, 1776, 1900, 1905, 1984, 2000, 2001, 2010, 2026, 2100, 2999])
def test_years_are_those_of_num2words(value):
  assert year(value) == plain(num2words(value, to='year'))


@pytest.mark.parametrize('value', [-1, 10**18])
def test_numbers_out_of_range_are_refused(value):
  with pytest.raises(ValueError):
    cardinal(value)


@pytest.mark.parametrize(
  ('written', 'words'),
  [
    ('1984', 'nineteen eighty four'),
    ('1,984', 'one thousand nine hundred and eighty four'),
    ('2.50', 'two point five oh'),
    ('.5', 'point five'),
    ('007', 'zero zero seven'),
    ('1' + '0' * 15, 'one' + ' zero' * 15),
  ],
)
def test_written_numbers_keep_each_digit(written, words):
  assert number_words(written) == words


def test_numbers_that_are_names_are_read_by_pairs():
  names = {
    '815': 'eight fifteen',
    '101': 'one oh one',
    '1408': 'fourteen oh eight',
    '300': 'three hundred',
    '66': 'sixty six',
  }
  assert {number: name_number(number) for number in names} == names
  assert digit_words('90210', 'oh') == 'nine oh two one oh'


@pytest.mark.parametrize(('words', 'plural'), [('fifty two', 'fifty twos'), ('six', 'sixes'), ('twenty', 'twenties')])
def test_plurals_of_number_words(words, plural):
  assert plural_words(words) == plural


@pytest.mark.parametrize(
  ('numeral', 'value'), [('IV', 4), ('XIV', 14), ('MCMXCIV', 1994), ('IIII', 0), ('IVX', 0), ('', 0)]
)
def test_only_well_formed_roman_numerals_have_a_value(numeral, value):
  assert roman_value(numeral) == value
