"""Video decoding: upright RGB frames at a constant rate, whatever the file's frame rate and rotation."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Stream

from dubber_jax.errors import BadInput
from dubber_jax.media.clock import Clock, clock_of, timed_packets
from dubber_jax.media.container import (
  MEDIA_ERRORS,
  check_complete,
  check_not_cut_off,
  check_span,
  choose_track,
  film_seconds,
  header_seconds,
  header_states_length,
  latest_valid_time,
  open_media,
  time_zero,
  tracks,
)
from dubber_jax.types import LIP_RATE

MAX_BYTES = 4 << 30  # of decoded frames in memory
MAX_PIXELS = 40_000_000  # of one frame: slightly above 8K; more is a damaged header
MAX_DAMAGED = 0.05  # share of packets that may fail to decode; the frame before them is repeated
SEEK_BACK = (1.0, 15.0, 120.0)  # s before the wanted part at which a key frame is looked for, one after the other


@dataclass(frozen=True)
class MediaInfo:
  """Properties of a film or sound file. Width and height in pixels, upright; 0, 0.0 and '' without video."""

  seconds: float
  has_video: bool
  has_sound: bool
  width: int = 0
  height: int = 0
  fps: float = 0.0  # average; the rate may vary
  codec: str = ''  # of the video
  rotation: int = 0  # display rotation in degrees counter-clockwise: 0, 90, 180, 270
  warnings: tuple[str, ...] = ()  # of a file that can be used although something is odd about it


def probe(path: str | os.PathLike) -> MediaInfo:
  """MediaInfo of a file, by its header and first frame. Raises BadInput where they cannot be read."""
  with open_media(path) as container:
    videos, sounds = tracks(container, 'video'), tracks(container, 'audio')
    if not videos and not sounds:
      raise BadInput(f'{path}: holds neither pictures nor sound; give a film or sound file')
    stream = choose_track(container, 'video' if videos else 'audio', path)
    warnings = [*check_not_cut_off(container, path), *clock_warnings(container, path)]
    seconds = film_seconds(container, stream, path)
    if not videos:
      return MediaInfo(seconds, has_video=False, has_sound=True, warnings=tuple(warnings))
    _, _, first = next(decode_pictures(container, stream, path))
    turned = rotation_of(first)
    width, height = (first.height, first.width) if turned % 180 else (first.width, first.height)
    return MediaInfo(
      seconds,
      True,
      bool(sounds),
      width,
      height,
      float(stream.average_rate or 0),
      stream.codec_context.codec.canonical_name,
      turned,
      tuple(warnings),
    )


def clock_warnings(container: InputContainer, path: str | os.PathLike) -> list[str]:
  """Says where the parts of a film whose clock jumps were joined."""
  at = clock_of(container, path).at
  if not at:
    return []
  times = ', '.join(f'{time:.2f}' for time in at[:5]) + (' and more' if len(at) > 5 else '')
  return [f'{Path(path).name}: its clock jumps at {times} s: the parts were joined there, one after the other']


def read_frames(
  path: str | os.PathLike,
  start: float | None = None,
  end: float | None = None,
  fps: float = LIP_RATE,
  max_seconds: float = 600,
  max_side: int | None = None,
  track: int | None = None,
) -> tuple[np.ndarray, float]:
  """Decodes frames from `start` to `end` s (None: the beginning, the end of the film).

  Returns frames (L, H, W, 3) uint8 RGB, upright, at `fps` Hz, and their duration in s; L is fps * seconds rounded. Each
  frame is the one on screen in the middle of its interval by the file's timestamps, which is right for variable rates
  too. `max_side` limits the longer side in pixels. An end at most 0.5 s after the film's end is taken as the film's
  end.

  Raises BadInput where the file is missing, not a film, truncated, damaged, of no duration, longer than `max_seconds`,
  or too large for memory.
  """
  check_span(path, start, end)
  start = start or 0.0
  with open_media(path) as container:
    stream = choose_track(container, 'video', path, track)
    stated = header_seconds(container, stream) if header_states_length(container) else None
    if end is None and stated is not None and stated - start > max_seconds:
      raise too_long(path, stated - start, max_seconds)
    if end is not None and end - start > max_seconds:
      raise too_long(path, end - start, max_seconds)
    taken, shown, finish = [], None, 0.0  # shown: the frame on screen
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
  """A decoded frame, converted to RGB at most once and only when sampled."""

  def __init__(self, frame: av.VideoFrame, max_side: int | None):
    self.frame, self.max_side, self.pixels = frame, max_side, None

  def rgb(self) -> np.ndarray:
    if self.pixels is None:
      self.pixels = upright_rgb(self.frame, self.max_side)
    return self.pixels


def sample_picture(shown: DecodedPicture, taken: list, until: float, fps: float, path: str | os.PathLike) -> None:
  """Appends `shown` to `taken` for every output frame whose middle is before `until` s. Raises BadInput where frames
  change size or exceed MAX_BYTES."""
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


def decode_pictures(
  container: InputContainer, stream: Stream, path: str | os.PathLike, start: float = 0.0
) -> Iterator[tuple[float, float, av.VideoFrame]]:
  """Yields (time s, duration s, frame) in increasing time from the film's start, beginning at or before `start`.

  Packets that cannot be decoded are skipped, up to a share of MAX_DAMAGED; above it, raises BadInput.
  """
  zero, base = time_zero(container), stream.time_base or Fraction(1, 1000)
  stream.codec_context.options = {'max_pixels': str(MAX_PIXELS)}
  stream.thread_type = 'AUTO'
  clock = clock_of(container, path)
  # Parts whose clock jumps are read from the start; MPEG streams have no index, their key frames are further back.
  for back in SEEK_BACK if start > 2 and not clock.jumps else ():
    container.seek(int((max(0.0, start - back) + zero) / base), stream=stream, backward=True)
    pictures = pictures_with_times(container, stream, path, zero, clock)
    first = next(pictures, None)
    if first is not None and first[0] <= start:
      break
  else:
    if start > 2 and not clock.jumps:  # wrong index: decode from the beginning
      container.seek(int(zero / base), stream=stream, backward=True)
    pictures = pictures_with_times(container, stream, path, zero, clock)
    first = next(pictures, None)
  if first is None:
    raise BadInput(f'{path}: no picture in it can be decoded; export it again')
  yield first
  yield from pictures


def pictures_with_times(
  container: InputContainer, stream: Stream, path: str | os.PathLike, zero: float, clock: Clock
) -> Iterator[tuple[float, float, av.VideoFrame]]:
  """As `decode_pictures`, from the current position of the container; `zero` is its time origin in s."""
  nominal = nominal_duration(stream)
  latest = latest_valid_time(container, stream)
  packets = damaged = back = 0
  before = None
  for packet in timed_packets(container, path, stream, clock=clock):
    packets += bool(packet.size)
    try:
      frames = packet.decode()
    except MEDIA_ERRORS:
      damaged += 1
      continue
    for frame in frames:
      time = frame.time - zero if frame.time is not None else (before or 0.0) + nominal
      if before is not None and time <= before:
        back += 1
        continue
      if time > latest:
        damaged += 1
        continue
      duration = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else nominal
      before = time
      yield time, duration, frame
  most = max(1, MAX_DAMAGED * packets)
  if damaged > most:
    raise BadInput(f'{path}: {damaged} of {packets} pictures are damaged; export it again')
  if back > most:
    raise BadInput(f'{path}: the time stamps of {back} of {packets} pictures go back; export it again')


def nominal_duration(stream: Stream) -> float:
  """Frame duration in s by the track's average rate, for frames that do not state theirs."""
  rate = float(stream.average_rate or 0)
  return 1 / rate if 1 <= rate <= 1000 else 1 / LIP_RATE


def upright_rgb(frame: av.VideoFrame, max_side: int | None = None) -> np.ndarray:
  """A decoded frame -> (H, W, 3) uint8 RGB, upright, with at most `max_side` pixels on its longer side."""
  width, height = frame.width, frame.height
  if max_side and max(width, height) > max_side:
    scale = max_side / max(width, height)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
  pixels = frame.to_ndarray(format='rgb24', width=width, height=height)
  return np.ascontiguousarray(np.rot90(pixels, rotation_of(frame) // 90))


def rotation_of(frame: av.VideoFrame) -> int:
  """Display rotation of a decoded frame, degrees counter-clockwise: 0, 90, 180 or 270."""
  return round((frame.rotation or 0) / 90) * 90 % 360


def too_long(path: str | os.PathLike, seconds: float, limit: float) -> BadInput:
  """The error for a film longer than `limit` s."""
  return BadInput(f'{Path(path)}: {seconds:.1f} s long, the limit is {limit:g} s; give a shorter part of it')


def write_silent_clip(
  path: str | os.PathLike, frames: np.ndarray, fps: int = LIP_RATE, overwrite: bool = False
) -> None:
  """Writes frames (L, H, W, 3) uint8 RGB, H and W even, as an H.264 MP4 without sound.

  Raises BadInput where it exists or cannot be written.
  """
  from dubber_jax.storage.atomic import complete_file

  with complete_file(path, overwrite) as partial, av.open(str(partial), 'w', format='mp4') as film:
    stream = film.add_stream('libx264', rate=fps, options={'crf': '18', 'preset': 'veryfast'})
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = 'yuv420p'
    for picture in frames:
      film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
    film.mux(stream.encode())
