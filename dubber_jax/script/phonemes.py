"""Text to phonemes: the 87 ARPAbet symbols of the published system, and punctuation besides.

gruut (offline, MIT) reads numbers, picks the pronunciation by part of speech and guesses words that its
dictionary does not have. Its IPA, with stress, is written here in ARPAbet, with stress.
"""

import functools
import re
import threading
import unicodedata
from dataclasses import dataclass

import numpy as np

from dubber_jax.errors import BadInput

VOWELS = ('AA', 'AE', 'AH', 'AO', 'AW', 'AY', 'EH', 'ER', 'EY', 'IH', 'IY', 'OW', 'OY', 'UH', 'UW')
CONSONANTS = ('B', 'CH', 'D', 'DH', 'F', 'G', 'HH', 'JH', 'K', 'L', 'M', 'N', 'NG', 'P', 'R', 'S', 'SH', 'T',
              'TH', 'V', 'W', 'Y', 'Z', 'ZH')

# The table of the published system (spec, section 10): ids 0 to 86 there.
ARPABET_87 = tuple(
  '@' + code + stress
  for code in sorted(VOWELS + CONSONANTS)
  for stress in (('', '0', '1', '2') if code in VOWELS else ('',))
) + ('@sp', '@spn', '@sil')
PUNCTUATION = (',', '.', '?', '!', ';', ':', '-', '...')
PADDING = '_'
SYMBOLS = (PADDING,) + ARPABET_87 + PUNCTUATION
SILENCES = frozenset(('@sp', '@spn', '@sil') + PUNCTUATION)  # tokens in which nobody speaks

_ID = {symbol: i for i, symbol in enumerate(SYMBOLS)}
_PUBLISHED_ID = {symbol: i for i, symbol in enumerate(ARPABET_87)}


@dataclass(frozen=True)
class Phonemes:
  """How a line is pronounced. '@sil' stands first and last; words follow each other without a token.

  `words` are the words as spoken ('three', 'dollars' for '$3'), lower case. `word_of` (N,) is the index
  into `words` of each symbol, -1 for silence and punctuation. `unspoken` are parts of the text that have
  no pronunciation, such as emoji or another script.
  """

  symbols: tuple[str, ...]
  word_of: np.ndarray
  words: tuple[str, ...]
  unspoken: tuple[str, ...] = ()


def phonemize(text: str, lexicon: dict[str, tuple[str, ...]] | None = None) -> Phonemes:
  """The phonemes of a line of script.

  `lexicon` (see `read_lexicon`) goes before the dictionary. Raises BadInput for an empty line and for one
  in which nothing can be spoken.
  """
  if not text.strip():
    raise BadInput('the line is empty: give the words to speak')
  unspoken = []
  tokens = []  # (word, symbols) or (punctuation, None)
  for piece, symbols in _split_by_lexicon(_clean(text, unspoken), lexicon or {}):
    tokens += [(piece, symbols)] if symbols else _pronounce(piece, unspoken)
  tokens = _merge_punctuation(tokens)
  words = [(word, symbols) for word, symbols in tokens if symbols]
  if not words:
    raise BadInput(f'nothing in the line {text.strip()[:60]!r} can be spoken: give words in English')

  symbols, word_of, index = ['@sil'], [-1], 0
  for token, pronunciation in tokens:
    if pronunciation is None:
      symbols.append(token)
      word_of.append(-1)
      continue
    following = words[index + 1][1][0] if index + 1 < len(words) else ''
    symbols += _liaison(token, pronunciation, following)
    word_of += [index] * (len(symbols) - len(word_of))
    index += 1
  symbols.append('@sil')
  word_of.append(-1)
  spoken = tuple(word.lower() for word, _ in words)
  return Phonemes(tuple(symbols), np.array(word_of, np.int32), spoken, tuple(unspoken))


def encode(symbols) -> np.ndarray:
  """Ids (N,) int32 of symbols, by SYMBOLS; 0 is padding. Raises BadInput for an unknown symbol."""
  unknown = [s for s in symbols if s not in _ID]
  if unknown:
    raise BadInput(f'unknown phoneme {unknown[0]!r}: use ARPAbet with stress, as @AH0, or punctuation')
  return np.array([_ID[s] for s in symbols], np.int32)


def published_ids(line: str) -> np.ndarray:
  """Ids (N,) int64, from 0, of the codes within {braces}, as the published system reads a line of its lists.

  Unknown codes, and what stands outside of braces, are passed over, as they are there (spec, section 10).
  """
  codes = ('@' + code for inside in re.findall(r'\{(.+?)\}', line) for code in inside.split())
  return np.array([_PUBLISHED_ID[code] for code in codes if code in _PUBLISHED_ID], np.int64)


def read_lexicon(path) -> dict[str, tuple[str, ...]]:
  """Pronunciations of names: one a row, the word, then its ARPAbet codes, as `Zhivago ZH IH0 V AA1 G OW0`.

  A word of several parts is joined by underscores (`Van_Gogh`). A vowel without a stress digit is stressed
  if it is the word's first, else not. '#' starts a comment. Raises BadInput with the row's number.
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
      if symbol not in _ID or symbol in SILENCES:
        raise BadInput(f'lexicon {path}, row {number}: {code!r} is not an ARPAbet code, as AH0 or ZH')
      symbols.append(symbol)
    lexicon[_key(parts[0].replace('_', ' '))] = tuple(symbols)
  return lexicon


# Cleaning

_ABBREVIATIONS = {
  'e.g.': 'for example', 'i.e.': 'that is', 'etc.': 'et cetera', 'vs.': 'versus', 'prof.': 'professor',
  'lt.': 'lieutenant', 'capt.': 'captain', 'sgt.': 'sergeant', 'col.': 'colonel', 'gen.': 'general',
  'rev.': 'reverend', 'sr.': 'senior', 'jr.': 'junior', 'inc.': 'incorporated', 'ltd.': 'limited',
  'dept.': 'department', 'approx.': 'approximately', 'mr.': 'mister', 'mrs.': 'missus', 'ms.': 'miz',
  'dr.': 'doctor', 'messrs.': 'messers', 'mt.': 'mount', 'gov.': 'governor', 'sen.': 'senator',
  'hon.': 'honorable',
}  # fmt: skip
_UNITS = {
  'kg': 'kilograms', 'km': 'kilometers', 'cm': 'centimeters', 'mm': 'millimeters', 'mph': 'miles per hour',
  'lb': 'pounds', 'lbs': 'pounds', 'oz': 'ounces', 'ft': 'feet', 'ml': 'milliliters', 'hz': 'hertz',
  'khz': 'kilohertz', 'mb': 'megabytes', 'gb': 'gigabytes', 'min': 'minutes', 'hr': 'hours', 'hrs': 'hours',
}  # fmt: skip
_SIGNS = {
  '&': ' and ', '%': ' percent ', '@': ' at ', '+': ' plus ', '=': ' equals ', '°': ' degrees ', '~': ' about ',
}  # fmt: skip
_FRACTIONS = {
  '1/2': 'one half', '1/3': 'one third', '2/3': 'two thirds', '1/4': 'one quarter', '3/4': 'three quarters',
}  # fmt: skip
_NUMERALS = ('II', 'III', 'IV', 'V', 'VI', 'VII', 'VIII', 'IX', 'X', 'XI', 'XII', 'XIII', 'XIV', 'XV', 'XVI')
_SPELT_A = 0xE000  # private use
# Words when in small letters only.
_SPELT = frozenset(('US', 'IT', 'AI', 'AM', 'PM', 'TV', 'UK', 'UN', 'EU', 'ID', 'PC', 'USA'))
_WORD = r"[A-Za-z]+(?:'[A-Za-z]+)*"


def _clean(text, unspoken):
  """Text in ASCII, abbreviations, units and signs written out, marks of punctuation set apart."""
  text = re.sub('[\ue000-\uf8ff\x00-\x1f\x7f]', ' ', unicodedata.normalize('NFKC', text))
  text = re.sub('[\u2018\u2019\u02bc\u00b4`]', "'", text)
  text = re.sub("(?i)(?<![a-z])'n'?(?= )", 'and', text)
  text = re.sub(r'(?<=\d)\s*[\u2012\u2013]\s*(?=\d)', ' to ', text)
  text = re.sub('\\s*(?:[\u2012-\u2015]|--+|\\s-(?=\\s))\\s*', ' \u2014 ', text)  # the one dash kept
  text = re.sub(r'\b(\d+) ?\'(?: ?(\d+) ?(?:"|\'\'))', r'\1 foot \2', text)
  text = text.translate({ord(mark): ' ' for mark in '"\u201c\u201d\u201e\u00ab\u00bb()[]{}<>*_|\\^\u266a\u266b'})
  text = ''.join(c for c in unicodedata.normalize('NFKD', text) if not unicodedata.combining(c))
  text = text.replace('\u2026', '...').replace('\u2044', '/').replace('\u00df', 'ss')

  def drop(match):
    unspoken.append(match.group())
    return ' '

  text = re.sub(r'[^\x20-\x7e\u2014£€°\s]+', drop, text)
  text = re.sub(r'\s+', ' ', text)
  for fraction, words in _FRACTIONS.items():
    text = re.sub(rf'(?<=\d) {fraction}(?![\d/])', f' and {words}', text)
    text = re.sub(rf'(?<![\d/]){fraction}(?![\d/])', words, text)
  text = re.sub(r'#(?=\d)', 'number ', text)
  text = re.sub(r'\b[Nn]o\. ?(?=\d)', 'number ', text)
  text = re.sub(r'\bSt\. (?=[A-Z])', 'Saint ', text)
  text = re.sub(r'(?<![\w.])([A-Za-z][A-Za-z.]*\.)(?=\W|$)', _write_out, text)
  text = re.sub(r'\b(?:[A-HJ-Z]\. ?)+(?=[A-Z][a-z])', _initials, text)
  text = re.sub(r'\b([A-Z][a-z]+) ([IVX]{2,})\b', _numeral, text)
  text = re.sub(r'([$£€])(\d[\d.,]*) (thousand|[mbtr]+illion)\b', _large_sum, text)
  text = re.sub(r'\b(\d{3})0s\b', lambda m: _decade(m[1] + '0'), text)
  text = re.sub(r'(?<=\d) ?([A-Za-z]+)\b', _unit, text)
  text = re.sub(r'\b([A-Z]+)-?(?=\d)', lambda m: _letters(m[1]) + ' ', text)
  text = re.sub(r'\b([A-Za-z]+)(?=\d)', r'\1 ', text)
  text = re.sub(r'(?<=[a-z] )A(?= [a-z\d]|[^\w ]|$)', _letters('A'), text)  # plan A, vitamin A
  text = re.sub('[&%@+=°~]', lambda m: _SIGNS[m.group()], text)
  text = re.sub(r'(?<=[A-Za-z])[-/:](?=[A-Za-z])', ' ', text)
  text = re.sub(r'(?<=[A-Za-z]{2})\.(?=[a-z]{2})', ' dot ', text)
  text = re.sub(r'[A-Za-z]*([A-Za-z])\1\1+[A-Za-z]*', _shorten, text)
  return _lower_capitals(re.sub(r'[#/]', ' ', text)).strip()


def _write_out(match):
  word = match.group(1)
  written = _ABBREVIATIONS.get(word.lower())
  if written is None:
    if not re.fullmatch(r'(?:[A-Za-z]\.){2,}', word):
      return word
    written = _letters(word.replace('.', ''))
  # The dot of an abbreviation that ends the line ends the sentence as well.
  return written + ('.' if not match.string[match.end():].strip(' \'"') else '')


def _initials(match):
  before = match.string[: match.start()].split()
  if before and not before[-1][0].isupper():
    return match.group()  # as in 'plan B. Then'
  return _letters(re.sub('[. ]', '', match.group())) + ' '


def _letters(word):
  """Marks letters that are to be spelt, by code points that no text may use."""
  return ''.join(chr(_SPELT_A + ord(letter) - ord('A')) for letter in word.upper())


def _numeral(match):
  name, numeral = match.groups()
  return f'{name} {_NUMERALS.index(numeral) + 2}' if numeral in _NUMERALS else match.group()


def _large_sum(match):
  return f'{match[2]} {match[3]} ' + {'$': 'dollars', '£': 'pounds', '€': 'euros'}[match[1]]


def _shorten(match):
  """'noooo' is 'no', 'sweeeet' is 'sweet'."""
  word = match.group()
  if re.fullmatch('[IVXLCDM]+|www', word):
    return _letters(word) if word == 'www' else word
  once, twice = (re.sub(r'([A-Za-z])\1\1+', repeat, word, flags=re.IGNORECASE) for repeat in (r'\1', r'\1\1'))
  first, second = (twice, once) if re.search('(?i)eee', word) else (once, twice)
  return second if _in_dictionary(second) and not _in_dictionary(first) else first


def _decade(year):
  words = {
    '00': 'hundreds', '10': 'tens', '20': 'twenties', '30': 'thirties', '40': 'forties', '50': 'fifties',
    '60': 'sixties', '70': 'seventies', '80': 'eighties', '90': 'nineties',
  }  # fmt: skip
  return 'two thousands' if year == '2000' else f'{year[:2]} {words[year[2:]]}'


def _unit(match):
  suffix = match.group(1)
  if suffix.lower() in ('am', 'pm'):
    return ' ' + _letters(suffix)
  if suffix.lower() in ('st', 'nd', 'rd', 'th') and not match.group().startswith(' '):
    return suffix
  return ' ' + _UNITS.get(suffix.lower(), suffix)


def _lower_capitals(text):
  """GET OUT! is shouted, NASA is a name, and only BBC and US are spelt."""
  shouted = not re.search('[a-z]', text) and len(re.findall(_WORD, text)) > 1

  def lower(match):
    word = match.group()
    if len(word) < 2 or not word.isupper():
      return word
    if shouted and re.search('[AEIOUY]', word):
      return word.lower()
    if word.lower() in _INTERJECTIONS:
      return word.lower()
    return _letters(word) if word in _SPELT or not _in_dictionary(word) else word.lower()

  return re.sub(_WORD, lower, text)


def _split_by_lexicon(text, lexicon):
  """Pieces (text, None) for the dictionary and (word, symbols) for words that the lexicon has."""
  if not lexicon:
    return [(text, None)]
  names = '|'.join(re.escape(name) for name in sorted(lexicon, key=len, reverse=True))
  pieces, end = [], 0
  for match in re.finditer(rf"(?<![A-Za-z0-9'])({names})('s)?(?![A-Za-z0-9])", text, re.IGNORECASE):
    symbols = lexicon[match.group(1).lower()]
    if match.group(2):
      symbols += _possessive(symbols[-1])
    pieces += [(text[end:match.start()], None), (match.group(), symbols)]
    end = match.end()
  pieces.append((text[end:], None))
  return [piece for piece in pieces if piece[0].strip()]


def _key(word):
  return re.sub(r'\s+', ' ', _clean(word, []).replace('-', ' ')).lower()


def _possessive(last):
  if last in ('@S', '@Z', '@SH', '@ZH', '@CH', '@JH'):
    return ('@IH0', '@Z')
  return ('@S',) if last in ('@P', '@T', '@K', '@F', '@TH') else ('@Z',)


# Pronouncing

_IPA = {
  'ɑ': 'AA', 'æ': 'AE', 'ʌ': 'AH', 'ə': 'AH', 'ɐ': 'AH', 'ɔ': 'AO', 'aʊ': 'AW', 'aɪ': 'AY', 'ɛ': 'EH',
  'ɚ': 'ER', 'ɝ': 'ER', 'eɪ': 'EY', 'ɪ': 'IH', 'i': 'IY', 'oʊ': 'OW', 'ɔɪ': 'OY', 'ʊ': 'UH', 'u': 'UW',
  'b': 'B', 't͡ʃ': 'CH', 'd': 'D', 'ð': 'DH', 'f': 'F', 'ɡ': 'G', 'g': 'G', 'h': 'HH', 'd͡ʒ': 'JH', 'k': 'K',
  'l': 'L', 'm': 'M', 'n': 'N', 'ŋ': 'NG', 'p': 'P', 'ɹ': 'R', 'r': 'R', 's': 'S', 'ʃ': 'SH', 't': 'T',
  'ɾ': 'T', 'θ': 'TH', 'v': 'V', 'w': 'W', 'j': 'Y', 'z': 'Z', 'ʒ': 'ZH',
}  # fmt: skip
_STRESS = {'ˈ': '1', 'ˌ': '2'}
_STRENGTH = ('-', ',', ':', ';', '.', '...', '!', '?')  # of marks that stand together, the last is kept
_LONG_NUMBER = re.compile(r'\d[\d,]{15,}')  # read digit by digit: nobody says it as one number
_gruut_lock = threading.Lock()  # its part-of-speech tagger and its SQLite dictionary are not made for threads


def _pronounce(text, unspoken):
  """Tokens (word, symbols) and (punctuation, None) of a cleaned piece of text."""
  tokens = []
  for part in re.split('(\u2014|[\ue000-\ue019]|\\.{2,}|[?!;]+|[.,:]+(?=\\W|$))', text):
    part = part.strip()
    if not part:
      continue
    if part == '\u2014':
      tokens.append(('-', None))
    elif '\ue000' <= part <= '\ue019':
      letter = chr(ord(part) - _SPELT_A + ord('a'))
      tokens.append((letter, tuple('@' + code for code in _LETTERS[letter].split())))
    elif re.fullmatch(r'\.{2,}', part):
      tokens.append(('...', None))
    elif re.fullmatch('[.,;:?!]+', part):
      tokens += [(mark, None) for mark in part]
    else:
      part = _LONG_NUMBER.sub(lambda m: ' '.join(re.sub(r'\D', '', m[0])), part)
      tokens += [token for word in _gruut(part) for token in _spell(word, unspoken)]
  return tokens


@functools.lru_cache(4096)
def _gruut(text):
  """Words (written, IPA phonemes) of text without punctuation."""
  import gruut

  try:
    with _gruut_lock:
      words = [word for sentence in gruut.sentences(text, lang='en-us') for word in sentence if word.is_spoken]
  except ArithmeticError as e:
    raise BadInput(f'{text[:60]!r} has a number that cannot be read ({e}): write it in words') from e
  # Its dictionary has 'read' as past tense, but not as participle.
  return tuple(
    (word.text, ('ɹ', 'ˈɛ', 'd') if word.pos == 'VBN' and word.text.lower() == 'read' else tuple(word.phonemes or ()))
    for word in words
  )


def _spell(word, unspoken):
  written, ipa = word
  interjection = _INTERJECTIONS.get(written.lower())
  if interjection:
    return [(written, tuple('@' + code for code in interjection.split()))]
  symbols = []
  for phoneme in ipa:
    stress = _STRESS.get(phoneme[0], '')
    code = _IPA.get(phoneme[len(stress):])
    if code:
      symbols.append('@' + code + ((stress or '0') if code in VOWELS else ''))
  if not symbols:
    unspoken.append(written)
    return []
  return [(written, tuple(symbols))]


_LETTERS = {
  'a': 'EY1', 'b': 'B IY1', 'c': 'S IY1', 'd': 'D IY1', 'e': 'IY1', 'f': 'EH1 F', 'g': 'JH IY1',
  'h': 'EY1 CH', 'i': 'AY1', 'j': 'JH EY1', 'k': 'K EY1', 'l': 'EH1 L', 'm': 'EH1 M', 'n': 'EH1 N',
  'o': 'OW1', 'p': 'P IY1', 'q': 'K Y UW1', 'r': 'AA1 R', 's': 'EH1 S', 't': 'T IY1', 'u': 'Y UW1',
  'v': 'V IY1', 'w': 'D AH1 B AH0 L Y UW0', 'x': 'EH1 K S', 'y': 'W AY1', 'z': 'Z IY1',
}  # fmt: skip

# What a dictionary lacks and a film is full of.
_INTERJECTIONS = {
  'hm': 'HH AH1 M', 'hmm': 'HH AH1 M', 'hmmm': 'HH AH1 M', 'mm': 'M', 'mmm': 'M', 'uh': 'AH1', 'um': 'AH1 M',
  'huh': 'HH AH1', 'shh': 'SH', 'sh': 'SH', 'ah': 'AA1', 'aah': 'AA1', 'argh': 'AA1 R G', 'ugh': 'AH1 G',
  'er': 'ER1', 'psst': 'P S T', 'ooh': 'UW1', 'oh': 'OW1', 'eh': 'EH1', 'nah': 'N AA1', 'yeah': 'Y AE1',
}  # fmt: skip


def _merge_punctuation(tokens):
  """One mark between two words: the strongest."""
  merged = []
  for token in tokens:
    if token[1] is None and merged and merged[-1][1] is None:
      merged[-1] = max(merged[-1], token, key=lambda t: _STRENGTH.index(t[0]))
    else:
      merged.append(token)
  return merged


def _liaison(word, symbols, following):
  """'The' before a vowel."""
  if word.lower() == 'the' and symbols == ('@DH', '@AH0') and following[1:3] in VOWELS:
    return ('@DH', '@IY0')
  return symbols


@functools.cache
def _dictionary():
  import os
  import sqlite3

  import gruut_lang_en

  path = os.path.join(os.path.dirname(gruut_lang_en.__file__), 'lexicon.db')
  connection = sqlite3.connect(path)
  try:
    return frozenset(word for (word,) in connection.execute('SELECT DISTINCT word FROM word_phonemes'))
  finally:
    connection.close()


def _in_dictionary(word):
  return word.lower() in _dictionary()
