"""Plain characters: any Unicode text as ASCII and a few signs, with what has no spelling in them named."""

import functools
import re
import unicodedata

# Signs that stay for the tokenizer (normalize.py). EN_DASH may be a range, EM_DASH is the only other dash.
EN_DASH, EM_DASH = '\u2013', '\u2014'
CURRENCY_SIGNS = '£€¥₹₽₩₺₴₿'
SIGNS = frozenset(f'{CURRENCY_SIGNS}°×÷±√∞¢≈≤≥≠{EN_DASH}{EM_DASH}')
_SPELLED = {
  '\u2018': "'",
  '\u2019': "'",
  '\u201b': "'",
  '\u02bc': "'",
  '\u02b9': "'",
  '\u2032': "'",
  '\u00b4': "'",
  '`': "'",
  '\uff07': "'",
  '\u02bb': "'",
  '\u055a': "'",
  '\u05f3': "'",
  '\u201c': '"',
  '\u201d': '"',
  '\u201e': '"',
  '\u2033': '"',
  '\u00ab': '"',
  '\u00bb': '"',
  '\u2039': '"',
  '\u203a': '"',
  '\u300c': '"',
  '\u300d': '"',
  '\u2010': '-',
  '\u2011': '-',
  '\u2012': EN_DASH,
  '\u2015': EM_DASH,
  '\u2212': '-',
  '\u2043': '-',
  '\u2044': '/',
  '\u2215': '/',
  '\u2026': '...',
  '\u00b2': '^2',
  '\u00b3': '^3',
  '№': 'No. ',
  '‰': ' per mille ',
  '\u2217': '*',
  '♪': ' ',
  '♫': ' ',
  '♩': ' ',
  '♬': ' ',
  '♭': ' ',
  '♯': ' ',
  '\u2022': ' ',
  '\u00b7': ' ',
  '\u2219': ' ',
  'ß': 'ss',
  'ẞ': 'SS',
  'ð': 'd',
  'Ð': 'D',
  'þ': 'th',
  'Þ': 'Th',
  'ŋ': 'ng',
  'Ŋ': 'Ng',
  'ĸ': 'k',
  'ſ': 's',
  'ə': 'e',
  'Ə': 'E',
  'ʒ': 'zh',
  'Ʒ': 'Zh',
  'ʃ': 'sh',
  'ƿ': 'w',
  'Ƿ': 'W',
  'ı': 'i',
  'ﬁ': 'fi',
  'ﬂ': 'fl',
  '\u3001': ', ',
  '\u3002': '. ',
  '\u00bf': ' ',
  '\u00a1': ' ',
  '\u00ad': '',
  '\u00a6': '|',
  'ʾ': "'",
  'ʿ': "'",
  '\u2047': '??',
  '\u2048': '?!',
  '\u2049': '!?',
  '\u203c': '!!',
  '\u203d': '?!',
}
_LATIN_LETTER = re.compile(
  r'LATIN (SMALL|CAPITAL) (?:LETTER|LIGATURE) '
  r'(?:(?:DOTLESS|TURNED|REVERSED|OPEN|CLOSED|LONG|SIDEWAYS|AFRICAN|BROKEN) )*'
  r'([A-Z]{1,2})(?: WITH .+| DIGRAPH)?'
)


def plain_text(text: str, unspoken: list[str]) -> str:
  """The text in printable ASCII and SIGNS, its blanks as single spaces.

  Letters of the Latin script are spelled without their marks (ø as o, þ as th), digits of any script as 0 to 9.
  Characters without a spelling, such as emoji and other scripts, are left out and appended to `unspoken`, together
  where only blanks stand between them.
  """
  text = re.sub(r'(?i)\bN[º°]\.? ?(?=\d)', 'No. ', text)
  plain, run = [], ''
  for index, character in enumerate(text):
    spelled = spell_character(character)
    if spelled is None:
      run += character
    elif run and (character.isspace() or not spelled or unicodedata.combining(character)):
      run += character  # a blank or a mark within what is left out
    else:
      if run:
        unspoken.append(run.strip())
        plain.append(' ')
        run = ''
      if spelled[:1].isdigit() and _is_fraction(character, text[index - 1 : index]):
        spelled = ' ' + spelled  # 2½
      elif len(spelled) == 2 and spelled.istitle() and text[index + 1 : index + 2].isupper():
        spelled = spelled.upper()
      plain.append(spelled)
  if run:
    unspoken.append(run.strip())
  return re.sub(r'\s+', ' ', ''.join(plain)).strip()


@functools.lru_cache(4096)
def spell_character(character: str) -> str | None:
  """A character in ASCII and SIGNS: '' for marks that change only others, None where it has no spelling."""
  if character in _SPELLED:
    return _SPELLED[character]
  if ' ' <= character <= '~' or character in SIGNS:
    return character
  category = unicodedata.category(character)
  if category in ('Cc', 'Co', 'Cn', 'Zs', 'Zl', 'Zp'):
    return ' '
  if category in ('Cf', 'Mn', 'Me'):
    return ' ' if character == '\u200b' else ''
  if category == 'Nd':
    return str(unicodedata.decimal(character))
  if '<super>' in unicodedata.decomposition(character) and unicodedata.digit(character, None) is not None:
    return f'^{unicodedata.digit(character)}'
  name = _LATIN_LETTER.fullmatch(unicodedata.name(character, ''))
  if name:
    return name[2].title() if name[1] == 'CAPITAL' else name[2].lower()
  if character in '\u2122\u2120':
    return None
  parts = unicodedata.normalize('NFKD', character)
  if parts == character:
    return None
  spelled = [spell_character(part) for part in parts]
  if any(part is None for part in spelled):
    return None
  joined = ''.join(part for part in spelled if part is not None)
  return joined if joined.strip() or category[0] not in 'LN' else None


def _is_fraction(character, before):
  """Whether one of two numeric characters next to each other is a fraction."""
  return before.isnumeric() and any(
    unicodedata.category(c) == 'No' and len(spell_character(c) or '') > 2 for c in (before, character)
  )
