"""Programs that the takes of a line need, compiled before a note is given, behind all other work.

The lengths of a line are padded to a few shapes, and each of them is a program of its own, which takes seconds to
compile where it is not kept on the disk (storage/programs.py). A note that adds a pause, or slows a line down, may
bring it from one shape to the next: these are compiled too.
"""

import dataclasses
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from dubber_jax.actor.slot import FRAME_RATE
from dubber_jax.inference.batch import FRAME_STEP, Shape, empty_line
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.script.symbols import SILENCES
from dubber_jax.serving.priority import yield_to_others
from dubber_jax.types import MEL_BANDS, Take

if TYPE_CHECKING:
  from dubber_jax.dubbing.line import SeenLine
  from dubber_jax.dubbing.request import LineOptions
  from dubber_jax.inference.model import Model
  from dubber_jax.types import Voice

logger = logging.getLogger(__name__)

PAUSES = 4  # that notes may add to a line's symbols


class Warmer:
  """Compiles programs in a thread of its own, at a low priority, each once."""

  def __init__(self):
    self._pool = ThreadPoolExecutor(1, 'dubber-warm', yield_to_others)
    self._done: set[tuple] = set()
    self._lock = threading.Lock()

  def warm(self, model: 'Model', seen: 'SeenLine', voice: 'Voice', options: 'LineOptions') -> None:
    """Compiles what takes of a line need, behind what was asked for before."""
    if seen.slot_seconds is not None:
      self._pool.submit(self._warm, model, seen, voice, options)

  def stop(self) -> None:
    """Compiles nothing more after what it is at."""
    self._pool.shutdown(wait=False, cancel_futures=True)

  def _warm(self, model: 'Model', seen: 'SeenLine', voice: 'Voice', options: 'LineOptions') -> None:
    try:
      for name, shape in line_shapes(model, seen, options):
        key = (id(model), name, shape)
        with self._lock:
          known = key in self._done
          self._done.add(key)
        if not known:
          compile_shape(model, name, shape, seen, voice)
    except Exception as error:  # what is wrong is told when the line is played
      logger.warning('cannot compile for a line: %s', type(error).__name__)


def line_shapes(model: 'Model', seen: 'SeenLine', options: 'LineOptions') -> list[tuple[str, Shape]]:
  """The programs that takes of a line need, 'durations', 'takes', 'scores' and 'waves', with their shapes; those of the
  line as it is first. Of a critic's and a vocoder's shape `frames` and `phonemes` are the lengths of a take."""
  slot, count = round((seen.slot_seconds or 0.0) * FRAME_RATE), len(seen.phonemes.symbols)
  scored = model.critic is not None and model.config.task.director.enabled
  rows = options.candidates + 1 if scored else 1
  texts = dict.fromkeys((model.shape(slot, count).phonemes, model.shape(slot, count + PAUSES).phonemes))
  found = []
  for phonemes in texts:
    shape = dataclasses.replace(model.shape(slot, phonemes), items=rows)
    found.append(('durations', shape))
    for frames in dict.fromkeys((slot, max(1, slot - FRAME_STEP))):  # silence after the line is not synthesized
      found.append(('takes', dataclasses.replace(model.shape(frames, phonemes), items=rows)))
    if scored:
      found.append(('scores', Shape(rows, slot, phonemes, 0, 0)))
  return [*found, ('waves', Shape(1, slot, 1, 0, 0))]


def compile_shape(model: 'Model', name: str, shape: Shape, seen: 'SeenLine', voice: 'Voice') -> None:
  """Runs a program on arrays of its shapes, which hold nothing."""
  if name == 'waves':
    model.vocoder.vocode(np.full((shape.frames, MEL_BANDS), LOG_FLOOR, np.float32))
  elif name == 'scores':
    assert model.critic is not None
    model.critic.score([_silence(seen, shape)] * shape.items, voice, seen.track)
  else:
    batch: dict[str, Any] = empty_line(model.config, shape)
    if name == 'durations':
      np.asarray(model.predict_durations(batch))
    else:
      durations = np.zeros(batch['phonemes'].shape, np.int32)
      durations[:, 0] = shape.frames
      controls = np.tile(np.array([0, 1, 0], np.float32), (shape.items, 1))
      np.asarray(model.synthesize(batch, durations, controls, shape.frames)[0])


def _silence(seen: 'SeenLine', shape: Shape) -> Take:
  """A take of a line's length with as many symbols."""
  symbols = (*seen.phonemes.symbols, *[next(iter(SILENCES))] * max(0, shape.phonemes - len(seen.phonemes.symbols)))
  symbols = symbols[: shape.phonemes]
  durations = np.full(len(symbols), shape.frames // len(symbols), np.int32)
  durations[-1] += shape.frames - durations.sum()
  mel = np.full((shape.frames, MEL_BANDS), LOG_FLOOR, np.float32)
  return Take(mel, symbols, durations, np.zeros(shape.frames, np.float32), np.full(8, 1 / 8))
