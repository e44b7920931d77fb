"""User lexicons: pronunciations given in a file, which take precedence over the dictionary."""

import os
import re

from dubber_jax.errors import BadInput
from dubber_jax.script.normalize import normalize_text
from dubber_jax.script.symbols import SILENCES, SYMBOLS, VOWELS


def read_lexicon(path: str | os.PathLike) -> dict[str, tuple[str, ...]]:
  """A lexicon file -> {word, lower case and normalized: its symbols}.

  One entry a row: the word, then its ARPAbet codes, as `Zhivago ZH IH0 V AA1 G OW0`. Several words are joined by
  underscores (`Van_Gogh`). A vowel without a stress digit gets primary stress where no other vowel has it, else none.
  '#' starts a comment. Raises BadInput with the row's number.
  """
  try:
    with open(path, encoding='utf-8-sig') as file:
      rows = file.read().splitlines()
  except OSError as error:
    raise BadInput(f'cannot read the lexicon {path}: {error.strerror}') from None
  except UnicodeDecodeError:
    raise BadInput(f'the lexicon {path} is not UTF-8 text: save it as UTF-8') from None
  lexicon = {}
  for number, row in enumerate(rows, 1):
    parts = row.split('#')[0].split()
    if not parts:
      continue
    if len(parts) == 1:
      raise BadInput(f'lexicon {path}, row {number}: {parts[0]!r} has no pronunciation: give ARPAbet codes')
    symbols, stressed = [], any(code[-1] in '12' for code in parts[1:])
    for code in parts[1:]:
      symbol = '@' + code.upper().lstrip('@')
      if symbol[1:] in VOWELS:
        symbol += '0' if stressed else '1'
        stressed = True
      if symbol not in SYMBOLS or symbol in SILENCES:
        raise BadInput(f'lexicon {path}, row {number}: {code!r} is not an ARPAbet code, as AH0 or ZH')
      symbols.append(symbol)
    lexicon[_lexicon_key(parts[0].replace('_', ' '))] = tuple(symbols)
  return lexicon


def split_by_lexicon(text: str, lexicon: dict[str, tuple[str, ...]]) -> list[tuple[str, tuple[str, ...] | None]]:
  """Normalized text -> pieces in order: (word, symbols) where the lexicon has it, else (text, None).

  Matching ignores case; a possessive 's is appended to the entry.
  """
  if not lexicon:
    return [(text, None)]
  names = '|'.join(re.escape(name) for name in sorted(lexicon, key=len, reverse=True))
  pieces, end = [], 0
  for match in re.finditer(rf"(?<![A-Za-z0-9'])({names})('s)?(?![A-Za-z0-9])", text, re.IGNORECASE):
    symbols = lexicon[match.group(1).lower()]
    if match.group(2):
      symbols += possessive(symbols[-1])
    pieces += [(text[end : match.start()], None), (match.group(), symbols)]
    end = match.end()
  pieces.append((text[end:], None))
  return [piece for piece in pieces if piece[0].strip()]


def _lexicon_key(word):
  return re.sub(r'\s+', ' ', normalize_text(word, []).replace('-', ' ')).lower()


def possessive(last: str) -> tuple[str, ...]:
  """Symbols of the suffix 's after the symbol `last`."""
  if last in ('@S', '@Z', '@SH', '@ZH', '@CH', '@JH'):
    return ('@IH0', '@Z')
  return ('@S',) if last in ('@P', '@T', '@K', '@F', '@TH') else ('@Z',)
