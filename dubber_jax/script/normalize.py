"""English text normalization: numbers, money, times, dates, units, abbreviations, initials and signs to words.

Rules in one fixed order, each a substitution by a regular expression. Plain numbers and ordinals are left to gruut,
which reads them by context (g2p.py).
"""

import re
import unicodedata

from dubber_jax.script.dictionary import INTERJECTIONS, in_dictionary

_ABBREVIATIONS = {
  'e.g.': 'for example', 'i.e.': 'that is', 'etc.': 'et cetera', 'vs.': 'versus', 'prof.': 'professor',
  'lt.': 'lieutenant', 'capt.': 'captain', 'sgt.': 'sergeant', 'col.': 'colonel', 'gen.': 'general',
  'rev.': 'reverend', 'sr.': 'senior', 'jr.': 'junior', 'inc.': 'incorporated', 'ltd.': 'limited',
  'dept.': 'department', 'approx.': 'approximately', 'mr.': 'mister', 'mrs.': 'missus', 'ms.': 'miz',
  'dr.': 'doctor', 'messrs.': 'messers', 'mt.': 'mount', 'gov.': 'governor', 'sen.': 'senator',
  'hon.': 'honorable', 'blvd.': 'boulevard', 'ave.': 'avenue', 'tel.': 'telephone',
}  # fmt: skip
_NUMBER_PREFIXES = {
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
_SLASH_ABBREVIATIONS = {'w/o': 'without', 'c/o': 'care of', 'w/': 'with', 'n/a': 'not applicable'}
_UNITS = {
  'kg': 'kilograms', 'km': 'kilometers', 'cm': 'centimeters', 'mm': 'millimeters', 'mph': 'miles per hour',
  'lb': 'pounds', 'lbs': 'pounds', 'oz': 'ounces', 'ft': 'feet', 'ml': 'milliliters', 'hz': 'hertz',
  'khz': 'kilohertz', 'mhz': 'megahertz', 'ghz': 'gigahertz', 'kb': 'kilobytes', 'mb': 'megabytes',
  'gb': 'gigabytes', 'tb': 'terabytes', 'min': 'minutes', 'sec': 'seconds', 'ms': 'milliseconds', 'hr': 'hours',
  'hrs': 'hours', 'kw': 'kilowatts', 'kwh': 'kilowatt hours', 'mg': 'milligrams', 'db': 'decibels',
}  # fmt: skip
# Also words or names: units only in this case, and directly after the number.
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
_SPOKEN_SYMBOLS = str.maketrans(_SYMBOLS_IN_WORDS)
_ADDRESS_MARKS = {
  '.': ' dot ', '/': ' slash ', '-': ' dash ', '_': ' underscore ', ':': ' colon ', '?': ' question mark ',
  '=': ' equals ', '&': ' and ', '#': ' hash ', '%': ' percent ', '+': ' plus ', '@': ' at ', '~': ' tilde ',
}  # fmt: skip
_DENOMINATORS = {
  2: 'half', 3: 'third', 4: 'quarter', 5: 'fifth', 6: 'sixth', 7: 'seventh', 8: 'eighth', 9: 'ninth', 10: 'tenth',
  12: 'twelfth', 16: 'sixteenth', 20: 'twentieth', 32: 'thirty second', 64: 'sixty fourth', 100: 'hundredth',
}  # fmt: skip
_ROMAN_NUMERALS = ('II', 'III', 'IV', 'V', 'VI', 'VII', 'VIII', 'IX', 'X', 'XI', 'XII', 'XIII', 'XIV', 'XV', 'XVI')
_DIGITS = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')
SPELLED_A = 0xE000  # private-use code point that stands for a spelled 'A'
# Spelled out in capitals, words in small letters.
_ACRONYMS = frozenset(('US', 'IT', 'AI', 'AM', 'PM', 'TV', 'UK', 'UN', 'EU', 'ID', 'PC', 'USA'))
_WORD = r"[A-Za-z]+(?:'[A-Za-z]+)*"


def normalize_text(text: str, unspoken: list[str]) -> str:
  """The text in ASCII and em dashes, with numbers, abbreviations, units and signs as words.

  Letters to be spelled out are private-use code points (`mark_spelled`). Parts without a pronunciation are removed
  and appended to `unspoken`.
  """

  def drop(match):
    unspoken.append(match.group().strip())
    return ' '

  text = re.sub('[\u2122\u2120]', drop, text.translate(_SPOKEN_SYMBOLS))
  text = unicodedata.normalize('NFKC', text)
  text = re.sub('[\ue000-\uf8ff\x00-\x1f\x7f\u200b\u2028\u2029]', ' ', text)
  text = ''.join(c for c in text if unicodedata.category(c) != 'Cf')  # soft hyphens, joiners, direction marks
  text = re.sub('[\u2018\u2019\u02bc\u00b4`]', "'", text)
  text = re.sub("(?i)(?<![a-z])'n'?(?= )", 'and', text)
  text = re.sub(r'(?<=\d)\s*[\u2012\u2013]\s*(?=\d)', ' to ', text)
  text = re.sub('\\s*(?:[\u2012-\u2015]|--+|\\s-(?=\\s))\\s*', ' \u2014 ', text)  # the only dash kept
  text = re.sub(r'\b(\d+) ?\'(?: ?(\d+) ?(?:"|\'\'))', r'\1 foot \2', text)
  text = re.sub(r'(?i)\bhttps?://[^\s<>"]+|\bwww\.[^\s<>"]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+', _spell_address, text)
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
  text = re.sub(r'\b(Ph|[BM]\.? ?Sc)\.? ?D?\.(?!\w)', lambda m: mark_spelled(re.sub('[^A-Za-z]', '', m[0])), text)
  text = re.sub(r'(?<![\w/])(w/o|c/o|n/a|w/)(?![\w/])', lambda m: _SLASH_ABBREVIATIONS[m[1]], text)
  text = re.sub(r'(?<![\w.])([A-Za-z][A-Za-z.]*\.)(?=\W|$)', _expand_abbreviation, text)
  text = re.sub(r'\b(?:[A-HJ-Z]\. ?)+(?=[A-Z][a-z])', _initials, text)
  text = re.sub(r'\b([A-Z][a-z]+) ([IVX]{2,})\b', _roman_numeral, text)
  text = re.sub(r'\b([A-Z]+)-?(?=\d)', lambda m: mark_spelled(m[1]) + ' ', text)
  text = re.sub(r'\b([A-Za-z]+)(?=\d)', r'\1 ', text)
  text = re.sub(r'(?<=[a-z] )A(?= [a-z\d]|[^\w ]|$)', mark_spelled('A'), text)  # plan A, vitamin A
  text = re.sub('[&%@+=°~]', lambda m: _SIGNS[m.group()], text)
  text = re.sub(r'(?i)\b([bcdfghj-np-tvwxz]{1,2})-(?=\1)', drop, text)  # b-but: a stutter has no pronunciation
  text = re.sub(r'(?<=[A-Za-z])[-/:](?=[A-Za-z])', ' ', text)
  text = re.sub(r'(?<=[A-Za-z]{2})\.(?=[a-z]{2})|(?<![\w.])\.(?=[A-Za-z])', ' dot ', text)
  text = re.sub(r'[A-Za-z]*([A-Za-z])\1\1+[A-Za-z]*', _collapse_repeats, text)
  return _lowercase_capitals(re.sub(r'[#/]', ' ', text)).strip()


def _spell_address(match):
  """A web or e-mail address in words. Punctuation at its end belongs to the sentence."""
  address = re.sub('(?i)^https?://', '', match[0])
  kept = address.rstrip(".,;:!?')/")
  spoken = re.sub(r'[^\w\s]|_', lambda m: _ADDRESS_MARKS.get(m[0], ' '), kept)
  return spoken + address[len(kept) :].replace('/', '')


def _write_numbers(text):
  """Money, times, fractions, telephone numbers, ranges and units in words; plain numbers and ordinals remain."""
  number = r'\d[\d,]*(?:\.\d+)?'
  text = re.sub(rf'(?<![\d.])({number}) ?([$£€¥₹])(?!\d)', r'\2\1', text)
  text = re.sub(rf'([$£€¥₹]) ?({number})(?: ?(thousand|[mbtr]+illion|k|mn?|bn?)\b)?', _money, text)
  text = re.sub(r'(?i)(?<![\d:.])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])( ?[ap]\.?m\b)?', _time, text)
  text = re.sub(r'(?<=\d):(?=\d)', ' to ', text)
  text = re.sub(r'(?<![\d/])(?:(\d+) )?(\d{1,2})/(\d{1,3})(?![\d/])', _fraction, text)
  text = re.sub(r'(?<![\w.,-])(?:\+?\d{1,3}[ -])?(?:\(?\d{3}\)?[ -]+)?\d{3}-\d{4}(?![\w-])', spell_digits, text)
  text = re.sub(r'(?<![\d.,-])0\d+(?![\d.,]*\d)', spell_digits, text)
  text = re.sub(r'\d+(?:\.\d+){2,}', lambda m: m[0].replace('.', ' point '), text)
  text = re.sub(r'(?<![\d-])(\d+)-(\d+)(?![\d-])', r'\1 to \2', text)
  text = re.sub(
    rf'(?i)\b({"|".join(_NUMBER_PREFIXES)})\. ?(?=\d)',
    lambda m: _NUMBER_PREFIXES[m[1].lower()] + ' ',
    text,
  )
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
  if not 0 < above < below or below not in _DENOMINATORS:
    return match[0].replace('/', ' ')
  part = _DENOMINATORS[below] if above == 1 else 'halves' if below == 2 else _DENOMINATORS[below] + 's'
  return (f'{whole} and ' if whole else '') + ('one' if above == 1 else str(above)) + f' {part}'


def spell_digits(match: re.Match) -> str:
  """A matched number digit by digit, in words."""
  digits = ' '.join(_DIGITS[int(d)] for d in match[0] if d in '0123456789')
  return f'plus {digits}' if match[0][0] == '+' else digits


def _expand_abbreviation(match):
  word = match.group(1)
  written = _ABBREVIATIONS.get(word.lower())
  if written is None:
    if not re.fullmatch(r'(?:[A-Za-z]\.){2,}', word):
      return word
    written = mark_spelled(word.replace('.', ''))
  # The period of an abbreviation at the end of the line also ends the sentence.
  return written + ('.' if not match.string[match.end() :].strip(' \'"') else '')


def _initials(match):
  before = match.string[: match.start()].split()
  if before and not before[-1][0].isupper():
    return match.group()  # as in 'plan B. Then'
  return mark_spelled(re.sub('[. ]', '', match.group())) + ' '


def mark_spelled(word: str) -> str:
  """The letters of a word as private-use code points from SPELLED_A on: they are pronounced by their names."""
  return ''.join(chr(SPELLED_A + ord(letter) - ord('A')) for letter in word.upper())


def _roman_numeral(match):
  name, numeral = match.groups()
  return f'{name} {_ROMAN_NUMERALS.index(numeral) + 2}' if numeral in _ROMAN_NUMERALS else match.group()


def _collapse_repeats(match):
  """Three or more equal letters to one or two, whichever is a word: 'noooo' to 'no', 'sweeeet' to 'sweet'."""
  word = match.group()
  if re.fullmatch('[IVXLCDM]+|www', word):
    return mark_spelled(word) if word == 'www' else word
  once, twice = (re.sub(r'([A-Za-z])\1\1+', repeat, word, flags=re.IGNORECASE) for repeat in (r'\1', r'\1\1'))
  first, second = (twice, once) if re.search('(?i)eee', word) else (once, twice)
  return second if in_dictionary(second) and not in_dictionary(first) else first


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
  """Letters after a number: a unit, a.m. or p.m., an ordinal suffix, or letters to be spelled."""
  last, suffix, per = match.groups()
  close = match[0][1:2] != ' '
  if suffix.lower() in ('am', 'pm'):
    return last + ' ' + mark_spelled(suffix)
  if suffix.lower() in ('st', 'nd', 'rd', 'th') and close:
    return match[0]
  unit = _UNITS.get(suffix.lower()) or (_SHORT_UNITS.get(suffix) if close or len(suffix) == 1 and per else None)
  if suffix in ('m', 'g') and not unit and not re.match(r'\s*[A-Za-z]', match.string[match.end() :]):
    unit = _SHORT_UNITS[suffix]
  if unit is None:
    spelled = suffix in ('AD', 'BC') or close and len(suffix) > 1 and suffix.isupper()
    return f'{last} {mark_spelled(suffix) if spelled else suffix}' + (f'/{per}' if per else '')
  if re.search(r'(?<![\d.,])1$', match.string[: match.start() + 1]):
    unit = _SINGULAR.get(unit) or re.sub('s$', '', unit)
  if not per:
    return f'{last} {unit}'
  under = _UNITS.get(per.lower()) or _SHORT_UNITS.get(per) or per
  return f'{last} {unit} per {_SINGULAR.get(under) or re.sub("s$", "", under)}'


def _lowercase_capitals(text):
  """Capitals to small letters where they are words (GET OUT, NASA); the rest is spelled out (BBC, US)."""
  shouted = not re.search('[a-z]', text) and len(re.findall(_WORD, text)) > 1

  def lower(match):
    word = match.group()
    if len(word) < 2 or match.string[match.start() - 1 : match.start()].isdigit():
      return word
    if not word.isupper():  # 'brb' has no vowel to be spoken by
      known = re.search("(?i)[aeiouy']", word) or word.lower() in INTERJECTIONS or in_dictionary(word)
      return word if known else mark_spelled(word)
    if shouted and re.search('[AEIOUY]', word):
      return word.lower()
    if word.lower() in INTERJECTIONS:
      return word.lower()
    return mark_spelled(word) if word in _ACRONYMS or not in_dictionary(word) else word.lower()

  return re.sub(_WORD, lower, text)
