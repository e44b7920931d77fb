"""Reading lines of script from subtitles (SubRip, WebVTT, SubStation Alpha) and Fountain screenplays.

pysubs2 reads SubStation Alpha, and holds, times and strips the cues of all three.
"""

import html
import os
import re
from dataclasses import replace
from pathlib import Path

import pysubs2

from dubber_jax.errors import BadInput
from dubber_jax.types import Line

LARGEST_FILE = 20_000_000  # bytes; subtitles of the longest films are under 1 MB
_SPEAKER = re.compile(r"([^\W\d_][\w .'\u2019\-]{0,30}?) ?(\([^()]*\)|\[[^\[\]]*\])?: ?(?=\S)")


def read_lines(path: str | os.PathLike, overlap: bool = False) -> tuple[Line, ...]:
  """The spoken lines of a file, in order.

  Lines of subtitles have `start` and `end` in s; those of a screenplay None. Brackets at the beginning of a line are
  its stage direction; cues without a spoken word ("[door slams]") are skipped. A cue of several named speakers gives
  one line for each, with times in proportion to the lengths of their texts. Raises BadInput for a file that cannot be
  read, for times that run backward or, without `overlap`, overlap, and for a file without a line.
  """
  path = Path(path)
  reader = READERS.get(path.suffix.lower())
  if reader is None:
    raise BadInput(f'{path}: not a script that can be read: give {", ".join(READERS)}')
  lines = reader(_read_text(path), path, overlap)
  lines = tuple(line for line in lines if re.search(r'\w', line.text))
  if not lines:
    raise BadInput(f'{path}: no spoken line in it')
  return lines


def parse_line(text: str, start: float | None = None, end: float | None = None, character: str = '') -> Line:
  """Text of a script -> Line: "MARY: [whispering, angry] Come here!".

  The speaker's name, in capitals before a colon, becomes `character`, brackets at the beginning `stage_direction`;
  brackets further on are sounds and are removed.
  """
  rows = [re.sub(r'^[-\u2013\u2014]\s*(?=\S)', '', row.strip()) for row in text.splitlines()]
  text = re.sub(r'\s+', ' ', ' '.join(rows)).strip()
  text, directions = _take_directions(text)
  named = _SPEAKER.match(text)
  if named and _is_name(named[1]):
    character = character or named[1].strip().title()
    text, more = _take_directions(f'{named[2] or ""} {text[named.end() :]}'.strip())
    directions += more
  text = re.sub(r'\s+', ' ', re.sub(r'\[[^\[\]]*\]', ' ', text)).strip()  # sounds, as "[door slams]"
  return Line(text, start, end, character, ', '.join(directions))


def _is_name(text):
  """Whether a prefix is a name: in capitals, two of them adjacent (excludes times of day and 'I')."""
  return text == text.upper() and bool(re.search(r'[^\W\d_]{2}', text))


def _take_directions(text):
  """Text -> (text without brackets at its beginning, their contents)."""
  directions = []
  while match := re.match(r'(?:\(([^()]*)\)|\[([^\[\]]*)\])\s*', text):
    direction = (match[1] or match[2] or '').strip()
    directions += [direction] if direction else []
    text = text[match.end() :]
  return text, directions


def _read_text(path):
  try:
    if path.stat().st_size > LARGEST_FILE:
      raise BadInput(f'{path}: {path.stat().st_size} bytes is too large for a script (limit {LARGEST_FILE})')
    data = path.read_bytes()
  except OSError as error:
    raise BadInput(f'cannot read the script {path}: {error.strerror}') from None
  if data[:2] in (b'\xff\xfe', b'\xfe\xff'):
    encodings = ('utf-16',)
  else:
    encodings = ('utf-8-sig', 'cp1252')
  for encoding in encodings:
    try:
      text = data.decode(encoding)
    except UnicodeDecodeError:
      continue
    if not re.search('[\x00-\x08\x0e-\x1f]', text):
      return text.replace('\r\n', '\n').replace('\r', '\n')
  raise BadInput(f'{path}: not a text file: save it as UTF-8')


# Subtitles

_TIME = r'(?:(\d{1,3}):)?([0-5]\d):([0-5]\d)[,.](\d{1,3})'
_TIMES = re.compile(rf'\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$')
_VOICE = re.compile(r'<v(?:\.[^\s>]*)?\s+([^>]+)>')  # WebVTT voice span: the speaker's name


def _read_srt(text, path, overlap):
  return _lines_of_cues(_cues(text.split('\n'), 1, path), path, overlap)


def _read_vtt(text, path, overlap):
  rows = text.split('\n')
  if not re.match(r'WEBVTT(?:\s|$)', rows[0]):
    raise BadInput(f'{path}: does not begin with WEBVTT: not a vtt file, or damaged')
  first = next((i for i, row in enumerate(rows) if not row.strip()), len(rows))  # end of the header
  return _lines_of_cues(_cues(rows[first:], first + 1, path), path, overlap)


def _read_ass(text, path, overlap):
  written = len(re.findall(r'(?m)^Dialogue:', text))
  try:
    file = pysubs2.SSAFile.from_string(text, format_='ass')
  except Exception as error:  # the parser has no exception of its own for damaged files
    raise BadInput(f'{path}: damaged subtitles: {" ".join(str(error).split())[:80]}') from None
  events = [event for event in file.events if not event.is_comment]
  if len(events) != written:
    raise BadInput(f'{path}: only {len(events)} of {written} dialogue rows could be read: the file is damaged')
  # The format does not require rows in order of time.
  cues = sorted(((str(number), event) for number, event in enumerate(events, 1)), key=lambda cue: cue[1].start)
  return _lines_of_cues([cue for cue in cues if not cue[1].is_drawing], path, overlap)


def _cues(rows, first_row, path):
  """Rows of SRT or WebVTT -> (cue's number, event) for each block between blank rows.

  The blocks are split here, not by pysubs2: its reader appends WebVTT identifiers and comments to the text of the
  cue before, starts a cue at a row with two inline timestamps, and drops a last row that is a number.
  """
  block, cues = [], []
  for number, row in enumerate([*rows, ''], first_row):
    if row.strip():
      block.append(row)
      continue
    if block and not re.match(r'(NOTE|STYLE|REGION)(\s|$)', block[0]):
      cues.append(_cue(block, len(cues) + 1, number - len(block), path))
    block = []
  return cues


def _cue(block, ordinal, row, path):
  at = 0 if '-->' in block[0] else 1
  name = block[0].strip() if at and re.fullmatch(r'\d{1,9}', block[0].strip()) else str(ordinal)
  times = _TIMES.match(block[at]) if at < len(block) else None
  if times is None:
    raise BadInput(f'{path}, cue {name} (row {row}): no times, as 00:00:01,000 --> 00:00:02,500')
  if any('-->' in text for text in block[at + 1 :]):
    raise BadInput(f'{path}, cue {name} (row {row}): another cue begins in its text: put an empty row between')
  parts = [part or '0' for part in times.groups()]
  start, end = pysubs2.time.timestamp_to_ms(parts[:4]), pysubs2.time.timestamp_to_ms(parts[4:])
  return name, pysubs2.SSAEvent(start, end, '\\N'.join(block[at + 1 :]))


def _lines_of_cues(cues, path, overlap):
  _check_times([(name, event.start / 1000, event.end / 1000) for name, event in cues], path, overlap)
  return [line for _, event in cues for line in _lines_of_event(event)]


def _lines_of_event(event):
  """The lines of a cue: one for each speaker named in it; its time is divided by the lengths of their texts."""
  parts = []  # [speaker, text]
  for row in re.sub(rf'(?={_VOICE.pattern})', '\n', event.plaintext).split('\n'):
    voice = _VOICE.search(row)
    text = html.unescape(re.sub(r'</?[a-zA-Z][^<>]*>|<[\d:.]+>|</>', '', row))
    text = re.sub('[\u200e\u200f\u2066-\u2069]', '', text.replace('\xa0', ' '))  # direction marks
    named = _SPEAKER.match(re.sub(r'^\W+', '', text) + '.')
    if not parts or ((voice or (named and _is_name(named[1]))) and parse_line(parts[-1][1]).text):
      parts.append(['' if parts else event.name.strip(), ''])
    parts[-1][0] = voice[1].strip() if voice else parts[-1][0]
    parts[-1][1] += f'\n{text}'
  letters = [0]
  for _, text in parts:
    letters.append(letters[-1] + max(1, len(parse_line(text).text)))
  start, end = event.start / 1000, event.end / 1000
  times = [round(start + (end - start) * share / letters[-1], 3) for share in letters]
  return [parse_line(text, *times[i : i + 2], speaker) for i, (speaker, text) in enumerate(parts)]


def _check_times(cues, path, overlap):
  previous = ('', 0.0, 0.0)
  for name, start, end in cues:
    if end <= start:
      raise BadInput(f'{path}, cue {name}: ends at {end:.3f} s, not after its start at {start:.3f} s')
    if start < previous[1]:
      raise BadInput(f'{path}, cue {name}: starts at {start:.3f} s, before cue {previous[0]} does: sort the cues')
    if start < previous[2] and not overlap:
      raise BadInput(
        f'{path}, cue {name}: starts at {start:.3f} s, while cue {previous[0]} lasts to {previous[2]:.3f} s: '
        'lines must not overlap'
      )
    previous = (name, start, end)


# Screenplays


def _read_fountain(text, path, overlap):
  from screenplay_tools.fountain.parser import ElementType, Parser

  parser = Parser()
  try:
    parser.add_text(text)
  except Exception as error:  # the parser has no exception of its own for damaged files
    raise BadInput(f'{path}: damaged screenplay: {" ".join(str(error).split())[:80]}') from None
  lines, character, direction = [], '', ''
  for element in parser.script.elements:
    if element.type == ElementType.CHARACTER:
      character, direction = (element.name or '').strip(), ''
    elif element.type == ElementType.PARENTHETICAL:
      direction = element.text.strip().strip('()').strip()
    elif element.type == ElementType.DIALOGUE:
      spoken = re.sub(r'\[\[.*?\]\]|\\(?=[*_])', '', element.text, flags=re.DOTALL)
      line = parse_line(re.sub(r'\*+|_', '', spoken), character=character)
      directions = [d for d in (direction, line.stage_direction) if d]
      lines.append(replace(line, stage_direction=', '.join(directions)))
      direction = ''
  return lines


READERS = {'.srt': _read_srt, '.vtt': _read_vtt, '.ass': _read_ass, '.ssa': _read_ass, '.fountain': _read_fountain}
