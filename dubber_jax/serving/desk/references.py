"""Recordings that a person gives a line: as a reference, which becomes its first exemplar, or as a guide, a performance
that its direction follows. Files are decoded in a worker process; perception gets arrays."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dubber_jax.director.source_performance import LEAST_LINES, SourcePerformance, read_performance
from dubber_jax.errors import BadInput
from dubber_jax.media.sound import resample
from dubber_jax.retrieval.reference import LONGEST, read_reference
from dubber_jax.types import LIP_RATE, SAMPLE_RATE, Reference

if TYPE_CHECKING:
  from dubber_jax.serving.forms import UploadedFile
  from dubber_jax.serving.state import ServerState

DIGITS = 16  # of a key


@dataclass(frozen=True)
class Performance:
  """An upload as it was decoded: wave (S,) at SAMPLE_RATE, None without sound; frames (L, H, W, 3) at 25 Hz, None
  without pictures; key: of the file's content; name: as it was called, to be shown."""

  key: str
  name: str
  wave: np.ndarray | None
  frames: np.ndarray | None

  @property
  def picture(self) -> np.ndarray | None:
    """The picture in the middle."""
    return None if self.frames is None or not len(self.frames) else self.frames[len(self.frames) // 2]


async def decode(server: 'ServerState', file: 'UploadedFile') -> Performance:
  """Decodes an uploaded recording or clip, at most LONGEST seconds of it. Raises ApiError for one that cannot be."""
  facts: dict[str, Any] = await server.uploads.read(file.path, 'reference', file.name)
  wave, frames = facts.get('wave'), facts.get('frames')
  if wave is not None:
    wave = resample(np.asarray(wave, np.float32), int(facts['rate']), SAMPLE_RATE)[: round(LONGEST * SAMPLE_RATE)]
  if frames is not None:
    frames = frames[: round(LONGEST * LIP_RATE)]
  return Performance(file.hash[:DIGITS], shown_name(file.name), wave, frames)


def shown_name(name: str) -> str:
  """A file's name as it is shown: without folders and control characters."""
  plain = name.replace('\\', '/').rsplit('/', 1)[-1]
  return ''.join(c for c in plain if c.isprintable())[:80] or 'recording'


def reference_of(performance: Performance) -> Reference:
  """The reference that an upload makes. Raises BadInput where nothing is heard in it and no face is seen."""
  return read_reference(performance.wave, SAMPLE_RATE, performance.frames, performance.name, performance.key)


def guide_of(performance: Performance, others: list[SourcePerformance]) -> SourcePerformance:
  """The performance that a recording of one line is. others: of the same character's other lines, to whose median its
  pace and pitch are relative, where there are enough.

  Raises BadInput where nobody speaks in it.
  """
  heard = None if performance.wave is None else read_performance(performance.wave, SAMPLE_RATE)
  if heard is None:
    raise BadInput(f'{performance.name}: nobody speaks in it: there is no performance to be guided by')
  return relative_to(heard, others)


def relative_to(heard: SourcePerformance, others: list[SourcePerformance]) -> SourcePerformance:
  """A performance with its pace and pitch relative to the median of it and others, where these are LEAST_LINES."""
  known = [(g.rate, g.pitch) for g in [heard, *others] if g.pitch is not None and g.rate > 0]
  if len(known) < LEAST_LINES or heard.pitch is None or heard.rate <= 0:
    return heard
  rate, pitch = np.median(known, axis=0)
  return dataclasses.replace(
    heard, pace_ratio=float(heard.rate / rate), pitch_shift=float(12 * np.log2(heard.pitch / pitch))
  )
