"""A film that is opened once: what it holds, its hash, its sound and its pictures by time."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubber_jax.media.sound import read_sound, resample
from dubber_jax.media.video import MediaInfo, probe, read_frames
from dubber_jax.storage.hashing import sha256_file
from dubber_jax.types import SAMPLE_RATE

SOUND_RATE = 48_000  # Hz, of films


@dataclass(frozen=True)
class Film:
  """A film file. It is probed and its sound is decoded at most once, when first asked for."""

  path: Path

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

  @functools.cached_property
  def sound(self) -> np.ndarray:
    """Its sound at 48 kHz, (S,) or (S, 2) float32. Raises BadInput where it has none."""
    return read_sound(self.path, SOUND_RATE, stereo=True)

  @functools.cached_property
  def mono(self) -> np.ndarray:
    """Its sound as (S,) float32 at SAMPLE_RATE: the mean of its channels."""
    wave = self.sound
    return resample(wave.mean(1) if wave.ndim > 1 else wave, SOUND_RATE, SAMPLE_RATE)

  def frames(
    self, start: float, end: float, max_seconds: float = 600, max_side: int | None = None
  ) -> tuple[np.ndarray, float]:
    """Pictures from `start` to `end` s: (L, H, W, 3) uint8 RGB at 25 a second, and the seconds that they last."""
    return read_frames(self.path, start, end, max_seconds=max_seconds, max_side=max_side)
