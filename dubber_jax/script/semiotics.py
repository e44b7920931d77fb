"""Tables of text normalization (normalize.py): abbreviations, units, currencies, months, signs and context words."""

ABBREVIATIONS = {
  'e.g.': 'for example', 'i.e.': 'that is', 'etc.': 'et cetera', 'vs.': 'versus', 'v.s.': 'versus',
  'inc.': 'incorporated', 'ltd.': 'limited', 'corp.': 'corporation', 'bros.': 'brothers', 'dept.': 'department',
  'approx.': 'approximately', 'mt.': 'mount', 'blvd.': 'boulevard', 'ave.': 'avenue', 'tel.': 'telephone',
  'jr.': 'junior', 'sr.': 'senior', 'esq.': 'esquire', 'messrs.': 'messers', 'apt.': 'apartment', 'hwy.': 'highway',
  'pkwy.': 'parkway', 'misc.': 'miscellaneous', 'govt.': 'government', "gov't.": 'government', 'univ.': 'university',
  'assn.': 'association', 'mgr.': 'manager', 
  'hrs.': 'hours', 'mins.': 'minutes', 'secs.': 'seconds', 'rd.': 'road', 'ln.': 'lane',
  'a.k.a.': 'also known as', 'cf.': 'compare', 'viz.': 'namely', 'sq.': 'square', 'co.': 'company',
}  # fmt: skip
# Titles that are nothing else: expanded anywhere, and before a name without a period.
TITLES = {
  'mr': 'mister',
  'mrs': 'missus',
  'ms': 'miz',
  'prof': 'professor',
  'sgt': 'sergeant',
  'capt': 'captain',
  'cpl': 'corporal',
  'pvt': 'private',
  'cmdr': 'commander',
  'lt': 'lieutenant',
  'pfc': 'private first class',
}
# Titles that are words or names otherwise: expanded only before a name and in this case.
RANKS = {
  'Maj': 'major',
  'Adm': 'admiral',
  'Det': 'detective',
  'Insp': 'inspector',
  'Rep': 'representative',
  'Fr': 'father',
  'Pres': 'president',
  'Supt': 'superintendent',
  'Cdr': 'commander',
  'Amb': 'ambassador',
  'Brig': 'brigadier',
  'Msgr': 'monsignor',
  'Ens': 'ensign',
  'Sec': 'secretary',
  'Col': 'colonel',
  'Gen': 'general',
  'Gov': 'governor',
  'Sen': 'senator',
  'Rev': 'reverend',
  'Hon': 'honorable',
  'Sr': 'sister',
}
NUMBER_PREFIXES = {
  'p': 'page', 'pp': 'pages', 'vol': 'volume', 'fig': 'figure', 'ch': 'chapter', 'ca': 'circa', 'no': 'number',
  'nos': 'numbers', 'nr': 'number', 'ep': 'episode', 'pt': 'part', 'rm': 'room', 'max': 'maximum', 'min': 'minimum',
  'est': 'established', 'ext': 'extension', 'apt': 'apartment', 'sec': 'section',
}  # fmt: skip
_MONTHS = (
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
)
MONTHS = {month.lower(): month for month in _MONTHS} | {month[:3].lower(): month for month in _MONTHS}
MONTHS['sept'] = 'September'
MONTHS_ALSO_WORDS = frozenset(('may march mar dec jun jan august').split())
DAYS = {
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
SLASH_ABBREVIATIONS = {'w/o': 'without', 'c/o': 'care of', 'w/': 'with', 'n/a': 'not applicable'}
UNITS = {
  'kg': 'kilograms', 'kgs': 'kilograms', 'km': 'kilometers', 'kms': 'kilometers', 'cm': 'centimeters',
  'mm': 'millimeters', 'mph': 'miles per hour', 'kmh': 'kilometers per hour', 'kph': 'kilometers per hour',
  'mpg': 'miles per gallon', 'rpm': 'revolutions per minute', 'lb': 'pounds', 'lbs': 'pounds', 'oz': 'ounces',
  'ft': 'feet', 'ml': 'milliliters', 'hz': 'hertz', 'khz': 'kilohertz', 'mhz': 'megahertz', 'ghz': 'gigahertz',
  'kb': 'kilobytes', 'mb': 'megabytes', 'gb': 'gigabytes', 'tb': 'terabytes', 'min': 'minutes', 'mins': 'minutes',
  'sec': 'seconds', 'secs': 'seconds', 'ms': 'milliseconds', 'hr': 'hours', 'hrs': 'hours', 'yr': 'years',
  'yrs': 'years', 'kw': 'kilowatts', 'kwh': 'kilowatt hours', 'mg': 'milligrams', 'db': 'decibels',
  'gal': 'gallons', 'mi': 'miles', 'yds': 'yards', 'pts': 'points',
}  # fmt: skip
# Also words or names: units only in this case, and directly after the number.
SHORT_UNITS = {
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
SINGULAR = {
  'feet': 'foot',
  'inches': 'inch',
  'hertz': 'hertz',
  'kilohertz': 'kilohertz',
  'megahertz': 'megahertz',
  'gigahertz': 'gigahertz',
  'miles per hour': 'mile per hour',
  'kilometers per hour': 'kilometer per hour',
}
CURRENCIES = {
  '$': ('dollar', 'cent'),
  '£': ('pound', 'pence'),
  '€': ('euro', 'cent'),
  '¥': ('yen', ''),
  '₹': ('rupee', 'paise'),
  '₽': ('ruble', 'kopeks'),
  '₩': ('won', ''),
  '₺': ('lira', ''),
  '₴': ('hryvnia', ''),
  '₿': ('bitcoin', ''),
}
SCALES = {
  'k': 'thousand',
  'm': 'million',
  'mn': 'million',
  'b': 'billion',
  'bn': 'billion',
  't': 'trillion',
  'tn': 'trillion',
}
# 'a $5 bill': the currency in the singular, between one of the words under '' and one of the others.
BILL_WORDS = {
  '': frozenset(('a the this that your my his her our their one another every').split()),
} | dict.fromkeys(
  (
    'bill',
    'note',
    'coin',
    'question',
    'fine',
    'tip',
    'bonus',
    'reward',
    'prize',
    'ticket',
    'check',
    'deal',
    'gift',
    'watch',
    'suit',
    'house',
    'car',
    'loan',
    'bet',
    'bounty',
    'ransom',
    'man',
    'check',
    'cheque',
    'hat',
    'dress',
  ),
  frozenset(),
)
SIGNS = {
  '&': ' and ',
  '%': ' percent ',
  '@': ' at ',
  '+': ' plus ',
  '=': ' equals ',
  '°': ' degrees ',
  '~': ' about ',
  '×': ' times ',
  '÷': ' divided by ',
  '±': ' plus or minus ',
  '∞': ' infinity ',
  '¢': ' cents ',
  '≈': ' about ',
  '≤': ' at most ',
  '≥': ' at least ',
  '≠': ' is not ',
} | {sign: f' {name}s ' for sign, (name, _) in CURRENCIES.items()}
ADDRESS_MARKS = {
  '.': ' dot ', '/': ' slash ', '-': ' dash ', '_': ' underscore ', ':': ' colon ', '?': ' question mark ',
  '=': ' equals ', '&': ' and ', '#': ' hash ', '%': ' percent ', '+': ' plus ', '@': ' at ', '~': ' tilde ',
}  # fmt: skip
DOMAINS = frozenset(
  ('com org net edu gov io uk de fr tv info biz exe txt pdf jpg png mp3 mp4 html js py doc zip').split()
)
DENOMINATORS = {
  2: 'half', 3: 'third', 4: 'quarter', 5: 'fifth', 6: 'sixth', 7: 'seventh', 8: 'eighth', 9: 'ninth', 10: 'tenth',
  12: 'twelfth', 16: 'sixteenth', 20: 'twentieth', 32: 'thirty second', 64: 'sixty fourth', 100: 'hundredth',
}  # fmt: skip
TIME_CONTEXT = frozenset(('at by around until till before after past since from til').split())
SECONDS_CONTEXT = frozenset(
  ('for in after within took takes take last lasts lasted every wait under than only about another just').split()
)
PLURAL_CONTEXT = frozenset(('flew', 'fly', 'are', 'were', 'have'))
PHONE_WORDS = frozenset(
  (
    'call dial phone telephone tel fax ring number text reach mobile cell extension hotline sms whatsapp called '
    'dialed calling'
  ).split()
)
DIGIT_NAMES = {
  'emergency': ('911', '999'),
  'things': frozenset(
    (
      'people men women dollars pounds euros times years days miles turbo carrera percent points pages lines feet'
    ).split()
  ),
  'aircraft': ('707', '717', '727', '737', '747', '757', '767', '777', '787'),
  'error': ('400', '401', '403', '404', '500', '502', '503'),
}
# Words whose number is read as a name: room two thirty seven.
NUMBERED_BY_NAME = frozenset(('flight room route highway interstate apartment suite rt freeway exit bus train').split())
# Words whose Roman numeral is a number: act one.
NUMBERED = frozenset(
  (
    'act scene chapter part volume book war type phase stage class level figure section article title mark bowl '
    'apollo episode season round grade group vatican canto verse appendix table saturn titan fantasy rocky rambo '
    'game corps world'
  ).split()
)
REGNAL_TITLES = frozenset(
  ('king queen pope emperor empress tsar czar kaiser prince princess sultan pharaoh shah patriarch duke').split()
)
REGNAL_NAMES = frozenset(
  'Henry Louis Elizabeth George Edward Richard Charles James William Mary Paul Pius Leo Benedict Gregory Alexander '
  'Catherine Peter Ivan Nicholas Philip Ferdinand Frederick Friedrich Napoleon Otto Rameses Ramses Ramesses Thutmose '
  'Ptolemy Victor Umberto Wilhelm Alfonso Alphonse Carlos Juan Felipe Gustav Christian Harald Haakon Margaret '
  'Margrethe Clement Innocent Urban Boniface Julius Sixtus Celestine Amenhotep Seti Xerxes Darius Cyrus Artaxerxes '
  'Francis Franz Joseph Robert Malcolm David Constantine Basil Leopold Albert Baldwin Abdullah Rama Emmanuel Henri '
  'Maximilian Rudolf Rudolph Sigismund Stephen Matthias Casimir Selim Mehmed Murad Suleiman Menelik Kamehameha Eric '
  'Olav Olaf Beatrix Isabella Cleopatra Antiochus Philippe Pedro Manuel Afonso John Hadrian Adrian Justinian'.split()
)
# First names after which a numeral makes a generation: Thurston Howell the third.
FORENAMES = frozenset(
  'William John Robert James Thomas Charles George Henry Edward Richard David Michael Joseph Arthur Walter Harold '
  'Frank Samuel Benjamin Daniel Peter Paul Albert Frederick Alexander Andrew Davis Thurston Harrison Martin Philip '
  'Ken Loudon Sammy Hank Theodore Franklin Cornelius Stephen Steven Anthony Kenneth Louis Jack Harry Ronald Donald '
  'Bradley Winston Chester Preston Carter Spencer Reginald Leonard Gerald Ralph Howard Eugene Carl Roy Patrick'.split()
)
STATES = frozenset(
  (
    'AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA '
    'RI SC SD TN TX UT VT VA WA WV WI WY DC'
  ).split()
)
