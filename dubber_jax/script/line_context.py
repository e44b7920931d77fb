"""What rules of text normalization see of a line, and the type of a rule."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dubber_jax.script.characters import EM_DASH


@dataclass(frozen=True)
class LineContext:
  """The line in plain characters, and whether it is all in capitals."""

  text: str
  shouted: bool

  def before(self, position: int, words: int = 1) -> str:
    """The words before a position in the same sentence, lower case, joined by blanks; '' where there are none."""
    found = re.search(
      rf"((?:[A-Za-z][A-Za-z'.]*[^A-Za-z0-9.?!]+){{1,{words}}})$", self.text[max(0, position - 80) : position]
    )
    return ' '.join(re.findall("[a-z']+", found[1].lower())) if found else ''

  def after(self, position: int) -> str:
    """The word after a position in the same sentence, as written; ''  where there is none."""
    found = re.match(r"[ ,-]*([A-Za-z][A-Za-z']*)", self.text[position:])
    return found[1] if found else ''

  def starts_sentence(self, position: int) -> bool:
    return not self.text[:position].strip('\'" (') or self.text[:position].rstrip('\'" (')[-1] in '.?!:' + EM_DASH

  def ends_sentence(self, position: int) -> bool:
    """Whether nothing follows but closing marks: the period of an abbreviation here also ends the sentence."""
    return not self.text[position:].strip(' \'")]')


# (class, pattern, how a match is said). The first whose pattern matches and whose rule does not return None counts.
Rule = tuple[str, str, Callable[[re.Match, LineContext], str | None]]


def said(words: str) -> str:
  """Words set apart from what stands next to them."""
  return f' {words} '


def any_of(names: Iterable[str], ignore_case: bool = True) -> str:
  """A pattern for any of the names, the longest first."""
  either = '|'.join(re.escape(name) for name in sorted(names, key=len, reverse=True))
  return f'(?i:{either})' if ignore_case else f'(?:{either})'
