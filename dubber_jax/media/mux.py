"""Muxing: the video of a film, copied without re-encoding where possible, with the dubbed sound."""

import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from dubber_jax.errors import BadInput
from dubber_jax.media.container import (
  MEDIA_ERRORS,
  check_complete,
  check_span,
  choose_track,
  latest_valid_time,
  open_media,
  time_zero,
)
from dubber_jax.media.film import SOUND_RATE
from dubber_jax.media.sound import MAX_SECONDS, pad_or_trim, resample, write_wav
from dubber_jax.media.video import decode_pictures, nominal_duration, rotation_of, upright_rgb
from dubber_jax.storage.atomic import check_output, complete_file

BIT_RATE = {'mono': 128_000, 'stereo': 192_000}  # bits/s of the audio encoder
CHUNK = 1 << 14  # samples in an audio frame passed to the encoder
PICTURE_CLOCK = Fraction(1, 90_000)  # s: time base of encoded video, MPEG's 90 kHz clock, which fits any frame rate
TIME_TOLERANCE = 0.002  # s: rounding of containers with millisecond timestamps


@dataclass(frozen=True)
class ContainerKind:
  """An output container, by ffmpeg's names. `keeps_rotation`: it can store a display rotation."""

  muxer: str
  sound: str  # audio encoder
  pictures: str  # video encoder where the stream cannot be copied
  holds: frozenset[str]  # video codecs that can be copied into it
  keeps_rotation: bool = False


MPEG = frozenset({'mpeg1video', 'mpeg2video'})
MP4 = MPEG | {'h264', 'hevc', 'av1', 'vp9', 'mpeg4'}
WEBM = frozenset({'vp8', 'vp9', 'av1'})
KINDS = {
  '.mp4': ContainerKind('mp4', 'aac', 'libx264', MP4, keeps_rotation=True),
  '.m4v': ContainerKind('mp4', 'aac', 'libx264', MP4, keeps_rotation=True),
  '.mov': ContainerKind('mov', 'aac', 'libx264', (MP4 | {'prores', 'mjpeg', 'dnxhd'}) - {'vp9', 'av1'}, True),
  '.mkv': ContainerKind('matroska', 'libopus', 'libx264', MP4 | WEBM | {'theora', 'prores', 'mjpeg'}, True),
  '.webm': ContainerKind('webm', 'libopus', 'libvpx-vp9', WEBM),  # may not hold H.264
  '.flv': ContainerKind('flv', 'aac', 'libx264', frozenset({'h264', 'flv1', 'vp6f'})),
  '.mpg': ContainerKind('mpeg', 'mp2', 'libx264', MPEG),
  '.mpeg': ContainerKind('mpeg', 'mp2', 'libx264', MPEG),
}
ENCODER_OPTIONS = {
  'libx264': {'crf': '18', 'preset': 'veryfast'},
  'libvpx-vp9': {'crf': '24', 'b': '0', 'deadline': 'realtime', 'cpu-used': '6', 'row-mt': '1'},
}


def write_dubbed(
  source: str | os.PathLike,
  sound: np.ndarray,
  sample_rate: int,
  out: str | os.PathLike,
  overwrite: bool = False,
  start: float | None = None,
  end: float | None = None,
  track: int | None = None,
) -> list[str]:
  """Muxes the video of `source` with `sound` in place of its audio; returns warnings.

  sound: (S,) float32 mono, or (S, 2) stereo, at `sample_rate` Hz; it starts with the video, is resampled to 48 kHz and
  padded with silence or cut to the duration of the video. start, end: the part of the film, in s. The suffix of `out`
  selects the container. The video stream is copied bit for bit where the container holds its codec and the part starts
  on a key frame; else it is re-encoded once, with a warning. A display rotation is kept, or applied where the container
  cannot store one. Other tracks (subtitles, further audio) are dropped, with a warning.

  Raises BadInput where the source cannot be read, the container is unknown, `out` exists (unless `overwrite`), cannot
  be written or the disk is full. No partial file remains then, and an existing `out` is unchanged.
  """
  out = Path(out)
  check_sound(sound)
  check_span(source, start, end)
  kind = container_kind(out)
  check_output(out, overwrite)
  if out.exists() and Path(source).exists() and out.samefile(source):
    raise BadInput(f'{out}: is the film itself; choose another name')
  warnings = []
  with open_media(source) as film:
    pictures = choose_track(film, 'video', source, track)
    warnings += dropped_track_warnings(film, out)
    clip_range = find_range(film, pictures, source, start, end)
  reason = reencoding_reason(source, track, kind, clip_range)
  seconds = clip_range.finish - clip_range.start
  duration = len(sound) / sample_rate
  if abs(duration - seconds) > 0.04:  # one frame at 25 fps
    change = 'cut' if duration > seconds else 'filled up with silence'
    warnings.append(f'the sound lasts {duration:.2f} s, the pictures {seconds:.2f} s: the sound was {change}')
  samples = round(seconds * SOUND_RATE)
  voice = pad_or_trim(resample(sound, sample_rate, SOUND_RATE), samples)
  with complete_file(out, overwrite) as partial:
    if not reason:
      try:
        write_film(source, track, clip_range, voice, partial, kind, copy=True)
      except CannotCopy as error:
        reason = f'{kind.muxer} refused them as they are ({error})'
    if reason:
      write_film(source, track, clip_range, voice, partial, kind, copy=False)
      name = {'libx264': 'H.264', 'libvpx-vp9': 'VP9'}[kind.pictures]
      warnings.append(f'the pictures were encoded again, as {name}: {reason}')
  return warnings


def write_stem(path: str | os.PathLike, wave: np.ndarray, rate: int, overwrite: bool = True) -> None:
  """Writes the dialogue stem (S,) as a 48 kHz 16-bit mono wav. Raises BadInput as write_wav does."""
  write_wav(path, resample(wave, rate, SOUND_RATE), SOUND_RATE, overwrite)


def container_kind(out: str | os.PathLike) -> ContainerKind:
  """The container of a file name's suffix. Raises BadInput for an unknown one."""
  suffix = Path(out).suffix.lower()
  if suffix not in KINDS:
    raise BadInput(f'{out}: cannot write a film of kind {suffix or "(no suffix)"!r}; name it {", ".join(KINDS)}')
  return KINDS[suffix]


def check_sound(sound: np.ndarray) -> None:
  """Raises ValueError unless the sound is (S,) or (S, 2) of finite numbers."""
  if np.shape(sound)[1:] not in ((), (2,)) or not np.isfinite(sound).all():
    raise ValueError(f'the sound has to be (S,) or (S, 2) of finite numbers, not {np.shape(sound)}')


def dropped_track_warnings(film: InputContainer, out: Path) -> list[str]:
  """Warnings that count the tracks which are not copied into the dubbed film."""
  counts = {'subtitle': len(film.streams.subtitles), 'further sound': max(0, len(film.streams.audio) - 1)}
  return [
    f'{count} {kind} track{"s" * (count > 1)} of the film left out of {out.name}'
    for kind, count in counts.items()
    if count
  ]


@dataclass(frozen=True)
class ClipRange:
  """The part of the film to write: s from its first frame; the video packets `first` to `last` if it can be copied."""

  start: float
  finish: float
  first: int = 0
  last: int = 0  # one past the last
  why_not_copied: str = ''


def find_range(
  film: InputContainer, pictures: VideoStream, source: str | os.PathLike, start: float | None, end: float | None
) -> ClipRange:
  """Finds the packet range of the part by demuxing the whole track; decodes only where packets lack timestamps."""
  zero, nominal = time_zero(film), nominal_duration(pictures)
  times, keys, finish, untimed = [], [], 0.0, False
  for packet in film.demux(pictures):
    if not packet.size:
      continue
    if packet.pts is None:
      untimed = True
      break
    times.append(float(packet.pts * packet.time_base) - zero)
    keys.append(packet.is_keyframe)
    finish = max(finish, times[-1] + (float(packet.duration * packet.time_base) if packet.duration else nominal))
  if untimed:
    with open_media(source) as again:
      for time, duration, _ in decode_pictures(again, again.streams[pictures.index], source):
        times.append(time)
        keys.append(False)
        finish = time + duration
  if not times:
    raise BadInput(f'{source}: holds no pictures; export it again')
  check_complete(film, pictures, finish, source)
  if finish > latest_valid_time(film, pictures) + nominal:
    raise BadInput(f'{source}: its pictures have damaged time stamps, up to {finish:.0f} s; export it again')
  start = start or 0.0
  if start >= finish or (end is not None and end > finish + 0.5):
    raise BadInput(
      f'{source}: the part {start:.2f} s to {finish if end is None else end:.2f} s does not lie within '
      f'the film of {finish:.2f} s; correct the times'
    )
  if finish - start > MAX_SECONDS:
    raise BadInput(f'{source}: its pictures last {finish - start:.0f} s; give a film of at most {MAX_SECONDS} s')
  finish = min(finish, end) if end is not None else finish
  times = np.array(times)
  first, last, why = 0, len(times), 'some of them have no time stamp' if untimed else ''
  if start > 0:
    found = [
      i
      for i in np.flatnonzero(np.abs(times - start) < TIME_TOLERANCE)
      if keys[i] and (times[i:] > start - TIME_TOLERANCE).all()
    ]
    first, why = (int(found[0]), why) if found else (0, f'no key frame stands at {start:.3f} s')
  late = np.flatnonzero(times[first:] >= finish - TIME_TOLERANCE)
  if len(late):
    last = first + int(late[0])
    if (times[last:] < finish - TIME_TOLERANCE).any():
      why = why or f'the pictures around {finish:.3f} s depend on each other'
  return ClipRange(start, finish, first, last, why)


def reencoding_reason(source: str | os.PathLike, track: int | None, kind: ContainerKind, clip_range: ClipRange) -> str:
  """Why the video has to be re-encoded; '' where it can be copied."""
  with open_media(source) as film:
    pictures = choose_track(film, 'video', source, track)
    codec = pictures.codec_context.codec.canonical_name
    if codec not in kind.holds:
      return f'{codec} does not go into {kind.muxer} as it is'
    if clip_range.why_not_copied:
      return clip_range.why_not_copied
    _, _, first = next(decode_pictures(film, pictures, source))
    if rotation_of(first) and not kind.keeps_rotation:
      return f'{kind.muxer} cannot say that they are to be turned'
    return ''


class CannotCopy(Exception):
  """The muxer refused the copied video stream, for example one without timestamps."""


class OutputFile:
  """File object for ffmpeg that keeps the first OSError: given a path, ffmpeg may not report a full disk."""

  def __init__(self, file: BinaryIO):
    self.file, self.error = file, None

  def write(self, data: bytes) -> int:
    return self.attempt(self.file.write, data)

  def seek(self, offset: int, whence: int = 0) -> int:
    return self.attempt(self.file.seek, offset, whence)

  def tell(self) -> int:
    return self.file.tell()

  def attempt(self, action: Callable, *arguments) -> int:
    try:
      return action(*arguments)
    except OSError as error:
      self.error = self.error or error
      raise


def write_film(
  source: str | os.PathLike,
  track: int | None,
  clip_range: ClipRange,
  voice: np.ndarray,
  partial: Path,
  kind: ContainerKind,
  copy: bool,
) -> None:
  """Muxes video and voice (S,) or (S, 2) at SOUND_RATE into the path `partial`. Raises CannotCopy, BadInput."""
  with open_media(source) as film, open(partial, 'wb', buffering=0) as file:
    pictures = choose_track(film, 'video', source, track)
    output = OutputFile(file)
    try:
      with av.open(output, 'w', format=kind.muxer) as dubbed:
        dubbed.metadata.update({k: v for k, v in film.metadata.items() if k in ('title', 'artist', 'date', 'comment')})
        if copy:
          packets = copied_packets(film, pictures, dubbed.add_stream_from_template(pictures, opaque=True), clip_range)
        else:
          packets = encoded_packets(film, pictures, dubbed, kind, source, clip_range)
        layout = channel_layout(voice)
        sound = dubbed.add_stream(kind.sound, rate=SOUND_RATE, layout=layout, bit_rate=BIT_RATE[layout])
        for packet in interleave(packets, sound_packets(voice, sound)):
          dubbed.mux(packet)
    except BadInput:
      raise
    except MEDIA_ERRORS as error:
      if output.error is not None:
        raise BadInput(
          f'{partial.parent}: cannot be written ({output.error.strerror}); free some space or choose another place'
        ) from output.error
      if copy:
        raise CannotCopy(getattr(error, 'strerror', None) or str(error)) from error
      raise


def copied_packets(film: InputContainer, pictures: VideoStream, stream: VideoStream, clip_range: ClipRange) -> Iterator:
  """The video packets of the part, unchanged, with timestamps relative to its start."""
  packets = (p for p in film.demux(pictures) if p.size)
  before = None
  for index, packet in enumerate(packets):
    if index >= clip_range.last:
      return
    if index >= clip_range.first:
      shift = round((clip_range.start + time_zero(film)) / packet.time_base)
      packet.pts = packet.pts - shift if packet.pts is not None else None
      packet.dts = packet.dts - shift if packet.dts is not None else None
      if before is not None and packet.dts == before < packet.pts:
        packet.dts += 1  # ffmpeg estimates some DTS of MPEG files, and muxers refuse equal ones
      before = packet.dts
      packet.stream = stream
      yield packet


def encoded_packets(
  film: InputContainer,
  pictures: VideoStream,
  dubbed: OutputContainer,
  kind: ContainerKind,
  source: str | os.PathLike,
  clip_range: ClipRange,
) -> Iterator:
  """Packets of the re-encoded video of the part, upright, at the original times. Adds the output stream at once."""
  shown = decode_pictures(film, pictures, source, clip_range.start)
  first = next(shown)
  turned = rotation_of(first[2])
  width, height = (first[2].height, first[2].width) if turned % 180 else (first[2].width, first[2].height)
  width, height = max(2, width // 2 * 2), max(2, height // 2 * 2)  # 4:2:0 requires even sides
  stream = dubbed.add_stream(
    kind.pictures,
    rate=frame_rate(pictures),
    width=width,
    height=height,
    pix_fmt='yuv420p',
    options=ENCODER_OPTIONS[kind.pictures],
  )
  stream.codec_context.time_base = PICTURE_CLOCK
  ratio = pictures.codec_context.sample_aspect_ratio
  if ratio:
    stream.codec_context.sample_aspect_ratio = 1 / ratio if turned % 180 else ratio

  def encode(time: float, until: float, frame) -> Iterable:
    if turned:
      frame = av.VideoFrame.from_ndarray(upright_rgb(frame), format='rgb24')
    frame = frame.reformat(width=width, height=height, format='yuv420p')
    frame.pict_type = av.video.frame.PictureType.NONE  # chosen by the encoder, not taken from the source
    frame.time_base = PICTURE_CLOCK
    frame.pts = round(time / PICTURE_CLOCK)
    frame.duration = round(until / PICTURE_CLOCK) - frame.pts
    return stream.encode(frame)

  def packets() -> Iterator:
    held = first  # the frame on screen at the start of the part precedes it
    for following in shown:
      if following[0] >= clip_range.finish - TIME_TOLERANCE:
        break
      if following[0] > clip_range.start + TIME_TOLERANCE:
        yield from encode(max(0.0, held[0] - clip_range.start), following[0] - clip_range.start, held[2])
      held = following
    yield from encode(max(0.0, held[0] - clip_range.start), clip_range.finish - clip_range.start, held[2])
    yield from stream.encode(None)

  return packets()


def sound_packets(voice: np.ndarray, stream: AudioStream) -> Iterator:
  """Encoded audio packets of (S,) or (S, 2) at SOUND_RATE."""
  samples = np.round(np.clip(voice, -1, 1) * 32767).astype(np.int16)
  for begin in range(0, len(samples), CHUNK):
    packed = samples[begin : begin + CHUNK].reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, format='s16', layout=channel_layout(voice))
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, begin, Fraction(1, SOUND_RATE)
    yield from stream.encode(frame)
  yield from stream.encode(None)


def channel_layout(wave: np.ndarray) -> str:
  return 'mono' if wave.ndim == 1 else 'stereo'


def interleave(*packets: Iterable) -> Iterator:
  """Interleaves the packets of several streams by DTS, so that the muxer buffers little."""
  return heapq.merge(*packets, key=lambda p: float(p.dts * p.time_base) if p.dts is not None else -1e9)


def frame_rate(pictures: VideoStream) -> Fraction:
  """Average frame rate in Hz of a video track; 25 where it is unknown or implausible."""
  rate = Fraction(pictures.average_rate or 25)
  return rate if 1 <= rate <= 240 else Fraction(25)
