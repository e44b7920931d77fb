import pytest

from dubber_jax.script.dictionary import INTERJECTIONS, LETTER_NAMES, in_dictionary
from dubber_jax.script.symbols import SYMBOLS


def test_words_are_found_in_any_case():
  assert in_dictionary('hello') and in_dictionary('Hello') and not in_dictionary('zorblax')


@pytest.mark.parametrize('table', [LETTER_NAMES, INTERJECTIONS], ids=['letters', 'interjections'])
def test_pronunciations_are_symbols_of_the_table(table):
  assert {'@' + code for codes in table.values() for code in codes.split()} <= set(SYMBOLS)
