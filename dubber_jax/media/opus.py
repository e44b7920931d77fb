"""Opus coding (RFC 6716): encoding, and the round trip that makes sound comparable with recordings stored as Opus."""

import io

import av
import numpy as np

from dubber_jax.media.sound import resample

RATE = 24_000  # Hz
BIT_RATE = 48_000  # bits/s


def opus_round_trip(wave: np.ndarray, sample_rate: int, bit_rate: int = BIT_RATE) -> np.ndarray:
  """Encodes (S,) float32 in -1..1 at 24 kHz and decodes it -> (S,) at `sample_rate`."""
  with av.open(io.BytesIO(encode_opus(wave, sample_rate, bit_rate))) as container:
    to_mono = av.AudioResampler(format='flt', layout='mono', rate=RATE)
    decoded = [m.to_ndarray()[0] for f in (*container.decode(audio=0), None) for m in to_mono.resample(f)]
  back = resample(np.concatenate(decoded), RATE, sample_rate)[: len(wave)]
  return np.pad(back, (0, len(wave) - len(back)))


def encode_opus(wave: np.ndarray, sample_rate: int, bit_rate: int = BIT_RATE) -> bytes:
  """(S,) float32 in -1..1 -> bytes of an Ogg Opus file at 24 kHz."""
  sound = resample(np.clip(wave, -1, 1), sample_rate, RATE)
  file = io.BytesIO()
  with av.open(file, 'w', format='ogg', options={'fflags': '+bitexact'}) as out:
    stream = out.add_stream('libopus', rate=RATE, layout='mono')
    stream.bit_rate = bit_rate
    frame = av.AudioFrame.from_ndarray(sound[None], 'flt', 'mono')
    frame.sample_rate, frame.pts = RATE, 0
    for encode in (frame, None):
      out.mux(stream.encode(encode))
  return file.getvalue()
