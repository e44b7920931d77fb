import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubber_jax.serving.sentences import cut, split_text


def said(text, longest=200):
  return [line.text for line in split_text(text, longest)]


@pytest.mark.parametrize(
  'text, lines',
  [
    ('One. Two? Three!', ['One.', 'Two?', 'Three!']),
    ('Mr. Smith met Dr. Jones, i.e. the doctor. He left.', ['Mr. Smith met Dr. Jones, i.e. the doctor.', 'He left.']),
    ('It costs 3.50 at 5 p.m. on Monday.', ['It costs 3.50 at 5 p.m. on Monday.']),
    ('They closed at 5 p.m. Nobody came.', ['They closed at 5 p.m.', 'Nobody came.']),
    ('J. R. Tolkien wrote it. So did I. You know.', ['J. R. Tolkien wrote it.', 'So did I.', 'You know.']),
    ('"Go!" she said. "Now."', ['"Go!" she said.', '"Now."']),
    ('Well... maybe. Wait… No.', ['Well... maybe.', 'Wait…', 'No.']),
    ('No end here', ['No end here']),
    ('1. Go. 2. Wait. It was 7. Then 8.', ['1. Go.', '2. Wait.', 'It was 7.', 'Then 8.']),
    ('...', []),
    (' \n\n ', []),
  ],
)
def test_text_is_cut_at_ends_of_sentences_alone(text, lines):
  assert said(text) == lines


def test_brackets_direct_the_sentences_after_them_in_the_paragraph():
  lines = split_text('[whispering] Come here. Quick.\n\nHe came. (angry) Why?', 200)
  assert [line.stage_direction for line in lines] == ['whispering', 'whispering', '', 'angry']
  assert [line.last for line in lines] == [False, True, False, True]
  assert [line.text for line in lines] == ['Come here.', 'Quick.', 'He came.', 'Why?']


def test_long_sentence_is_cut_where_it_hurts_least():
  parts = cut('We went to the sea, which was cold; nobody swam, not even the dogs that always do.', 50)
  assert parts == ['We went to the sea, which was cold;', 'nobody swam, not even the dogs that always do.']
  assert cut('a' * 120, 50) == ['a' * 50, 'a' * 50, 'a' * 20]


@settings(deadline=None, max_examples=60)
@given(st.text(st.sampled_from('abc DEF.,;:!?…"\'()[]—\n0127 '), max_size=400), st.integers(20, 120))
def test_no_word_is_lost_and_no_line_is_too_long(text, longest):
  lines = split_text(text, longest)
  assert all(0 < len(line.text) <= longest for line in lines)
  bare = re.sub(r'\[[^\[\]]*\]|\([^()]*\)', '', text)
  if not re.search(r'[\[\]()]', bare) and bare == text:
    assert re.findall(r'\w', ''.join(line.text for line in lines)) == re.findall(r'\w', text)
