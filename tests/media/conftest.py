"""Films and sounds that the tests make for themselves."""

import struct
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

# suffix: (muxer, picture encoder, sound encoder)
FILMS = {
  '.mp4': ('mp4', 'libx264', 'aac'),
  '.mkv': ('matroska', 'libx264', 'libopus'),
  '.mov': ('mov', 'libx264', 'aac'),
  '.mpg': ('mpeg', 'mpeg2video', 'mp2'),
  '.webm': ('webm', 'libvpx-vp9', 'libopus'),
  '.flv': ('flv', 'flv', 'libmp3lame'),
}
SOUNDS = {
  '.wav': ('wav', 'pcm_s16le'),
  '.flac': ('flac', 'flac'),
  '.opus': ('ogg', 'libopus'),
  '.mp3': ('mp3', 'libmp3lame'),
}
SIDES = (96, 64)  # width, height
CLICKS = (0.2, 0.9, 1.6)  # s


def gray(index: int) -> int:
  """The shade of picture `index`: one of ten, far enough apart to be told from each other after any codec."""
  return 25 + 22 * (index * 3 % 10)


def index_of(frames: np.ndarray) -> list[int]:
  """The last digit of the number of the picture that each frame shows, by its shade."""
  return [int(np.abs([gray(i) - f.mean() for i in range(10)]).argmin()) for f in frames]


def clicks(seconds: float, rate: int = 48000) -> np.ndarray:
  """Short tone bursts at CLICKS."""
  wave = np.zeros(round(seconds * rate), np.float32)
  burst = 0.6 * np.hanning(480) * np.sin(2 * np.pi * 1000 * np.arange(480) / 48000)
  for time in CLICKS:
    begin = round(time * rate)
    wave[begin : begin + 480] = burst[: max(0, len(wave) - begin)]
  return wave


def click_times(wave: np.ndarray, rate: int) -> list[float]:
  """When each burst is heard, to the nearest half millisecond or so."""
  power = np.convolve(wave**2, np.hanning(int(0.01 * rate)), 'same')
  return [
    float(np.argmax(np.where(np.abs(np.arange(len(wave)) / rate - t) < 0.3, power, 0)) / rate - 0.005) for t in CLICKS
  ]


def film(
  path,
  seconds=2.0,
  fps=25,
  times=None,
  sounds=1,
  videos=1,
  sound=None,
  sides=SIDES,
  codec=None,
  delay=0.0,
  gop=12,
  faststart=False,
):
  """Makes a film whose picture i is of shade gray(i), the tracks after the first darker by one step.

  times: seconds of each picture, else `fps` a second. sound: (S,) or (2, S) at 48 kHz, by default clicks.
  delay: seconds by which the sound starts late.
  """
  muxer, picture_codec, sound_codec = FILMS[path.suffix]
  options = {'movflags': 'faststart'} if faststart else {}
  times = [i / fps for i in range(round(seconds * fps))] if times is None else times
  sound = np.atleast_2d(clicks(seconds) if sound is None else sound)
  with av.open(str(path), 'w', format=muxer, options=options) as file:
    pictures = []
    for _ in range(videos):
      stream = file.add_stream(
        codec or picture_codec, rate=Fraction(fps), width=sides[0], height=sides[1], pix_fmt='yuv420p'
      )
      stream.codec_context.gop_size = gop
      if picture_codec == 'libx264':
        stream.options = {'preset': 'ultrafast'}
      if fps != 25 or times != [i / 25 for i in range(len(times))]:
        stream.codec_context.time_base = Fraction(1, 1000)
      pictures.append(stream)
    voices = [
      file.add_stream(sound_codec, rate=48000, layout='stereo' if len(sound) == 2 else 'mono') for _ in range(sounds)
    ]
    for number, stream in enumerate(pictures):
      for index, time in enumerate(times):
        frame = av.VideoFrame.from_ndarray(np.full((sides[1], sides[0], 3), gray(index + number), np.uint8))
        base = stream.codec_context.time_base or Fraction(1, fps)
        frame.pts, frame.time_base = round(time / base), base
        file.mux(stream.encode(frame))
      file.mux(stream.encode(None))
    for number, stream in enumerate(voices):
      write_sound(file, stream, sound * 0.5**number, delay)
  return path


def sound_file(path, wave, rate=48000):
  """Writes (S,) or (2, S) as wav, flac, opus or mp3, by the suffix."""
  muxer, codec = SOUNDS[path.suffix]
  wave = np.atleast_2d(wave)
  with av.open(str(path), 'w', format=muxer) as file:
    write_sound(file, file.add_stream(codec, rate=rate, layout='stereo' if len(wave) == 2 else 'mono'), wave)
  return path


def write_sound(file, stream, wave, delay=0.0):
  samples = np.round(wave * 32767).astype(np.int16)
  layout = 'stereo' if len(wave) == 2 else 'mono'
  frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T.reshape(1, -1)), format='s16', layout=layout)
  frame.sample_rate, frame.pts = stream.codec_context.sample_rate, round(delay * stream.codec_context.sample_rate)
  file.mux(stream.encode(frame))
  file.mux(stream.encode(None))


def turn(path, degrees: int):
  """Makes an mp4 say that its pictures are to be shown turned clockwise, in the track header's matrix."""
  content = bytearray(path.read_bytes())
  at = content.index(b'tkhd') + 4 + 40  # version 0: the matrix stands 40 bytes in
  cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
  one = 1 << 16
  content[at : at + 36] = struct.pack('>9i', cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
  path.write_bytes(content)
  return path


@pytest.fixture(scope='session')
def media() -> SimpleNamespace:
  return SimpleNamespace(
    film=film,
    sound_file=sound_file,
    turn=turn,
    clicks=clicks,
    click_times=click_times,
    index_of=index_of,
    CLICKS=CLICKS,
    FILMS=FILMS,
    SOUNDS=SOUNDS,
    SIDES=SIDES,
  )
