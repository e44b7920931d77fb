"""Media containers: opening a film or sound file, choosing a track, time origin and completeness.

Every fault of a file is raised as BadInput.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Stream

from dubber_jax.errors import BadInput
from dubber_jax.media.clock import clock_of
from dubber_jax.media.truncation import LIVE, missing_end

# Permitted demuxers. Text, images and playlists (which can refer to other files) are excluded.
FORMATS = 'mov,matroska,webm,flv,mpeg,mpegts,mpegvideo,avi,asf,ogg,wav,w64,aiff,flac,mp3,aac,caf,au'
# Demuxers whose header states the duration: a file that ends earlier is truncated.
FORMATS_WITH_LENGTH = {'mov', 'matroska', 'flv', 'avi', 'wav', 'w64', 'aiff', 'flac', 'caf', 'au'}
UNEVEN = 0.5  # s between the ends of the tracks of a recording that was cut off
ATTACHED_PICTURE = av.stream.Disposition.attached_pic
# Exceptions of PyAV on damaged files.
MEDIA_ERRORS = (av.FFmpegError, ValueError, OverflowError, MemoryError, UnicodeError, OSError, LookupError)
LEAST_LEAD, MOST_LEAD = 0.1, 60.0  # s by which sound starts before the pictures: less is interleaving, more damage


@contextlib.contextmanager
def open_media(path: str | os.PathLike) -> Iterator[InputContainer]:
  """Opens a film or sound file. Raises BadInput, also for any failure while it is being read.

  An OSError that is not ffmpeg's comes from another file, as an output that cannot be written, and passes unchanged.
  """
  path = Path(path)
  if not path.exists():
    raise BadInput(f'{path}: no such file; check the path')
  if not path.is_file():
    raise BadInput(f'{path}: not a file; give a film or sound file')
  if not os.access(path, os.R_OK):
    raise BadInput(f'{path}: no permission to read it; change its permissions')
  if not path.stat().st_size:
    raise BadInput(f'{path}: the file is empty; copy or export it again')
  try:
    options = {'format_whitelist': FORMATS, 'protocol_whitelist': 'file'}
    with av.open(f'file:{path}', container_options=options, metadata_errors='replace') as container:
      yield container
  except BadInput:
    raise
  except MEDIA_ERRORS as error:
    if isinstance(error, OSError) and not isinstance(error, FFmpegError) and error.filename != str(path):
      raise
    reason = getattr(error, 'strerror', None) or str(error) or type(error).__name__
    raise BadInput(
      f'{path}: not a film or sound file that can be read, or cut off or damaged ({reason}); export it again'
    ) from error


def tracks(container: InputContainer, kind: str) -> list:
  """The tracks of a kind ('video' or 'audio'), without cover pictures."""
  found = {'video': container.streams.video, 'audio': container.streams.audio}[kind]
  return [s for s in found if not s.disposition & ATTACHED_PICTURE and s.codec_context is not None]


def choose_track(container: InputContainer, kind: str, path: str | os.PathLike, track: int | None = None) -> Any:
  """Track number `track` of a kind, counted from 0; without a number the default one, else the first."""
  found = tracks(container, kind)
  name = {'video': 'picture', 'audio': 'sound'}[kind]
  if not found:
    raise BadInput(f'{path}: has no {name} track; give a file that has one')
  if track is None:
    return next((s for s in found if s.disposition & av.stream.Disposition.default), found[0])
  if not 0 <= track < len(found):
    raise BadInput(f'{path}: has no {name} track {track}; it has {len(found)}, counted from 0')
  return found[track]


def time_zero(container: InputContainer) -> float:
  """Time origin in the container's seconds: the first video frame, or the sound where it starts earlier.

  Players show a film from its earliest track on, and scripts are timed by them. Sound that is less than LEAST_LEAD
  ahead does not count: streams are interleaved so, and encoders write a few milliseconds of padding. Video and audio
  times are both relative to it, which keeps them in sync whatever the container's start time.
  """
  video, audio = (
    [float(s.start_time * s.time_base) for s in found if s.start_time is not None]
    for found in (tracks(container, 'video')[:1], tracks(container, 'audio'))
  )
  if video:
    first = min([*audio, *video])
    return first if LEAST_LEAD < video[0] - first <= MOST_LEAD else video[0]
  return audio[0] if audio else (container.start_time or 0) / av.time_base


def header_seconds(container: InputContainer, stream: Stream | None = None) -> float | None:
  """End in s from `time_zero` by the header: of the track where it is known, else of the file; None: unknown."""
  if stream is not None and stream.duration and stream.time_base:
    late = max(0.0, float((stream.start_time or 0) * stream.time_base) - time_zero(container))
    return float(stream.duration * stream.time_base) + (late if late > LEAST_LEAD else 0.0)
  return container.duration / av.time_base if container.duration and container.duration > 0 else None


def header_states_length(container: InputContainer) -> bool:
  """Whether the container format states its duration in the header."""
  return bool(FORMATS_WITH_LENGTH & set(container.format.name.split(',')))


def latest_valid_time(container: InputContainer, stream: Stream) -> float:
  """Seconds after which a timestamp counts as damaged; infinite where the header does not state the duration."""
  stated = header_seconds(container, stream)
  return (
    1.05 * max(stated, header_seconds(container) or 0) + 1
    if stated and header_states_length(container)
    else float('inf')
  )


def last_packet_end(path: str | os.PathLike) -> float:
  """End of the last packet of any track, in s from `time_zero`. Demuxes the whole file without decoding."""
  last = 0.0
  with open_media(path) as container:
    zero = time_zero(container)
    if finish := clock_of(container, path).finish:
      return max(0.0, finish - zero)
    for packet in container.demux():
      if packet.pts is not None and packet.size and packet.time_base:
        last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base) - zero)
  return last


def film_seconds(container: InputContainer, stream: Stream, path: str | os.PathLike) -> float:
  """Length in s from `time_zero` of the track, by the header where that can be relied on, else by the packets."""
  late = time_zero(container) > 0.5 and 'mov' not in container.format.name  # the header may count from the first packet
  stated = header_seconds(container, stream) if header_states_length(container) and not late else None
  return last_packet_end(path) if stated is None else stated


def check_not_cut_off(container: InputContainer, path: str | os.PathLike) -> list[str]:
  """Raises BadInput where the file's structure says that its end is missing; warnings for a broadcast recording.

  Those state no length and end where they were stopped: what is missing shows in a packet that is not whole, or where
  one track ends long before another.
  """
  missing = missing_end(path, container.format.name)
  ends = clock_of(container, path).ends
  if not missing and ends and max(ends.values()) - min(ends.values()) > UNEVEN:
    zero = time_zero(container)
    first, last = (end - zero for end in (min(ends.values()), max(ends.values())))
    return [f'{Path(path).name}: one of its tracks ends at {first:.2f} s, another at {last:.2f} s: it may be cut off']
  if missing and LIVE & set(container.format.name.split(',')):
    return [f'{Path(path).name} ends in the middle of a packet ({missing} missing): its last moment may be lost']
  if missing:
    raise BadInput(f'{path}: cut off: {missing} missing at its end; copy or export it again')
  return []


def check_complete(container: InputContainer, stream: Stream, seconds: float, path: str | os.PathLike) -> None:
  """Raises BadInput where the file ends long before the duration in its header, or is cut off by its structure."""
  check_not_cut_off(container, path)
  stated = header_seconds(container, stream)
  late = 0.0 if 'mov' in container.format.name else max(0.0, time_zero(container))  # the header may count it
  if stated is None or not header_states_length(container):
    return
  least = stated - max(0.5, 0.05 * stated) - late
  if seconds >= least:
    return
  if 'mov' not in container.format.name:  # the duration is the file's, and another track may be longer
    seconds = last_packet_end(path)
  if seconds < least:
    raise BadInput(f'{path}: cut off after {seconds:.2f} s of {stated:.2f} s; copy or export it again')


def check_span(path: str | os.PathLike, start: float | None, end: float | None) -> None:
  """Raises BadInput unless 0 <= start < end, each where given."""
  if start is not None and not start >= 0:
    raise BadInput(f'{path}: the part starts at {start} s; it has to start at 0 or later')
  if end is not None and not end > (start or 0):
    raise BadInput(f'{path}: the part ends at {end} s, not after its start at {start or 0} s; correct the times')
