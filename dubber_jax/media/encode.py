"""Encoding of speech to sound files by their suffix: WAV, FLAC, MP3, Ogg Opus, Ogg Vorbis and AAC in MP4."""

import io
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.sound import resample, wav_bytes
from dubber_jax.storage.atomic import complete_file

if TYPE_CHECKING:
  from av.audio.stream import AudioStream

CHUNK = 1 << 14  # samples passed to an encoder at once


@dataclass(frozen=True)
class SoundFormat:
  """A sound file's container and codec by ffmpeg's names; rate: Hz that it is written at, None: the sound's own."""

  muxer: str
  codec: str
  rate: int | None = None
  bit_rate: int | None = None  # bits/s, of one channel


FORMATS = {
  '.wav': SoundFormat('wav', 'pcm_s16le'),
  '.flac': SoundFormat('flac', 'flac'),
  '.mp3': SoundFormat('mp3', 'libmp3lame', 44_100, 128_000),
  '.opus': SoundFormat('ogg', 'libopus', 48_000, 64_000),
  '.ogg': SoundFormat('ogg', 'vorbis', 44_100),
  '.m4a': SoundFormat('ipod', 'aac', 44_100, 128_000),
}


def sound_format(path: str | os.PathLike[str]) -> SoundFormat:
  """The format of a file name's suffix. Raises BadInput for an unknown one."""
  suffix = Path(path).suffix.lower()
  if suffix not in FORMATS:
    raise BadInput(f'{path}: cannot write sound of kind {suffix or "(no suffix)"!r}; name it {", ".join(FORMATS)}')
  return FORMATS[suffix]


def write_sound(
  path: str | os.PathLike[str], wave: np.ndarray, sample_rate: int, title: str = '', overwrite: bool = True
) -> None:
  """Writes (S,) float32 in the format of the file's suffix, atomically; title: its tag.

  The encoder's delay and padding are stated in the file, so that it decodes to the length of the sound. A WAV is 16-bit
  and has no tag. Raises BadInput for an unknown suffix and where the file cannot be written.
  """
  data = encode_sound(wave, sample_rate, sound_format(path), ' '.join(title.split()))
  with complete_file(path, overwrite) as partial:
    partial.write_bytes(data)


def encode_sound(wave: np.ndarray, sample_rate: int, kind: SoundFormat, title: str = '') -> bytes:
  """(S,) float32 in -1..1 -> bytes of a file of this format."""
  if kind.codec == 'pcm_s16le':
    return wav_bytes(wave, sample_rate)
  rate = kind.rate or sample_rate
  sound = np.clip(resample(wave, sample_rate, rate), -1, 1)
  return _vorbis(sound, rate, title) if kind.codec == 'vorbis' else _encode(sound, rate, kind, title)


def _encode(sound: np.ndarray, rate: int, kind: SoundFormat, title: str) -> bytes:
  import av

  file = io.BytesIO()
  with av.open(file, 'w', format=kind.muxer) as out:
    out.metadata['title'] = title
    stream = cast('AudioStream', out.add_stream(kind.codec, rate=rate, layout='mono'))
    if kind.codec == 'libopus':
      stream.metadata['title'] = title  # Ogg keeps tags by the track
    if kind.bit_rate:
      stream.bit_rate = kind.bit_rate
    packed = np.round(sound * 32767).astype(np.int16) if kind.codec == 'flac' else sound
    frame = av.AudioFrame.from_ndarray(packed[None], 's16' if kind.codec == 'flac' else 'flt', 'mono')
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    for encode in (frame, None):
      out.mux(stream.encode(encode))
  return file.getvalue()


def _vorbis(sound: np.ndarray, rate: int, title: str) -> bytes:
  """By libsndfile, as ffmpeg's own Vorbis encoder knows no mono; in chunks, as a long one overflows its stack."""
  import soundfile

  file = io.BytesIO()
  with soundfile.SoundFile(file, 'w', rate, 1, 'VORBIS', format='OGG') as out:
    if title:
      out.title = title
    for begin in range(0, len(sound), CHUNK):
      out.write(sound[begin : begin + CHUNK])
  return file.getvalue()
