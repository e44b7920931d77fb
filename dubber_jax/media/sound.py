"""Sound files: decoding to float32 waves, resampling, WAV writing, and checks of a reference recording."""

import io
import os
import wave as wave_file
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Stream

from dubber_jax.errors import BadInput
from dubber_jax.media.container import (
  MEDIA_ERRORS,
  check_complete,
  check_span,
  choose_track,
  header_seconds,
  open_media,
  time_zero,
)
from dubber_jax.storage.atomic import complete_file
from dubber_jax.types import SAMPLE_RATE

MAX_SECONDS = 4 * 3600  # longest sound that is decoded
MAX_DAMAGED = 0.05  # share of packets that may fail to decode
MIN_VOICE_SECONDS = 1.0  # s
SILENT_DB = -60.0  # dB of full scale: RMS of the loudest 50 ms
MAX_CLIPPED_SHARE = 0.01  # share of clipped samples above which a reference recording is refused


def read_sound(
  path: str | os.PathLike,
  sample_rate: int = SAMPLE_RATE,
  start: float | None = None,
  end: float | None = None,
  track: int | None = None,
  stereo: bool = False,
) -> np.ndarray:
  """Decodes an audio track from `start` to `end` s: (S,) float32 mono, about -1 to 1.

  Times are relative to the first video frame (without video to the first audio frame); a late start and gaps are
  filled with silence. Channels are mixed down to one, or to (S, 2) with `stereo` where there are several. `track` as
  for `choose_track`.

  Raises BadInput where the file is missing, holds no sound, or is cut off or damaged.
  """
  check_span(path, start, end)
  start = start or 0.0
  with open_media(path) as container:
    stream = choose_track(container, 'audio', path, track)
    rate = stream.codec_context.sample_rate
    if not 1000 <= rate <= 768_000:
      raise BadInput(f'{path}: states a sample rate of {rate} Hz; it is damaged, export it again')
    layout = 'stereo' if stereo and stream.codec_context.channels > 1 else 'mono'
    wave = decode_sound(container, stream, rate, path, start, end, layout)
  if end is not None:
    if end - start > len(wave) / rate + 0.5:
      raise BadInput(
        f'{path}: the part ends at {end:.2f} s, but the sound lasts {start + len(wave) / rate:.2f} s; correct the times'
      )
    wave = wave[: round(end * rate) - round(start * rate)]
  if not len(wave):
    raise BadInput(f'{path}: no sound from {start:.2f} s on; give a longer recording')
  if not np.isfinite(wave).all() or np.abs(wave).max() > 1000:
    raise BadInput(f'{path}: the sound is damaged (samples are not finite); export it again')
  return resample(wave, rate, sample_rate)


def decode_sound(
  container: InputContainer,
  stream: Stream,
  rate: int,
  path: str | os.PathLike,
  start: float,
  end: float | None,
  layout: str,
) -> np.ndarray:
  """Decodes (S,), in the layout stereo (S, 2), at the track's own `rate`, from `start` to at least `end` or the track's
  end."""
  zero = time_zero(container)
  latest = (header_seconds(container) or 0.0) + 1.0  # s: later timestamps are damaged
  if start > 2 and container.format.name not in ('mp3', 'aac'):  # these have no index
    container.seek(int((start - 1 + zero) / stream.time_base), stream=stream, backward=True)
  mix = av.AudioResampler(format='flt', layout=layout, rate=rate)
  placed = TimestampedSound(rate, round(start * rate))
  packets = damaged = 0
  for packet in container.demux(stream):
    packets += bool(packet.size)
    try:
      frames = packet.decode()
    except MEDIA_ERRORS:
      damaged += 1
      continue
    for frame in frames:
      if frame.sample_rate != rate:
        raise BadInput(f'{path}: the sample rate changes within the sound; export it again')
      time = frame.time - zero if frame.time is not None else None
      known = time is not None and -60 < time < latest
      for mixed in mix.resample(frame):
        samples = mixed.to_ndarray()[0]
        placed.add(samples if layout == 'mono' else samples.reshape(-1, 2), round(time * rate) if known else None)
        known = False
      if placed.length > MAX_SECONDS * rate:
        raise BadInput(f'{path}: the sound is longer than {MAX_SECONDS // 3600} hours; give a shorter part of it')
    if end is not None and placed.reached is not None and placed.reached > round(end * rate):
      return placed.wave()
  if damaged > max(1, MAX_DAMAGED * packets) or placed.reached is None:
    raise BadInput(f'{path}: {damaged} of {packets} packets of its sound are damaged; export it again')
  check_complete(container, stream, placed.reached / rate, path)
  wave = placed.wave()
  if 'mov' in container.format.name and stream.duration and stream.start_time is not None:
    # MP4 states the end of the audio to the sample; the codec's last packet extends past it.
    finish = float((stream.start_time + stream.duration) * stream.time_base) - zero
    wave = wave[: max(0, round(finish * rate) - placed.begin)]
  return wave


class TimestampedSound:
  """Concatenates decoded samples by their timestamps, from sample `begin` on, with silence in the gaps."""

  def __init__(self, rate: int, begin: int):
    self.begin, self.least_gap = begin, 0.05 * rate  # smaller gaps are timestamp rounding
    self.pieces, self.length = [], 0
    self.reached = None  # one past the last sample, from time zero

  def add(self, samples: np.ndarray, index: int | None) -> None:
    """Appends (S,) or (S, 2) samples that start at `index` from time zero; None: directly after the last."""
    least_gap = self.least_gap
    if self.reached is None:
      self.reached, least_gap = min(index or 0, self.begin), 0
    if index is not None and index - self.reached > least_gap:
      self.keep(np.zeros((index - self.reached, *samples.shape[1:]), np.float32))
    self.keep(samples)

  def keep(self, samples: np.ndarray) -> None:
    kept = samples[max(0, self.begin - self.reached) :]
    self.reached += len(samples)
    self.pieces.append(kept)
    self.length += len(kept)

  def wave(self) -> np.ndarray:
    return np.concatenate(self.pieces)


def resample(wave: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
  """Band-limited resampling of (S,) or (S, 2) at `rate` Hz -> round(S * new_rate / rate) float32 samples."""
  wave = np.asarray(wave, np.float32)
  if rate == new_rate or not len(wave):
    return wave
  import soxr

  length = max(1, round(len(wave) * new_rate / rate))
  return pad_or_trim(soxr.resample(wave, rate, new_rate), length).astype(np.float32, copy=False)


def pad_or_trim(wave: np.ndarray, samples: int) -> np.ndarray:
  """(S,) or (S, 2) cut or zero-padded at its end to `samples`."""
  wave = wave[:samples]
  return np.pad(wave, [(0, samples - len(wave))] + [(0, 0)] * (wave.ndim - 1))


def write_wav(path: str | os.PathLike, wave: np.ndarray, sample_rate: int, overwrite: bool = True) -> None:
  """Writes (S,) as a 16-bit mono WAV file, clipped to -1..1, atomically. Raises BadInput where it cannot be written."""
  data = wav_bytes(wave, sample_rate)
  with complete_file(path, overwrite) as part:
    part.write_bytes(data)


def wav_bytes(wave: np.ndarray, sample_rate: int) -> bytes:
  """(S,) -> bytes of a 16-bit mono WAV file, clipped to -1..1."""
  wave = np.asarray(wave, np.float32)
  if wave.ndim != 1 or not np.isfinite(wave).all():
    raise ValueError(f'a wave is (S,) of finite numbers, not {wave.shape}')
  samples = np.round(np.clip(wave, -1, 1) * 32767).astype('<i2')
  data = io.BytesIO()
  with wave_file.open(data, 'wb') as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(int(sample_rate))
    file.writeframes(samples.tobytes())
  return data.getvalue()


def check_voice(wave: np.ndarray, sample_rate: int, path: str | os.PathLike = '') -> tuple[str, ...]:
  """Warnings about a reference recording (S,): short, quiet or clipped. Raises BadInput below 1 s, for silence and for
  heavy clipping."""
  name = Path(path).name or 'the voice recording'
  seconds = len(wave) / sample_rate
  if seconds < MIN_VOICE_SECONDS:
    raise BadInput(
      f'{path or name}: the voice recording lasts {seconds:.2f} s; give at least {MIN_VOICE_SECONDS:g} s, better 5 s'
    )
  block = int(0.05 * sample_rate)
  blocks = wave[: len(wave) // block * block].reshape(-1, block)
  loudest = 10 * np.log10(np.mean(blocks**2, axis=1).max() + 1e-20)
  if loudest < SILENT_DB:
    raise BadInput(
      f'{path or name}: the voice recording is silent (loudest {loudest:.0f} dB of full scale); record it again, louder'
    )
  clipped = clipped_share(wave)
  if clipped > MAX_CLIPPED_SHARE:
    raise BadInput(
      f'{path or name}: the voice recording is clipped ({100 * clipped:.1f} % of it flattened); '
      'record it again at a lower level'
    )
  warnings = []
  if seconds < 3:
    warnings.append(f'{name}: only {seconds:.1f} s of voice; 5 s or more sound more like the speaker')
  if loudest < -40:
    warnings.append(f'{name}: the voice is quiet (loudest {loudest:.0f} dB of full scale)')
  if clipped > MAX_CLIPPED_SHARE / 10:
    warnings.append(f'{name}: {100 * clipped:.2f} % of the voice is clipped')
  return tuple(warnings)


def clipped_share(wave: np.ndarray) -> float:
  """Share of clipped samples: those in runs of three or more at the wave's positive or negative peak."""
  peak = float(np.abs(wave).max(initial=0))
  if peak == 0:
    return 0.0
  flat = np.abs(wave) >= 0.995 * peak
  same_side = np.sign(wave)
  run = flat[:-2] & flat[1:-1] & flat[2:] & (same_side[:-2] == same_side[1:-1]) & (same_side[1:-1] == same_side[2:])
  inside = np.zeros(len(wave), bool)
  for shift in range(3):
    inside[shift : len(wave) - 2 + shift] |= run
  return float(inside.mean())
