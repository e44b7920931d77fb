"""English number words: cardinals and ordinals by num2words, years, decimals, digits and numbers that are names."""

import re

DIGITS = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')
MOST_DIGITS = 15  # longer numbers are read digit by digit


def cardinal(number: int) -> str:
  """Words of a number below 10**18: 'one hundred and five'. Raises ValueError for others."""
  return _words(number, 'cardinal')


def ordinal(number: int) -> str:
  """Words of an ordinal: 'twenty first'. Raises ValueError as `cardinal`."""
  return _words(number, 'ordinal')


def _words(number, kind):
  from num2words import num2words  # loads forty languages, which texts without numbers need not wait for

  if not 0 <= number < 10**18:
    raise ValueError(f'{number} is out of range')
  return re.sub('[-, ]+', ' ', num2words(number, to=kind))


def year(number: int) -> str:
  """Words of a year: 'nineteen eighty four', 'two thousand and five'."""
  century, rest = divmod(number, 100)
  if century % 10 == 0 and rest < 10 or number < 1000:
    return cardinal(number)
  if not rest:
    return f'{cardinal(century)} hundred'
  return f'{cardinal(century)} ' + (f'oh {DIGITS[rest]}' if rest < 10 else cardinal(rest))


def digit_words(text: str, zero: str = 'zero') -> str:
  """The digits of a text one by one."""
  return ' '.join(zero if d == '0' else DIGITS[int(d)] for d in text if d in '0123456789')


def name_number(digits: str) -> str:
  """A number that is a name, as of a flight, a road or a room: 'eight fifteen', 'one oh one', 'fourteen oh eight'."""
  if digits.startswith('0') or len(digits) > 4:
    return digit_words(digits, 'oh')
  if len(digits) < 3 or digits.endswith('00'):
    return year(int(digits)) if len(digits) == 4 else cardinal(int(digits))
  head, tail = digits[:-2], digits[-2:]
  return f'{cardinal(int(head))} ' + (f'oh {DIGITS[int(tail)]}' if tail[0] == '0' else cardinal(int(tail)))


def number_words(text: str) -> str:
  """Words of a written number: years from 1001 to 2999 as such, other integers, decimals to the last digit.

  Commas group thousands. Leading zeros and more than MOST_DIGITS digits are read digit by digit.
  """
  plain, text = ',' not in text, text.replace(',', '')
  whole, point, fraction = text.partition('.')
  if point:
    before = f'{cardinal(int(whole))} ' if whole and len(whole) <= MOST_DIGITS else digit_words(whole) + ' '
    return f'{before.lstrip()}point {digit_words(fraction, "oh")}'
  if len(whole) > MOST_DIGITS or re.match(r'0\d', whole):
    return digit_words(whole)
  number = int(whole)
  return year(number) if plain and 1000 < number < 3000 else cardinal(number)


def plural_words(words: str) -> str:
  """The plural of number words: 'fifty twos', 'nineteen eighties', 'sixes'."""
  last = words[-1:]
  if last == 'y':
    return words[:-1] + 'ies'
  return words + ('es' if last in 'xs' else 's')


def roman_value(numeral: str) -> int:
  """Value of a well-formed Roman numeral in capitals, 0 for anything else."""
  if not re.fullmatch('M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})', numeral) or not numeral:
    return 0
  values = [{'I': 1, 'V': 5, 'X': 10, 'L': 50, 'C': 100, 'D': 500, 'M': 1000}[letter] for letter in numeral]
  return sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))
