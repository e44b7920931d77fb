"""Lines that a film already has: a subtitle file, or a text subtitle track of the film."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from dubber_jax.errors import BadInput
from dubber_jax.media.container import open_media
from dubber_jax.script.asr import Word
from dubber_jax.script.subtitles import Script, load_script
from dubber_jax.transcription.utterances import Utterance
from dubber_jax.types import Line

TEXT_CODECS = ('subrip', 'srt', 'mov_text', 'ass', 'ssa', 'webvtt', 'text')
COVERED = 0.5  # share of a word's time within a line's slot from which it is a word of that line
MARGIN = 0.25  # s around a slot in which words still are the line's
LEAST_WORDS, LEAST_SECONDS = 2, 0.4  # of speech beside all lines that becomes one of its own

_HEAD = (
  '[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,20\n\n'
  '[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n'
)


def text_tracks(film: str | Path) -> list[tuple[int, str]]:
  """The text subtitle tracks of a film: (number among its subtitle tracks, from 0; language or '')."""
  with open_media(film) as container:
    found = list(enumerate(container.streams.subtitles))
    return [(i, s.metadata.get('language', '')) for i, s in found if s.codec_context.name in TEXT_CODECS]


def read_track(film: str | Path, number: int) -> Script:
  """The lines of a subtitle track, read as a subtitle file is. Raises BadInput where it is no text track."""
  if number not in [track for track, _ in text_tracks(film)]:
    raise BadInput(f'--subtitles {number}: {film} has no text subtitles of that number, counted from 0')
  with open_media(film) as container:
    stream = container.streams.subtitles[number]
    rows = []
    for packet in container.demux(stream):
      if packet.pts is None or packet.time_base is None:
        continue
      start = float(packet.pts * packet.time_base)
      end = start + float((packet.duration or 0) * packet.time_base)
      for subtitle in packet.decode():
        # libavcodec gives every text format as ASS: "ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text".
        event = bytes(getattr(subtitle, 'ass', b'')).decode('utf-8', 'replace').split(',', 8)
        if len(event) == 9:
          text = event[8].replace('\r', '').replace('\n', '\\N')
          rows.append(f'Dialogue: 0,{_time(start)},{_time(end)},{event[2]},{event[3]},0,0,0,{event[7]},{text}\n')
  if not rows:
    raise BadInput(f'--subtitles {number}: this track of {film} is empty')
  with tempfile.TemporaryDirectory(prefix='dubber-') as folder:
    path = Path(folder) / f'{Path(film).stem}.subtitles-{number}.ass'
    path.write_text(_HEAD + ''.join(rows), encoding='utf-8')
    return load_script(path, overlap=True)


def _time(seconds: float) -> str:
  hundredths = round(max(seconds, 0.0) * 100)
  return f'{hundredths // 360_000}:{hundredths // 6000 % 60:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}'


def with_known_lines(utterances: Sequence[Utterance], lines: Sequence[Line]) -> list[Utterance]:
  """Utterances in which known lines stand, with their texts and names, in place of what was recognized in their slots.

  What is recognized beside all slots stays. A line of `n` words has them spread over its slot.
  """
  slots = [(line.start or 0.0, line.end or 0.0) for line in lines]
  known = [Utterance(_spread(line), speaker=line.character, fixed=True) for line in lines if line.text.split()]
  more = []
  for utterance in utterances:
    kept = [word for word in utterance.words if not _is_covered(word, slots)]
    if len(kept) >= LEAST_WORDS and kept[-1][1] - kept[0][0] >= LEAST_SECONDS:
      more.append(Utterance(tuple(kept), speaker=utterance.speaker))
  return sorted([*known, *more], key=lambda utterance: utterance.start)


def _is_covered(word: Word, slots: Sequence[tuple[float, float]]) -> bool:
  start, end = word[0], max(word[1], word[0] + 0.01)
  within = (min(end, stop + MARGIN) - max(start, begin - MARGIN) for begin, stop in slots)
  return any(seconds >= COVERED * (end - start) for seconds in within)


def _spread(line: Line) -> tuple[Word, ...]:
  words = line.text.split()
  start, end = line.start or 0.0, line.end or 0.0
  letters = [0]
  for word in words:
    letters.append(letters[-1] + len(word) + 1)
  times = [start + (end - start) * share / letters[-1] for share in letters]
  return tuple((times[i], times[i + 1], word) for i, word in enumerate(words))
