"""Files that end early, told by their structure: sizes in headers that point past the end of the file."""

import os
import re
import struct
from pathlib import Path
from typing import BinaryIO

TAIL = 1 << 18  # bytes searched at the end for the last packet


def missing_end(path: str | os.PathLike, format_name: str) -> str:
  """What is missing at the end of a file, as '1234 bytes', by the sizes that it states; '' where nothing is.

  format_name: ffmpeg's name of the demuxer. A format that states no sizes, or a live recording, gives ''.
  """
  names = set(format_name.split(','))
  check = next((found for name, found in CHECKS.items() if name in names), None)
  if check is None:
    return ''
  with open(Path(path), 'rb') as file:
    missing = check(file, os.fstat(file.fileno()).st_size)
  return f'{missing} bytes' if missing > 1 else 'the end of its last packet' if missing else ''


BOXES = {b'mdat', b'moov', b'moof', b'free', b'skip', b'mfra', b'uuid'}  # others past the end are not trusted


def _boxes(file: BinaryIO, size: int) -> int:
  """ISO media: boxes one after another, each with its size."""
  place = 0
  while place < size:
    file.seek(place)
    head = file.read(16)
    if len(head) < 8:
      return 8 - len(head) if place else 0
    length = struct.unpack('>I', head[:4])[0]
    if length == 0:  # to the end of the file
      return 0
    if length == 1:
      if len(head) < 16:
        return 16 - len(head)
      length = struct.unpack('>Q', head[8:])[0]
    if length < 8:
      return 0  # not a box: what follows is no part of the film
    if place + length > size:
      return place + length - size if head[4:8] in BOXES else 0
    place += length
  return 0


def _ebml(file: BinaryIO, size: int) -> int:
  """Matroska: the header, then a segment that states its size unless it was written live."""
  place = 0
  for _ in range(2):
    file.seek(place)
    head = file.read(16)
    first = head[:1] and head[0]
    if not first:
      return 0
    id_length = 9 - first.bit_length()
    if id_length > 4 or len(head) <= id_length:
      return 0
    lead = head[id_length]
    width = 9 - lead.bit_length()
    if not lead or len(head) < id_length + width:
      return 0
    value = int.from_bytes(head[id_length : id_length + width]) & ((1 << 7 * width) - 1)
    if value == (1 << 7 * width) - 1:  # unknown
      return 0
    place += id_length + width + value
  return max(0, place - size)


def _riff(file: BinaryIO, size: int) -> int:
  """AVI and WAV: one RIFF chunk, in AVI of more than 1 GB several."""
  place = 0
  while place + 12 <= size:
    file.seek(place)
    name, length, _ = struct.unpack('<4sI4s', file.read(12))
    if name not in (b'RIFF', b'RIFX') or name == b'RIFX' or length in (0, 0xFFFFFFFF, 0x7FFFFFFF):
      return 0
    place += 8 + length + length % 2
    if place > size + 1:
      return place - size
  return 0


def _flv(file: BinaryIO, size: int) -> int:
  """Flash video: the size of the file in its metadata, and after each tag the tag's size."""
  start = file.read(4096)
  stated = re.search(rb'filesize\x00(.{8})', start, re.DOTALL)
  if stated and 0 < (whole := struct.unpack('>d', stated[1])[0]) < 1e15 and whole > size:
    return int(whole - size)
  if size < 17:
    return 1
  file.seek(size - 4)
  last = struct.unpack('>I', file.read(4))[0]
  if not 11 <= last <= size - 17:
    return 1
  file.seek(size - 4 - last)
  head = file.read(4)
  return 0 if head[0] & 0x1F in (8, 9, 18) and int.from_bytes(head[1:4]) + 11 == last else 1


def _transport(file: BinaryIO, size: int) -> int:
  """MPEG transport stream: packets of 188 bytes, or 192 or 204, and the last packet of sound, which states its size."""
  head = file.read(205 * 4)
  length = next((n for n in (188, 192, 204) if head[4 * (n == 192) :: n][:3] == b'GGG'), 0)
  if not length:
    return 0
  if size % length:
    return length - size % length
  offset = 4 * (length == 192)
  begin = max(0, size - TAIL // length * length)
  file.seek(begin)
  tail = file.read()
  wanted = {}  # PID -> bytes still missing of its packet
  for place in range(offset, len(tail) - 187 + offset, length):
    packet = tail[place : place + 188]
    pid = int.from_bytes(packet[1:3]) & 0x1FFF
    if packet[0] != 0x47 or not packet[3] & 0x10:
      continue
    payload = packet[4 + (1 + packet[4] if packet[3] & 0x20 else 0) :]
    if packet[1] & 0x40 and payload[:3] == b'\0\0\1' and len(payload) >= 6:
      stated = int.from_bytes(payload[4:6])
      wanted[pid] = stated + 6 - len(payload) if stated else 0
    elif pid in wanted:
      wanted[pid] -= len(payload)
  return max([0, *wanted.values()])


def _program(file: BinaryIO, size: int) -> int:
  """MPEG program stream: the packets after the last pack header, which state their sizes."""
  file.seek(max(0, size - TAIL))
  tail = file.read()
  place = tail.rfind(b'\0\0\1\xba')
  if place < 0:
    return 0
  place += 14 + (tail[place + 13] & 7) if len(tail) > place + 13 and tail[place + 4] & 0xC0 == 0x40 else 12
  while place < len(tail):
    if place + 4 <= len(tail) and tail[place : place + 4] == b'\0\0\1\xb9':
      return 0
    if place + 6 > len(tail):
      return place + 6 - len(tail)
    if tail[place : place + 3] != b'\0\0\1' or tail[place + 3] < 0xBB:
      return 0
    place += 6 + int.from_bytes(tail[place + 4 : place + 6])
  return max(0, place - len(tail))


CHECKS = {
  'mov': _boxes,
  'matroska': _ebml,
  'avi': _riff,
  'wav': _riff,
  'flv': _flv,
  'mpegts': _transport,
  'mpeg': _program,
}
LIVE = {'mpegts', 'mpeg'}  # recordings of a broadcast end where they were stopped: told, not refused
