"""The ADR cue sheet of a dub, as CSV."""

import csv
import io
from collections.abc import Sequence

from dubber_jax.dubbing.editorial.frames import FrameClock
from dubber_jax.dubbing.editorial.lines import EditorialLine, by_character, frame_spans

COLUMNS = (
  'Cue',
  'Reel',
  'Character',
  'TC In',
  'TC Out',
  'Duration',
  'Text',
  'Direction',
  'Note',
  'Take',
  'Status',
  'Warnings',
)


def cue_sheet(lines: Sequence[EditorialLine], clock: FrameClock, reel: str) -> bytes:
  """CSV of all lines in the order of time, a row each: UTF-8 with a byte order mark, CR LF, as spreadsheets read it.

  TC In is the frame in which the line begins, TC Out the first one after it, Duration in seconds and frames. Status:
  `dubbed`, `redone` (another take than the first dub's), or `check` where the critic did not accept the take or it has
  warnings.
  """
  spans = {
    line.number: span
    for own in by_character(lines).values()
    for line, span in zip(own, frame_spans(own, clock), strict=True)
  }
  file = io.StringIO(newline='')
  writer = csv.writer(file, lineterminator='\r\n')
  writer.writerow(COLUMNS)
  for line in sorted(lines, key=lambda line: (line.start, line.number)):
    first, last = spans[line.number]
    count = round(clock.rate)
    direction = '; '.join(part for part in (line.line.stage_direction, line.direction) if part)
    status = 'check' if line.warnings or not line.approved else 'redone' if line.take > 1 else 'dubbed'
    writer.writerow(
      (
        line.number,
        reel,
        line.line.character,
        clock.timecode(first),
        clock.timecode(last),
        f'{(last - first) // count}:{(last - first) % count:02d}',
        line.line.text,
        direction,
        line.note,
        line.take,
        status,
        '; '.join(line.warnings),
      )
    )
  return file.getvalue().encode('utf-8-sig')
