"""Rules of text normalization for words: addresses, what is left out, abbreviations, initialisms, Roman numerals,
stutters and punctuation."""

import re

from dubber_jax.script.capitals import ALWAYS_SPELLED, capital_word, is_readable, mark_spelled
from dubber_jax.script.characters import EM_DASH, EN_DASH
from dubber_jax.script.dictionary import in_dictionary, interjection
from dubber_jax.script.line_context import Rule, any_of, said
from dubber_jax.script.numbers import cardinal, digit_words, name_number, ordinal, roman_value, year
from dubber_jax.script.semiotics import (
  ABBREVIATIONS,
  ADDRESS_MARKS,
  CURRENCIES,
  DAYS,
  DOMAINS,
  FORENAMES,
  NUMBER_PREFIXES,
  NUMBERED,
  RANKS,
  REGNAL_NAMES,
  REGNAL_TITLES,
  SIGNS,
  SLASH_ABBREVIATIONS,
  STATES,
  TITLES,
)


def _address(match, line):
  """A web or e-mail address. Punctuation at its end belongs to the sentence."""
  address = re.sub('(?i)^https?://', '', match[0])
  return said(''.join(_address_part(part) for part in re.findall(r'[A-Za-z]+|\d+|.', address)))


def _address_part(part):
  if part.isdigit():
    return f' {name_number(part)} ' if len(part) < 5 else f' {digit_words(part)} '
  if part.isalpha():
    return f' {mark_spelled(part)} ' if part.lower() == 'www' or _is_vowelless(part) else f' {part.lower()} '
  return ADDRESS_MARKS.get(part, ' ')


def _is_vowelless(word):
  return not re.search('(?i)[aeiouy]', word) and not in_dictionary(word) and not interjection(word)


def _left_out(match, line):
  return ''


def _disguised_word(match, line):
  """Signs and digits for letters of a known word: b!tch, Th1s."""
  letters = match[0].lower().translate(str.maketrans('@$!01345', 'asioieas'))
  if re.fullmatch(r'[A-Za-z]+\$[a-z]+', match[0]):
    return letters  # Ke$ha
  return letters if len(letters) > 2 and letters.isalpha() and in_dictionary(letters) else None


def _tag(match, line):
  """#metoo, @john: the sign and its words."""
  parts = re.findall(r'[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+', match[2])
  return said(('at ' if match[1] == '@' else 'hashtag ') + ' '.join(_address_part(part) for part in parts))


def _regnal(match, line):
  """Henry VIII, Louis XIV, Elizabeth I: the eighth."""
  name, numeral = match[1], match[2]
  value = roman_value(numeral)
  if not value or value > 39 or name.istitle() and numeral.islower():
    return None
  before = line.before(match.start()).rstrip('.')
  titled = before in REGNAL_TITLES
  king = name.title() in REGNAL_NAMES
  two_names = (
    before.title() in FORENAMES
    and re.search(r'[A-Z]\S* $', match.string[: match.start()])
    and value < 7
    and len(numeral) > 1
  )
  if not (titled or king or two_names) or numeral in ('X', 'C', 'D', 'L', 'M'):
    return None
  if numeral == 'I' and not titled and not re.match(r"\s*$|[.,;:?!]|'s|\s+of\b", match.string[match.end() :], re.I):
    return None
  if (
    numeral == 'I'
    and titled
    and re.match(r"\s+(?:am|have|will|love|want|need|think|know|was)\b|'", match.string[match.end() :], re.I)
  ):
    return None
  return f'{name.lower() if line.shouted else name} the {ordinal(value)}'


def _numbered(match, line):
  """Act I, Scene X, World War II, Chapter XIV; other names with at least two letters I, V, X, as Rocky IV."""
  name, numeral = match[1], match[2]
  value = roman_value(numeral)
  listed = name.lower() in NUMBERED
  if not value or (not listed and (len(numeral) < 2 or not re.fullmatch('[IVX]+', numeral) or line.shouted)):
    return None
  if numeral == 'I' and not re.match(
    r'\s*$|[.,;:?!]|\s+(?:of|and|is|was|in|to|or|the|we|he|she|they|it|you)\b', match.string[match.end() :], re.I
  ):
    return None
  if name.lower() in ALWAYS_SPELLED or name.lower() in ('an', 'the', 'my', 'your', 'his', 'her', 'get', 'this', 'that'):
    return None
  return f'{capital_word(name, line, match.start()) if name.isupper() else name} {cardinal(value)}'


def _world_war(match, line):
  return f'world war {cardinal(roman_value(match[1]))}'


def _roman_ordinal(match, line):
  value = roman_value(match[1])
  return ordinal(value) if value else None


def _roman_year(match, line):
  value = roman_value(match[0])
  return year(value) if 1000 < value < 3000 and not in_dictionary(match[0]) else None


def _roman_alone(match, line):
  return cardinal(roman_value(match[0]))


def _saint_or_street(match, line):
  after = match.string[match.end() :]
  word = re.search(r'([A-Za-z0-9]+) $', match.string[: match.start()])
  named = re.match(r' [A-Z]', after)
  numbered = re.search(r'\d+(?:st|nd|rd|th)? (?:[A-Z]\w* )?$', match.string[: match.start()], re.I)
  if named and not (numbered and (line.shouted or re.search(r'\d\w* $', match.string[: match.start()]))):
    return 'Saint'
  if word and (word[1][0].isupper() or word[1][0].isdigit() or len(word[1]) > 1):
    return 'Street' + ('.' if line.ends_sentence(match.end()) else '')
  return 'Saint'


def _doctor_or_drive(match, line):
  """Drive behind the name of a street, where no name follows."""
  after, before = match.string[match.end() :], match.string[: match.start()]
  street = re.search(r'(?:^|(?P<inner>[a-z,0-9] ))(?P<street>[A-Z][A-Za-z]+) $', before)
  if (
    street
    and not re.match(r' [A-Z]', after)
    and street['street'].lower() not in ('the', 'yes', 'no', 'hello', 'thanks', 'i')
  ):
    if street['inner'] or re.search(r'\d', before):
      return 'drive' + ('.' if line.ends_sentence(match.end()) else '')
  return 'doctor'


def _fort_or_feet(match, line):
  if re.match(r' [A-Z]', match.string[match.end() :]):
    return 'fort'
  return 'feet' + ('.' if line.ends_sentence(match.end()) else '')


def _rank(match, line):
  """Ranks and titles that are words otherwise: before a name."""
  written = RANKS[match[1].title()]
  return f'{written if line.shouted or match[1].isupper() else written.title()} '


def _title(match, line):
  return TITLES[match[1].lower()] + ' '


def _abbreviation(match, line):
  written = ABBREVIATIONS[match[0].lower()]
  # The period of an abbreviation at the end of the line also ends the sentence.
  return written + ('.' if line.ends_sentence(match.end()) else '')


def _dotted_letters(match, line):
  spelled = mark_spelled(match[0].replace('.', ''))
  suffix = match[1] or ''
  return spelled + suffix + ('.' if not suffix and line.ends_sentence(match.end()) else '')


def _degree(match, line):
  return mark_spelled(re.sub('[^A-Za-z]', '', match[0])) + ('.' if line.ends_sentence(match.end()) else '')


def _initials(match, line):
  before = line.text[: match.start()].split()
  if before and not before[-1][0].isupper() and not (before[-1].endswith(('.', ',')) and len(match[0]) > 3):
    return None  # as in 'plan B. Then'
  return mark_spelled(re.sub('[. ]', '', match[0])) + ' '


def _number_prefix(match, line):
  if match[1] == 'sec':
    return None  # Wait a sec. 5 more!
  return NUMBER_PREFIXES[match[1].lower()] + ' '


def _day(match, line):
  return DAYS[match[1]]


def _letters_before_number(match, line):
  """C-3PO, MP3, B-52s; words, as COVID-19, are read."""
  letters = match[1]
  if letters.isupper() and (len(letters) < 5 or not is_readable(letters.lower())):
    return mark_spelled(letters) + ' '
  known = in_dictionary(letters) or interjection(letters) or is_readable(letters.lower())
  return (letters.lower() if line.shouted else letters) + ' ' if known else mark_spelled(letters) + ' '


def _name_letter(match, line):
  return mark_spelled(match[0])  # plan A, vitamin A


def _single_letter_plural(match, line):
  return mark_spelled(match[1]) + "'s"


def _stutter(match, line):
  """Y-you, W-w-what: what is repeated has no pronunciation. I-I is two words."""
  repeated, word = match[2].lower(), match[3].lower()
  if word == repeated or len(repeated) > 1 and re.search('[aeiou]', repeated) and in_dictionary(repeated):
    return None
  return ' '


def _hyphened_break(match, line):
  """won- derful: one word broken at the end of a row."""
  joined = match[1] + match[2]
  return joined if in_dictionary(joined) and match[2].lower() not in ('and', 'or', 'to') else None


def _slash_abbreviation(match, line):
  return SLASH_ABBREVIATIONS[match[0].lower()]


def _dot_between(match, line):
  """A period between letters: the dot of an address, or the end of a sentence without its blank."""
  (after,) = re.findall('^[A-Za-z0-9]+', match.string[match.end() :])
  before = ''.join(re.findall("[A-Za-z0-9']+$", match.string[: match.start()]))
  if after.lower() in DOMAINS and not after[0].isupper() or not before:
    return said('dot')
  if after[0].isupper() and not after.isupper() or in_dictionary(before) and in_dictionary(after):
    return '. '
  return said('dot')


def _word(match, line):
  word = match[0]
  if word.isupper() and len(word) > 1 or re.fullmatch("[A-Z]{2,}'?s", word):
    return capital_word(word, line, match.start())
  if re.search(r'([A-Za-z])\1\1', word) and not interjection(word):
    return _collapse_repeats(word)
  known = len(word) < 2 or re.search("(?i)[aeiouy']", word) or interjection(word) or in_dictionary(word)
  return word if known else mark_spelled(word)  # 'brb' has no vowel to be spoken by


def _collapse_repeats(word):
  """Three or more equal letters to one or two, whichever is a word: 'noooo' to 'no', 'sweeeet' to 'sweet'."""
  if word == 'www':
    return mark_spelled(word)
  once, twice = (re.sub(r'([A-Za-z])\1\1+', repeat, word, flags=re.IGNORECASE) for repeat in (r'\1', r'\1\1'))
  short = once.lower() in ('me', 'he', 'we', 'she', 'be', 'the')
  doubled = re.search('(?i)eee|ooo(?=[a-z])', word) and not short  # good, not god; but no, so, me
  first, second = (twice, once) if doubled else (once, twice)
  return second if in_dictionary(second) and not in_dictionary(first) else first


def _sign(match, line):
  sign = match[0]
  if sign in CURRENCIES and match.string[match.start() - 1 : match.start()] in ('(', '['):
    return ' '
  if sign == '~' and not re.match(r'\s?\$?\d', match.string[match.end() :]):
    return ' '
  return SIGNS.get(sign, ' ')


def _space(match, line):
  return ' '


def _c_sharp(match, line):
  return mark_spelled('C') + ' sharp'


def _spelled(match, line):
  return mark_spelled(match[0])


def _and(match, line):
  return said('and')


def _dot(match, line):
  return said('dot')


def _punctuation(match, line):
  return match[0] + ' '


def _doctor_or_saint(match, line):
  return 'saint' if match[1] == 'St' else 'doctor'


def _street_word(match, line):
  return ABBREVIATIONS[match[1].lower() + '.'].title()


def _dash(match, line):
  return said(EM_DASH)


def _keep(match, line):
  return match[0]


_START = '(?<![A-Za-z0-9])'
_WORD = r"[A-Za-z]+(?:'[A-Za-z]+)*"
_EYES, _MOUTHS = r"[:;=8xX][-^o']?", r'[)(\]\[DPpO3/\\|*]'
_FACES = rf"{_EYES}{_MOUTHS}|[:;=]'\(|[xX]D|\^[_.]?\^|-_-|T_T|o_O|\\o/"
_IN_ADDRESS = r'[^\s<>"]*[^\s<>".,;:!?)\'/]'
_LETTER_SIGNS = r'(?=[a-zA-Z@$]+[013457@$!][a-z$]|[@$][a-z]{2}|[a-z]+\$\$)'


# Before the rules of numbers, and after them.
FIRST_RULES: tuple[Rule, ...] = (
  ('space', r'\s+', _space),
  ('electronic', rf'(?i){_START}(?:https?://{_IN_ADDRESS}|www\.{_IN_ADDRESS})', _address),
  ('electronic', rf'(?i){_START}[\w.+-]*\w@\w[\w-]*(?:\.[\w-]+)*\.[a-z]{{2,}}(?![\w@])', _address),
  ('decoration', r'<3+(?![\d.])', _left_out),
  ('decoration', rf'(?<!\S)(?:{_FACES})(?=\s|$|[.,!?])', _left_out),
  (
    'censored',
    r'(?<![\w$@#%&*])(?=[@#$%&*^~!?+=]*[@#$%&*^])(?=[@#$%&*^~!?+=]{3,})(?!\*+(?:\s*$|[A-Za-z]))'
    r'[@#$%&*^~!?+=]*[@#$%&*^~](?![\w.]*\d)(?!\w)',
    _space,
  ),
  ('censored', rf'{_START}(?:[A-Za-z]+\*+[A-Za-z]+|[A-Za-z]\*{{2,}}|[A-Za-z]+[@#$%!*]{{2,}}[A-Za-z]+)(?!\w)', _space),
  ('censored', rf'{_START}[b-hj-zB-HJ-Z](?:--+|{EM_DASH})[a-z]{{1,4}}(?![a-z ]*{EM_DASH})(?!\w)', _space),
  ('word', rf'{_START}{_LETTER_SIGNS}[A-Za-z@$!013457]*[A-Za-z$](?![\w@$])', _disguised_word),
  ('word', r'\bC#(?!\w)', _c_sharp),
  ('initialism', rf'\b(?:{"|".join(sorted(STATES))})(?=,? \d{{5}}(?!\d))', _spelled),
  ('hashtag', r'(?<![\w&])([@#])([A-Za-z]\w*)', _tag),
  ('word', rf"{_START}([A-Za-z]{{2,}})- ([a-z]{{2,}})(?![A-Za-z'])", _hyphened_break),
)
RULES: tuple[Rule, ...] = (
  ('word', r"(?i)(?<![a-z])'n'?(?= )", _and),
  ('dash', rf'\s*(?:[{EN_DASH}{EM_DASH}]|--+|(?<=\s)-(?=\s|$))\s*', _dash),
  ('stutter', rf"{_START}((?:([A-Za-z]{{1,3}})-)(?:(?i:\2)-)*)(?=((?i:\2)[A-Za-z']*))", _stutter),
  ('roman', r'\bWW(I{1,2})\b', _world_war),
  ('roman', r'\b([IVXLC]+)(?:th|st|nd|rd)\b', _roman_ordinal),
  ('abbreviation', rf'\b({any_of(NUMBER_PREFIXES)})\. ?(?=\d)', _number_prefix),
  ('abbreviation', r'\b(?:St|ST)\.', _saint_or_street),
  ('abbreviation', r'\b(?:Dr|DR)\.', _doctor_or_drive),
  ('abbreviation', r'\b(?:Ft|FT)\.', _fort_or_feet),
  ('abbreviation', rf'\b({any_of(TITLES)})(?:\.(?! ?\d)|(?<=[A-Za-z][a-z])(?= [A-Z]))', _title),
  ('abbreviation', rf'\b({any_of(RANKS, False)}|(?-i:{"|".join(RANKS).upper()}))\. ?(?=[A-Z])', _rank),
  ('abbreviation', r'\b(Dr|DR|St)(?= [A-Z])', _doctor_or_saint),
  ('abbreviation', r'(?<=[a-z] )(Blvd|Ave|Hwy|Pkwy)\b(?!\.)', _street_word),
  ('abbreviation', rf'\b({any_of(DAYS, False)})\.(?=,| \d)', _day),
  ('abbreviation', r'\b(?:Ph|[BM]\.? ?Sc)\.? ?D?\.(?!\w)', _degree),
  ('abbreviation', rf'(?<![\w/]){any_of(SLASH_ABBREVIATIONS)}(?![\w/])', _slash_abbreviation),
  ('abbreviation', rf'{_START}{any_of(ABBREVIATIONS)}(?=\W|$)', _abbreviation),
  ('initialism', r"(?<![\w.])(?:[A-Za-z]\.){2,}('s)?(?=\W|$)", _dotted_letters),
  ('initialism', r'(?<![\w.])(?:[A-Za-z]\.){2,}[A-Z]()(?=\W|$)', _dotted_letters),
  ('initialism', r'\b(?:[A-HJ-Z]\. ?)+(?=[A-Z][a-z])', _initials),
  ('roman', r'\b([A-Z][A-Za-z]+) ([IVXLC]+)\b(?!\.[A-Z])', _regnal),
  ('roman', r"\b([A-Z][A-Za-z]+) ([IVXLC]+)\b(?!['.][A-Za-z])", _numbered),
  ('roman', r'\bM[MCDXLVI]{3,}\b', _roman_year),
  ('roman', r"\b(?:III?|VI{1,3}|X?IX|XI{1,3}|XIV|XVI{0,3})\b(?!')", _roman_alone),
  ('initialism', r'\b([A-Za-z]+)-?(?=\d)', _letters_before_number),
  ('initialism', r"\b([B-HJ-Z])'s\b", _single_letter_plural),
  ('word', r"(?<=[a-z] )A(?= [a-z\d]|[^\w '-]|$)", _name_letter),
  ('word', _WORD, _word),
  ('punctuation', r'(?<=[A-Za-z0-9])\.(?=[A-Za-z])', _dot_between),
  ('punctuation', r'(?<![\w.])\.(?=[A-Za-z])', _dot),
  ('punctuation', '(?<=[A-Za-z]):(?=[A-Za-z])', _space),
  ('punctuation', r'[.,;:?!]+', _punctuation),
  ('punctuation', "'", _keep),
  ('sign', '(?s).', _sign),
)
