"""Files that people upload, and those that nobody should: made small by the test."""

import struct
import zlib
from pathlib import Path

import numpy as np

from dubber_jax.media.sound import wav_bytes
from dubber_jax.media.video import write_silent_clip
from dubber_jax.types import SAMPLE_RATE

SRT = (
  '1\n00:00:00,200 --> 00:00:01,000\nANNA: Good day.\n\n2\n00:00:01,100 --> 00:00:01,900\nBEN: Who is there?\n\n'
  '3\n00:00:02,000 --> 00:00:02,800\nANNA: (softly) Only me.\n'
)


def hum(seconds: float = 2.0) -> bytes:
  """A WAV file of a hum that swells and fades."""
  time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
  wave = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 9)) * (0.6 + 0.4 * np.sin(6 * np.pi * time))
  return wav_bytes((0.1 * wave).astype(np.float32), SAMPLE_RATE)


def write_film(path: Path, seconds: float = 3.0) -> Path:
  """A silent film of noise."""
  rng = np.random.default_rng(0)
  write_silent_clip(path, rng.integers(0, 255, (round(25 * seconds), 32, 32, 3), np.uint8))
  return path


def playlist(path: Path) -> bytes:
  """An HLS playlist that names another file."""
  return f'#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{path}\n#EXT-X-ENDLIST\n'.encode()


def endless_wav() -> bytes:
  """A WAV file whose header promises two gigabytes."""
  head = b'RIFF' + struct.pack('<I', 0x7FFFFFF0) + b'WAVEfmt ' + struct.pack('<IHHIIHH', 16, 1, 1, 44100, 88200, 2, 16)
  return head + b'data' + struct.pack('<I', 0x7FFFFF00) + b'\1\2' * 1000


def picture() -> bytes:
  """A PNG file of one pixel."""

  def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

  rows = chunk(b'IDAT', zlib.compress(b'\0\0\0\0'))
  return (
    b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 1, 1, 8, 2, 0, 0, 0)) + rows + chunk(b'IEND', b'')
  )


LIES = {
  'empty lines': b'\n\n\n',
  'noise': np.random.default_rng(1).integers(0, 256, 5000, np.uint8).tobytes(),
  'page': b'<html>not found</html>',
  'picture': picture(),
  'archive': b'PK\3\4' + bytes(200),
  'zeros': bytes(10_000),
}
