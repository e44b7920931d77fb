"""The timeline of a dub for editing programs: OpenTimelineIO, and an edit decision list (CMX 3600) of the same."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dubber_jax.dubbing.editorial.frames import FrameClock, import_otio
from dubber_jax.dubbing.editorial.lines import EditorialLine, frame_spans, without_accents

EVENTS = 999  # of a CMX 3600 list, whose event numbers have three digits
CHANNELS = 4  # of sound that CMX 3600 knows
TOGETHER = 50  # events that the adapter is given at once: its time grows with the square
REEL = 8  # characters of a reel name in CMX 3600
Event = tuple[int, int, str, str, list[str]]  # first frame, one past the last, file name, reel, comments


@dataclass(frozen=True)
class Stem:
  """A stem as the timeline needs it: its name, its file, and the lines in it (none for music and effects)."""

  name: str
  path: Path
  lines: tuple[EditorialLine, ...] = ()


def make_timeline(
  name: str, film: Path, frames: int, clock: FrameClock, stems: Sequence[Stem], folder: Path, has_sound: bool = True
) -> Any:
  """An opentimelineio Timeline: the film's pictures, its own sound (switched off), and a track for each stem.

  frames: of the film; folder: where the file will lie, to which media paths are relative. Each line is a clip of its
  character's stem with a marker that holds text, take and direction.
  """
  otio = import_otio()
  timeline = otio.schema.Timeline(name, global_start_time=clock.time(clock.start))
  timeline.metadata['dubber'] = {'film': film.name, 'drop_frame': clock.drop}
  timeline.tracks.append(_whole_track('Picture', 'Video', film, frames, clock, folder))
  if has_sound:
    original = _whole_track('Original sound', 'Audio', film, frames, clock, folder)
    original.enabled = False
    timeline.tracks.append(original)
  for stem in stems:
    if not stem.lines:
      timeline.tracks.append(_whole_track(stem.name, 'Audio', stem.path, frames, clock, folder))
      continue
    track, reached = otio.schema.Track(stem.name, kind=otio.schema.TrackKind.Audio), 0
    track.metadata['dubber'] = {'character': stem.lines[0].line.character}
    for line, (first, last) in zip(stem.lines, frame_spans(stem.lines, clock), strict=True):
      if first > reached:
        track.append(otio.schema.Gap(duration=clock.time(first - reached)))
      track.append(_line_clip(line, stem, first, last, frames, clock, folder))
      reached = last
    timeline.tracks.append(track)
  return timeline


def write_timeline(timeline: Any, path: Path) -> None:
  """Writes a timeline as an OTIO file."""
  import_otio().adapters.write_to_file(timeline, str(path))


def edl_texts(title: str, film: Path, frames: int, clock: FrameClock, stems: Sequence[Stem]) -> list[str]:
  """CMX 3600 lists of the film's pictures and of all lines, in the order of record time: as many as their events need.

  A line refers to its stem by file name and reel, at the same source and record timecode. Each character has a sound
  channel of its own where there are not more than CHANNELS; else lines take the first channel that is free.
  """
  otio = import_otio()
  # The adapter counts drop frame at 29.97 and 59.94 whatever the film has; non-drop timecode of a rate is that of the
  # next whole one.
  rate = float(clock.rate if clock.drop else round(clock.rate))
  reels = reel_names([film.stem, *(stem.path.stem for stem in stems)])
  channels = _channels(stems, clock)
  clips: dict[str, list[Event]] = {'V': [(0, frames, film.name, reels[0], [])]}  # by channel
  for stem, reel in zip(stems, reels[1:], strict=True):
    for line, (first, last) in zip(stem.lines, frame_spans(stem.lines, clock), strict=True):
      clips.setdefault(channels[line.number], []).append((first, last, stem.path.name, reel, _comments(line)))
  events = []  # (record in, channel, rows)
  for channel, own in clips.items():
    own.sort(key=lambda clip: clip[:2])
    for begin in range(0, len(own), TOGETHER):
      some = own[begin : begin + TOGETHER]
      texts = _events(otio, some, clock.start, rate)
      events += [(clip[0], channel, text) for clip, text in zip(some, texts, strict=True)]
  events.sort(key=lambda event: (event[1] != 'V', event[0], event[1]))
  head = f'TITLE: {_plain(title)[:70]}\nFCM: {"DROP FRAME" if clock.drop else "NON-DROP FRAME"}\n\n'
  texts = []
  for begin in range(0, max(1, len(events)), EVENTS):
    rows = [
      f'{number:03d}{text[3:14]}{channel:5}{text[19:]}'
      for number, (_, channel, text) in enumerate(events[begin : begin + EVENTS], 1)
    ]
    texts.append(head + ''.join(rows))
  return texts


def reel_names(names: Sequence[str]) -> list[str]:
  """Reel names of CMX 3600: capitals and digits, at most REEL of them, each another one."""
  reels = []
  for name in names:
    clean = re.sub('[^A-Z0-9]', '', _plain(name).upper()) or 'REEL'
    clean = f'{clean}_' if clean in ('BL', 'AX', 'BLACK', 'BARS') else clean  # reels of their own meaning
    reel, number = clean[:REEL], 2
    while reel in reels:
      reel, number = f'{clean[: REEL - len(str(number))]}{number}', number + 1
    reels.append(reel.replace('_', 'X'))
  return reels


def relative_url(path: Path, folder: Path) -> str:
  """The URL of a media file as seen from a folder: relative, as opentimelineio writes it, with escapes for the signs
  that end a path; absolute where there is no way from one to the other, as between drives."""
  try:
    way = Path(os.path.relpath(path, folder)).as_posix()
  except ValueError:
    return Path(path).absolute().as_uri()
  for sign in '%#?;':
    way = way.replace(sign, f'%{ord(sign):02X}')
  return way


def _reference(otio: ModuleType, path: Path, frames: int, clock: FrameClock, folder: Path):
  span = otio.opentime.TimeRange(clock.time(clock.start), clock.time(frames))
  reference = otio.schema.ExternalReference(relative_url(path, folder), span)
  reference.name = path.name
  return reference


def _whole_track(name: str, kind: str, path: Path, frames: int, clock: FrameClock, folder: Path):
  """A track of one clip, as long as the film."""
  otio = import_otio()
  span = otio.opentime.TimeRange(clock.time(clock.start), clock.time(frames))
  clip = otio.schema.Clip(path.name, _reference(otio, path, frames, clock, folder), span)
  return otio.schema.Track(name, [clip], kind=getattr(otio.schema.TrackKind, kind))


def _line_clip(line: EditorialLine, stem: Stem, first: int, last: int, frames: int, clock: FrameClock, folder: Path):
  otio = import_otio()
  span = otio.opentime.TimeRange(clock.time(clock.start + first), clock.time(last - first))
  # Resolve finds media by the name of the clip.
  clip = otio.schema.Clip(stem.path.name, _reference(otio, stem.path, frames, clock, folder), span)
  told = {
    'line': line.number,
    'character': line.line.character,
    'text': line.line.text,
    'take': line.take,
    'direction': line.direction,
    'stage_direction': line.line.stage_direction,
    'note': line.note,
    'warnings': list(line.warnings),
  }
  clip.metadata['dubber'] = told
  color = otio.schema.MarkerColor.GREEN if line.approved and not line.warnings else otio.schema.MarkerColor.RED
  marker = otio.schema.Marker(
    line.line.text, otio.opentime.TimeRange(span.start_time, clock.time(1)), color, metadata={'dubber': dict(told)}
  )
  marker.comment = '; '.join(part for part in (f'take {line.take}', line.direction, line.note) if part)
  clip.markers.append(marker)
  return clip


def _channels(stems: Sequence[Stem], clock: FrameClock) -> dict[int, str]:
  """The sound channel of each line, by its number: 'A', 'A2' and on."""
  spoken = [stem for stem in stems if stem.lines]
  names = ['A', *(f'A{n}' for n in range(2, len(spoken) + 2))]
  if len(spoken) <= CHANNELS:
    return {line.number: names[i] for i, stem in enumerate(spoken) for line in stem.lines}
  timed = sorted(
    (*span, line.number)
    for stem in spoken
    for line, span in zip(stem.lines, frame_spans(stem.lines, clock), strict=True)
  )
  free, found = [0] * len(names), {}  # the frame from which each channel is free
  for first, last, number in timed:
    channel = next(i for i, reached in enumerate(free) if reached <= first)
    free[channel] = last
    found[number] = names[channel]
  return found


def _events(otio: ModuleType, clips: Sequence[Event], start: int, rate: float) -> list[str]:
  """The rows of each event of one channel, as the adapter writes them of a track with these clips."""
  track, reached = otio.schema.Track('events', kind=otio.schema.TrackKind.Video), 0
  for first, last, name, reel, comments in clips:
    if start + first > reached:  # the adapter knows no start time, so that the first gap is as long as that
      track.append(otio.schema.Gap(duration=otio.opentime.RationalTime(start + first - reached, rate)))
    span = otio.opentime.RationalTime(start + first, rate), otio.opentime.RationalTime(last - first, rate)
    # Of a media reference it would write a row FROM CLIP or FROM FILE, by which Premiere loses the clip's name.
    missing = otio.schema.MissingReference()
    notes = {'cmx_3600': {'reel': reel, 'comments': comments}}
    track.append(otio.schema.Clip(name, missing, otio.opentime.TimeRange(*span), metadata=notes))
    reached = start + last
  timeline = otio.schema.Timeline('')
  timeline.tracks.append(track)
  text = otio.adapters.write_to_string(timeline, 'cmx_3600', rate=rate)
  return re.split(r'(?m)^(?=\d{3} )', text)[1:]


def _comments(line: EditorialLine) -> list[str]:
  """Comment rows of a line: character, text and take, in ASCII, which is all that lists hold safely."""
  told = (
    ('CHARACTER', line.character),
    ('TEXT', line.line.text),
    ('TAKE', str(line.take)),
    ('DIRECTION', line.direction),
  )
  return [f'{name}: {_plain(value)}' for name, value in told if value]


def _plain(text: str) -> str:
  """Text in one row of ASCII: typographic signs by their like, letters without accents, others as '?'."""
  signs = {'‘': "'", '’': "'", '“': '"', '”': '"', '–': '-', '—': '-', '…': '...'}
  text = without_accents(''.join(signs.get(c, c) for c in text))
  return ' '.join(text.encode('ascii', 'replace').decode().split())
