"""English text to phonemes: ARPAbet with stress, and punctuation besides (script/symbols.py).

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
from dubber_jax.script.symbols import ARPABET_87, SILENCES, STRENGTH, SYMBOLS, VOWELS

_ID = {symbol: i for i, symbol in enumerate(SYMBOLS)}
_PUBLISHED_ID = {symbol: i for i, symbol in enumerate(ARPABET_87)}


@dataclass(frozen=True)
class Phonemes:
  """How a line is pronounced. '@sil' stands first and last; words follow each other without a token.

  `words` are the words as spoken ('three', 'dollars' for '$3'), lower case. `word_of` (N,) is the index
  into `words` of each symbol, -1 for silence and punctuation. `unspoken` are parts of the text that have
  no pronunciation, such as emoji or another script. `guessed` are words that neither the lexicon nor the dictionary
  has: they are pronounced by their spelling.
  """

  symbols: tuple[str, ...]
  word_of: np.ndarray
  words: tuple[str, ...]
  unspoken: tuple[str, ...] = ()
  guessed: tuple[str, ...] = ()
  language: str = 'en'  # one of symbols.LANGUAGES

  @property
  def warnings(self) -> tuple[str, ...]:
    """One line each for what is not spoken, and for what is but may be mispronounced."""
    warnings = []
    if self.unspoken:
      warnings.append(f'not spoken: {_named(_with_script(part) for part in self.unspoken)}')
    if len(self.guessed) >= max(2, FOREIGN * len(self.words)):
      warnings.append(f'not English? {_named(self.guessed)}: read by the rules of English; no other language is spoken')
    elif self.guessed:
      warnings.append(
        f'not in the dictionary, pronounced by the spelling: {_named(self.guessed)}; '
        'a --lexicon says how they are spoken'
      )
    return tuple(warnings)


FOREIGN = 0.4  # share of words outside the dictionary from which on a line is taken for another language
NAMED = 5  # words or parts that a warning names


def _named(parts):
  parts = list(dict.fromkeys(parts))
  return ', '.join(parts[:NAMED]) + (f' and {len(parts) - NAMED} more' if len(parts) > NAMED else '')


def _with_script(part):
  """The part and, where it is of letters, the script they belong to: "'Привет' (Cyrillic)"."""
  letter = next((c for c in part if c.isalpha()), None)
  name = unicodedata.name(letter, '').split(' ')[0].title() if letter else ''
  return repr(part) + (f' ({name})' if name not in ('', 'Latin') else '')


def phonemize(text: str, lexicon: dict[str, tuple[str, ...]] | None = None) -> Phonemes:
  """The phonemes of a line of script.

  `lexicon` (see `read_lexicon`) goes before the dictionary. Raises BadInput for an empty line and for one
  in which nothing can be spoken.
  """
  if not text.strip():
    raise BadInput('the line is empty: give the words to speak')
  if any(unicodedata.category(c) == 'Cs' for c in text):
    raise BadInput('the line holds bytes that are no text: give it as UTF-8')
  unspoken, guessed = [], []
  tokens = []  # (word, symbols) or (punctuation, None)
  for piece, symbols in _split_by_lexicon(_clean(text, unspoken), lexicon or {}):
    tokens += [(piece, symbols)] if symbols else _pronounce(piece, unspoken, guessed)
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
  return Phonemes(tuple(symbols), np.array(word_of, np.int32), spoken, tuple(unspoken), tuple(guessed))


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
  'hon.': 'honorable', 'blvd.': 'boulevard', 'ave.': 'avenue', 'tel.': 'telephone',
}  # fmt: skip
_BEFORE_NUMBERS = {
  'p': 'page', 'pp': 'pages', 'vol': 'volume', 'fig': 'figure', 'ch': 'chapter', 'ca': 'circa', 'no': 'number',
  'jan': 'January', 'feb': 'February', 'mar': 'March', 'apr': 'April', 'jun': 'June', 'jul': 'July',
  'aug': 'August', 'sep': 'September', 'sept': 'September', 'oct': 'October', 'nov': 'November', 'dec': 'December',
}  # fmt: skip
_DAYS = {
  'Mon': 'Monday',
  'Tue': 'Tuesday',
  'Tues': 'Tuesday',
  'Wed': 'Wednesday',
  'Thu': 'Thursday',
  'Thurs': 'Thursday',
  'Fri': 'Friday',
  'Sat': 'Saturday',
  'Sun': 'Sunday',
}
_SLASHED = {'w/o': 'without', 'c/o': 'care of', 'w/': 'with', 'n/a': 'not applicable'}
_UNITS = {
  'kg': 'kilograms', 'km': 'kilometers', 'cm': 'centimeters', 'mm': 'millimeters', 'mph': 'miles per hour',
  'lb': 'pounds', 'lbs': 'pounds', 'oz': 'ounces', 'ft': 'feet', 'ml': 'milliliters', 'hz': 'hertz',
  'khz': 'kilohertz', 'mhz': 'megahertz', 'ghz': 'gigahertz', 'kb': 'kilobytes', 'mb': 'megabytes',
  'gb': 'gigabytes', 'tb': 'terabytes', 'min': 'minutes', 'sec': 'seconds', 'ms': 'milliseconds', 'hr': 'hours',
  'hrs': 'hours', 'kw': 'kilowatts', 'kwh': 'kilowatt hours', 'mg': 'milligrams', 'db': 'decibels',
}  # fmt: skip
# Of one or two letters that are words or names as well: in this very case, and right after the number.
_SHORT_UNITS = {
  'm': 'meters',
  'g': 'grams',
  's': 'seconds',
  'h': 'hours',
  'l': 'liters',
  'L': 'liters',
  'W': 'watts',
  'V': 'volts',
  'in': 'inches',
  'yd': 'yards',
}
_SINGULAR = {'feet': 'foot', 'inches': 'inch', 'hertz': 'hertz', 'miles per hour': 'mile per hour'}
_CURRENCIES = {
  '$': ('dollar', 'cent'),
  '£': ('pound', 'pence'),
  '€': ('euro', 'cent'),
  '¥': ('yen', ''),
  '₹': ('rupee', 'paise'),
}
_SCALES = {'k': 'thousand', 'm': 'million', 'mn': 'million', 'b': 'billion', 'bn': 'billion'}
_SIGNS = {
  '&': ' and ',
  '%': ' percent ',
  '@': ' at ',
  '+': ' plus ',
  '=': ' equals ',
  '°': ' degrees ',
  '~': ' about ',
}
_SYMBOLS_IN_WORDS = {
  '×': ' times ', '÷': ' divided by ', '±': ' plus or minus ', '√': ' the square root of ', '∞': ' infinity ',
  '²': ' squared', '³': ' cubed', '¢': ' cents ', '№': ' number ', '−': '-', '≈': ' about ', '≤': ' at most ',
  '≥': ' at least ', '℃': ' degrees Celsius ', '℉': ' degrees Fahrenheit ',
}  # fmt: skip
_ADDRESS_MARKS = {
  '.': ' dot ', '/': ' slash ', '-': ' dash ', '_': ' underscore ', ':': ' colon ', '?': ' question mark ',
  '=': ' equals ', '&': ' and ', '#': ' hash ', '%': ' percent ', '+': ' plus ', '@': ' at ', '~': ' tilde ',
}  # fmt: skip
_PARTS = {
  2: 'half', 3: 'third', 4: 'quarter', 5: 'fifth', 6: 'sixth', 7: 'seventh', 8: 'eighth', 9: 'ninth', 10: 'tenth',
  12: 'twelfth', 16: 'sixteenth', 20: 'twentieth', 32: 'thirty second', 64: 'sixty fourth', 100: 'hundredth',
}  # fmt: skip
_NUMERALS = ('II', 'III', 'IV', 'V', 'VI', 'VII', 'VIII', 'IX', 'X', 'XI', 'XII', 'XIII', 'XIV', 'XV', 'XVI')
_SPELLED_A = 0xE000  # private use
# Words when in small letters only.
_SPELLED = frozenset(('US', 'IT', 'AI', 'AM', 'PM', 'TV', 'UK', 'UN', 'EU', 'ID', 'PC', 'USA'))
_WORD = r"[A-Za-z]+(?:'[A-Za-z]+)*"


def _clean(text, unspoken):
  """Text in ASCII, abbreviations, numbers, units and signs written out, marks of punctuation set apart."""

  def drop(match):
    unspoken.append(match.group().strip())
    return ' '

  text = re.sub('[\u2122\u2120]', drop, text.translate(_SPOKEN_SYMBOLS))
  text = unicodedata.normalize('NFKC', text)
  text = re.sub('[\ue000-\uf8ff\x00-\x1f\x7f\u200b\u2028\u2029]', ' ', text)
  text = ''.join(c for c in text if unicodedata.category(c) != 'Cf')  # soft hyphens, joiners, marks of direction
  text = re.sub('[\u2018\u2019\u02bc\u00b4`]', "'", text)
  text = re.sub("(?i)(?<![a-z])'n'?(?= )", 'and', text)
  text = re.sub(r'(?<=\d)\s*[\u2012\u2013]\s*(?=\d)', ' to ', text)
  text = re.sub('\\s*(?:[\u2012-\u2015]|--+|\\s-(?=\\s))\\s*', ' \u2014 ', text)  # the one dash kept
  text = re.sub(r'\b(\d+) ?\'(?: ?(\d+) ?(?:"|\'\'))', r'\1 foot \2', text)
  text = re.sub(r'(?i)\bhttps?://[^\s<>"]+|\bwww\.[^\s<>"]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+', _address, text)
  text = re.sub(r'(?<=\d) ?\* ?(?=\d)', ' times ', text)
  text = text.translate({ord(mark): ' ' for mark in '"\u201c\u201d\u201e\u00ab\u00bb()[]{}<>*_|\\^\u266a\u266b'})
  text = ''.join(c for c in unicodedata.normalize('NFKD', text) if unicodedata.category(c) != 'Mn')
  text = text.replace('\u2026', '...').replace('\u2044', '/').replace('\u00df', 'ss')
  text = re.sub(r'[^\x20-\x7e\u2014£€¥₹°]+(?:\s+[^\x20-\x7e\u2014£€¥₹°]+)*', drop, text)
  text = re.sub(r'\s+', ' ', text)
  text = _write_numbers(text)
  text = re.sub(r'#(?=\d)', 'number ', text)
  text = re.sub(r'(?<=[A-Z][a-z] |[a-z]{2} )St\.(?= [a-z]|\W*$|,)', 'Street', text)
  text = re.sub(r'\bSt\. (?=[A-Z])', 'Saint ', text)
  text = re.sub(r'\b(Mr|Mrs|Ms|Dr)(?= [A-Z][a-z])', r'\1.', text)
  text = re.sub(rf'\b({"|".join(_DAYS)})\.(?=,| \d)', lambda m: _DAYS[m[1]], text)
  text = re.sub(r'\b(Ph|[BM]\.? ?Sc)\.? ?D?\.(?!\w)', lambda m: _letters(re.sub('[^A-Za-z]', '', m[0])), text)
  text = re.sub(r'(?<![\w/])(w/o|c/o|n/a|w/)(?![\w/])', lambda m: _SLASHED[m[1]], text)
  text = re.sub(r'(?<![\w.])([A-Za-z][A-Za-z.]*\.)(?=\W|$)', _write_out, text)
  text = re.sub(r'\b(?:[A-HJ-Z]\. ?)+(?=[A-Z][a-z])', _initials, text)
  text = re.sub(r'\b([A-Z][a-z]+) ([IVX]{2,})\b', _numeral, text)
  text = re.sub(r'\b([A-Z]+)-?(?=\d)', lambda m: _letters(m[1]) + ' ', text)
  text = re.sub(r'\b([A-Za-z]+)(?=\d)', r'\1 ', text)
  text = re.sub(r'(?<=[a-z] )A(?= [a-z\d]|[^\w ]|$)', _letters('A'), text)  # plan A, vitamin A
  text = re.sub('[&%@+=°~]', lambda m: _SIGNS[m.group()], text)
  text = re.sub(r'(?i)\b([bcdfghj-np-tvwxz]{1,2})-(?=\1)', drop, text)  # b-but: a stammer has no sound of its own
  text = re.sub(r'(?<=[A-Za-z])[-/:](?=[A-Za-z])', ' ', text)
  text = re.sub(r'(?<=[A-Za-z]{2})\.(?=[a-z]{2})|(?<![\w.])\.(?=[A-Za-z])', ' dot ', text)
  text = re.sub(r'[A-Za-z]*([A-Za-z])\1\1+[A-Za-z]*', _shorten, text)
  return _lower_capitals(re.sub(r'[#/]', ' ', text)).strip()


_SPOKEN_SYMBOLS = str.maketrans(_SYMBOLS_IN_WORDS)


def _address(match):
  """Of a web page or a mailbox. A mark at its end belongs to the sentence."""
  address = re.sub('(?i)^https?://', '', match[0])
  kept = address.rstrip(".,;:!?')/")
  spoken = re.sub(r'[^\w\s]|_', lambda m: _ADDRESS_MARKS.get(m[0], ' '), kept)
  return spoken + address[len(kept) :].replace('/', '')


def _write_numbers(text):
  """Money, times, fractions, telephone numbers, ranges and units, so that what is left are plain numbers."""
  number = r'\d[\d,]*(?:\.\d+)?'
  text = re.sub(rf'(?<![\d.])({number}) ?([$£€¥₹])(?!\d)', r'\2\1', text)
  text = re.sub(rf'([$£€¥₹]) ?({number})(?: ?(thousand|[mbtr]+illion|k|mn?|bn?)\b)?', _money, text)
  text = re.sub(r'(?i)(?<![\d:.])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])( ?[ap]\.?m\b)?', _time, text)
  text = re.sub(r'(?<=\d):(?=\d)', ' to ', text)
  text = re.sub(r'(?<![\d/])(?:(\d+) )?(\d{1,2})/(\d{1,3})(?![\d/])', _fraction, text)
  text = re.sub(r'(?<![\w.,-])(?:\+?\d{1,3}[ -])?(?:\(?\d{3}\)?[ -]+)?\d{3}-\d{4}(?![\w-])', _digits, text)
  text = re.sub(r'(?<![\d.,-])0\d+(?![\d.,]*\d)', _digits, text)
  text = re.sub(r'\d+(?:\.\d+){2,}', lambda m: m[0].replace('.', ' point '), text)
  text = re.sub(r'(?<![\d-])(\d+)-(\d+)(?![\d-])', r'\1 to \2', text)
  text = re.sub(rf'(?i)\b({"|".join(_BEFORE_NUMBERS)})\. ?(?=\d)', lambda m: _BEFORE_NUMBERS[m[1].lower()] + ' ', text)
  text = re.sub(r"(?<![\d.,])'?(\d{1,3}0)'?s\b", _decade, text)
  text = re.sub(r'° ?([CF])\b', lambda m: ' degrees ' + {'C': 'Celsius', 'F': 'Fahrenheit'}[m[1]], text)
  return re.sub(r'(\d) ?([A-Za-z]+)(?:/([a-z]+))?\b', _unit, text)


def _money(match):
  sign, amount, scale = match.groups()
  name, small = _CURRENCIES[sign]
  plural = name if name == 'yen' else name + 's'
  amount = amount.rstrip(',')
  if scale:
    return f'{amount} {_SCALES.get(scale.lower(), scale)} {plural} '
  whole, _, cents = amount.partition('.')
  if len(cents) != 2 or not small:
    return f'{amount} {name if amount == "1" else plural} '
  parts = [f'{whole} {name if whole == "1" else plural}'] if int(whole.replace(',', '') or 0) else []
  if int(cents):
    parts.append(f'{int(cents)} {small if small != "cent" or cents == "01" else small + "s"}')
  return ' '.join(parts or [f'0 {plural}']) + ' '


def _time(match):
  hour, minute, second, half = match.groups()
  words = f'{int(hour)} ' + ("o'clock" if minute == '00' else f'oh {int(minute)}' if minute[0] == '0' else minute)
  if minute == '00' and (half or int(hour) > 12):
    words = f'{int(hour)}' + ('' if half else ' hundred')
  return words + (f' and {int(second)} seconds' if second else '') + (half or '')


def _fraction(match):
  whole, above, below = match.groups()
  above, below = int(above), int(below)
  if not 0 < above < below or below not in _PARTS:
    return match[0].replace('/', ' ')
  part = _PARTS[below] if above == 1 else 'halves' if below == 2 else _PARTS[below] + 's'
  return (f'{whole} and ' if whole else '') + ('one' if above == 1 else str(above)) + f' {part}'


_DIGITS = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')


def _digits(match):
  """A number read digit by digit."""
  digits = ' '.join(_DIGITS[int(d)] for d in match[0] if d in '0123456789')
  return f'plus {digits}' if match[0][0] == '+' else digits


def _write_out(match):
  word = match.group(1)
  written = _ABBREVIATIONS.get(word.lower())
  if written is None:
    if not re.fullmatch(r'(?:[A-Za-z]\.){2,}', word):
      return word
    written = _letters(word.replace('.', ''))
  # The dot of an abbreviation that ends the line ends the sentence as well.
  return written + ('.' if not match.string[match.end() :].strip(' \'"') else '')


def _initials(match):
  before = match.string[: match.start()].split()
  if before and not before[-1][0].isupper():
    return match.group()  # as in 'plan B. Then'
  return _letters(re.sub('[. ]', '', match.group())) + ' '


def _letters(word):
  """Marks letters that are to be spelled, by code points that no text may use."""
  return ''.join(chr(_SPELLED_A + ord(letter) - ord('A')) for letter in word.upper())


def _numeral(match):
  name, numeral = match.groups()
  return f'{name} {_NUMERALS.index(numeral) + 2}' if numeral in _NUMERALS else match.group()


def _shorten(match):
  """'noooo' is 'no', 'sweeeet' is 'sweet'."""
  word = match.group()
  if re.fullmatch('[IVXLCDM]+|www', word):
    return _letters(word) if word == 'www' else word
  once, twice = (re.sub(r'([A-Za-z])\1\1+', repeat, word, flags=re.IGNORECASE) for repeat in (r'\1', r'\1\1'))
  first, second = (twice, once) if re.search('(?i)eee', word) else (once, twice)
  return second if _in_dictionary(second) and not _in_dictionary(first) else first


def _decade(match):
  words = {
    '00': 'hundreds',
    '10': 'tens',
    '20': 'twenties',
    '30': 'thirties',
    '40': 'forties',
    '50': 'fifties',
    '60': 'sixties',
    '70': 'seventies',
    '80': 'eighties',
    '90': 'nineties',
  }
  years = match[1]
  if len(years) == 3:
    return match[0]
  return 'two thousands' if years == '2000' else f'{years[:-2]} {words[years[-2:]]}'.strip()


def _unit(match):
  """Letters right after a number, or after a space: kilometers, a.m., the ending of an ordinal, or letters."""
  last, suffix, per = match.groups()
  close = match[0][1:2] != ' '
  if suffix.lower() in ('am', 'pm'):
    return last + ' ' + _letters(suffix)
  if suffix.lower() in ('st', 'nd', 'rd', 'th') and close:
    return match[0]
  unit = _UNITS.get(suffix.lower()) or (_SHORT_UNITS.get(suffix) if close or len(suffix) == 1 and per else None)
  if suffix in ('m', 'g') and not unit and not re.match(r'\s*[A-Za-z]', match.string[match.end() :]):
    unit = _SHORT_UNITS[suffix]
  if unit is None:
    spelled = suffix in ('AD', 'BC') or close and len(suffix) > 1 and suffix.isupper()
    return f'{last} {_letters(suffix) if spelled else suffix}' + (f'/{per}' if per else '')
  if re.search(r'(?<![\d.,])1$', match.string[: match.start() + 1]):
    unit = _SINGULAR.get(unit) or re.sub('s$', '', unit)
  if not per:
    return f'{last} {unit}'
  under = _UNITS.get(per.lower()) or _SHORT_UNITS.get(per) or per
  return f'{last} {unit} per {_SINGULAR.get(under) or re.sub("s$", "", under)}'


def _lower_capitals(text):
  """GET OUT! is shouted, NASA is a name, and only BBC and US are spelled."""
  shouted = not re.search('[a-z]', text) and len(re.findall(_WORD, text)) > 1

  def lower(match):
    word = match.group()
    if len(word) < 2 or match.string[match.start() - 1 : match.start()].isdigit():
      return word
    if not word.isupper():  # 'brb' has no vowel to be spoken by
      known = re.search("(?i)[aeiouy']", word) or word.lower() in _INTERJECTIONS or _in_dictionary(word)
      return word if known else _letters(word)
    if shouted and re.search('[AEIOUY]', word):
      return word.lower()
    if word.lower() in _INTERJECTIONS:
      return word.lower()
    return _letters(word) if word in _SPELLED or not _in_dictionary(word) else word.lower()

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
    pieces += [(text[end : match.start()], None), (match.group(), symbols)]
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
_LONG_NUMBER = re.compile(r'\d[\d,]{15,}')  # read digit by digit: nobody says it as one number
_gruut_lock = threading.Lock()  # its part-of-speech tagger and its SQLite dictionary are not made for threads


def _pronounce(text, unspoken, guessed):
  """Tokens (word, symbols) and (punctuation, None) of a cleaned piece of text."""
  tokens = []
  for part in re.split('(\u2014|[\ue000-\ue019]|\\.{2,}|[?!;]+|[.,:]+(?=\\W|$))', text):
    part = part.strip()
    if not part:
      continue
    if part == '\u2014':
      tokens.append(('-', None))
    elif '\ue000' <= part <= '\ue019':
      letter = chr(ord(part) - _SPELLED_A + ord('a'))
      tokens.append((letter, tuple('@' + code for code in _LETTERS[letter].split())))
    elif re.fullmatch(r'\.{2,}', part):
      tokens.append(('...', None))
    elif re.fullmatch('[.,;:?!]+', part):
      tokens += [(mark, None) for mark in part]
    else:
      part = _LONG_NUMBER.sub(_digits, part)
      spoken = [token for word in _gruut(part) for token in _spell(word, unspoken)]
      guessed += [word for word, _ in spoken if _is_guess(word)]
      tokens += spoken
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
    code = _IPA.get(phoneme[len(stress) :])
    if code:
      symbols.append('@' + code + ((stress or '0') if code in VOWELS else ''))
  if not symbols:
    unspoken.append(written)
    return []
  return [(written, tuple(symbols))]


def _is_guess(word):
  stem = re.sub("'s?$", '', word.lower())
  return bool(re.fullmatch("[a-z']{2,}", word.lower())) and not (
    _in_dictionary(word) or _in_dictionary(stem) or stem in _INTERJECTIONS
  )


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
  'er': 'ER1', 'psst': 'P S T', 'pst': 'P S T', 'pfft': 'P F T', 'tsk': 'T S K', 'grr': 'G R', 'gr': 'G R',
  'brr': 'B R', 'br': 'B R', 'zz': 'Z', 'zzz': 'Z', 'mhm': 'M HH AH1 M', 'hmph': 'HH AH1 M F', 'ssh': 'SH',
  'ooh': 'UW1', 'oh': 'OW1', 'eh': 'EH1', 'nah': 'N AA1', 'yeah': 'Y AE1',
}  # fmt: skip


def _merge_punctuation(tokens):
  """One mark between two words: the strongest."""
  merged = []
  for token in tokens:
    if token[1] is None and merged and merged[-1][1] is None:
      merged[-1] = max(merged[-1], token, key=lambda t: STRENGTH.index(t[0]))
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
