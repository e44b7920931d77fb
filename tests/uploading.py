"""Files that people upload, and those that nobody should: made small by the test."""

import struct
import time
import zlib
from fractions import Fraction
from pathlib import Path

import av
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


def write_talking_film(path: Path, seconds: float = 2.0) -> Path:
  """A film of gray pictures, with a hum and a subtitle each second, in Matroska."""
  with av.open(str(path), 'w') as film:
    pictures = film.add_stream('libx264', rate=25, options={'preset': 'ultrafast'})
    pictures.width, pictures.height, pictures.pix_fmt = 32, 32, 'yuv420p'
    sound, texts = film.add_stream('flac', rate=SAMPLE_RATE, layout='mono'), film.add_stream('srt')
    texts.codec_context.subtitle_header = b'[Script Info]\n'
    for i in range(round(25 * seconds)):
      film.mux(pictures.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 5 * i % 256, np.uint8), format='rgb24')))
    wave = (2000 * np.sin(np.arange(round(seconds * SAMPLE_RATE)) / 20)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(wave[None], 's16', 'mono')
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    film.mux(sound.encode(frame))
    for stream in (pictures, sound):
      film.mux(stream.encode(None))
    for second in range(int(seconds)):
      packet = av.Packet(b'Good day.')
      packet.stream, packet.time_base = texts, Fraction(1, 1000)
      packet.pts = packet.dts = 1000 * second
      packet.duration = 500
      film.mux(packet)
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


SCRIPT = 'import json,os,resource,signal,subprocess,sys,time\ntask=json.loads(sys.stdin.readline())\n'


def run_in_place_of_workers(monkeypatch, program: str) -> None:
  """The processes that read uploads run a program of the test, after the limits that all have."""
  from dubber_jax.serving import uploads

  real = uploads.subprocess.Popen
  head = 'from dubber_jax.serving.upload_worker import limit_process'

  def start(command, **options):
    memory, seconds, size = command[-3:]
    code = f'{head}\nlimit_process({memory}, {seconds}, {size})\n{SCRIPT}{program}'
    return real([command[0], '-c', code], **options)

  monkeypatch.setattr(uploads.subprocess, 'Popen', start)


def wait_for(condition, seconds: float = 20.0) -> None:
  """Waits until a condition holds, and fails where it does not in time."""
  finish = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < finish, 'this took too long'
    time.sleep(0.005)
