"""Subtitles of a dub: cues at the times of the spoken words, as SRT and as WebVTT with a time stamp for each word."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from dubber_jax.dubbing.editorial.lines import EditorialLine
from dubber_jax.storage.atomic import complete_file

ROWS, COLUMNS = 2, 42  # of a cue: what most broadcasters allow
LEAST_SECONDS = 1.0  # that a cue stays, where the next one leaves room
MOST_SECONDS = 7.0  # after which a longer line is rather divided
SENTENCE_END = re.compile(r'[.?!…]["\'”’)\]]*$')
CLAUSE_END = re.compile(r'[,;:—–-]["\'”’)\]]*$')
Word = tuple[float, float, str]  # start s, end s, as it is shown


@dataclass(frozen=True)
class Cue:
  """A cue: rows of words with their times in s of the film."""

  start: float
  end: float
  rows: tuple[tuple[Word, ...], ...]
  character: str = ''

  @property
  def text(self) -> str:
    """The rows as they are shown."""
    return '\n'.join(_row_text(row) for row in self.rows)


def write_subtitles(lines: Sequence[EditorialLine], srt: Path, vtt: Path, seconds: float, overwrite: bool = True):
  """Writes the subtitles of a film of so many seconds as SRT and as WebVTT, in UTF-8. Raises BadInput as
  `complete_file` does."""
  cues = make_cues(lines, seconds)
  for path, text in ((srt, srt_text(cues)), (vtt, vtt_text(cues))):
    with complete_file(path, overwrite) as partial:
      partial.write_bytes(text.encode())


def make_cues(lines: Sequence[EditorialLine], seconds: float) -> list[Cue]:
  """The cues of all lines in the order of time. A line that does not fit into ROWS of COLUMNS becomes several, divided
  between words, at the ends of sentences and clauses first."""
  cues = []
  for line in sorted(lines, key=lambda line: (line.start, line.number)):
    words = [piece for word in shown_words(line) for piece in _pieces(word)]
    cues += [
      Cue(part[0][0], max(word[1] for word in part), _rows(part), line.line.character.strip())
      for part in _divide(words)
    ]
  cues.sort(key=lambda cue: cue.start)
  extended = []
  for i, cue in enumerate(cues):
    following = min((other.start for other in cues[i + 1 :] if other.start >= cue.end), default=seconds)
    end = max(cue.end, min(cue.start + LEAST_SECONDS, following))
    extended.append(Cue(cue.start, max(end, cue.start + 0.001), cue.rows, cue.character))
  return extended


def shown_words(line: EditorialLine) -> list[Word]:
  """The words of a line as they are written, at the times in s of the film at which they are spoken.

  Spoken words are matched with written ones ('twenty' is spoken for '20'); what has no match of its own shares the time
  of its neighbors by its number of letters.
  """
  written = line.line.text.replace('-->', '->').split()
  if not written:
    return []
  spoken = list(line.words)
  if not spoken:
    first, last = line.speech or (0.0, line.end - line.start)
    spoken = [(first, last, '')]
  times: list[tuple[float, float]] = []
  matcher = SequenceMatcher(None, [_key(word) for word in written], [_key(word) for *_, word in spoken], autojunk=False)
  for kind, first, last, begin, end in matcher.get_opcodes():
    if kind == 'insert':  # spoken, but not written: it belongs to the word before
      if times:
        times[-1] = (times[-1][0], spoken[end - 1][1])
    elif kind == 'equal':
      times += [spoken[i][:2] for i in range(begin, end)]
    else:
      at = times[-1][1] if times else spoken[0][0]
      span = (spoken[begin][0], spoken[end - 1][1]) if end > begin else (at, at)
      times += _shared(written[first:last], span)
  return [
    (round(line.start + start, 3), round(line.start + max(start, end), 3), word)
    for (start, end), word in zip(times, written, strict=True)
  ]


def srt_text(cues: Sequence[Cue]) -> str:
  """SubRip text of the cues."""
  import pysubs2

  file = pysubs2.SSAFile()
  for cue in cues:
    text = cue.text.replace('\n', r'\N')
    file.append(pysubs2.SSAEvent(round(cue.start * 1000), round(cue.end * 1000), text))
  return file.to_string('srt', keep_ssa_tags=True)  # braces of a script are text, no styles


def vtt_text(cues: Sequence[Cue]) -> str:
  """WebVTT text of the cues, with the speaker as a voice span, and each word in a span of its own behind its time stamp
  (pysubs2 writes neither)."""
  blocks = ['WEBVTT']
  for number, cue in enumerate(cues, 1):
    voice = f'<v {html.escape(" ".join(cue.character.split()), quote=False)}>' if cue.character else ''
    last, rows = round(cue.start * 1000), []
    for row in cue.rows:
      words = []
      for start, _, word in row:
        stamp, at = '', round(start * 1000)
        if last < at < round(cue.end * 1000):  # the format asks for stamps that grow within the cue
          stamp, last = f'<{_vtt_time(at)}>', at
        words.append(f'{stamp}<c>{html.escape(word, quote=False)}</c>')
      rows.append(' '.join(words))
    times = f'{_vtt_time(round(cue.start * 1000))} --> {_vtt_time(round(cue.end * 1000))}'
    blocks.append(f'{number}\n{times}\n{voice}' + '\n'.join(rows))
  return '\n\n'.join(blocks) + '\n'


def _vtt_time(ms: int) -> str:
  return f'{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}'


def _key(word: str) -> str:
  return re.sub(r'[\W_]', '', word.casefold())


def _shared(words: Sequence[str], span: tuple[float, float]) -> list[tuple[float, float]]:
  """The time of a span divided between words by their letters; what has none, as a dash, takes no time."""
  letters = [len(_key(word)) for word in words]
  total, reached, times = sum(letters), 0, []
  for count in letters:
    ends = [span[0] + (span[1] - span[0]) * (n / total if total else 0) for n in (reached, reached + count)]
    times.append((ends[0], ends[1]))
    reached += count
  return times


def _pieces(word: Word) -> list[Word]:
  """A word in pieces of at most COLUMNS."""
  start, end, text = word
  parts = [text[i : i + COLUMNS] for i in range(0, len(text), COLUMNS)]
  step = (end - start) / len(parts)
  return [(round(start + i * step, 3), round(start + (i + 1) * step, 3), part) for i, part in enumerate(parts)]


def _row_text(row: Sequence[Word]) -> str:
  return ' '.join(word for *_, word in row)


def _rows(words: Sequence[Word]) -> tuple[tuple[Word, ...], ...]:
  """One row, or the two most even ones; () where ROWS of COLUMNS do not hold the words. A number does not stand alone
  in the last row, where readers take it for the number of a cue."""
  if len(_row_text(words)) <= COLUMNS:
    return (tuple(words),)

  def cost(at: int) -> float:
    upper, lower = _row_text(words[:at]), _row_text(words[at:])
    if max(len(upper), len(lower)) > COLUMNS:
      return float('inf')
    bonus = 8 if SENTENCE_END.search(upper) else 4 if CLAUSE_END.search(upper) else 0
    return abs(len(upper) - len(lower)) - bonus + (1000 if lower.isdigit() else 0)

  best = min(range(1, len(words)), key=cost, default=0)
  return (tuple(words[:best]), tuple(words[best:])) if best and cost(best) < float('inf') else ()


def _divide(words: Sequence[Word]) -> list[Sequence[Word]]:
  """The words of a line in parts that fit a cue each: as few as possible, cut at the best places (a shortest path)."""
  best: list[tuple[float, int]] = [(0.0, 0)]  # (cost of the words so far, where their last part begins)
  for end in range(1, len(words) + 1):
    options = []
    for begin in range(end - 1, -1, -1):
      part = words[begin:end]
      text = _row_text(part)
      if len(text) > ROWS * (COLUMNS + 1):
        break
      if _rows(part):
        cut = 0 if end == len(words) or SENTENCE_END.search(text) else 2 if CLAUSE_END.search(text) else 6
        short = 4 * (1 - len(text) / (ROWS * COLUMNS)) ** 2  # parts of one length
        long = max(0.0, part[-1][1] - part[0][0] - MOST_SECONDS) if end - begin > 1 else 0.0
        options.append((best[begin][0] + 20 + cut + short + 20 * long, begin))
    best.append(min(options))
  parts, end = [], len(words)
  while end:
    begin = best[end][1]
    parts.append(words[begin:end])
    end = begin
  return parts[::-1]
