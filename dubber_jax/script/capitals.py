"""Words in capitals: initialisms, spelled letter by letter, and words, by the dictionary and by their context."""

import re
from typing import Protocol

from dubber_jax.script.dictionary import in_dictionary, interjection

SPELLED_A = 0xE000  # private-use code point that stands for a spelled 'A'

# Initialisms that the dictionary also has as words.
ALWAYS_SPELLED = frozenset('ai pm tv uk un eu id pc usa pr cd aka mba hp ps cv bc dj vp gi rv ap ob mp mit ups'.split())
_IT_NOUNS = frozenset(
  (
    'department guy guys support team manager specialist expert crowd security consultant girl staff tech '
    'infrastructure job industry sector services company people director'
  ).split()
)
_US_NOUNS = frozenset(
  (
    'army navy government troops dollar dollars president marines marine citizen citizens senate senator congress '
    'attorney marshal marshals embassy consulate soldiers soldier military economy treasury ambassador forces '
    'passport border mail postal air open customs federal market officials visa history constitution supreme '
    'coast presidents'
  ).split()
)
_ARTICLES = frozenset(('the a an this that every former modern entire whole mainland').split())
_OWNERS = frozenset(('the an our your my their his her its').split())
_ONSETS = frozenset(
  (
    'bl br ch cl cr dr dw fl fr gh gl gr kl kn kr ph pl pr qu rh sc sh sk sl sm sn sp st sw th tr tw vl wh wr zh'
  ).split()
)
_CODAS = frozenset(
  (
    'bs ch ck cs ct ds ff ft fs gh gs ks lb ld lf lk ll lm lp ls lt mb mm mp ms nc nd ng nk nn ns nt nx nz ph ps pt rb '
    'rc rd rf rg rk rl rm rn rp rr rs rt rz sh sk sm sp ss st th tt ts tz zz xt'
  ).split()
)


def mark_spelled(word: str) -> str:
  """The letters of a word as private-use code points from SPELLED_A on: they are pronounced by their names."""
  return ''.join(chr(SPELLED_A + ord(letter) - ord('A')) for letter in word.upper())


def is_shouted(text: str) -> bool:
  """Whether the whole line is in capitals, as broadcast captions are: then capitals tell nothing."""
  words = re.findall(r"[A-Za-z]+(?:'[A-Za-z]+)*", text)
  small = [word for word in words if re.search('[a-z]', re.sub(r"'?s$|^Mc|^Mac", '', word))]
  return not small and len(words) > 1 and sum(len(word) > 1 for word in words) > 0


class CaptionLine(Protocol):
  """What a rule sees of the line around a word."""

  text: str
  shouted: bool

  def before(self, position: int, words: int = 1) -> str: ...
  def after(self, position: int) -> str: ...
  def starts_sentence(self, position: int) -> bool: ...


def capital_word(word: str, line: CaptionLine, position: int) -> str:
  """A word in capitals, with 's or a plural s: in small letters, or spelled (`mark_spelled`). position: in the line."""
  plural = re.fullmatch(r"([A-Z]{2,})('?s|'S)", word)
  base, suffix = plural.groups() if plural else (word, '')
  lower, end = base.lower(), position + len(word)
  if _is_initialism(base, line, position, end):
    return mark_spelled(base) + ("'s" if suffix else '')
  if re.search(r'([A-Z])\1\1', base) and not interjection(base):
    once, twice = (re.sub(r'([a-z])\1\1+', repeat, lower) for repeat in (r'\1', r'\1\1'))
    lower = twice if in_dictionary(twice) and (not in_dictionary(once) or 'eee' in lower) else once
  return lower + suffix.lower()


def _is_initialism(base, line, position, end):
  lower, before, after = base.lower(), line.before(position), line.after(end)
  if "'" in base:
    return False
  if lower in _BY_CONTEXT:
    return _BY_CONTEXT[lower](line, before, after, position, end)
  if lower in ALWAYS_SPELLED:
    return True
  if interjection(base) or in_dictionary(base):
    return False
  if re.search(r'([A-Z])\1\1', base) and base not in ('WWW', 'XXX', 'AAA'):
    return False
  return len(base) < 5 and (len(base) < 4 or not line.shouted or not is_readable(lower)) or not is_readable(lower)


def is_readable(word: str) -> bool:
  """Whether a word can be spoken: vowels with at most two consonants around them, of the usual groups."""
  shape = re.fullmatch('([^aeiouy]{0,2})[aeiouy]+(?:[^aeiouy]{1,3}[aeiouy]+)*([^aeiouy]{0,2})', word)
  if not shape:
    return False
  onset, coda = shape.groups()
  return (len(onset) < 2 or onset in _ONSETS) and (len(coda) < 2 or coda in _CODAS)


def _it(line, before, after, position, end):
  """IT, the department: the IT guy, works in IT; else the pronoun."""
  if after.lower() in _IT_NOUNS:
    return True
  if line.shouted:
    return False
  return before in _OWNERS or bool(
    re.search(r'\b(?:work\w*|job|career|degree|experience|guy|people|years) (?:in|for|with)$', line.before(position, 2))
  )


def _us(line, before, after, position, end):
  """US, the country: the US, US troops; else the pronoun."""
  if (
    after.lower() in _US_NOUNS
    or after
    and not line.shouted
    and after[0].isupper()
    and not after.isupper()
    and before != 'to'
  ):
    return True
  return (
    before in _ARTICLES
    or not before
    and line.starts_sentence(position)
    and not line.shouted
    or before == 'in'
    and not line.shouted
  )


def _am(line, before, after, position, end):
  return (
    after.lower() in ('radio', 'fm', 'station', 'band')
    or before == 'fm'
    or bool(re.search(r'\d ?$', line.text[:position]))
  )


def _er(line, before, after, position, end):
  return (
    before in ('the', 'an', 'in', 'to', 'this')
    or not line.shouted
    and line.text[end : end + 1] not in (',', '.', '!', '-')
  )


def _la(line, before, after, position, end):
  return (
    not re.match('(?i)la$', after)
    and before != 'la'
    and (not line.shouted or before in ('in', 'to', 'from', 'of', 'leave', 'left'))
  )


def _who(line, before, after, position, end):
  return before == 'the' and not line.shouted


_BY_CONTEXT = {'it': _it, 'us': _us, 'am': _am, 'er': _er, 'la': _la, 'who': _who}
