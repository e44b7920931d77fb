"""Rules of text normalization for numbers: money, times, dates, telephone numbers, measures, fractions, ranges,
ordinals, and numbers that are names."""

import re

from dubber_jax.script.capitals import mark_spelled
from dubber_jax.script.characters import CURRENCY_SIGNS, EN_DASH
from dubber_jax.script.dictionary import in_dictionary
from dubber_jax.script.line_context import Rule, said
from dubber_jax.script.numbers import (
  cardinal,
  digit_words,
  name_number,
  number_words,
  ordinal,
  plural_words,
  year,
)
from dubber_jax.script.semiotics import (
  BILL_WORDS,
  CURRENCIES,
  DENOMINATORS,
  DIGIT_NAMES,
  MONTHS,
  MONTHS_ALSO_WORDS,
  NUMBERED_BY_NAME,
  PHONE_WORDS,
  PLURAL_CONTEXT,
  SCALES,
  SECONDS_CONTEXT,
  SHORT_UNITS,
  SINGULAR,
  STATES,
  TIME_CONTEXT,
  UNITS,
)


def _amount(text):
  """A written number to (words, is one). Decimal commas and thousands grouped by points or blanks are known."""
  if re.fullmatch(r'\d{1,3}(\.\d{3})+,\d+|\d+,\d{1,2}', text):
    text = text.replace('.', '').replace(',', '.')
  elif re.fullmatch(r'\d{1,3}(\.\d{3}){2,}', text):
    text = text.replace('.', '')
  text = text.replace(' ', '')
  return number_words(text), text == '1'


_NUMBER = (
  r'(?:\d{1,3}(?:\.\d{3})+,\d{1,2}(?!\d)|\d{1,3}(?:\.\d{3}){2,}(?![\d.])|\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|'
  r'\d{1,3}(?: \d{3}){2,}(?![\d-])|\d{1,3} 000(?![\d-])|\d+,\d{1,2}(?![\d,])|\d+\.\d+|\.\d+|\d+)'
)
_NOT_IN_NUMBER = r'(?<![\d.,])(?<!\d )'
_SIGN = rf'[${CURRENCY_SIGNS}]'
_DASH = rf' ?[-{EN_DASH}] ?'
_MONTH = f'(?P<month>{"|".join(sorted(MONTHS, key=len, reverse=True))})'


def _money(match, line):
  sign, scale = match['sign'], match['scale']
  name, small = CURRENCIES[sign]
  plural = name if name in ('yen', 'won') else name + 's'
  words, one = _amount(match['amount'])
  minus = 'minus ' if match['minus'] else ''
  if match['to']:
    words, one = f'{words} to {_amount(match["to"])[0]}', False
  if match['plural']:
    return said(f'{plural_words(words.removeprefix("one "))} of {plural}')
  if scale:
    words = f'{words} {SCALES.get(scale.lower(), scale.lower())}'
  following = line.after(match.end()).lower()
  if following in BILL_WORDS and line.before(match.start()) in BILL_WORDS['']:
    return said(f'{minus}{words} {name}')
  whole, cents = re.findall(r'^(.*?)(?:[.,](\d\d))?$', match['amount'])[0]
  if scale or match['to'] or not cents or not small or re.search(r',\d{3}$', match['amount']):
    return said(f'{minus}{words} {name if one and not scale else plural}')
  whole = int(re.sub(r'\D', '', whole) or 0)
  spoken = number_words(str(whole)) if match['amount'].find(str(whole)) == 0 else cardinal(whole)
  parts = [f'{spoken} {name if whole == 1 else plural}'] if whole else []
  if int(cents):
    parts.append(f'{cardinal(int(cents))} {small if small != "cent" or cents == "01" else small + "s"}')
  return said(minus + ' '.join(parts or [f'zero {plural}']))


def _cents(match, line):
  return said(f'{number_words(match[1])} cent' + ('' if match[1] == '1' else 's'))


def _half_of_day(half, match, line):
  end = '.' if half.endswith('.') and line.ends_sentence(match.end()) else ''
  return mark_spelled(half[0] + 'm') + end


def _clock(match, line):
  hour, minute, second, half = match.groups()
  words = cardinal(int(hour))
  if minute == '00':
    words += '' if half else ' hundred' if int(hour) > 12 else " o'clock"
  else:
    words += f' oh {cardinal(int(minute))}' if minute[0] == '0' else f' {cardinal(int(minute))}'
  words += f' and {cardinal(int(second))} seconds' if second else ''
  return said(words + (' ' + _half_of_day(half.strip(), match, line) if half else ''))


def _clock_with_point(match, line):
  """3.30 as a time: after 'at' and the like, or before a.m. or p.m."""
  half = match[4]
  following = line.after(match.end()).lower()
  if not half and (
    line.before(match.start()) not in TIME_CONTEXT
    or match[2][1] not in '05'
    or following in UNITS
    or following in UNITS.values()
    or following in ('percent', 'times', 'million', 'thousand', 'billion', 'dollars', 'euros', 'pounds', 'degrees')
  ):
    return None
  return _clock(match, line)


def _hour(match, line):
  return said(f'{cardinal(int(match[1]))} {_half_of_day(match[2], match, line)}')


def _military_time(match, line):
  hour, minute = match.groups()
  words = f'oh {cardinal(int(hour))}' if hour[0] == '0' else cardinal(int(hour))
  if minute == '00':
    return said(f'{words} hundred')
  return said(words + (f' oh {cardinal(int(minute))}' if minute[0] == '0' else f' {cardinal(int(minute))}'))


def _month(name):
  return MONTHS[name.lower().rstrip('.')]


def _is_month(match, line):
  name = match['month']
  return name[0].isupper() or name.lower() not in MONTHS_ALSO_WORDS


def _month_day(match, line):
  """July 4, July 4th 1776, July 4-6."""
  days = [int(day) for day in (match['day'], match['last']) if day]
  following = line.after(match.end())
  also_word = match['month'].lower().rstrip('.') in MONTHS_ALSO_WORDS
  if not _is_month(match, line) or not all(1 <= day <= 31 for day in days):
    return None
  if following.lower() in SCALES.values() or following.lower() in UNITS.values() or following.lower() in ('percent',):
    return None
  if (
    also_word
    and following.islower()
    and (following.endswith('s') or following == 'people')
    and following not in ('was', 'is')
  ):
    return None
  words = f'{_month(match["month"])} {" to ".join(ordinal(day) for day in days)}'
  return said(words + (f' {year(int(match["year"]))}' if match['year'] else ''))


def _day_month(match, line):
  """4 July 1776: the fourth of July."""
  day, also_word = int(match['day']), match['month'].lower() in MONTHS_ALSO_WORDS
  if not 1 <= day <= 31 or not _is_month(match, line):
    return None
  if also_word and not match['year'] and line.before(match.start()) not in TIME_CONTEXT | {'on', 'the', 'of', 'for'}:
    return None
  the = '' if line.before(match.start()) == 'the' else 'the '
  words = f'{the}{ordinal(day)} of {_month(match["month"])}'
  return said(words + (f' {year(int(match["year"]))}' if match['year'] else ''))


def _month_year(match, line):
  return said(f'{_month(match["month"])} {year(int(match["year"]))}') if _is_month(match, line) else None


def _month_alone(match, line):
  if match[1] in ('Jan', 'Mar', 'Jun') and line.before(match.start()) not in TIME_CONTEXT | {
    'in',
    'last',
    'next',
    'of',
  }:
    return None  # Thanks, Jan.
  return MONTHS[match[1].lower()] + ('.' if line.ends_sentence(match.end()) else '')


def _numeric_date(match, line):
  parts = [int(part) for part in re.findall(r'\d+', match[0])]
  if re.match(r'\d{4}', match[0]):
    the_year, month, day = parts
  else:
    month, day, the_year = parts
    if month > 12 or '.' in match[0]:
      month, day = day, month
    the_year += 0 if the_year > 99 else 2000 if the_year < 50 else 1900
  if not (1 <= month <= 12 and 1 <= day <= 31 and the_year > 999):
    return None
  return said(f'{list(dict.fromkeys(MONTHS.values()))[month - 1]} {ordinal(day)} {year(the_year)}')


def _telephone(match, line):
  """Telephone numbers, digit by digit: by their groups, or by a word before them."""
  text = match[0]
  groups = re.findall(r'\d+', text)
  lengths, digits = [len(group) for group in groups], sum(len(group) for group in groups)
  told = bool(PHONE_WORDS & set(line.before(match.start(), 3).split()))
  hyphens = text.count('-') + text.count('.')
  plausible = 7 <= digits <= 15 and len(groups) > 1 and not re.fullmatch(r'\d{1,3}(\.\d{3})+', text)
  if not plausible and not (told and len(groups) == 1 and 7 <= digits <= 12):
    return None
  sure = (
    told
    or text[0] in '+('
    or (hyphens == len(groups) - 1 and len(groups) > 2)
    or (hyphens == 1 and len(groups) == 2 and lengths == [3, 4])
    or (len(groups) > 2 and lengths[-1] == 4 and lengths[-2] == 3)
    or (len(groups) > 2 and any(group[0] == '0' and group != '000' for group in groups))
    or (groups[0][0] == '0' and lengths[0] in (3, 4, 5) and digits > 8)
  )
  if not sure:
    return None
  words = [digit_words(group) for group in groups]
  if groups[0] == '1' and len(groups) > 2 and re.fullmatch('[89]00', groups[1]):
    words[1] = cardinal(int(groups[1]))
  return said(('plus ' if text[0] == '+' else '') + ' '.join(words))


def _hyphened_name(match, line):
  """Numbers joined by hyphens that are names: 10-4, 24-7, 50-50, 9-1-1, 4-3-3, a 1-2 punch."""
  parts = re.findall(r'\d+', match[0])
  values = [int(part) for part in parts]
  following = line.after(match.end()).lower()
  if len(parts) > 2:
    if max(len(part) for part in parts) < 3:
      return said(' '.join(number_words(part) for part in parts))
    return None
  is_name = (
    (values[0] == 10 and values[1] < 10 and len(parts[1]) == 1 and following not in UNITS)
    or values == [24, 7]
    or (values[0] == values[1] and len(parts[0]) > 1)
    or following in ('punch', 'combination', 'combo')
    or (parts[0] in DIGIT_NAMES['aircraft'] and len(parts[1]) == 3)
  )
  if not is_name:
    return None
  return said(' '.join(name_number(part) if len(part) == 3 else number_words(part) for part in parts))


def _named_number(match, line):
  """911, 747, 404, room 237, Beverly Hills 90210: numbers that are names."""
  number, before = match[1], line.before(match.start())
  following = line.after(match.end()).lower()
  plural = match[2]
  if number in DIGIT_NAMES['emergency'] and before != 'porsche' and following not in DIGIT_NAMES['things']:
    words = digit_words(number)
  elif number in DIGIT_NAMES['aircraft'] and (plural or before in ('boeing', 'a', 'the', 'that', 'jumbo', 'this')):
    words = name_number(number)
  elif number in DIGIT_NAMES['error'] and 'error' in (before, following) or (number == '411' and before == 'the'):
    words = digit_words(number, 'oh')
  elif before in NUMBERED_BY_NAME and len(number) in (3, 4) or before == 'porsche' or (number == '401' and match[3]):
    words = name_number(number)
  elif len(number) == 5 and _before_zip(line, match.start()):
    words = digit_words(number, 'oh')
  else:
    return None
  return said((plural_words(words) if plural else words) + (f' {mark_spelled("K")}' if match[3] else ''))


def _before_zip(line, position):
  word = re.search(r'([A-Za-z.]+),? $', line.text[:position])
  if not word:
    return False
  if word[1].replace('.', '') in STATES or line.before(position) in ('zip', 'zipcode', 'code'):
    return True
  return bool(re.search(r'[A-Z][a-z]+ [A-Z][a-z]+,? $', line.text[:position]))


def _fraction(match, line):
  whole, above, below = match.groups()
  above, below = int(above), int(below)
  if not 0 < above < below or below not in DENOMINATORS:
    return None
  part = DENOMINATORS[below] if above == 1 else 'halves' if below == 2 else DENOMINATORS[below] + 's'
  return said((f'{number_words(whole)} and ' if whole else '') + f'{cardinal(above)} {part}')


def _feet_and_inches(match, line):
  feet, inches = match.groups()
  return said(f'{number_words(feet)} foot' + (f' {number_words(inches)}' if inches else ''))


def _range(match, line):
  """The first of two numbers and the sign between them; the second is a token of its own."""
  between = match[2].strip()
  words = {'*': 'times', '/': '', '<': 'less than', '>': 'greater than'}.get(between, 'to')
  return said(f'{number_words(match[1])} {words}')


def _by(match, line):
  """4x4, 1920 x 1080."""
  plural = match[3]
  words = f'{number_words(match[1])} by {number_words(match[2])}'
  return said(plural_words(words) if plural else words)


def _list_of_numbers(match, line):
  return ', '.join(number_words(part) for part in match[0].split(',')) + ' '


def _version(match, line):
  parts = match[0].split('.')
  address = len(parts) == 4 and all(int(part) < 256 for part in parts)
  if re.fullmatch(r'\d{1,3}(\.\d{3}){2,}', match[0]) and not address:
    return None  # thousands
  return said(' point '.join(number_words(part) for part in match[0].split('.')))


_DECADES = (
  'hundreds',
  'tens',
  'twenties',
  'thirties',
  'forties',
  'fifties',
  'sixties',
  'seventies',
  'eighties',
  'nineties',
)


def _plural_number(match, line):
  """1920s, '90s, 737s, B-52s; seconds only where the words before tell so."""
  number, behind_letters = (
    match[1],
    match.string[match.start() - 1 : match.start()] in '-'
    or (match.start() and match.string[match.start() - 1].isalpha()),
  )
  if len(number) == 4 and number.endswith('0') and number != '2000':
    century = cardinal(int(number[:2]))
    return said(f'{century} {_DECADES[int(number[2])]}')
  if number == '2000':
    return said('two thousands')
  if len(number) == 2 and number[1] == '0' and not behind_letters:
    return said(_DECADES[int(number[0])]) if not _is_seconds(match, line) or "'" in match[0] else None
  if not behind_letters and "'" not in match[0] and _is_seconds(match, line):
    return None
  words = name_number(number) if len(number) == 3 else number_words(number)
  return said(plural_words(words))


def _is_seconds(match, line):
  return line.before(match.start()) in SECONDS_CONTEXT and line.after(match.end()) not in PLURAL_CONTEXT


def _ordinal_number(match, line):
  words = ordinal(int(match[1].replace(',', ''))) if len(match[1]) < 16 else None
  return words and said(words + (match[3] or '').lower())


def _measure(match, line):
  """A number with a unit or letters behind it, as 5 km/h, 10K, 7 p.m., 3D."""
  amount, gap, suffix, per = match['amount'], match['gap'], match['suffix'], match['per']
  close, lower, end = gap == '', suffix.lower(), match.end()
  words, one = _amount(amount)
  if lower in ('am', 'pm') and gap != '-':
    return said(f'{words} {mark_spelled(suffix)}')
  scale = SCALES.get(lower) if close and len(suffix) < 3 and not per else None
  if scale and _is_scale(suffix, match, line):
    return said(f'{words} {scale}')
  known = UNITS.get(lower) if not (line.shouted and gap and lower in ('min', 'ms')) else None
  unit = known or (SHORT_UNITS.get(suffix) if close or (len(suffix) == 1 and per) else None)
  if suffix in ('m', 'g', 'W', 'V') and not unit and gap == ' ' and not re.match(r'\s*[A-Za-z]', match.string[end:]):
    unit = SHORT_UNITS[suffix]
  if suffix == 'in' and match['stop'] and gap == ' ':
    unit = 'inches'
  if unit is None:
    if not close:
      return None
    return said(f'{words} {_letters_after_number(suffix, line)}') + (f'/{per} ' if per else '')
  singular = SINGULAR.get(unit) or re.sub('s$', '', unit)
  unit = singular if one or gap == '-' else unit
  words = f'{words} {unit}'
  if per:
    under = UNITS.get(per.lower()) or SHORT_UNITS.get(per) or per
    words += f' per {SINGULAR.get(under) or re.sub("s$", "", under)}'
  full_stop = '.' if match['stop'] and (line.ends_sentence(end) or re.match(r' [A-Z]', match.string[end:])) else ''
  return said(words) + full_stop


def _is_scale(suffix, match, line):
  following, before = line.after(match.end()).lower(), line.before(match.start())
  if suffix in ('k', 'K'):
    if following in ('tv', 'video', 'screen', 'resolution', 'display', 'monitor', 'camera', 'run', 'race', 'runner'):
      return False
    return not (before == 'a' and line.ends_sentence(match.end()))
  if suffix in ('M', 'mn', 'bn', 'tn'):
    return True
  return suffix == 'B' and following.endswith('s') and (following in match.string or line.shouted)


def _letters_after_number(suffix, line):
  if len(suffix) == 1 or suffix.isupper() and not (line.shouted and in_dictionary(suffix)):
    return mark_spelled(suffix)
  return suffix.lower() if line.shouted else suffix


def _number(match, line):
  words = _amount(match['amount'])[0]
  behind_letters = re.search('[A-Za-z]-?$', match.string[: match.start()])
  if behind_letters and match['amount'].isdigit() and len(match['amount']) == 3:
    words = name_number(match['amount'])
  return said(('minus ' if match['minus'] else '') + words)


def _to(match, line):
  return said('to')


def _power(match, line):
  digits = match[1]
  return said({'2': 'squared', '3': 'cubed'}.get(digits) or f'to the power of {number_words(digits)}')


def _number_sign(match, line):
  return said('number')


def _root(match, line):
  return said('the square root of')


def _degrees(match, line):
  return said('degrees ' + {'C': 'Celsius', 'F': 'Fahrenheit'}[match[1].upper()])


_YEAR = r'(?:,? (?P<year>[12]\d{3})(?![\d.,]*\d))?'
_NO_PER = '(?P<to>(?!))?(?P<scale>(?!))?(?P<plural>(?!))?'

RULES: tuple[Rule, ...] = (
  ('measure', r"(?<![\d.])(\d{1,2}) ?'(?: ?(\d{1,2}) ?(?:\"|''))", _feet_and_inches),
  ('date', r'(?<![\d/.-])\d{4}-\d{1,2}-\d{1,2}(?![\d/-])', _numeric_date),
  ('date', r'(?<![\d/.-])\d{1,2}/\d{1,2}/(?:\d{4}|\d\d)(?![\d/-])', _numeric_date),
  ('date', r'(?<![\d/.-])\d{1,2}([-.])\d{1,2}\1\d{4}(?![\d/-])', _numeric_date),
  ('date', rf'(?<![\d:.,/])(?P<day>\d{{1,2}})(?i:st|nd|rd|th)? (?i:{_MONTH})\b\.?{_YEAR}', _day_month),
  (
    'money',
    rf'(?P<minus>(?<!\w)-)?(?P<sign>{_SIGN}) ?(?P<amount>{_NUMBER})(?:{_DASH}{_SIGN}?(?P<to>{_NUMBER}))?'
    r'(?: ?(?P<scale>(?i:thousand|hundred|[mbtr]+illion|grand|[kmbt]n?))\b)?(?P<plural>s\b)?',
    _money,
  ),
  ('money', rf'(?P<minus>(?<!\w)-)?{_NOT_IN_NUMBER}(?P<amount>{_NUMBER}) ?(?P<sign>{_SIGN})(?!\d){_NO_PER}', _money),
  ('money', r'(?<![\d.,])(\d+) ?¢', _cents),
  ('time', r'(?<![\d:.])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])( ?[ap]\.m\.| ?(?i:[ap]\.?m)\b)?', _clock),
  (
    'time',
    r'(?<![\d:.,$£€])(1[0-2]|[1-9])\.([0-5]\d)()(?![\d.,%:]*\d)(?![%°])( ?[ap]\.m\.| ?(?i:[ap]\.?m)\b)?',
    _clock_with_point,
  ),
  ('time', r'(?<![\d:.,-])(1[0-2]|0?[1-9]) ?((?i:[ap]\.m\.)|(?i:[ap]\.?m)\b)', _hour),
  ('time', r'(?<![\d:.,-])([01]\d|2[0-3])([0-5]\d)(?= (?:hours|hrs|HOURS)\b)', _military_time),
  (
    'telephone',
    r'(?<![\w.,-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)[ .-]?)?\d{1,12}(?:[ .-]\d{2,4}){0,5}(?![\w-]|[.,]\d)',
    _telephone,
  ),
  ('number name', r'(?<![\w.,-])\d{1,3}(?:-\d{1,3})+(?![\w-]|[.,]\d)', _hyphened_name),
  ('number name', r'(?<![\w.,$-])(\d{3,5})(s)?(?:(?<=401) ?\(?([kK])\b\)?)?(?![\w-]|[.,]\d)', _named_number),
  ('fraction', r'(?<![\d/.,])(?:(\d+) )?(\d{1,2})/(\d{1,3})(?![\d/])', _fraction),
  ('number', r"(?<![\d.,])'?((?:1\d|20)?\d0)'?[sS]\b", _plural_number),
  ('number', r"(?<![\d.,])(\d{1,4})'?[sS]\b", _plural_number),
  ('range', r'(?<![\d.,])(\d+)( ?: ?|-| ?– ?)(?=\d+(?![\d-]|:\d))', _range),
  ('range', r'(?<![\d.,])(\d+)( ?[*<>] ?)(?=\d)', _range),
  ('measure', r'(?<![\d.,])(\d+) ?[xX] ?(\d+)(s)?(?!\w)', _by),
  ('ordinal', r'(?<![\d.])(\d+(?:,\d{3})*)(?i:(st|nd|rd|th)(s)?)\b', _ordinal_number),
  ('number', r'(?<![\d.])\d+(?:\.\d+){2,}(?![\d,])', _version),
  ('number', r'(?<![\d.])\d+(?:,\d+){2,}(?![\d.]*\d)(?<!,\d{3})', _list_of_numbers),
  (
    'measure',
    rf'{_NOT_IN_NUMBER}(?P<amount>{_NUMBER})(?P<gap>[ -]?)(?P<suffix>[A-Za-z]+)(?:/(?P<per>[A-Za-z]+))?\b'
    r'(?P<stop>(?<=ft|in|lb|oz|hr|ec|bs)\.(?![A-Za-z]))?',
    _measure,
  ),
  ('number', rf'(?P<minus>(?<![\w).])-)?{_NOT_IN_NUMBER}(?P<amount>{_NUMBER})', _number),
  ('number', r'(?P<minus>(?!))?(?P<amount>\d+)', _number),
  ('measure', r'° ?([CFcf])\b', _degrees),
  ('range', r'(?<=[\dmM.]) ?[-–] ?(?=\d{1,2}(?::\d\d| ?[apAP]\.?[mM]\b))(?<!\w\. )', _to),
  ('power', r'\^(\d+)', _power),
  ('root', '√', _root),
  ('number', r'#(?=\d)', _number_sign),
  (
    'date',
    rf'(?i:\b{_MONTH})\b\.? (?P<day>\d{{1,2}})(?i:st|nd|rd|th)?(?:{_DASH}(?P<last>\d{{1,2}})(?:st|nd|rd|th)?)?{_YEAR}'
    r'(?![\w%°-]|[:.,/]\d)',
    _month_day,
  ),
  ('date', rf'(?i:\b{_MONTH})\b\.? (?P<year>[12]\d{{3}})(?![\w.,%]*\d)', _month_year),
  ('date', r'\b(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.(?=\W|$)', _month_alone),
)
