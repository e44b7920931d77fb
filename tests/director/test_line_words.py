import pytest

from dubber_jax.director.notes.line_words import breath_place, marks, named_places, plain_words
from dubber_jax.director.notes.parser import parse_note
from dubber_jax.script.g2p import phonemize

LINE = phonemize('I told you, you were never going to leave.')


def test_marks_are_within_the_line_and_after_their_word():
  assert marks(LINE) == [(2, ',')]
  assert marks(LINE.words) == []  # words alone have none


def test_words_are_compared_in_lower_case():
  assert plain_words(['Never', 'GO']) == ('never', 'go') and plain_words(LINE) == LINE.words


@pytest.mark.parametrize(
  'words, place',
  [(LINE, 2), (('come', 'here', 'and', 'sit', 'down'), 1), (('one', 'two', 'three', 'four'), 1), (('no',), None)],
)
def test_breath_is_at_a_mark_a_conjunction_or_the_middle(words, place):
  assert breath_place(words) == place


@pytest.mark.parametrize(
  'note, places',
  [
    ('stress "never"', [(5,)]),
    ('stress "you"', [(3,)]),  # the last time it occurs
    ('stress "never going"', [(5, 6)]),
    ('stress word 2', [(1,)]),
    ('重读“你”', [(2,)]),
    ('stress "elephant"', []),
  ],
)
def test_words_that_a_note_names_are_found(note, places):
  warnings = []
  (request,) = parse_note(note).requests
  assert named_places(request, LINE.words, warnings, 'stress') == places
  assert len(warnings) == (not places)
