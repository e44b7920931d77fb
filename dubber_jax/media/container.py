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
from av.stream import Stream

from dubber_jax.errors import BadInput

# Permitted demuxers. Text, images and playlists (which can refer to other files) are excluded.
FORMATS = 'mov,matroska,webm,flv,mpeg,mpegts,mpegvideo,avi,asf,ogg,wav,w64,aiff,flac,mp3,aac,caf,au'
# Demuxers whose header states the duration: a file that ends earlier is truncated.
FORMATS_WITH_LENGTH = {'mov', 'matroska', 'flv', 'avi', 'wav', 'w64', 'aiff', 'flac', 'caf', 'au'}
ATTACHED_PICTURE = av.stream.Disposition.attached_pic
# Exceptions of PyAV on damaged files.
MEDIA_ERRORS = (av.FFmpegError, ValueError, OverflowError, MemoryError, UnicodeError, OSError, LookupError)


@contextlib.contextmanager
def open_media(path: str | os.PathLike) -> Iterator[InputContainer]:
  """Opens a film or sound file. Raises BadInput, also for any failure while it is being read."""
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
  """Time origin in the container's seconds: the first video frame, without video the first audio frame.

  Video and audio times are both relative to it, which keeps them in sync whatever the container's start time.
  """
  for stream in tracks(container, 'video')[:1] + tracks(container, 'audio')[:1]:
    if stream.start_time is not None:
      return float(stream.start_time * stream.time_base)
  return (container.start_time or 0) / av.time_base


def header_seconds(container: InputContainer, stream: Stream | None = None) -> float | None:
  """Duration in s by the header: of the track where it is known, else of the file; None: unknown."""
  if stream is not None and stream.duration and stream.time_base:
    return float(stream.duration * stream.time_base)
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
    for packet in container.demux():
      if packet.pts is not None and packet.size and packet.time_base:
        last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base) - zero)
  return last


def check_complete(container: InputContainer, stream: Stream, seconds: float, path: str | os.PathLike) -> None:
  """Raises BadInput where the file ends long before the duration in its header."""
  stated = header_seconds(container, stream)
  if stated is None or not header_states_length(container) or seconds >= (least := stated - max(0.5, 0.05 * stated)):
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
