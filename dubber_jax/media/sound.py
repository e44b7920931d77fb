"""Sound files: decoding to float32 waves, resampling, WAV writing, and checks of a reference recording."""

import contextlib
import io
import os
import wave as wave_file
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer

from dubber_jax.errors import BadInput
from dubber_jax.media.clock import clock_of, timed_packets
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

MAX_SECONDS = 4 * 3600 + 60  # longest sound that is decoded
BLOCK_SECONDS = 10.0  # of sound that is decoded, mixed and written at a time
NO_INDEX = ('mp3', 'aac')  # containers that are decoded from their beginning, whatever part is asked for
MAX_DAMAGED = 0.05  # share of packets that may fail to decode
MIN_VOICE_SECONDS = 1.0  # s
SILENT_DB = -60.0  # dB of full scale: RMS of the loudest 50 ms
CHANNELS = {'mono': 1, 'stereo': 2, '5.1': 6, '7.1': 8}
# Weights of the channels in a mixture to one: of 5.1 and 7.1 as ITU-R BS.775, without the low-frequency channel.
MIX_WEIGHTS = {2: (0.5, 0.5), 6: (0.71, 0.71, 1, 0, 0.5, 0.5), 8: (0.71, 0.71, 1, 0, 0.5, 0.5, 0.5, 0.5)}
CANCELLED_DB = -10.0  # dB of a mixture to its loudest channel; one of two alone gives -6, unrelated ones -3
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
  filled with silence. Channels are mixed down to one by `mix_down`, or to (S, 2) with `stereo` where there are several.
  `track` as for `choose_track`.

  Raises BadInput where the file is missing, holds no sound, or is cut off or damaged.
  """
  wave, rate = read_channels(path, start, end, track)
  if end is not None and end - (start or 0.0) > len(wave) / rate + 0.5:
    raise BadInput(
      f'{path}: the part ends at {end:.2f} s, but the sound lasts {(start or 0.0) + len(wave) / rate:.2f} s; '
      'correct the times'
    )
  if not len(wave):
    raise BadInput(f'{path}: no sound from {start or 0.0:.2f} s on; give a longer recording')
  return resample(to_stereo(wave) if stereo and wave.shape[1] > 1 else mix_down(wave), rate, sample_rate)


def read_channels(
  path: str | os.PathLike, start: float | None = None, end: float | None = None, track: int | None = None
) -> tuple[np.ndarray, int]:
  """All channels of an audio track at its own sample rate: (S, C) float32, and the rate in Hz; else as `read_sound`."""
  check_span(path, start, end)
  with open_sound(path, track) as (container, stream, rate):
    pieces = [np.zeros((0, CHANNELS[layout_of(stream)]), np.float32)]
    pieces += decode_sound(container, stream, rate, path, start or 0.0, end)
  return np.concatenate(pieces), rate


def sound_blocks(
  path: str | os.PathLike,
  sample_rate: int,
  start: float | None = None,
  track: int | None = None,
) -> Iterator[np.ndarray]:
  """Decodes an audio track by blocks: (S, C) float32 at `sample_rate`, S that of BLOCK_SECONDS, of the last one fewer.

  C: 1, 2, 6 (5.1: FL FR FC LFE BL BR) or 8 (7.1, with SL SR). The blocks together are what `read_channels` gives,
  resampled; one block is in memory at a time. Raises BadInput as `read_sound` does, some of it after the last block.
  """
  check_span(path, start, None)
  with open_sound(path, track) as (container, stream, rate):
    pieces = decode_sound(container, stream, rate, path, start or 0.0, None)
    yield from equal_blocks(resample_blocks(pieces, rate, sample_rate), round(BLOCK_SECONDS * sample_rate))


def count_channels(path: str | os.PathLike, track: int | None = None) -> int:
  """The number of channels that `sound_blocks` gives of an audio track."""
  with open_sound(path, track) as (_, stream, _):
    return CHANNELS[layout_of(stream)]


@contextlib.contextmanager
def open_sound(path: str | os.PathLike, track: int | None = None) -> Iterator[tuple[InputContainer, AudioStream, int]]:
  """Opens an audio track: its container, its stream and its sample rate in Hz. Raises BadInput as `read_sound`."""
  with open_media(path) as container:
    stream = choose_track(container, 'audio', path, track)
    rate = stream.codec_context.sample_rate
    if not 1000 <= rate <= 768_000:
      raise BadInput(f'{path}: states a sample rate of {rate} Hz; it is damaged, export it again')
    yield container, stream, rate


def layout_of(stream: AudioStream) -> str:
  """The channel layout in which a track is decoded: mono, stereo, 5.1 (of 3 to 6 channels) or 7.1 (of more)."""
  channels = stream.codec_context.channels
  return 'mono' if channels <= 1 else 'stereo' if channels == 2 else '5.1' if channels <= 6 else '7.1'


def decode_sound(
  container: InputContainer, stream: AudioStream, rate: int, path: str | os.PathLike, start: float, end: float | None
) -> Iterator[np.ndarray]:
  """Decodes (S, C) pieces at the track's own `rate`, from `start` s to `end` or the track's end."""
  zero = time_zero(container)
  clock = clock_of(container, path)
  latest = float('inf') if clock.jumps else (header_seconds(container) or 0.0) + 1.0  # s: later timestamps are damaged
  first, last = round(start * rate), round(end * rate) if end is not None else None
  finish = last
  tick = stream.time_base or Fraction(1, rate)
  if 'mov' in container.format.name and stream.duration and stream.start_time is not None:
    # MP4 states the end of the audio to the sample; the codec's last packet extends past it.
    stated = round((float((stream.start_time + stream.duration) * tick) - zero) * rate)
    finish = stated if last is None else min(stated, last)
  if start > 2 and not clock.jumps and container.format.name not in NO_INDEX:
    container.seek(int((start - 1 + zero) / tick), stream=stream, backward=True)
  to_float = FloatSamples(layout_of(stream), rate, path)
  placed = TimestampedSound(rate, first, finish)
  packets = damaged = 0
  for packet in timed_packets(container, path, stream, clock=clock):
    packets += bool(packet.size)
    try:
      frames = packet.decode()
    except MEDIA_ERRORS:
      damaged += 1
      continue
    for frame in frames:
      time = frame.time - zero if frame.time is not None else -np.inf
      index = round(time * rate) if -60 < time < latest else None
      for samples in to_float(frame):
        yield from placed.add(samples, index)
        index = None
      if placed.length > MAX_SECONDS * rate:
        raise BadInput(f'{path}: the sound is longer than {MAX_SECONDS // 3600} hours; give a shorter part of it')
    if last is not None and placed.reached is not None and placed.reached > last:
      return
  if not packets and start > 0:
    return  # the sound ends before
  if damaged > max(1, MAX_DAMAGED * packets) or placed.reached is None:
    raise BadInput(f'{path}: {damaged} of {packets} packets of its sound are damaged; export it again')
  check_complete(container, stream, placed.reached / rate, path)


class FloatSamples:
  """Converts decoded frames to (S, C) float32 of one layout, whatever their sample format and their own layout, which
  may change within a broadcast."""

  def __init__(self, layout: str, rate: int, path: str | os.PathLike):
    self.layout, self.rate, self.path = layout, rate, path
    self.form: tuple[str, str] | None = None
    self.converter: av.AudioResampler | None = None

  def __call__(self, frame: av.AudioFrame) -> Iterator[np.ndarray]:
    if frame.sample_rate != self.rate:
      raise BadInput(f'{self.path}: the sample rate changes within the sound; export it again')
    form = frame.format.name, frame.layout.name
    if self.converter is None or form != self.form:
      self.form, self.converter = form, av.AudioResampler(format='flt', layout=self.layout, rate=self.rate)
    for converted in self.converter.resample(frame):
      samples = converted.to_ndarray().reshape(-1, CHANNELS[self.layout])
      if not np.isfinite(samples).all() or np.abs(samples).max(initial=0) > 1000:
        raise BadInput(f'{self.path}: the sound is damaged (samples are not finite); export it again')
      yield samples


class TimestampedSound:
  """Places decoded samples by their timestamps, from sample `begin` to `finish` (None: all), with silence in gaps."""

  def __init__(self, rate: int, begin: int, finish: int | None = None):
    self.begin, self.finish, self.rate = begin, finish, rate
    self.least_gap = 0.05 * rate  # smaller gaps are timestamp rounding
    self.length = 0
    self.reached: int | None = None  # one past the last sample, from time zero

  def add(self, samples: np.ndarray, index: int | None) -> Iterator[np.ndarray]:
    """Yields what is kept of (S, C) samples that start at `index` from time zero (None: directly after the last)."""
    least_gap = self.least_gap
    if self.reached is None:
      self.reached, least_gap = min(index or 0, self.begin), 0
    if index is not None and index - self.reached > least_gap:
      gap = index - self.reached
      for first in range(0, gap, self.rate):
        yield from self.keep(np.zeros((min(self.rate, gap - first), samples.shape[1]), np.float32))
    yield from self.keep(samples)

  def keep(self, samples: np.ndarray) -> Iterator[np.ndarray]:
    reached = self.reached or 0
    last = len(samples) if self.finish is None else max(0, self.finish - reached)
    kept = samples[max(0, self.begin - reached) : last]
    self.reached = reached + len(samples)
    self.length += len(kept)
    if len(kept):
      yield kept


def mix_down(wave: np.ndarray) -> np.ndarray:
  """(S, C) -> (S,): the mean of two channels, of more the center with the others at their usual weights.

  Where the channels cancel each other, so that the mixture is CANCELLED_DB below the loudest of them, that one alone.
  """
  if wave.ndim == 1 or wave.shape[1] == 1:
    return wave.reshape(-1)
  mixed = wave @ np.float32(MIX_WEIGHTS[wave.shape[1]])
  power = np.mean(np.square(wave, dtype=np.float64), axis=0) if len(wave) else np.zeros(wave.shape[1])
  power = power * (np.array(MIX_WEIGHTS[wave.shape[1]]) > 0)
  cancelled = np.mean(np.square(mixed, dtype=np.float64)) < 10 ** (CANCELLED_DB / 10) * power.max() if len(wave) else 0
  return np.ascontiguousarray(wave[:, int(power.argmax())]) if cancelled else mixed


def to_stereo(wave: np.ndarray) -> np.ndarray:
  """(S, C) of two or more channels -> (S, 2): center and surrounds join both sides, the low-frequency channel none."""
  if wave.shape[1] == 2:
    return wave
  sides = [wave[:, 0] + np.float32(0.5**0.5) * wave[:, 2], wave[:, 1] + np.float32(0.5**0.5) * wave[:, 2]]
  for surround in range(4, wave.shape[1]):
    sides[surround % 2] = sides[surround % 2] + np.float32(0.5**0.5) * wave[:, surround]
  return np.stack(sides, axis=1)


def equal_blocks(pieces: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
  """The samples of all pieces (S, C) in blocks of `size` samples, of which the last may be shorter."""
  held, count = [], 0
  for piece in pieces:
    while len(piece):
      taken = piece[: size - count]
      piece = piece[len(taken) :]
      held.append(taken)
      count += len(taken)
      if count == size:
        yield np.concatenate(held)
        held, count = [], 0
  if count:
    yield np.concatenate(held)


def exact_blocks(blocks: Iterable[np.ndarray], samples: int, channels: int, size: int) -> Iterator[np.ndarray]:
  """The samples of blocks (S, C) cut, or filled up with silence, to so many together, as `equal_blocks` of `size`."""

  def exact():
    count = 0
    for block in blocks:
      block = block[: samples - count]
      count += len(block)
      yield block
      if count == samples:
        return
    while count < samples:
      yield np.zeros((min(size, samples - count), channels), np.float32)
      count += min(size, samples - count)

  return equal_blocks(exact(), size)


def resample_blocks(blocks: Iterable[np.ndarray], rate: int, new_rate: int) -> Iterator[np.ndarray]:
  """`resample` of blocks (S, C): together the same samples as of the whole."""
  if rate == new_rate:
    yield from blocks
    return
  import soxr

  stream, held, taken, given = None, None, 0, 0
  for block in blocks:
    taken += len(block)
    stream = stream or soxr.ResampleStream(rate, new_rate, block.shape[1], dtype='float32')
    if held is not None:
      given += len(out := _columns(stream.resample_chunk(held), held))
      yield out
    held = np.ascontiguousarray(block, np.float32)
  if stream is not None and held is not None:
    out = _columns(stream.resample_chunk(held, last=True), held)
    yield pad_or_trim(out, max(1, round(taken * new_rate / rate)) - given)


def _columns(wave, like):
  return wave.reshape(-1, like.shape[1])


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


def write_wav_blocks(
  path: str | os.PathLike, blocks: Iterable[np.ndarray], sample_rate: int, channels: int = 1, overwrite: bool = True
) -> None:
  """Writes blocks (S, C) as a 16-bit WAV file, clipped to -1..1, atomically. Raises BadInput as `write_wav`."""
  with complete_file(path, overwrite) as part, wave_file.open(str(part), 'wb') as file:
    file.setnchannels(channels)
    file.setsampwidth(2)
    file.setframerate(int(sample_rate))
    for block in blocks:
      file.writeframes(pcm16(block).tobytes())


def pcm16(wave: np.ndarray) -> np.ndarray:
  """The 16-bit samples of a wave, clipped to -1..1."""
  return np.round(np.clip(wave, -1, 1) * 32767).astype('<i2')


def wav_bytes(wave: np.ndarray, sample_rate: int) -> bytes:
  """(S,) -> bytes of a 16-bit mono WAV file, clipped to -1..1."""
  wave = np.asarray(wave, np.float32)
  if wave.ndim != 1 or not np.isfinite(wave).all():
    raise ValueError(f'a wave is (S,) of finite numbers, not {wave.shape}')
  data = io.BytesIO()
  with wave_file.open(data, 'wb') as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(int(sample_rate))
    file.writeframes(pcm16(wave).tobytes())
  return data.getvalue()


def check_voice(wave: np.ndarray, sample_rate: int, path: str | os.PathLike = '') -> tuple[str, ...]:
  """Warnings about a reference recording (S,) or (S, C): short, quiet or clipped. Raises BadInput below 1 s, for
  silence and for heavy clipping.

  It has to be the recording at its own sample rate with its own channels: resampling and mixing round off what is
  clipped.
  """
  name = Path(path).name or 'the voice recording'
  seconds = len(wave) / sample_rate
  if seconds < MIN_VOICE_SECONDS:
    raise BadInput(
      f'{path or name}: the voice recording lasts {seconds:.2f} s; give at least {MIN_VOICE_SECONDS:g} s, better 5 s'
    )
  block = int(0.05 * sample_rate)
  mixed = mix_down(wave)
  blocks = mixed[: len(mixed) // block * block].reshape(-1, block)
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
  """Share of clipped samples of (S,), or of that channel of (S, C) that has most: samples in runs of three or more at
  the positive or at the negative peak."""
  return max((_clipped_share(channel) for channel in wave.reshape(len(wave), -1).T), default=0.0)


def _clipped_share(wave):
  inside, highest = np.zeros(len(wave), bool), float(np.abs(wave).max(initial=0))
  for side in (wave, -wave):
    peak = float(side.max(initial=0))
    if peak <= highest / 20:  # a rest beside 0, not a level at which the sound is cut
      continue
    flat = side >= 0.995 * peak
    run = flat[:-2] & flat[1:-1] & flat[2:]
    for shift in range(3):
      inside[shift : len(wave) - 2 + shift] |= run
  return float(inside.mean()) if len(wave) else 0.0
