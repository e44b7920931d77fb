"""A text cut into lines that are spoken one after the other: sentences, with the stage directions before them.

A line is what the actor speaks in one breath group or a few: the first is there soon, and none is longer than the
actor can take. Cuts are made, in this order of preference, at paragraphs, at the ends of sentences, at semicolons and
colons, at commas and dashes, between words.
"""

import re
from dataclasses import dataclass

from dubber_jax.script.speakers import take_directions

# A period after these does not end a sentence, whatever follows.
ABBREVIATIONS = frozenset(
  'mr mrs ms dr prof rev hon st mt gen col capt lt sgt gov sen rep pres supt jr sr vs no vol fig approx dept est inc '
  'ltd co corp e.g i.e cf al etc a.m p.m jan feb mar apr jun jul aug sep sept oct nov dec'.split()
)
# Of these, those that often end one: before a capital letter they do.
FINAL = frozenset('etc inc ltd co corp jr sr a.m p.m al'.split())
_END = re.compile(r'(?:[.!?…]+|[。！？]+)["\'”’»)\]]*(?=\s|$)|(?<=[。！？])(?=\S)')
_BEFORE_WORDS = re.compile(r'^[\s"\'“‘«]*(?:[(\[][^)\]]*[)\]])*[\s"\'“‘«(\[]*')  # marks and stage directions
AROUND = 200  # characters before and after a mark that are looked at
_CUTS = (r'[;:]["\'”’)\]]*\s', r'(?:,["\'”’)\]]*\s|\s[-–—]+\s|—)', r'\s')


@dataclass(frozen=True)
class Sentence:
  """A line of a text: what is said, how (of brackets before it), and whether a paragraph ends with it."""

  text: str
  stage_direction: str = ''
  last: bool = False


def split_text(text: str, longest: int) -> list[Sentence]:
  """The lines of a text, none of them of more than `longest` characters; [] where nothing is in it.

  Brackets at the beginning of a sentence are its stage direction, and of those after it in the paragraph, until there
  are others."""
  lines: list[Sentence] = []
  for paragraph in re.split(r'\s*\n\s*\n\s*|\s*[\u2029\f]\s*', text):
    direction, found = '', []
    for sentence in _sentences(' '.join(paragraph.split())):
      said, directions, _ = take_directions(sentence)
      direction = ', '.join(directions) or direction
      found += [(part, direction) for part in cut(said.strip(), longest) if re.search(r'\w', part)]
    lines += [Sentence(said, how, i == len(found) - 1) for i, (said, how) in enumerate(found)]
  return lines


def _sentences(paragraph: str) -> list[str]:
  found, begin = [], 0
  for end in _END.finditer(paragraph):
    if end.end() > begin and _ends(paragraph, begin, end.start(), end.end()):
      found.append(paragraph[begin : end.end()].strip())
      begin = end.end() + (paragraph[end.end() : end.end() + 1] == ' ')
  return [part for part in [*found, paragraph[begin:].strip()] if part]


def complete_sentences(text: str) -> tuple[str, str]:
  """The sentences of the beginning of a text that more is to come of, and what may go on: a sentence is complete where
  another word has begun behind it."""
  ends = [0]
  for end in _END.finditer(text):
    begin = ends[-1] + len(text[ends[-1] :]) - len(text[ends[-1] :].lstrip())
    if text[end.end() :].strip() and _ends(text, begin, end.start(), end.end()):
      ends.append(end.end())
  return text[: ends[-1]], text[ends[-1] :]


def _ends(text: str, begin: int, mark: int, after: int) -> bool:
  """Whether the mark at `mark` ends the sentence that begins at `begin`: not the period of an abbreviation, an initial
  or a list's number, nor dots or a mark before a word in lower case."""
  following = _BEFORE_WORDS.sub('', text[after : after + AROUND], count=1)
  if not following:
    return True
  lower = following[0].islower()
  if text[mark] != '.':
    return not lower
  word = re.split(r'[\s("“‘\'[—]', text[max(0, mark - AROUND) : mark])[-1].lower()
  if word.isdigit() and mark - len(word) == begin:
    return False  # of a list: "1. Go"
  if len(word) == 1 and word.isalpha() and word != 'i':
    return False  # an initial
  if word in ABBREVIATIONS:
    return word in FINAL and following[0].isupper()
  return not lower


def cut(text: str, longest: int) -> list[str]:
  """A sentence in parts of at most `longest` characters, of about equal length, cut where it hurts least."""
  if len(text) <= longest:
    return [text]
  for pattern in _CUTS:
    places = [match.end() for match in re.finditer(pattern, text) if longest / 8 < match.end() < len(text)]
    places = [place for place in places if place <= longest]
    if places:
      middle = min(longest, len(text) / 2)
      place = min(places, key=lambda at: abs(at - middle))
      return [text[:place].strip(), *cut(text[place:].strip(), longest)]
  return [text[:longest], *cut(text[longest:].strip(), longest)]
