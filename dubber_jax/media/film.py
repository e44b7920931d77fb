"""A film that is opened once: what it holds, its hash, its sound by blocks and its pictures by time."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubber_jax.media.clock import clock_of
from dubber_jax.media.container import open_media
from dubber_jax.media.sound import (
  BLOCK_SECONDS,
  NO_INDEX,
  count_channels,
  exact_blocks,
  mix_down,
  pad_or_trim,
  read_channels,
  resample,
  sound_blocks,
)
from dubber_jax.media.video import MediaInfo, probe, read_frames
from dubber_jax.storage.hashing import sha256_file
from dubber_jax.types import SAMPLE_RATE

SOUND_RATE = 48_000  # Hz, of films


@dataclass(frozen=True)
class Film:
  """A film file, or a recording. It is probed at most once, when first asked; its sound is never held as a whole.

  audio_track: which of its sounds is meant, from 0; None: the default one.
  """

  path: Path
  audio_track: int | None = None

  def __post_init__(self):
    object.__setattr__(self, 'path', Path(self.path))

  @functools.cached_property
  def info(self) -> MediaInfo:
    """Length, tracks and pictures. Raises BadInput for a file that cannot be read."""
    return probe(self.path)

  @functools.cached_property
  def hash(self) -> str:
    """Sixteen hex digits of the file's SHA-256."""
    return sha256_file(self.path)[:16]

  @property
  def seconds(self) -> float:
    return self.info.seconds

  @property
  def samples(self) -> int:
    """Its length at SOUND_RATE."""
    return round(self.seconds * SOUND_RATE)

  @functools.cached_property
  def channels(self) -> int:
    """Channels of `sound_blocks`: 1, 2, 6 or 8. Raises BadInput where it has no such track."""
    return count_channels(self.path, self.audio_track)

  def sound_blocks(self) -> Iterator[np.ndarray]:
    """Its sound at SOUND_RATE by blocks (S, C) float32 of BLOCK_SECONDS, together as long as the film.

    C: its channels in ffmpeg's order, of 5.1 FL FR FC LFE BL BR. Raises BadInput where it has no sound, or one that is
    damaged or cut off.
    """
    blocks = sound_blocks(self.path, SOUND_RATE, track=self.audio_track)
    return exact_blocks(blocks, self.samples, self.channels, round(BLOCK_SECONDS * SOUND_RATE))

  def mono_span(self, start: float, end: float) -> np.ndarray:
    """Its sound from `start` to `end` s, mixed down to one channel: (S,) float32 at SAMPLE_RATE; silence past its end.

    Channels that cancel each other within the span are not mixed, see `mix_down`.
    """
    wave, rate = read_channels(self.path, start, end, self.audio_track)
    return pad_or_trim(_mono([wave], rate), _samples(start, end))

  def mono_spans(self, spans: Sequence[tuple[float, float]]) -> Iterator[np.ndarray]:
    """`mono_span` of each of the spans (start s, end s), in their order; one at a time is in memory.

    Those of a file without an index are cut from one pass over it, and held until it is their turn.
    """
    with open_media(self.path) as container:
      indexed = container.format.name not in NO_INDEX and not clock_of(container, self.path).jumps
    if indexed:
      yield from (self.mono_span(start, end) for start, end in spans)
      return
    first, pieces, done = 0, {}, {}
    for block in sound_blocks(self.path, SOUND_RATE, track=self.audio_track):
      for number, span in enumerate(spans):
        begin, finish = (round(time * SOUND_RATE) - first for time in span)
        if begin < len(block) and finish > 0:
          pieces.setdefault(number, []).append(block[max(0, begin) : finish])
        if number in pieces and finish <= len(block):
          done[number] = _mono(pieces.pop(number), SOUND_RATE)
      first += len(block)
    done |= {number: _mono(piece, SOUND_RATE) for number, piece in pieces.items()}
    for number, (start, end) in enumerate(spans):
      yield pad_or_trim(done.pop(number, np.zeros(0, np.float32)), _samples(start, end))

  def frames(
    self, start: float, end: float, max_seconds: float = 600, max_side: int | None = None
  ) -> tuple[np.ndarray, float]:
    """Pictures from `start` to `end` s: (L, H, W, 3) uint8 RGB at 25 a second, and the seconds that they last."""
    return read_frames(self.path, start, end, max_seconds=max_seconds, max_side=max_side)


def _mono(pieces, rate):
  return resample(mix_down(np.concatenate(pieces)), rate, SAMPLE_RATE)


def _samples(start, end):
  return round(end * SAMPLE_RATE) - round(start * SAMPLE_RATE)
