"""Muxing: the video of a film, copied without re-encoding where possible, with the dubbed sound."""

import heapq
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from dubber_jax.errors import BadInput
from dubber_jax.media.clock import timed_packets
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
from dubber_jax.media.mux_options import REPLACE, MuxOptions
from dubber_jax.media.remux import (
  COVERS,
  KINDS,
  LANGUAGES,
  QUICKTIME_LANGUAGES,
  ContainerKind,
  ConvertedSubtitles,
  CopiedTrack,
  FilmScan,
  can_convert,
  is_cover,
  is_steady,
  left_out,
  left_out_warnings,
  needs_key_list,
  open_subtitles,
  read_back_warnings,
  scan_film,
  shifted_chapters,
  tags_of,
  written_tags,
)
from dubber_jax.media.sound import MAX_SECONDS, resample
from dubber_jax.media.video import decode_pictures, rotation_of, upright_rgb
from dubber_jax.storage.atomic import check_output, complete_file

BIT_RATE = {1: 128_000, 2: 192_000, 6: 448_000, 8: 576_000}  # bits/s of the audio encoder, by channels
LAYOUTS = {1: 'mono', 2: 'stereo', 6: '5.1', 8: '7.1'}
CHUNK = 1 << 14  # samples in an audio frame passed to the encoder
PICTURE_CLOCK = Fraction(1, 90_000)  # s: time base of encoded video, MPEG's 90 kHz clock, which fits any frame rate
TIME_TOLERANCE = 0.002  # s: rounding of containers with millisecond timestamps
ENCODER_OPTIONS = {
  'libx264': {'crf': '18', 'preset': 'veryfast'},
  'libvpx-vp9': {'crf': '24', 'b': '0', 'deadline': 'realtime', 'cpu-used': '6', 'row-mt': '1'},
  # In less than half the time of its default, and at these bit rates with 3 to 18 dB less quantization noise.
  'aac': {'aac_coder': 'fast'},
}
Sound = np.ndarray | Iterable[np.ndarray]


def write_dubbed(
  source: str | os.PathLike,
  sound: Sound,
  sample_rate: int,
  out: str | os.PathLike,
  overwrite: bool = False,
  start: float | None = None,
  end: float | None = None,
  options: MuxOptions | None = None,
) -> list[str]:
  """Muxes the film `source` with `sound` as its first sound track; returns warnings.

  sound: (S,) float32 mono or (S, C) at `sample_rate` Hz, C 1, 2, 6 (5.1) or 8 (7.1); or an iterable of such blocks
  (S, C) at 48 kHz, of which one is in memory at a time. It starts with the film, is resampled to 48 kHz and padded with
  silence or cut to the duration of the video. start, end: the part of the film, in s. The suffix of `out` selects the
  container.

  The video stream is copied bit for bit where the container holds its codec and the part starts on a key frame; else it
  is re-encoded once, with a warning. A display rotation is kept, or applied where the container cannot store one. All
  other tracks, chapters, attachments and tags stay (see MuxOptions); what the container cannot hold is left out, with
  one warning a kind.

  Raises BadInput where the source cannot be read, the container is unknown, `out` exists (unless `overwrite`), cannot
  be written or the disk is full. No partial file remains then, and an existing `out` is unchanged.
  """
  out, options = Path(out), options or MuxOptions()
  check_span(source, start, end)
  kind = container_kind(out)
  check_output(out, overwrite)
  if out.exists() and Path(source).exists() and out.samefile(source):
    raise BadInput(f'{out}: is the film itself; choose another name')
  voice = SoundTrack(sound, sample_rate)
  with open_media(source) as film:
    scan = scan_film(film, source, kind, options.audio_track)
    clip_range = find_range(film, scan, source, start, end)
  plan = MuxPlan(source, kind, options, scan, clip_range)
  reason = reencoding_reason(plan)
  with complete_file(out, overwrite) as partial:
    warnings = write_film(plan, voice, partial, out, copy=not reason)
  if reason:
    name = {'libx264': 'H.264', 'libvpx-vp9': 'VP9'}[kind.pictures]
    warnings.insert(0, f'the pictures were encoded again, as {name}: {reason}')
  seconds = clip_range.finish - clip_range.start
  if abs(voice.seconds - seconds) > 0.04:  # one frame at 25 fps
    change = 'cut' if voice.seconds > seconds else 'filled up with silence'
    warnings.insert(0, f'the sound lasts {voice.seconds:.2f} s, the pictures {seconds:.2f} s: the sound was {change}')
  return warnings


class SoundTrack:
  """The sound to be muxed: blocks (S, C) at SOUND_RATE, read once. `seconds`: how much was given, when it was read."""

  def __init__(self, sound: Sound, sample_rate: int):
    if isinstance(sound, np.ndarray):
      check_sound(sound)
      sound = [resample(sound, sample_rate, SOUND_RATE)]
    elif sample_rate != SOUND_RATE:
      raise ValueError(f'blocks of sound have to be at {SOUND_RATE} Hz, not {sample_rate}')
    blocks = iter(sound)
    first = next(blocks, np.zeros((0, 1), np.float32))
    check_sound(first)
    self.channels, self.seconds = 1 if first.ndim == 1 else first.shape[1], 0.0
    self.blocks = itertools.chain([first], blocks)

  def fitted(self, samples: int) -> Iterator[np.ndarray]:
    """Blocks (S, C), in all cut or filled up with silence to so many samples."""
    given = 0
    for block in self.blocks:
      check_sound(block)
      kept = block[: max(0, samples - given)].reshape(-1, self.channels)
      given += len(block)
      yield from (kept[i : i + CHUNK] for i in range(0, len(kept), CHUNK))
    self.seconds = given / SOUND_RATE
    for begin in range(given, samples, CHUNK):
      yield np.zeros((min(CHUNK, samples - begin), self.channels), np.float32)


def container_kind(out: str | os.PathLike) -> ContainerKind:
  """The container of a file name's suffix. Raises BadInput for an unknown one."""
  suffix = Path(out).suffix.lower()
  if suffix not in KINDS:
    raise BadInput(f'{out}: cannot write a film of kind {suffix or "(no suffix)"!r}; name it {", ".join(KINDS)}')
  return KINDS[suffix]


def check_sound(sound: np.ndarray) -> None:
  """Raises ValueError unless the sound is (S,) or (S, C) of finite numbers."""
  if np.shape(sound)[1:] not in ((), *((channels,) for channels in LAYOUTS)) or not np.isfinite(sound).all():
    raise ValueError(f'the sound has to be (S,) or (S, C) of finite numbers, C {list(LAYOUTS)}, not {np.shape(sound)}')


@dataclass(frozen=True)
class ClipRange:
  """The part of the film to write: s from its first frame; the video packets `first` to `last` if it can be copied."""

  start: float
  finish: float
  first: int = 0
  last: int = 0  # one past the last
  why_not_copied: str = ''
  whole: bool = True


def find_range(
  film: InputContainer, scan: FilmScan, source: str | os.PathLike, start: float | None, end: float | None
) -> ClipRange:
  """Finds the packet range of the part in the scanned times; decodes only where packets lack timestamps."""
  times, keys, finish = scan.times, scan.keys, scan.finish
  pictures = film.streams[scan.pictures]
  if scan.untimed:
    decoded = []
    with open_media(source) as again:
      for time, duration, _ in decode_pictures(again, again.streams[scan.pictures], source):
        decoded.append(time)
        finish = time + duration
    times, keys = np.array(decoded), np.zeros(len(decoded), bool)
  if not len(times):
    raise BadInput(f'{source}: holds no pictures; export it again')
  check_complete(film, pictures, finish, source)
  if finish > latest_valid_time(film, pictures) + 1:
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
  first, last, why = 0, len(times), 'some of them have no time stamp' if scan.untimed else ''
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
  whole = start == 0 and end is None
  return ClipRange(start, finish, first, last, why, whole)


@dataclass(frozen=True)
class MuxPlan:
  """What is muxed: of which film, into which container, with what was found in the film."""

  source: str | os.PathLike
  kind: ContainerKind
  options: MuxOptions
  scan: FilmScan
  clip_range: ClipRange


def reencoding_reason(plan: MuxPlan) -> str:
  """Why the video has to be re-encoded; '' where it can be copied."""
  if plan.scan.pictures in plan.scan.refused:
    return plan.scan.refused[plan.scan.pictures]
  if plan.clip_range.why_not_copied:
    return plan.clip_range.why_not_copied
  if plan.scan.hidden and not plan.kind.hides:
    return f'{plan.kind.muxer} cannot hide those that an edit list leaves out'
  if plan.kind.keeps_rotation:
    return ''
  with open_media(plan.source) as film:
    _, _, first = next(decode_pictures(film, film.streams[plan.scan.pictures], plan.source))
    return f'{plan.kind.muxer} cannot say that they are to be turned' if rotation_of(first) else ''


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


def write_film(plan: MuxPlan, voice: SoundTrack, partial: Path, out: Path, copy: bool) -> list[str]:
  """Muxes a film into the path `partial`, its pictures copied or encoded again; returns warnings about `out`."""
  kind, scan = plan.kind, plan.scan
  with open_media(plan.source) as film, open(partial, 'wb', buffering=0) as file:
    output = OutputFile(file)
    tags = tags_of(film.metadata)
    if not plan.clip_range.whole or 'timecode' in film.streams[scan.pictures].metadata:
      tags.pop('timecode', None)  # of another moment, or that of the track
    key_list = kind.muxer in ('mp4', 'mov') and needs_key_list(tags) and not scan.covers
    movflags = {'movflags': 'use_metadata_tags'} if key_list else {}
    try:
      with av.open(output, 'w', format=kind.muxer, container_options=movflags) as dubbed:
        dubbed.metadata.update(tags)
        chapters = shifted_chapters(film, plan.clip_range.start, plan.clip_range.finish)
        if chapters:
          dubbed.set_chapters(chapters)
        writer = TrackWriter(plan, film, dubbed, voice, copy)
        for packet in writer.packets():
          dubbed.mux(packet)
    except BadInput:
      raise
    except MEDIA_ERRORS:
      if output.error is not None:
        raise BadInput(
          f'{partial.parent}: cannot be written ({output.error.strerror}); free some space or choose another place'
        ) from output.error
      raise
    lacking = left_out(film, scan, kind, {index for index, _ in writer.pairs} | writer.taken)
    return [
      *writer.warnings,
      *left_out_warnings(lacking, out),
      *read_back_warnings(film, partial, out, writer.pairs, len(chapters)),
    ]


class TrackWriter:
  """Adds the tracks of a dubbed film to its container, and gives their packets in order.

  pairs: (index in the film, index in the dubbed one) of the tracks that stay; taken: others that are not missed.
  """

  def __init__(self, plan: MuxPlan, film: InputContainer, dubbed: OutputContainer, voice: SoundTrack, copy: bool):
    self.plan, self.film, self.dubbed, self.copy = plan, film, dubbed, copy
    self.pairs: list[tuple[int, int]] = []
    self.taken: set[int] = set()
    self.warnings: list[str] = []
    self.kept: dict[int, CopiedTrack | ConvertedSubtitles] = {}
    self.at_once: list[Packet] = []
    self.others: list[Iterator[Packet]] = []
    clip_range, scan = plan.clip_range, plan.scan
    language = LANGUAGES.get(plan.options.language, plan.options.language)
    self.language = QUICKTIME_LANGUAGES.get(language, language) if plan.kind.muxer == 'mov' else language
    self.shift = time_zero(film) + clip_range.start
    self.length = None if clip_range.whole else clip_range.finish - clip_range.start
    pictures = film.streams[scan.pictures]
    if copy:
      self.add_copy(pictures)
      if is_steady(scan.times, pictures.average_rate):
        self.kept[scan.pictures].out.codec_context.framerate = pictures.average_rate
    else:
      encoded = encoded_packets(plan, dubbed)
      self.warnings += next(encoded)
      self.others.append(encoded)
      self.pairs.append((scan.pictures, len(dubbed.streams) - 1))
    for stream in film.streams.video:
      if stream.index != scan.pictures and not is_cover(stream):
        self.add_copy(stream)
    self.add_dub(voice)
    self.add_sounds()
    for path in plan.options.subtitles:
      self.add_subtitles(path)
    for stream in film.streams.subtitles:
      self.add_copy(stream)
    for stream in film.streams.data:
      self.add_copy(stream)
    self.add_attachments()

  def add_copy(self, stream: Stream) -> None:
    """Copies a track, converts it where it is text that the container holds otherwise, or leaves it out."""
    scan, kind = self.plan.scan, self.plan.kind
    if stream.index in scan.redundant:
      return
    if stream.index not in scan.refused:
      self.kept[stream.index] = CopiedTrack(stream, self.dubbed, self.shift, self.length)
    elif can_convert(stream, kind):
      self.kept[stream.index] = ConvertedSubtitles(stream, self.dubbed, kind.text, self.shift, self.length)
      if stream.codec_context.name in ('ass', 'ssa'):
        self.warnings.append(
          f'the subtitles in {stream.codec_context.name} become {kind.text}, which has few of their styles'
        )
    else:
      return
    self.pairs.append((stream.index, len(self.dubbed.streams) - 1))

  def add_dub(self, voice: SoundTrack) -> None:
    """Adds the dub's own track, the default one."""
    plan = self.plan
    seconds = plan.clip_range.finish - plan.clip_range.start
    channels = voice.channels
    if plan.kind.sound == 'mp2' and channels > 2:
      channels = 2
      self.warnings.append(f'{plan.kind.muxer} holds two channels: the {voice.channels} of the sound were mixed down')
    stream: Any = self.dubbed.add_stream(
      plan.kind.sound,
      rate=SOUND_RATE,
      layout=LAYOUTS[channels],
      bit_rate=BIT_RATE[channels],
      options=ENCODER_OPTIONS.get(plan.kind.sound),
    )
    stream.metadata.update({'language': self.language, 'title': plan.options.title})
    stream.disposition = Disposition.default
    self.others.append(sound_packets(voice.fitted(round(seconds * SOUND_RATE)), stream, LAYOUTS[voice.channels]))

  def add_sounds(self) -> None:
    """The film's own sound tracks follow, none of them the default."""
    replaced = self.plan.scan.sound if self.plan.options.tracks == REPLACE else None
    room = self.plan.kind.sounds - 1
    for stream in self.film.streams.audio:
      if stream.index == replaced:
        self.taken.add(stream.index)
      elif room > 0:
        self.add_copy(stream)
        if stream.index in self.kept:
          self.kept[stream.index].out.disposition = stream.disposition & ~Disposition.default
          room -= 1

  def add_subtitles(self, path: Path) -> None:
    """Adds an SRT file of the dub as a text track."""
    kind, options = self.plan.kind, self.plan.options
    if not kind.text:
      self.warnings.append(f'{kind.muxer} holds no subtitles: {path.name} was left out')
      return
    container = open_subtitles(path)
    stream = container.streams.subtitles[0]
    shift = self.plan.clip_range.start
    if kind.text == 'subrip':
      track = CopiedTrack(stream, self.dubbed, shift, self.length)
    else:
      track = ConvertedSubtitles(stream, self.dubbed, kind.text, shift, self.length)
    track.out.metadata.update({'language': self.language, 'title': options.title})
    track.out.disposition = Disposition(0)
    self.others.append(kept_packets(container.demux(stream), {stream.index: track}))

  def add_attachments(self) -> None:
    """Adds fonts and other attachments, and cover pictures."""
    plan = self.plan
    for stream in self.film.streams.attachments if plan.kind.attachments else ():
      if stream.data:
        added = self.dubbed.add_attachment(
          stream.name or 'attachment', stream.mimetype or 'application/octet-stream', stream.data
        )
        added.metadata.update({k: v for k, v in stream.metadata.items() if k not in added.metadata})
        self.pairs.append((stream.index, len(self.dubbed.streams) - 1))
    for index, data in plan.scan.covers.items() if plan.kind.cover else ():
      stream = self.film.streams[index]
      suffix, mime = COVERS.get(stream.codec_context.name, ('', ''))
      if not suffix:
        continue
      if plan.kind.attachments:
        name = stream.metadata.get('filename', f'cover{"" if len(plan.scan.covers) == 1 else f"_{index}"}.{suffix}')
        self.dubbed.add_attachment(name, stream.metadata.get('mimetype', mime), data)
      else:
        added = self.dubbed.add_stream_from_template(stream, opaque=True)
        added.disposition = Disposition.attached_pic
        packet = Packet(data)
        packet.stream, packet.pts, packet.dts, packet.time_base, packet.is_keyframe = (
          added,
          0,
          0,
          Fraction(1, 90_000),
          True,
        )
        self.at_once.append(packet)
      self.taken.add(index)

  def packets(self) -> Iterator[Packet]:
    """All packets of the dubbed film, by their decoding times."""
    clip_range, pictures = self.plan.clip_range, self.plan.scan.pictures
    streams = [self.film.streams[index] for index in self.kept]
    found = timed_packets(self.film, self.plan.source, *streams) if streams else iter(())
    found = pictures_between(found, pictures, clip_range.first, clip_range.last)
    yield from self.at_once
    yield from interleave(kept_packets(found, self.kept), *self.others)


def kept_packets(packets: Iterable[Packet], kept: dict) -> Iterator[Packet]:
  """The packets of the tracks by index, as they are to be muxed."""
  for packet in packets:
    if packet.size:
      yield from kept[packet.stream.index].packets(packet)


def pictures_between(packets: Iterable[Packet], pictures: int, first: int, last: int) -> Iterator[Packet]:
  """All packets but those of the track `pictures` before its number `first` and from `last` on."""
  number = -1
  for packet in packets:
    if packet.stream.index == pictures and packet.size:
      number += 1
      if not first <= number < last:
        continue
    yield packet


def encoded_packets(plan: MuxPlan, dubbed: OutputContainer) -> Iterator:
  """Packets of the re-encoded video of the part, upright, at the original times. Yields warnings first, when it has
  added the output stream. The film is opened a second time for them."""
  with open_media(plan.source) as film:
    yield from encode_pictures(plan, film, choose_track(film, 'video', plan.source), dubbed)


def encode_pictures(plan: MuxPlan, film: InputContainer, pictures: VideoStream, dubbed: OutputContainer) -> Iterator:
  """As `encoded_packets`, of an open film. Colors, bit depth and fields are marked as in the film."""
  clip_range, kind, given = plan.clip_range, plan.kind, pictures.codec_context
  shown = decode_pictures(film, pictures, plan.source, clip_range.start)
  first = next(shown)
  turned = rotation_of(first[2])
  width, height = (first[2].height, first[2].width) if turned % 180 else (first[2].width, first[2].height)
  ratio = given.sample_aspect_ratio or Fraction(1)
  ratio = 1 / ratio if turned % 180 else ratio
  if kind.muxer == 'webm':  # PyAV cannot set the shape of the pixels there
    width, ratio = round(width * ratio), Fraction(1)
  size = f'{width}x{height}'
  width, height = max(2, width // 2 * 2), max(2, height // 2 * 2)  # 4:2:0 requires even sides
  shrunk = size != f'{width}x{height}'
  deep = not turned and kind.pictures == 'libx264' and max(c.bits for c in first[2].format.components) > 8
  form = 'yuv420p10le' if deep else 'yuv420p'
  stream: Any = dubbed.add_stream(
    kind.pictures,
    rate=frame_rate(pictures),
    width=width,
    height=height,
    pix_fmt=form,
    options=ENCODER_OPTIONS[kind.pictures],
  )
  stream.metadata.update(
    {k: v for k, v in written_tags(pictures, dubbed).items() if k != 'timecode' or clip_range.whole}
  )
  stream.disposition = pictures.disposition
  context = stream.codec_context
  context.time_base = PICTURE_CLOCK
  if not turned:  # turned ones pass through RGB
    context.color_primaries, context.color_trc = given.color_primaries, given.color_trc
    context.colorspace = given.colorspace
  if first[2].interlaced_frame and not turned and kind.pictures == 'libx264':
    context.options = {**ENCODER_OPTIONS[kind.pictures], 'flags': '+ildct+ilme'}
  context.sample_aspect_ratio = ratio
  yield [f'the pictures of {size} were shrunk to {width}x{height}: the encoder takes even sizes'] if shrunk else []

  def encode(time: float, until: float, frame) -> Iterable:
    if turned:
      frame = av.VideoFrame.from_ndarray(upright_rgb(frame), format='rgb24')
    frame = frame.reformat(width=width, height=height, format=form)
    frame.pict_type = av.video.frame.PictureType.NONE  # chosen by the encoder, not taken from the source
    frame.time_base = PICTURE_CLOCK
    frame.pts = round(time / PICTURE_CLOCK)
    frame.duration = round(until / PICTURE_CLOCK) - frame.pts
    return stream.encode(frame)

  held = first  # the frame on screen at the start of the part precedes it
  for following in shown:
    if following[0] >= clip_range.finish - TIME_TOLERANCE:
      break
    if following[0] > clip_range.start + TIME_TOLERANCE:
      yield from encode(max(0.0, held[0] - clip_range.start), following[0] - clip_range.start, held[2])
    held = following
  yield from encode(max(0.0, held[0] - clip_range.start), clip_range.finish - clip_range.start, held[2])
  yield from stream.encode(None)


def sound_packets(blocks: Iterable[np.ndarray], stream: AudioStream, layout: str) -> Iterator[Packet]:
  """Encoded audio packets of blocks (S, C) at SOUND_RATE, of a channel layout that the encoder's may mix down."""
  begin = 0
  for block in blocks:
    samples = np.round(np.clip(block, -1, 1) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format='s16', layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, begin, Fraction(1, SOUND_RATE)
    begin += len(block)
    yield from stream.encode(frame)
  yield from stream.encode(None)


def interleave(*packets: Iterable) -> Iterator:
  """Interleaves the packets of several streams by DTS, so that the muxer buffers little."""

  def when(packet: Packet) -> float:
    time = packet.dts if packet.dts is not None else packet.pts
    return time * float(packet.time_base) if time is not None else -1e9  # fractions are slow

  return heapq.merge(*packets, key=when)


def frame_rate(pictures: VideoStream) -> Fraction:
  """Average frame rate in Hz of a video track; 25 where it is unknown or implausible."""
  rate = Fraction(pictures.average_rate or 25)
  return rate if 1 <= rate <= 240 else Fraction(25)
