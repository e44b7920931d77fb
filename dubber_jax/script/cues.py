"""Cues of subtitle files (SubRip, WebVTT, SubStation Alpha): their times, rows and speakers, as far as marked.

A cue that cannot be read is left out or repaired, and told with its number and row; only a file without any cue is
refused. pysubs2 reads SubStation Alpha. SubRip and WebVTT are read here: pysubs2 appends WebVTT identifiers and
comments to the text of the cue before, starts a cue at a row with two inline timestamps, and drops a last row that is a
number.
"""

import html
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dubber_jax.errors import BadInput

VOICE = '\ue000{}\ue001'  # in a cue's rows: the speaker of what follows, as a WebVTT voice span names them
FRAME_RATE = 25.0  # of times whose last part is a frame number
READING_RATE = 15.0  # characters a second, of a cue whose end is unknown
SHORTEST = 0.8  # s, of the same
TOUCHING = 0.06  # s between two cues that follow each other without a pause
TOLD = 3  # places that a warning quotes


@dataclass(frozen=True)
class Cue:
  """One cue. `end` is None where it cannot be read. `rows` are plain text; `markup` is what the file has."""

  name: str  # its number
  row: int  # of the file, from 1
  start: float  # s
  end: float | None  # always known behind `in_order`
  rows: tuple[str, ...]
  markup: str = ''
  speaker: str = ''
  style: str = ''  # of SubStation Alpha

  @property
  def text(self) -> str:
    return '\n'.join(self.rows)

  @property
  def stop(self) -> float:
    """Its end; its start where that is unknown."""
    return self.start if self.end is None else self.end


@dataclass
class Notes:
  """What was left out or changed while a script was read, told as one warning for each kind."""

  file: str
  places: dict[str, list[str]] = field(default_factory=dict)

  def add(self, kind: str, cue: Cue | None = None, quote: str = ''):
    place = f'cue {cue.name} (row {cue.row})' if cue else ''
    quote = ' '.join(re.sub('[\ue000-\ue003]', ' ', quote).split())
    quoted = f'"{quote[:40]}{"…" if len(quote) > 40 else ""}"' if quote else ''
    self.places.setdefault(kind, []).append(' '.join(part for part in (place, quoted) if part))

  def warnings(self) -> list[str]:
    told = []
    for kind, places in self.places.items():
      more = f' and {len(places) - TOLD} more' if len(places) > TOLD else ''
      listed = ', '.join(place for place in dict.fromkeys(places[:TOLD]) if place)
      told.append(f'{self.file}: {kind}{f": {listed}" if listed else ""}{more}')
    return told


# SubRip and WebVTT

_TIME = r'(-?)(?:(?:(\d{1,4})\s?:\s?)?(\d{1,3})\s?:\s?)?(\d{1,2})(?:\s?([,.:;])\s?(\d{1,9})(?:\.\d+)?)?'
_ARROW = r'\s*(?:-{1,3}\s?>|[\u2013\u2014]\s?>|=>|\u2192)\s*'
_TIMES = re.compile(rf'\s*(?:\d{{1,9}}\s+)?{_TIME}{_ARROW}(?:{_TIME})?(?!\S)(.*)$')
_TWO_TIMES = re.compile(r'\s*((?:\d{1,4}:)?\d\d?:\d\d?[,.]\d{1,6})\s*[,\s]\s*((?:\d{1,4}:)?\d\d?:\d\d?[,.]\d{1,6})\s*$')
_INDEX = re.compile(r'\s*#?(\d{1,9})[.)]?\s*$')
_SETTING = re.compile(r'\s*(?:[A-Za-z]\w*\s?[:=]\s?\S+|\{[^{}]*\})(?=\s|$)')  # "align:start", "X1:100", "{\\pos(1,2)}"


def read_srt(text: str, path: Path, notes: Notes) -> list[Cue]:
  """Cues in the order of the file. Raises BadInput where no row has times."""
  return _read_rows(text.split('\n'), 1, path, notes, vtt=False)


def read_vtt(text: str, path: Path, notes: Notes) -> list[Cue]:
  """The same of WebVTT, without NOTE, STYLE and REGION blocks. Raises BadInput where the head is missing, too."""
  rows = text.split('\n')
  if not re.match(r'WEBVTT(?:\s|$)', rows[0]):
    raise BadInput(f'{path}: does not begin with WEBVTT: not a vtt file, or damaged')
  first = next((i for i, row in enumerate(rows) if i and (not row or '-->' in row)), len(rows))  # end of the header
  return _read_rows(rows[first:], first + 1, path, notes, vtt=True)


def _read_rows(rows: list[str], first_row: int, path: Path, notes: Notes, vtt: bool) -> list[Cue]:
  times = {i: found for i, row in enumerate(rows) if (found := _times_of(row)) is not None}
  if not any(found for found in times.values()):
    raise BadInput(f'{path}: no cue in it with times that can be read, as 00:00:01,000 --> 00:00:02,500')
  places = sorted(times)
  heads = [_head_of(rows, place, vtt) for place in places]  # the first row of each cue
  before = [row for row in rows[: heads[0]] if row.strip()]
  if before and not vtt:
    notes.add('rows before the first cue are left out', quote=before[0])
  cues = []
  for ordinal, (place, head) in enumerate(zip(places, heads, strict=True), 1):
    after = heads[ordinal] if ordinal < len(heads) else len(rows)
    index = _INDEX.match(rows[head]) if head < place else None
    name = index[1] if index else str(ordinal)
    span, rest = times[place] or (None, '')
    cue = Cue(name, first_row + head, *(span or (0.0, None)), ())
    text = [rest, *_text_rows(rows[place + 1 : after], vtt)] if rest else _text_rows(rows[place + 1 : after], vtt)
    text = _without_lone_index(text, cue, first_row + place + (not rest), notes)
    if span is None:
      notes.add('left out, since there are no times, as 00:00:01,000 --> 00:00:02,500', cue, ' '.join(text))
      continue
    if span[0] < 0:
      notes.add('starts before 0 s, and is taken to start there', cue)
    markup = '\n'.join(row for row in text if row is not None)
    cues.append(replace(cue, start=max(span[0], 0.0), rows=plain_rows(markup), markup=markup))
  return cues


def _times_of(row: str) -> tuple[tuple[float, float | None] | None, str] | None:
  """((start, end), the text behind them) of a row of times, (None, '') of a damaged one, and None of any other row."""
  if not re.search(r'\d', row):
    return None
  row = re.sub('[\u200b-\u200f\u2066-\u2069\ufeff\xa0]', ' ', row)
  if two := _TWO_TIMES.match(row):
    row = f'{two[1]} --> {two[2]}'
  if found := _TIMES.match(row):
    start, end, rest = found.groups()[:6], found.groups()[6:12], found[13]
    if all(_is_time(part) for part in (start, end) if part[3] is not None):
      while setting := _SETTING.match(rest):
        rest = rest[setting.end() :]
      return (_seconds(start), _seconds(end) if end[3] is not None else None), rest.strip()
  return (None, '') if '-->' in row and re.search(r'\d\s?[:.,]\s?\w?\d', row) else None


def _is_time(parts: Sequence[str | None]) -> bool:
  return parts[2] is not None or parts[5] is not None  # not a bare number


def _seconds(parts: Sequence[str | None]) -> float:
  sign, hours, minutes, seconds, mark, fraction = parts
  total = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
  if fraction:
    frames = mark in (':', ';') and len(fraction) < 3
    total += int(fraction) / FRAME_RATE if frames else int(fraction) / 10 ** len(fraction)
  return round(-total if sign else total, 3)


def _head_of(rows: list[str], place: int, vtt: bool) -> int:
  """The row at which the cue begins whose times stand in the row `place`: that of its number or identifier."""
  if place == 0:
    return place
  before = place - 1
  if not rows[before].strip():  # a number may stand alone between blank rows
    while before > 0 and not rows[before].strip():
      before -= 1
    alone = before == 0 or not rows[before - 1].strip()
    return before if alone and _INDEX.match(rows[before]) else place
  if _INDEX.match(rows[before]):
    return before
  identifier = vtt and (before == 0 or rows[before - 1] == '') and not re.match(r'(STYLE|REGION)\s*$', rows[before])
  return before if identifier else place


def _text_rows(rows: Iterable[str], vtt: bool) -> list[str]:
  """The rows of a cue's text; blank ones stay, as ''. A comment or style sheet behind it is left out."""
  kept, skipping, blank = [], False, False
  for row in rows:
    if vtt and blank and re.match(r'(NOTE|STYLE|REGION)(\s|$)', row):
      skipping = True
    blank = row == ''
    skipping = skipping and not blank
    if not skipping:
      kept.append(row.strip())
  return kept


def _without_lone_index(rows: list[str], cue: Cue, first_row: int, notes: Notes) -> list[str]:
  """Rows, the first of which is row `first_row` of the file, without a next cue's number between blank rows."""
  kept = []
  for i, row in enumerate(rows):
    index = _INDEX.match(row)
    alone = i > 0 and not rows[i - 1] and all(not r for r in rows[i + 1 : i + 2])
    if index and alone and (not cue.name.isdigit() or int(index[1]) == int(cue.name) + 1):
      notes.add('a number without times and text is left out', replace(cue, name=index[1], row=first_row + i))
    else:
      kept.append(row)
  return kept


_KNOWN_TAG = r'<\s*/?\s*(?:i|b|u|s|font|c|lang|ruby|span|p|em|strong)\b[^<>]*>'


def plain_rows(markup: str) -> tuple[str, ...]:
  """Rows of SubRip or WebVTT text without its tags; voice spans begin a row, as VOICE. "{braces}" become brackets."""
  text = re.sub(r'\{\\[^{}]*\}|\{[a-zA-Z]:[^{}]*\}', '', markup)
  text = text.replace('\\h', ' ').replace('\\N', '\n').replace('\\n', '\n')
  text = re.sub(r'<\s*br\s*/?\s*>', '\n', text, flags=re.IGNORECASE)
  text = re.sub(r'<rt>.*?</rt>', '', text, flags=re.DOTALL)
  text = re.sub(r'<v(?:\.[^\s>]*)?\s+([^>]+)>', lambda voice: '\n' + VOICE.format(voice[1].strip()), text)
  text = re.sub(rf'</?[a-zA-Z][^<>]*>|{_KNOWN_TAG}|<[\d:.,]+>|</>', '', text, flags=re.IGNORECASE)
  text = re.sub(r'\{([^{}]*)\}', r'[\1]', text)
  return _clean_rows(html.unescape(text))


def _clean_rows(text: str) -> tuple[str, ...]:
  """Rows that are not blank, without invisible characters, and with ASCII's brackets and spaces."""
  text = re.sub('[\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffe\uffff]', '', text)
  text = text.translate(str.maketrans('（）［］【】〔〕｛｝〈〉', '()[][][][][]'))
  text = text.replace('-->', ' ')  # belongs to times; what is left of it here is damage
  rows = (re.sub(r'\s+', ' ', row).strip() for row in text.split('\n'))
  return tuple(row for row in rows if row)


# SubStation Alpha

_SIGN_STYLE = re.compile(
  r'(?<![a-z])(?:signs?|titles?|type?sett?(?:ing)?|on.?screen|credits?|karaoke|kara|songs?|lyrics?|op(?:ening)?|'
  r'ed|ending|romaji|kanji|insert|logo|staff|notes?|caption|eyecatch|next.?ep|TS)(?![a-z])',
  re.IGNORECASE,
)
_POSITIONED = re.compile(r'\{[^{}]*\\(?:pos|move|org|i?clip|k[fo]?\d)[^{}]*\}', re.IGNORECASE)
_MOST_POSITIONED = 0.5  # share of events above which a position says nothing


def read_ass(text: str, path: Path, notes: Notes) -> list[Cue]:
  """Cues in the order of the file, without comments, drawings and text on screen (which is told).

  Raises BadInput where the file has no dialogue that can be read.
  """
  import pysubs2

  good, rows_of = _checked_dialogue(text, notes)
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # of margins and colors, which are not used
      file = pysubs2.SSAFile.from_string(good, format_='ass')
  except Exception as error:  # the parser has no exception of its own for damaged files
    raise BadInput(f'{path}: damaged subtitles: {" ".join(str(error).split())[:80]}') from None
  events = [event for event in file.events if not event.is_comment]
  if not events:
    raise BadInput(f'{path}: no dialogue in it that can be read')
  rows_of += [0] * (len(events) - len(rows_of))
  cues = [
    Cue(
      str(number),
      row,
      max(event.start, 0) / 1000,
      event.end / 1000,
      _clean_rows(event.plaintext),
      event.text,
      event.name.strip(),
      event.style.strip(),
    )
    for number, (row, event) in enumerate(zip(rows_of, events, strict=False), 1)
    if not event.is_drawing
  ]
  return _without_signs(cues, {event.style for event in events if event.effect.strip()}, notes)


def _checked_dialogue(text: str, notes: Notes) -> tuple[str, list[int]]:
  """The file without dialogue rows that cannot be read, and the numbers of the rows that can."""
  rows, good, numbers = text.split('\n'), [], []
  head = next((row for row in rows if re.match(r'\s*Format:.*\bText\s*$', row, re.IGNORECASE)), 'Format:' + ',' * 9)
  commas = head.count(',')
  for number, row in enumerate(rows, 1):
    if re.match(r'\s*Style:', row):
      continue  # looks alone, in which there can be damage, too
    if re.match(r'\s*Dialogue:', row):
      parts = row.split(',', commas)
      if len(parts) <= commas or not all(re.match(r'\s*-?\d+:\d+:\d+[.,:]\d+\s*$', part) for part in parts[1:3]):
        notes.add('damaged, so left out', Cue(str(len(numbers) + 1), number, 0.0, None, ()), row)
        continue
      numbers.append(number)
    good.append(row)
  return '\n'.join(good), numbers


def _without_signs(cues: list[Cue], effects: set[str], notes: Notes) -> list[Cue]:
  """Cues without text on screen: known by its style's name or, of nobody by name, by a position of its own."""
  placed = [bool(_POSITIONED.search(cue.markup)) for cue in cues]
  telling = sum(placed) <= _MOST_POSITIONED * len(cues)

  def is_sign(cue, is_placed):
    return bool(_SIGN_STYLE.search(cue.style)) or (is_placed and telling and not cue.speaker)

  signs = [is_sign(cue, is_placed) for cue, is_placed in zip(cues, placed, strict=True)]
  if all(signs):
    return cues
  for cue, sign in zip(cues, signs, strict=True):
    if sign and cue.rows:
      notes.add('left out as text on screen, by style or position', cue, cue.text)
  return [cue for cue, sign in zip(cues, signs, strict=True) if not sign]


# Of any format

_ADDRESS = re.compile(r'(?:https?://|www\.)\S+|\b[\w-]+\.(?:com|org|net|tv|info|to|me|io|cc)\b', re.IGNORECASE)
_CREDIT = re.compile(
  r'^\W*(?:(?:english |original )?(?:sub(?:title)?s?|subtitling|captions?|captioning|closed captions?|captioned|'
  r'subtitled|translat(?:ed|ion)s?|transcri(?:pt|bed|ption)s?|sync(?:ed|hroni[sz]ed|hroni[sz]ation)?|'
  r'corrections?|corrected|rip(?:ped)?|encoded|resync(?:ed)?|timed|timing|edited|improved|adapted|ocr)'
  r'(?:(?:\s*[,&/+]\s*|\s+and\s+|\s+)(?:sub(?:title)?s?|sync\w*|correct\w*|timing|translat\w*|edit\w*|captions?|'
  r'adaptation|ocr|fixes|fixed|resync\w*|provided|made|created))*\s*(?:by\b|:|@|-\s*[A-Z])'
  r'|subtitles? (?:downloaded|from)\b|downloaded from\b|advertise your product|support us and become|'
  r'please rate this subtitle|watch (?:any )?(?:video|movies?|online).*(?:http|www)|'
  r'(?:copyright|©|\(c\))\s*\d{4}|all rights reserved)',
  re.IGNORECASE,
)
_ADVERT = re.compile(
  r'subtitl|\bsubs?\b|opensubtitles|addic7ed|subscene|podnapisi|download|\bvip\b|advert|\bads?\b|torrent|\bsync|\brip',
  re.IGNORECASE,
)


def without_credits(cues: list[Cue], notes: Notes) -> list[Cue]:
  """Cues without credits of the subtitles and adverts, which are told."""
  kept = []
  for cue in cues:
    text = ' '.join(cue.rows)
    address = _ADDRESS.search(text)
    bare = address and not re.sub(r'[\W\d_]+', '', _ADDRESS.sub('', text))
    if _CREDIT.search(text) or bare or (address and _ADVERT.search(text)):
      notes.add('left out as credits or an advert', cue, text)
    else:
      kept.append(cue)
  return kept


def in_order(cues: list[Cue], notes: Notes) -> list[Cue]:
  """Cues with text by their start; an end that is missing or not after its start is replaced by one in which the text
  can be read, at most the start of the next cue; which is told."""
  cues = sorted((cue for cue in cues if cue.rows), key=lambda cue: cue.start)
  repaired = []
  for i, cue in enumerate(cues):
    if cue.end is None or cue.end <= cue.start:
      end = cue.start + max(SHORTEST, len(' '.join(cue.rows)) / READING_RATE)
      after = next((c.start for c in cues[i + 1 :] if c.start > cue.start + 0.2), end)
      cue = replace(cue, end=round(min(end, after), 3))
      notes.add('ends not after its start, and is given the time in which it can be read', cue)
    repaired.append(cue)
  return repaired


def without_repeats(cues: list[Cue], notes: Notes) -> list[Cue]:
  """Cues in order of time, each text once: copies in other layers, texts of which each word is marked in its turn, and
  rows that captions carry on from the cue before are joined."""
  cues = _without_lasting_signs(_without_copies(cues, notes), notes)
  if _rolls(cues):
    notes.add('captions roll: rows that are repeated are read once')
    return _unrolled(cues)
  joined: list[Cue] = []
  for cue in cues:
    last = joined[-1] if joined else None
    if last and last.rows == cue.rows and last.markup != cue.markup and _touch(last, cue):
      joined[-1] = replace(last, end=max(last.stop, cue.stop), markup=cue.markup)  # one marked word after another
    else:
      joined.append(cue)
  return joined


def _without_copies(cues, notes):
  kept: list[Cue] = []
  for cue in cues:
    near = (other for other in reversed(kept[-20:]) if abs(other.start - cue.start) < 0.05)
    if any(other.rows == cue.rows and abs(other.stop - cue.stop) < 0.05 for other in near):
      notes.add('a copy of another cue at the same time is left out', cue)
    else:
      kept.append(cue)
  return kept


def _without_lasting_signs(cues, notes):
  """Without cues during the whole of which two or more others are spoken, and that are no sentence: text on screen."""
  kept = []
  for i, cue in enumerate(cues):
    during = [other for other in cues[i + 1 : i + 50] if other.start >= cue.start and other.stop <= cue.stop]
    if len(during) > 1 and not cue.speaker and not re.search(r'[.!?…,:"”)\]-]\W*$', cue.text):
      notes.add('left out as text on screen, beside which others speak', cue, cue.text)
    else:
      kept.append(cue)
  return kept


def _touch(cue: Cue, after: Cue) -> bool:
  return after.start - cue.stop <= TOUCHING


def _carried(cue: Cue, after: Cue) -> int:
  """How many rows the later cue carries on from the end of the earlier one."""
  if not _touch(cue, after):
    return 0
  return next((n for n in range(min(len(cue.rows), len(after.rows)), 0, -1) if cue.rows[-n:] == after.rows[:n]), 0)


def _rolls(cues: list[Cue]) -> bool:
  """Whether cues carry rows on and add to them: in a third of the pairs, or anywhere where words have times."""
  pairs = list(zip(cues, cues[1:], strict=False))
  grown = sum(0 < _carried(*pair) < len(pair[1].rows) for pair in pairs)
  timed = any(re.search(r'<\d[\d:.]+>', cue.markup) for cue in cues)
  return grown > 0 and (timed or (grown >= 2 and grown >= len(pairs) / 3))


def _unrolled(cues: list[Cue]) -> list[Cue]:
  kept, before = [], None
  for cue in cues:
    rows = cue.rows[_carried(before, cue) :] if before else cue.rows
    before = cue
    if rows:
      if kept and _touch(kept[-1], cue):
        kept[-1] = replace(kept[-1], end=min(kept[-1].stop, cue.start))
      kept.append(replace(cue, rows=rows))
    elif kept and _touch(kept[-1], cue):
      kept[-1] = replace(kept[-1], end=max(kept[-1].stop, cue.stop))
  return [cue for cue in kept if cue.stop > cue.start]
