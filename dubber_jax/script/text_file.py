"""Text of a script file in whatever encoding it was saved: Unicode, or an 8-bit code page that can be told apart."""

import os
import re
import unicodedata
from pathlib import Path

from dubber_jax.errors import BadInput

LARGEST_FILE = 20_000_000  # bytes; subtitles of the longest films are under 1 MB
MOST_CONTROLS = 0.002  # share of control characters above which a file is not a text
MOST_BROKEN = 0.2  # broken UTF-8 sequences for each whole one, up to which a file still is UTF-8
MOST_DAMAGED = 3  # single bytes of no known code page that are taken for damage
UNICODE = (
  (b'\xff\xfe\x00\x00', 'utf-32'),
  (b'\x00\x00\xfe\xff', 'utf-32'),
  (b'\xff\xfe', 'utf-16'),
  (b'\xfe\xff', 'utf-16'),
  (b'\xef\xbb\xbf', 'utf-8-sig'),
)
OTHERS = (
  (b'PK\x03\x04', 'a zip archive: unpack it'),
  (b'\x1f\x8b', 'a gzip archive: unpack it'),
  (b'Rar!', 'a rar archive: unpack it'),
  (b'7z\xbc\xaf', 'a 7z archive: unpack it'),
  (b'{\\rtf', 'a rich text document: save it as plain text in UTF-8'),
  (b'%PDF', 'a PDF document: save it as plain text in UTF-8'),
)
# Code pages of English and its neighbors, in the order in which they are tried, and those that are only named.
LATIN = {'cp1252': 'Windows-1252', 'mac_roman': 'Mac Roman', 'cp1250': 'Windows-1250'}
NAMED = {
  'gb18030': 'GBK (Chinese)',
  'big5': 'Big5 (Chinese)',
  'cp932': 'Shift JIS (Japanese)',
  'euc_jp': 'EUC-JP (Japanese)',
  'cp949': 'Windows-949 (Korean)',
  'cp1251': 'Windows-1251 (Cyrillic)',
  'koi8_r': 'KOI8-R (Cyrillic)',
  'cp1253': 'Windows-1253 (Greek)',
  'cp1254': 'Windows-1254 (Turkish)',
  'cp1255': 'Windows-1255 (Hebrew)',
  'cp1256': 'Windows-1256 (Arabic)',
}
_CONTROL = re.compile('[\x00-\x08\x0e-\x1f\x7f]')
_OUTSIDE_ASCII = re.compile(r'[^\x00-\x7f]+')
_SIGNS = set('‘’“”„‚«»‹›–—…¿¡°£€§©®™½¼¾×♪•·´ ­ªº')


def read_text(path: str | os.PathLike) -> tuple[str, list[str]]:
  """The text of a file, its rows ended by \\n alone, and warnings.

  Unicode is known by its byte order mark, by its zeros (UTF-16) or by being valid UTF-8. An 8-bit file is read in the
  first of LATIN in which its letters stand where letters of a Western language can stand. Raises BadInput for a file
  that cannot be read, for one that is no text, and for any other code page, which is named as charset-normalizer
  detects it.
  """
  path = Path(path)
  data = _read_bytes(path)
  for head, kind in OTHERS:
    if data.startswith(head):
      raise BadInput(f'{path}: is {kind}')
  text, warnings = _decode(data, path)
  text = text.replace('\r\r\n', '\n').replace('\r\n', '\n').replace('\r', '\n')
  text = re.sub('\x1a[\x1a\x00\\s]*$', '', text).replace('\ufeff', '')  # Ctrl-Z: the end of a text file in DOS
  controls = list(_CONTROL.finditer(text))
  if len(controls) > max(3, MOST_CONTROLS * len(text)):
    raise BadInput(f'{path}: not a text file: save it as UTF-8')
  if controls:
    rows = ', '.join(dict.fromkeys(str(text.count('\n', 0, c.start()) + 1) for c in controls))
    warnings.append(f'{path.name}: control characters are left out, in row {rows}')
  return _CONTROL.sub('', text), warnings


def _read_bytes(path: Path) -> bytes:
  try:
    if path.stat().st_size > LARGEST_FILE:
      raise BadInput(f'{path}: {path.stat().st_size} bytes is too large for a script (limit {LARGEST_FILE})')
    return path.read_bytes()
  except OSError as error:
    raise BadInput(f'cannot read the script {path}: {error.strerror}') from None


def _decode(data: bytes, path: Path) -> tuple[str, list[str]]:
  for mark, encoding in UNICODE:
    if data.startswith(mark):
      return _decode_unicode(data, encoding, path)
  for encoding, zeros in (('utf-16-le', data[1::2]), ('utf-16-be', data[::2])):
    if len(data) > 3 and zeros.count(0) > 0.4 * len(zeros) and data.count(0) < 0.6 * len(data):
      return _decode_unicode(data, encoding, path)
  try:
    return data.decode('utf-8'), []
  except UnicodeDecodeError:
    whole = len(re.findall(b'[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}', data))
    broken = data.decode('utf-8', 'replace').count('\ufffd')
    if 0 < broken <= MOST_BROKEN * whole:
      return _decode_unicode(data, 'utf-8', path)
  return _decode_code_page(data, path)


def _decode_unicode(data: bytes, encoding: str, path: Path) -> tuple[str, list[str]]:
  """Damaged characters are left out, which is told."""
  text = data.decode(encoding, 'replace')
  rows = [str(number) for number, row in enumerate(text.split('\n'), 1) if '\ufffd' in row]
  if not rows:
    return text, []
  more = f' and {len(rows) - 5} more' if len(rows) > 5 else ''
  return text.replace('\ufffd', ''), [
    f'{path.name}: damaged characters are left out, in row {", ".join(rows[:5])}{more}: save it as UTF-8'
  ]


def _decode_code_page(data: bytes, path: Path) -> tuple[str, list[str]]:
  if data.count(0) or len(_CONTROL.findall(data.decode('latin-1'))) > 3 + MOST_CONTROLS * len(data):
    raise BadInput(f'{path}: not a text file: save it as UTF-8')
  for encoding, name in LATIN.items():
    try:
      text = data.decode(encoding)
    except UnicodeDecodeError:
      continue
    if _is_western(text):
      return text, [f'{path.name}: not UTF-8; it is read as {name}: save it as UTF-8 where letters come out wrong']
  foreign = _OUTSIDE_ASCII.findall(data.decode('latin-1'))
  if len(foreign) <= MOST_DAMAGED and all(len(found) == 1 for found in foreign):
    return _decode_unicode(data, 'utf-8', path)  # single bytes of no code page: damage
  raise BadInput(f'{path}: not UTF-8; it looks like {_likely(data)}: save it as UTF-8')


def _is_western(text: str) -> bool:
  """Whether all characters outside ASCII stand where a Western language has them: single letters of a word in its case,
  and quotes, dashes and the like where no letter could be."""
  for found in _OUTSIDE_ASCII.finditer(text):
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    letters = [c for c in found[0] if c.isalpha() and c not in 'ªº']
    signs = [c for c in found[0] if not c.isalpha() or c in 'ªº']
    if any(c not in _SIGNS for c in signs) or len(letters) > 2 or (len(signs) > 3 and len(set(signs)) > 1):
      return False
    if any(not unicodedata.name(c, '').startswith('LATIN') or c in 'ƒˆ˜µÐðÞþ' for c in letters):
      return False
    if any(c in 'ªº' for c in signs) and not (before.isdigit() or before == '.'):
      return False
    if len(letters) > 1 and len(letters) == len(found[0]) and not (before.isalpha() or after.isalpha()):
      return False  # a word without a letter of ASCII
    if found[0][0] in letters and before.isalpha() and before.islower() and found[0][0].isupper():
      return False  # a capital inside a word, as of "donÕt"
    if signs and not letters and before.isalpha() and after.isalpha() and set(signs) - set('’‘´·—–…‑­ '):
      return False  # a sign inside a word, as of "don£t"
    if signs and not letters and after.islower() and not before.isalnum() and set(signs) & set('£€§©®™½¼¾×°'):
      return False  # as of "£ukasz"
  return True


def _likely(data: bytes) -> str:
  """The code page that charset-normalizer finds for the rows outside ASCII."""
  from charset_normalizer import from_bytes

  rows = b'\n'.join(row for row in data.split(b'\n') if any(byte > 127 for byte in row))
  found = from_bytes(rows, cp_isolation=list(NAMED)).best() or from_bytes(data).best()
  if found is None:
    return 'an 8-bit code page'
  return NAMED.get(found.encoding, found.encoding.replace('_', '-'))
