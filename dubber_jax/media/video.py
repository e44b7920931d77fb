"""Pictures in: upright RGB frames at a steady rate, whatever the file's own rate and rotation."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.container import (
  MEDIA_ERRORS,
  check_complete,
  check_span,
  choose_track,
  header_seconds,
  header_states_length,
  last_packet_end,
  latest_valid_time,
  open_media,
  time_zero,
  tracks,
)
from dubber_jax.types import LIP_RATE

MAX_BYTES = 4 << 30  # of decoded frames held at once
MAX_PIXELS = 40_000_000  # of one picture: a little above 8K; more is a damaged header
MAX_DAMAGED = 0.05  # share of packets that may fail to decode; the picture before them is held


@dataclass(frozen=True)
class MediaInfo:
  """What a film or sound file holds. Width and height in pixels, upright; 0, 0.0 and '' without pictures."""

  seconds: float
  has_video: bool
  has_sound: bool
  width: int = 0
  height: int = 0
  fps: float = 0.0  # on average; the rate may vary
  codec: str = ''  # of the pictures
  rotation: int = 0  # degrees counter-clockwise by which stored pictures are turned for display: 0, 90, 180, 270


def probe(path) -> MediaInfo:
  """What a file holds, by its header and first picture. Raises BadInput where neither can be read."""
  with open_media(path) as container:
    videos, sounds = tracks(container, 'video'), tracks(container, 'audio')
    if not videos and not sounds:
      raise BadInput(f'{path}: holds neither pictures nor sound; give a film or sound file')
    stream = choose_track(container, 'video' if videos else 'audio', path)
    seconds = header_seconds(container, stream) if header_states_length(container) else last_packet_end(path)
    if not videos:
      return MediaInfo(seconds or 0.0, has_video=False, has_sound=True)
    _, _, first = next(decode_pictures(container, stream, path))
    turned = rotation_of(first)
    width, height = (first.height, first.width) if turned % 180 else (first.width, first.height)
    return MediaInfo(
      seconds or 0.0,
      True,
      bool(sounds),
      width,
      height,
      float(stream.average_rate or 0),
      stream.codec_context.codec.canonical_name,
      turned,
    )


def read_frames(
  path,
  start: float | None = None,
  end: float | None = None,
  fps: float = LIP_RATE,
  max_seconds: float = 600,
  max_side: int | None = None,
  track: int | None = None,
) -> tuple[np.ndarray, float]:
  """The pictures of a film from `start` to `end` seconds (None: from its start, to its end).

  Returns frames (L, H, W, 3) uint8 RGB, upright, `fps` a second, and the seconds they last; L is the nearest
  whole number to fps * seconds. Each frame is the picture on screen in the middle of its interval, by the
  file's timestamps, so a variable rate keeps time. `max_side` shrinks the pictures to that many pixels on the
  longer side. An end at most half a second past the film's is taken as the film's end.

  Raises BadInput where the file is missing, not a film, cut off, damaged, of no length, longer than
  `max_seconds`, or too large for memory.
  """
  check_span(path, start, end)
  start = start or 0.0
  with open_media(path) as container:
    stream = choose_track(container, 'video', path, track)
    stated = header_seconds(container, stream)
    if end is None and stated is not None and stated - start > max_seconds:
      raise too_long(path, stated - start, max_seconds)
    if end is not None and end - start > max_seconds:
      raise too_long(path, end - start, max_seconds)
    taken, shown, finish = [], None, 0.0  # shown: the picture on screen, decoded only when it is taken
    for time, duration, frame in decode_pictures(container, stream, path, start):
      if time - start > max_seconds:
        raise too_long(path, time - start, max_seconds)
      if shown is not None:
        sample_picture(shown, taken, until=time - start, fps=fps, path=path)
      if end is not None and time >= end:
        finish = end
        break
      shown, finish = DecodedPicture(frame, max_side), time + duration
    else:
      if end is None:
        check_complete(container, stream, finish, path)
  if end is not None and end > finish + 0.5:
    raise BadInput(f'{path}: the part ends at {end:.2f} s, but the film lasts {finish:.2f} s; correct the times')
  seconds = min(end, finish) - start if end is not None else finish - start
  if shown is None or seconds <= 0:
    raise BadInput(f'{path}: no picture from {start:.2f} s on: the film lasts {finish:.2f} s; give a longer one')
  if seconds > max_seconds:
    raise too_long(path, seconds, max_seconds)
  count = max(1, round(seconds * fps))
  sample_picture(shown, taken, until=(count + 1) / fps, fps=fps, path=path)
  return np.stack(taken[:count]), seconds


class DecodedPicture:
  """A decoded picture, turned into RGB at most once, and only if a frame falls on it."""

  def __init__(self, frame, max_side: int | None):
    self.frame, self.max_side, self.pixels = frame, max_side, None

  def rgb(self) -> np.ndarray:
    if self.pixels is None:
      self.pixels = upright_rgb(self.frame, self.max_side)
    return self.pixels


def sample_picture(shown: DecodedPicture, taken: list, until: float, fps: float, path):
  """Takes `shown` for every frame whose middle lies before `until` seconds."""
  while (len(taken) + 0.5) / fps < until:
    pixels = shown.rgb()
    if taken and pixels.shape != taken[0].shape:
      raise BadInput(
        f'{path}: the picture size changes from {taken[0].shape[1]}x{taken[0].shape[0]} to '
        f'{pixels.shape[1]}x{pixels.shape[0]} within the film; export it at one size'
      )
    if pixels.nbytes * (len(taken) + 1) > MAX_BYTES:
      raise BadInput(f'{path}: its pictures take more than {MAX_BYTES >> 30} GB; give a shorter part, or shrink it')
    taken.append(pixels)


def decode_pictures(container, stream, path, start: float = 0.0) -> Iterator[tuple[float, float, object]]:
  """Yields (time, duration, frame), times in seconds from the film's start and rising, from at or before `start`.

  A packet that cannot be decoded is passed over, up to MAX_DAMAGED of them; then BadInput.
  """
  zero = time_zero(container)
  stream.codec_context.options = {'max_pixels': str(MAX_PIXELS)}
  stream.thread_type = 'AUTO'
  if start > 2:  # a margin: the key frame that the index names may lie a little late
    container.seek(int((start - 1 + zero) / stream.time_base), stream=stream, backward=True)
  pictures = pictures_with_times(container, stream, zero, path)
  first = next(pictures, None)
  if start > 2 and (first is None or first[0] > start):  # an index that misleads: from the beginning then
    container.seek(int(zero / stream.time_base), stream=stream, backward=True)
    pictures = pictures_with_times(container, stream, zero, path)
    first = next(pictures, None)
  if first is None:
    raise BadInput(f'{path}: no picture in it can be decoded; export it again')
  yield first
  yield from pictures


def pictures_with_times(container, stream, zero: float, path) -> Iterator[tuple[float, float, object]]:
  usual = nominal_duration(stream)
  latest = latest_valid_time(container, stream)
  packets = damaged = 0
  before = None
  for packet in container.demux(stream):
    packets += bool(packet.size)
    try:
      frames = packet.decode()
    except MEDIA_ERRORS:
      damaged += 1
      continue
    for frame in frames:
      time = frame.time - zero if frame.time is not None else (before or 0.0) + usual
      if before is not None and time <= before:
        continue
      if time > latest:
        damaged += 1
        continue
      duration = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else usual
      before = time
      yield time, duration, frame
  if damaged > max(1, MAX_DAMAGED * packets):
    raise BadInput(f'{path}: {damaged} of {packets} pictures are damaged; export it again')


def nominal_duration(stream) -> float:
  """Seconds that a picture of this track lasts where nothing else says so."""
  rate = float(stream.average_rate or 0)
  return 1 / rate if 1 <= rate <= 1000 else 1 / LIP_RATE


def upright_rgb(frame, max_side: int | None = None) -> np.ndarray:
  """(H, W, 3) uint8 RGB of a decoded picture, turned upright, at most `max_side` on its longer side."""
  width, height = frame.width, frame.height
  if max_side and max(width, height) > max_side:
    scale = max_side / max(width, height)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
  pixels = frame.to_ndarray(format='rgb24', width=width, height=height)
  return np.ascontiguousarray(np.rot90(pixels, rotation_of(frame) // 90))


def rotation_of(frame) -> int:
  """Degrees counter-clockwise by which to turn a decoded picture, to the nearest quarter: 0, 90, 180 or 270."""
  return round((frame.rotation or 0) / 90) * 90 % 360


def too_long(path, seconds: float, limit: float) -> BadInput:
  return BadInput(f'{Path(path)}: {seconds:.1f} s long, the limit is {limit:g} s; give a shorter part of it')


def write_silent_clip(path, frames: np.ndarray, fps: int = LIP_RATE, overwrite: bool = False):
  """Writes pictures (L, H, W, 3) uint8 RGB, H and W even, as an mp4 in H.264 without sound.

  Raises BadInput where it exists or cannot be written.
  """
  import av

  from dubber_jax.storage.atomic import complete_file

  with complete_file(path, overwrite) as beside, av.open(str(beside), 'w', format='mp4') as film:
    stream = film.add_stream('libx264', rate=fps, options={'crf': '18', 'preset': 'veryfast'})
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = 'yuv420p'
    for picture in frames:
      film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
    film.mux(stream.encode())
