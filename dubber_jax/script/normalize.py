"""English text normalization: a line as words, with numbers, dates, abbreviations, initialisms and signs written out.

The text is split once, from left to right, into tokens of semiotic classes (Kestrel: Ebden and Sproat, 2014), and each
token is written out once. Rules (number_rules.py, word_rules.py) see the text as it was given, never what another rule
made of it. What a rule leaves out although it holds a letter or digit is reported.
"""

import re
from dataclasses import dataclass

from dubber_jax.script import number_rules, word_rules
from dubber_jax.script.capitals import SPELLED_A, is_shouted, mark_spelled
from dubber_jax.script.characters import plain_text
from dubber_jax.script.line_context import LineContext

__all__ = ['SPELLED_A', 'Token', 'mark_spelled', 'normalize_text', 'tokenize']

_RULES = (*word_rules.FIRST_RULES, *number_rules.RULES, *word_rules.RULES)
_CLASSES = tuple((kind, re.compile(pattern), rule) for kind, pattern, rule in _RULES)
_EXPANDED = frozenset(('abbreviation', 'roman', 'initialism', 'date'))


@dataclass(frozen=True)
class Token:
  """A part of the text, its class and how it is said. `spoken` is '' for what is silent."""

  kind: str
  text: str
  spoken: str


def normalize_text(text: str, unspoken: list[str]) -> str:
  """The text as words in ASCII, punctuation and em dashes.

  Letters to be spelled out are private-use code points (`mark_spelled`). Parts without a pronunciation are removed and
  appended to `unspoken`.
  """
  spoken = []
  for token in tokenize(plain_text(text, unspoken)):
    spoken.append(token.spoken)
    if not token.spoken.strip() and (token.kind == 'censored' or re.search('[A-Za-z0-9]', token.text)):
      unspoken.append(token.text.strip())
  joined = re.sub(r'\s+', ' ', ''.join(spoken))
  return re.sub(r' (?=[.,;:?!])', '', joined).strip()


def tokenize(text: str) -> list[Token]:
  """Plain text (characters.plain_text) as tokens, whose texts together are the text."""
  line, tokens, position = LineContext(text, is_shouted(text)), [], 0
  while position < len(text):
    token = _token_at(line, position)
    tokens.append(token)
    position += len(token.text)
  return tokens


def _token_at(line, position):
  for kind, pattern, write_out in _CLASSES:
    match = pattern.match(line.text, position)
    if not match or match.end() == position:
      continue
    spoken = write_out(match, line)
    if spoken is not None:
      glued = kind in _EXPANDED and line.text[match.end() : match.end() + 1].isalnum()
      return Token(kind, match.group(), spoken + (' ' if glued else ''))  # Mr.Smith
  raise AssertionError(f'no token at {line.text[position:]!r}')
