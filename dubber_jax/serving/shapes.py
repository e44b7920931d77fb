"""Padded shapes that a server compiles its programs for, and which of them are ready.

A program takes seconds to compile. Those that a usual line needs are compiled before the server says that it is ready,
the others behind that; until one is there, lines go in the nearest larger shape that is, or one by one.
"""

import dataclasses
import threading

import numpy as np

from dubber_jax.inference.batch import REFERENCE, Shape, empty_line, lip_frames
from dubber_jax.inference.model import Model
from dubber_jax.inference.synthesis import DURATIONS, TAKES, WAVES

Kind = str  # DURATIONS, TAKES or WAVES
# (mel frames, phonemes) of lines: 3.0, 4.5, 5.9, 8.9 and 11.9 s. A line of ten words takes the first or the second.
LINES = ((256, 64), (384, 64), (512, 128), (768, 128), (1024, 192))
USUAL = 2  # of them are compiled first
WAVE_FRAMES = (256, 384, 512, 768, 1024)  # of the vocoder
USUAL_WAVES = (256, 384)
BATCHES = (2, 4, 8)  # lines in one batch, besides 1
BATCHED = 3  # of LINES are compiled for batches


class UsualShapes:
  """The shapes of a model's programs. An artifact's lengths are those that it was exported with."""

  def __init__(self, model: Model, batch: int):
    """batch: lines that are synthesized together at most."""
    self.model = model
    self.batches = tuple(size for size in BATCHES if size <= batch)
    self._ready: set[tuple[Kind, Shape]] = set()
    self._lock = threading.Lock()
    buckets = getattr(getattr(model, 'programs', None), 'shapes', None)
    self.lines = tuple(buckets) if buckets else tuple(_line_shape(*each) for each in LINES)
    self.waves = tuple(_wave_shape(s.frames) for s in buckets) if buckets else tuple(map(_wave_shape, WAVE_FRAMES))

  def first(self) -> list[tuple[Kind, Shape]]:
    """What a usual line needs: the first lengths, one line at a time. The longest to compile come first."""
    lines = self.lines[:USUAL]
    texts = dict.fromkeys(self._durations(shape) for shape in lines)
    waves = [shape for shape in self.waves if shape.frames in USUAL_WAVES] or self.waves[:USUAL]
    return [*((TAKES, s) for s in lines), *((DURATIONS, s) for s in texts), *((WAVES, s) for s in waves)]

  def behind(self) -> list[tuple[Kind, Shape]]:
    """The others: longer lines, and batches."""
    single = [(kind, s) for s in self.lines for kind, s in ((DURATIONS, self._durations(s)), (TAKES, s))]
    single += [(WAVES, s) for s in self.waves]
    waves = [s for s in self.waves if s.frames <= max(shape.frames for shape in self.lines[:BATCHED])]
    several = [
      (kind, dataclasses.replace(s, items=size))
      for size in self.batches
      for kind, shapes in (
        (DURATIONS, [self._durations(shape) for shape in self.lines[:BATCHED]]),
        (TAKES, self.lines[:BATCHED]),
        (WAVES, waves),
      )
      for s in shapes
    ]
    return [each for each in dict.fromkeys([*single, *several]) if each not in self._ready]

  def compile(self, kind: Kind, shape: Shape) -> None:
    """Compiles a program, by a batch of nothing, and has it used from now on."""
    if kind == WAVES:
      vocoder = self.model.vocoder
      if hasattr(vocoder, 'vocode_batch'):
        silence = np.zeros((1, self.model.config.task.mel_bands), np.float32)
        vocoder.vocode_batch([silence], [0], np.zeros((1, 2), np.float32), shape.items, shape.frames)
    else:
      batch = empty_line(self.model.config, shape)
      if kind == DURATIONS:
        np.asarray(self.model.predict_durations(batch))
      else:
        durations = np.zeros(batch['phonemes'].shape, np.int32)
        durations[:, 0] = shape.frames
        controls = np.repeat(np.array([[0, 1, 0]], np.float32), shape.items, axis=0)
        np.asarray(self.model.synthesize(batch, durations, controls, shape.frames)[0])
    with self._lock:
      self._ready.add((kind, shape))

  def choose(self, kind: Kind, items: int, frames: float, phonemes: int) -> Shape:
    """The smallest shape that is ready and holds such lines, of as many items as there are or, where there are none so
    large, of fewer; else the one that has to be compiled. Raises BadInput for a line too long for an artifact."""
    with self._lock:
      fitting = [s for k, s in self._ready if k == kind and s.frames >= frames and s.phonemes >= phonemes]
    if not fitting:
      shape = self.model.shape(frames, phonemes) if kind != WAVES else _wave_shape(-(-int(frames) // 256) * 256)
      with self._lock:
        self._ready.add((kind, shape))  # it is compiled now
      return shape
    least = min((s.frames, s.phonemes) for s in fitting)
    sizes = {s.items: s for s in fitting if (s.frames, s.phonemes) == least}
    return sizes[min((size for size in sizes if size >= items), default=max(sizes))]

  def _durations(self, shape: Shape) -> Shape:
    """The shape in which durations of such a line are predicted: their number of frames is not known yet."""
    return self.model.shape(1, shape.phonemes)


def _line_shape(frames: int, phonemes: int) -> Shape:
  return Shape(1, frames, phonemes, lip_frames(frames), REFERENCE)


def _wave_shape(frames: int) -> Shape:
  return Shape(1, frames, 1, 0, 0)
