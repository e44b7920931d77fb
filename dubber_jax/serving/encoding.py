"""Speech as a stream of bytes: PCM, WAV, FLAC, MP3, AAC and Opus, encoded as it comes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from dubber_jax.media.sound import pcm16
from dubber_jax.types import SAMPLE_RATE

RATE = 24_000  # Hz of all that is sent, as of OpenAI's pcm
UNKNOWN_SIZE = 0xFFFFFFFF  # of a WAV whose end is not known: players read until there is no more
SLOWEST_TEMPO = 0.5  # of one step of ffmpeg's filter, below which it drops sound


@dataclass(frozen=True)
class StreamFormat:
  """A response format. muxer, codec: ffmpeg's names, '' where samples are sent as they are; options of the muxer."""

  media_type: str
  muxer: str = ''
  codec: str = ''
  bit_rate: int = 0
  options: dict[str, str] = field(default_factory=dict)


FORMATS = {
  'mp3': StreamFormat('audio/mpeg', 'mp3', 'libmp3lame', 96_000, {'write_xing': '0', 'id3v2_version': '0'}),
  'opus': StreamFormat('audio/ogg; codecs=opus', 'ogg', 'libopus', 48_000, {'page_duration': '100000'}),
  'aac': StreamFormat('audio/aac', 'adts', 'aac', 96_000),
  'flac': StreamFormat('audio/flac', 'flac', 'flac'),
  'wav': StreamFormat('audio/wav'),
  'pcm': StreamFormat(f'audio/pcm;rate={RATE};channels=1'),
}


def wav_header(samples: int | None, rate: int = RATE) -> bytes:
  """The header of a 16-bit mono WAV of so many samples; None: of a stream, whose sizes are not known."""
  size = UNKNOWN_SIZE if samples is None else 2 * samples
  whole = UNKNOWN_SIZE if samples is None else 36 + size
  numbers = np.array([16, 0x10001, rate, 2 * rate, 0x100002], '<u4').tobytes()
  return b'RIFF' + _u32(whole) + b'WAVEfmt ' + numbers + b'data' + _u32(size)


def _u32(value: int) -> bytes:
  return value.to_bytes(4, 'little')


class SpeechEncoder:
  """Encodes waves at SAMPLE_RATE, one after the other, to one stream of a format of FORMATS: `add` each, `finish`."""

  def __init__(self, name: str):
    import soxr

    self.format = FORMATS[name]
    self._resampler = soxr.ResampleStream(SAMPLE_RATE, RATE, 1, dtype='float32')
    self._header = wav_header(None) if name == 'wav' else b''
    self._container = _Container(self.format) if self.format.codec else None

  def add(self, wave: np.ndarray) -> bytes:
    """(S,) float32 -> what can be sent of it already."""
    return self._encode(self._resampler.resample_chunk(np.asarray(wave, np.float32)))

  def finish(self) -> bytes:
    """The rest."""
    rest = self._encode(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    return rest + (self._container.close() if self._container else b'')

  def _encode(self, sound: np.ndarray) -> bytes:
    if self._container:
      return self._container.add(sound)
    header, self._header = self._header, b''
    return header + pcm16(sound).tobytes()


def encode_whole(wave: np.ndarray, name: str) -> bytes:
  """(S,) float32 at SAMPLE_RATE -> a whole file of a format of FORMATS; of a WAV with its sizes."""
  encoder = SpeechEncoder(name)
  data = encoder.add(wave) + encoder.finish()
  if name != 'wav':
    return data
  samples = data[len(wav_header(None)) :]
  return wav_header(len(samples) // 2) + samples


class _Written:
  """What a muxer writes, as it does to a pipe: it cannot go back."""

  def __init__(self):
    self.data = bytearray()

  def write(self, data: bytes) -> int:
    self.data += data
    return len(data)

  def take(self) -> bytes:
    taken, self.data = bytes(self.data), bytearray()
    return taken


class _Container:
  """An encoder and its muxer."""

  def __init__(self, kind: StreamFormat):
    import av

    self._written = _Written()
    self._out: Any = av.open(self._written, 'w', format=kind.muxer, options=dict(kind.options))
    self._stream = self._out.add_stream(kind.codec, rate=RATE, layout='mono')
    if kind.bit_rate:
      self._stream.bit_rate = kind.bit_rate
    self._integers = kind.codec == 'flac'
    self._samples = 0

  def add(self, sound: np.ndarray) -> bytes:
    import av

    if len(sound):
      samples = pcm16(sound) if self._integers else np.clip(sound, -1, 1)
      frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), 's16' if self._integers else 'flt', 'mono')
      frame.sample_rate, frame.pts, frame.time_base = RATE, self._samples, Fraction(1, RATE)
      self._samples += len(sound)
      self._out.mux(self._stream.encode(frame))
    return self._written.take()

  def close(self) -> bytes:
    self._out.mux(self._stream.encode(None))
    self._out.close()
    return self._written.take()


def change_tempo(wave: np.ndarray, rate: int, tempo: float) -> np.ndarray:
  """(S,) -> (S / tempo,): the same speech `tempo` times as fast, at its pitch, by ffmpeg's atempo (WSOLA)."""
  import av
  from av.filter import Graph

  graph = Graph()
  nodes = [graph.add_abuffer(sample_rate=rate, format='flt', layout='mono', time_base=Fraction(1, rate))]
  for step in _tempo_steps(tempo):
    nodes.append(graph.add('atempo', f'{step:.6f}'))
  nodes.append(graph.add('aformat', 'sample_fmts=flt:channel_layouts=mono'))
  nodes.append(graph.add('abuffersink'))
  graph.link_nodes(*nodes).configure()
  frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave, np.float32).reshape(1, -1), 'flt', 'mono')
  frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
  graph.push(frame)
  graph.push(None)
  pieces = list(_pulled(graph.pull))
  sound = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
  wanted = round(len(wave) / tempo)
  return np.pad(sound[:wanted], (0, max(0, wanted - len(sound))))


def _tempo_steps(tempo: float) -> list[float]:
  """Tempos whose product is `tempo`, none below SLOWEST_TEMPO."""
  steps = []
  while tempo < SLOWEST_TEMPO:
    steps.append(SLOWEST_TEMPO)
    tempo /= SLOWEST_TEMPO
  return [*steps, tempo]


def _pulled(pull: Callable[[], Any]):
  from av.error import BlockingIOError, EOFError

  while True:
    try:
      yield pull().to_ndarray().reshape(-1)
    except (EOFError, BlockingIOError):
      return
