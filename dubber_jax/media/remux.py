"""The film's own tracks, chapters and tags in a dubbed film: copied, converted, or told of where they cannot be held.

What a container holds is found by trying: each track is muxed alone into nothing while the film is scanned. What it
stored of tags and chapters is found by reading it back.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.subtitles.subtitle import SubtitleSet

from dubber_jax.errors import BadInput
from dubber_jax.media.clock import timed_packets
from dubber_jax.media.container import ATTACHED_PICTURE, MEDIA_ERRORS, choose_track, open_media, time_zero, tracks

MILLISECOND = Fraction(1, 1000)
MPEG = frozenset({'mpeg1video', 'mpeg2video'})
MP4 = MPEG | {'h264', 'hevc', 'vvc', 'av1', 'vp9', 'mpeg4'}  # the muxer takes more, which players do not
MOV = (MP4 - {'av1', 'vp9'}) | {
  'prores',
  'mjpeg',
  'dnxhd',
  'qtrle',
  'rawvideo',
  'cfhd',
  'hap',
  'dvvideo',
  'v210',
  'png',
}


@dataclass(frozen=True)
class ContainerKind:
  """An output container, by ffmpeg's names.

  pictures: video encoder where the stream cannot be copied; holds: video codecs that are copied into it (None: what the
  muxer takes); keeps_rotation: it can store a display rotation; hides: it can store an edit list, which hides pictures;
  sounds: how many sound tracks it can have; text: the codec of text subtitles ('' for none); subtitles: codecs of
  subtitles that are copied into it (None: what the muxer takes); attachments, cover: whether it can have them.
  """

  muxer: str
  sound: str
  pictures: str
  holds: frozenset[str] | None = None
  keeps_rotation: bool = False
  hides: bool = False
  sounds: int = 100
  text: str = ''
  subtitles: frozenset[str] | None = None
  attachments: bool = False
  cover: bool = False


KINDS = {
  '.mp4': ContainerKind('mp4', 'aac', 'libx264', MP4, keeps_rotation=True, hides=True, text='mov_text', cover=True),
  '.m4v': ContainerKind('mp4', 'aac', 'libx264', MP4, keeps_rotation=True, hides=True, text='mov_text', cover=True),
  '.mov': ContainerKind('mov', 'aac', 'libx264', MOV, keeps_rotation=True, hides=True, text='mov_text'),
  '.mkv': ContainerKind(
    'matroska', 'libopus', 'libx264', keeps_rotation=True, text='subrip', attachments=True, cover=True
  ),
  '.webm': ContainerKind('webm', 'libopus', 'libvpx-vp9', frozenset({'vp8', 'vp9', 'av1'}), text='webvtt'),
  '.flv': ContainerKind('flv', 'aac', 'libx264', frozenset({'h264', 'flv1', 'vp6f'}), sounds=1),
  '.mpg': ContainerKind('mpeg', 'mp2', 'libx264', MPEG, subtitles=frozenset({'dvd_subtitle'})),
  '.mpeg': ContainerKind('mpeg', 'mp2', 'libx264', MPEG, subtitles=frozenset({'dvd_subtitle'})),
}
# Tags that a muxer writes itself, or that describe the file they came from.
TECHNICAL = {
  *('major_brand', 'minor_version', 'compatible_brands', 'encoder', 'duration', 'vendor_id', 'bps', 'source_id'),
  *('number_of_frames', 'number_of_bytes', '_statistics_writing_app', '_statistics_writing_date_utc', 'filesize'),
  *(
    '_statistics_tags',
    'variant_bitrate',
    'filename',
    'mimetype',
    'metadatacreator',
    'hasvideo',
    'hasaudio',
    'cuepoints',
  ),
  *('videocodecid', 'audiocodecid', 'audiosamplerate', 'audiosamplesize', 'canseektoend', 'hasmetadata', 'stereo'),
  *('width', 'height', 'framerate', 'videodatarate', 'audiodatarate', 'lasttimestamp', 'lastkeyframetimestamp'),
}
HANDLERS = {
  'VideoHandler',
  'SoundHandler',
  'SubtitleHandler',
  'DataHandler',
  'TimeCodeHandler',
  'GPAC ISO Video Handler',
}
# Tags of a whole film that MP4 has places of its own for; others go into a list of keys, which has none for a cover.
MP4_TAGS = {
  *('title', 'artist', 'album_artist', 'composer', 'album', 'date', 'comment', 'genre', 'copyright', 'grouping'),
  *('lyrics', 'description', 'synopsis', 'show', 'episode_id', 'network', 'keywords', 'episode_sort', 'media_type'),
  *('season_number', 'hd_video', 'gapless_playback', 'compilation', 'track', 'disc', 'timecode', 'creation_time'),
}
COVERS = {'mjpeg': ('jpg', 'image/jpeg'), 'png': ('png', 'image/png'), 'bmp': ('bmp', 'image/bmp')}
# ISO 639: the two-letter code, or another three-letter one, and the code that MP4 and Matroska are given.
LANGUAGES: dict[str, str] = {
  given: written
  for given, written in (
    pair.split(':')
    for pair in (
      'en:eng fr:fra de:deu es:spa it:ita pt:por nl:nld sv:swe no:nor da:dan fi:fin pl:pol cs:ces sk:slk hu:hun '
      'ro:ron bg:bul el:ell tr:tur ru:rus uk:ukr ar:ara he:heb fa:fas hi:hin bn:ben ta:tam te:tel th:tha vi:vie '
      'id:ind ms:msa zh:zho ja:jpn ko:kor fre:fra ger:deu dut:nld cze:ces slo:slk rum:ron gre:ell per:fas may:msa '
      'chi:zho ice:isl sve:swe is:isl alb:sqi sq:sqi arm:hye hy:hye baq:eus eu:eus ca:cat hr:hrv sr:srp sl:slv '
      'et:est lv:lav lt:lit wel:cym cy:cym '
    ).split()
  )
}
# QuickTime has a list of languages, some by other codes.
QUICKTIME_LANGUAGES = {'deu': 'ger', 'nld': 'dut', 'swe': 'sve', 'ell': 'gre', 'zho': 'chi', 'isl': 'ice', 'sqi': 'alb'}
ASS_HEADER = (
  b'[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, '
  b'SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, '
  b'BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n'
  b'Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\n\n'
  b'[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n'
)


class Nowhere:
  """A file that forgets what is written to it."""

  def __init__(self):
    self.place = self.size = 0

  def write(self, data: bytes) -> int:
    self.place += len(data)
    self.size = max(self.size, self.place)
    return len(data)

  def seek(self, offset: int, whence: int = 0) -> int:
    self.place = offset + (0, self.place, self.size)[whence]
    return self.place

  def tell(self) -> int:
    return self.place


class Trial:
  """Whether a container takes a track as it is: muxes its packets alone into nothing. `why`: what spoke against it."""

  def __init__(self, stream: Stream, kind: ContainerKind, zero: float):
    self.why = ''
    self.file: Any = None
    codec = stream.codec_context.codec.canonical_name if stream.codec_context is not None else ''
    held = {'video': kind.holds, 'subtitle': kind.subtitles}.get(stream.type)
    if held is not None and codec not in held:
      self.why = f'{codec} does not go into {kind.muxer} as it is'
      return
    try:
      self.file = av.open(Nowhere(), 'w', format=kind.muxer)
      self.track = CopiedTrack(stream, self.file, zero)
      self.file.start_encoding()
    except MEDIA_ERRORS:
      self.why = f'{codec or stream.type} does not go into {kind.muxer} as it is'

  def add(self, packet: Packet) -> None:
    if not self.why:
      try:
        for shifted in self.track.packets(packet):
          self.file.mux(shifted)
      except MEDIA_ERRORS as error:
        self.refuse(error)

  def close(self) -> None:
    try:
      if self.file is not None:
        self.file.close()
    except MEDIA_ERRORS as error:
      if not self.why:
        self.refuse(error)

  def refuse(self, error: Exception) -> None:
    reason = getattr(error, 'strerror', None) or str(error) or type(error).__name__
    self.why = f'{self.file.format.name} refused them as they are ({reason})'


@dataclass
class FilmScan:
  """What one pass over a film's packets found.

  pictures, sound: indices of the track whose time counts and of the source sound (None: the film has none).
  times, keys: of each picture packet, s from the film's start and whether it is a key frame; hidden: whether an edit
  list hides some; untimed: whether some have no time, then times end there. refused: why a track cannot be copied, by
  index. covers: the bytes of cover pictures by index. redundant: tracks that a muxer makes itself of chapters and
  timecode.
  """

  pictures: int
  sound: int | None
  times: np.ndarray = field(default_factory=lambda: np.zeros(0))
  keys: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
  finish: float = 0.0
  untimed: bool = False
  hidden: bool = False
  refused: dict[int, str] = field(default_factory=dict)
  covers: dict[int, bytes] = field(default_factory=dict)
  redundant: set[int] = field(default_factory=set)


def scan_film(
  film: InputContainer, source: str | os.PathLike, kind: ContainerKind, audio_track: int | None
) -> FilmScan:
  """Demuxes a film once, and finds what of it a container can hold. Holds 10 bytes a picture in memory."""
  pictures = choose_track(film, 'video', source)
  has_sound = audio_track is not None or bool(tracks(film, 'audio'))
  sound = choose_track(film, 'audio', source, audio_track) if has_sound else None
  scan = FilmScan(pictures.index, None if sound is None else sound.index)
  zero, nominal = time_zero(film), 1 / float(pictures.average_rate or 25)
  chapters = bool(film.chapters())
  trials = {}
  for stream in film.streams:
    if stream.type == 'attachment' or is_cover(stream):
      continue
    if stream.type == 'data' and ('timecode' in stream.metadata or (chapters and stream.discard == Discard.all)):
      scan.redundant.add(stream.index)
    elif stream.type not in ('video', 'audio', 'subtitle', 'data') or (
      stream.codec_context is None and stream.type != 'data'
    ):
      scan.refused[stream.index] = 'unknown codec'
    else:
      trials[stream.index] = Trial(stream, kind, zero)
  times, keys = [], []
  seconds, is_key = np.zeros(0), np.zeros(0, bool)
  streams = [s for s in film.streams if s.index in trials or is_cover(s)]
  for packet in timed_packets(film, source, *streams):
    index = packet.stream.index
    if not packet.size:
      continue
    if index not in trials:
      scan.covers.setdefault(index, bytes(packet))
      continue
    if index == pictures.index and not scan.untimed:
      if packet.pts is None:
        scan.untimed = True
      else:
        times.append(float(packet.pts * packet.time_base) - zero)
        keys.append(packet.is_keyframe)
        scan.hidden |= packet.is_discard
        scan.finish = max(
          scan.finish, times[-1] + (float(packet.duration * packet.time_base) if packet.duration else nominal)
        )
        if len(times) == 1 << 16:  # as arrays they take a fifth
          seconds, is_key = np.append(seconds, times), np.append(is_key, keys)
          times, keys = [], []
    trials[index].add(packet)
  scan.times, scan.keys = np.append(seconds, times), np.append(is_key, np.array(keys, bool))
  for index, trial in trials.items():
    trial.close()
    if trial.why:
      scan.refused[index] = trial.why
  return scan


def is_cover(stream: Stream) -> bool:
  return stream.type == 'video' and bool(stream.disposition & ATTACHED_PICTURE)


def language_of(stream: Stream) -> str:
  """A track's language as three letters; '' where it is not known."""
  code = stream.metadata.get('language', '').lower().split('-')[0]
  return '' if code == 'und' else LANGUAGES.get(code, code)


def tags_of(metadata: Mapping[str, str]) -> dict[str, str]:
  """The tags that say something of the film and not of the file. MP4's track names become titles."""
  tags = {key: value for key, value in metadata.items() if key.lower() not in TECHNICAL and value}
  if tags.get('handler_name') in HANDLERS:
    del tags['handler_name']
  if 'name' in tags and 'title' not in tags:
    tags['title'] = tags.pop('name')
  return tags


def track_tags(stream: Stream) -> dict[str, str]:
  """`tags_of` a track, its language as three letters."""
  tags = {key: value for key, value in tags_of(stream.metadata).items() if key != 'language'}
  return tags | ({'language': language_of(stream)} if language_of(stream) else {})


def written_tags(stream: Stream, dubbed: OutputContainer) -> dict[str, str]:
  """`track_tags` with the language as the container wants it."""
  tags = track_tags(stream)
  if dubbed.format.name == 'mov' and 'language' in tags:
    tags['language'] = QUICKTIME_LANGUAGES.get(tags['language'], tags['language'])
  return tags


def is_steady(times: np.ndarray, rate: Fraction | None) -> bool:
  """Whether all pictures, at (N,) s, come at one rate."""
  steps = np.diff(np.sort(times))
  return bool(rate) and bool(len(steps)) and float(np.abs(steps - 1 / float(rate)).max()) < 0.0015


def shifted_chapters(film: InputContainer, start: float, finish: float) -> list[Any]:
  """The chapters of a part of the film, in ms from its start."""
  zero, found = time_zero(film), []
  for chapter in film.chapters():
    base = chapter['time_base'] or MILLISECOND
    begin, end = (float(chapter[side] * base) - zero - start for side in ('start', 'end'))
    begin, end = max(0.0, begin), min(finish - start, end)
    if begin < finish - start and (end > begin or chapter['end'] <= chapter['start']):
      times = {'start': round(begin * 1000), 'end': round(max(begin, end) * 1000)}
      found.append({'id': len(found) + 1, **times, 'time_base': MILLISECOND, 'metadata': dict(chapter['metadata'])})
  return found


class CopiedTrack:
  """A track whose packets are muxed unchanged, `shift` s earlier; length: of a part, in s, whose other packets are left
  out, but for pictures.

  Sound before the film's start is kept where an edit list can hide it. Other containers would move all tracks for it:
  it is left out there, at most LEAST_LEAD and in most films an encoder's padding (of Opus the container knows it).
  """

  def __init__(self, stream: Stream, dubbed: OutputContainer, shift: float, length: float | None = None):
    data = stream.codec_context is None
    self.out: Any = dubbed.add_stream_from_template(stream, **({} if data else {'opaque': True}))
    self.out.metadata.clear()
    tags = written_tags(stream, dubbed)
    self.out.metadata.update({k: v for k, v in tags.items() if length is None or k.lower() != 'timecode'})
    self.out.disposition = stream.disposition
    self.shift, self.length, self.before = shift, length, None
    self.base: float | None = None
    self.ticks = 0
    hides = dubbed.format.name in ('mp4', 'mov')
    self.from_start = stream.type == 'audio' and not hides and stream.codec_context.name != 'opus'

  def packets(self, packet: Packet) -> Iterator[Packet]:
    if self.base is None:  # fractions are slow
      self.base = float(packet.time_base)
      self.ticks = round(self.shift / self.base)
    packet.pts = packet.pts - self.ticks if packet.pts is not None else None
    packet.dts = packet.dts - self.ticks if packet.dts is not None else None
    if packet.pts is not None and self.out.type != 'video':
      start, lasts = packet.pts * self.base, (packet.duration or 0) * self.base
      if self.length is not None and not -lasts <= start < self.length:
        return
      if self.from_start and start < -0.001:
        return
      if self.out.type == 'subtitle' and packet.pts < 0:  # of a part: it is on screen when the part begins
        packet.duration, packet.pts = (packet.duration or 0) + packet.pts, 0
        packet.dts = 0
    if self.before is not None and packet.dts is not None and packet.dts <= self.before:
      if self.out.type != 'video' and packet.dts < self.before:
        return  # sound of which there is one already, where parts were joined
      if packet.dts == self.before and packet.pts is not None and packet.dts < packet.pts:
        packet.dts += 1  # ffmpeg estimates some DTS of MPEG files, and muxers refuse equal ones
    self.before = packet.dts if packet.dts is not None else self.before
    packet.stream = self.out
    yield packet


class ConvertedSubtitles:
  """A text subtitle track that is decoded and encoded as another text codec, `shift` s earlier."""

  def __init__(self, stream: Stream, dubbed: OutputContainer, codec: str, shift: float, length: float | None = None):
    self.shift, self.length, self.before = shift, length, 0
    self.decoder: Any = stream.codec_context
    self.out: Any = dubbed.add_stream(codec)
    self.out.metadata.update(written_tags(stream, dubbed))
    self.out.disposition = stream.disposition
    self.decoder.open(strict=False)
    self.out.codec_context.subtitle_header = self.decoder.subtitle_header or ASS_HEADER
    self.out.codec_context.time_base = MILLISECOND
    self.out.time_base = MILLISECOND

  def packets(self, packet: Packet) -> Iterator[Packet]:
    if packet.pts is None:
      return
    start = float(packet.pts * packet.time_base) - self.shift
    end = start + float((packet.duration or 0) * packet.time_base)
    try:
      texts = [shown.ass.split(b',', 8)[-1] for shown in self.decoder.decode(packet) if getattr(shown, 'ass', b'')]
    except MEDIA_ERRORS:
      return
    if not any(text.strip() for text in texts) or end <= 0 or (self.length and start >= self.length):
      return
    begin = max(self.before, round(max(0.0, start) * 1000))
    line = b'0,0,Default,,0,0,0,,' + b'\\N'.join(texts)
    made = self.out.codec_context.encode_subtitle(SubtitleSet.create(line, 0, max(1, round(end * 1000) - begin), begin))
    made.time_base, made.stream, self.before = MILLISECOND, self.out, begin
    yield made


def can_convert(stream: Stream, kind: ContainerKind) -> bool:
  """Whether a subtitle track is text, and the container has a codec for that."""
  if stream.type != 'subtitle' or not kind.text or stream.codec_context is None:
    return False
  return stream.codec_context.name in TEXT_CODECS


TEXT_CODECS = {'srt', 'subrip', 'ass', 'ssa', 'mov_text', 'webvtt', 'text', 'microdvd', 'subviewer', 'sami', 'realtext'}


def left_out(film: InputContainer, scan: FilmScan, kind: ContainerKind, taken: set[int]) -> dict[str, list[str]]:
  """What the dubbed film lacks of the film's tracks: for each kind, as 'subtitle track', the codecs."""
  names = {'video': 'picture track', 'audio': 'sound track', 'subtitle': 'subtitle track', 'data': 'data track'}
  found = defaultdict(list)
  for stream in film.streams:
    if stream.index in taken or stream.index in scan.redundant or stream.index == scan.pictures:
      continue
    codec = (
      stream.codec_context.name if stream.codec_context is not None else getattr(stream, 'name', None) or 'unknown'
    )
    kind_of = 'cover picture' if is_cover(stream) else 'attachment' if stream.type == 'attachment' else None
    found[kind_of or names.get(stream.type, 'unknown track')].append(codec)
  return found


def left_out_warnings(lacking: Mapping[str, Sequence[str]], out: Path) -> list[str]:
  return [
    f'{out.name} cannot hold {len(codecs)} {kind}{"s" * (len(codecs) > 1)} of the film '
    f'({", ".join(dict.fromkeys(codecs))}): left out; mkv holds all'
    for kind, codecs in lacking.items()
  ]


def read_back_warnings(
  film: InputContainer, partial: Path, out: Path, pairs: Sequence[tuple[int, int]], chapters: int
) -> list[str]:
  """What the written film does not say of the tags, marks and chapters that it was given; a line a kind.

  pairs: (index in the film, index in the written one) of tracks; chapters: how many it was given.
  """
  with open_media(partial) as dubbed:
    told = {}
    film_tags = set(missing_tags(tags_of(film.metadata), tags_of(dubbed.metadata)))
    if any(key.lower() == 'timecode' for stream in dubbed.streams for key in stream.metadata):
      film_tags -= {'timecode', 'TIMECODE'}
    written = [(film.streams[a], dubbed.streams[b]) for a, b in pairs if b < len(dubbed.streams)]
    of_tracks = {key for old, new in written for key in missing_tags(track_tags(old), track_tags(new))} - {
      'creation_time'
    }
    marks = Disposition(0)
    for old, new in written:
      marks |= old.disposition & ~new.disposition & ~Disposition.default & ~ATTACHED_PICTURE
    kept = len(dubbed.chapters())
    stretched = [
      old
      for old, new in written
      if old.type == 'video'
      and old.codec_context.name == new.codec_context.name
      and pixel_shape(old) != pixel_shape(new)
    ]
    told = {
      'tags of the film': sorted(film_tags),
      'tags of its tracks': sorted(of_tracks),
      'marks of its tracks': sorted(mark.name or '' for mark in marks),
      'the shape of its pixels': [str(pixel_shape(old)) for old in stretched],
      'chapters': [f'{chapters - kept} of {chapters}'] if kept < chapters else [],
    }
  return [f'{out.name} cannot hold {what}: {", ".join(names)}' for what, names in told.items() if names]


def pixel_shape(stream: Stream) -> Fraction:
  """Width to height of a track's pixels."""
  return Fraction(getattr(stream, 'sample_aspect_ratio', None) or 1)


def missing_tags(given: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
  """The tags that are not found with the value they were given."""
  found = {key.lower(): value for key, value in found.items()}
  return [key for key, value in given.items() if not same_tag(value, found.get(key.lower()))]


def same_tag(value: str, found: str | None) -> bool:
  return found is not None and (value.strip() == found.strip() or (value[:19] == found[:19] and len(value) >= 19))


def needs_key_list(metadata: Iterable[str]) -> bool:
  """Whether MP4 has to store these tags as a list of keys, having no places of its own for some."""
  return any(key.lower() not in MP4_TAGS for key in metadata)


def open_subtitles(path: Path) -> InputContainer:
  """Opens an SRT file. Raises BadInput where it cannot be read."""
  try:
    return av.open(f'file:{path}', format='srt', container_options={'protocol_whitelist': 'file'})
  except MEDIA_ERRORS as error:
    raise BadInput(f'{path}: cannot be read as SRT subtitles ({error}); write it again') from error
