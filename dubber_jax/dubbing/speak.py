"""Speech without a film: each line into a sound file of its own."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dubber_jax.actor.slot import check_fit, room_after
from dubber_jax.director.planner import Planner, by_rules
from dubber_jax.dubbing.inputs import check_script, shipped_library
from dubber_jax.dubbing.mix import fill
from dubber_jax.dubbing.request import LineOptions, LineTask, check_emotion, with_emotion
from dubber_jax.dubbing.result import LineResult
from dubber_jax.dubbing.timeline import LONGEST_LINE
from dubber_jax.errors import BadInput
from dubber_jax.inference.stored_model import StoredModel, opened
from dubber_jax.media.encode import sound_format, write_sound
from dubber_jax.media.loudness import TARGET_LUFS, integrated_loudness, limit_peaks
from dubber_jax.retrieval.library import Library
from dubber_jax.storage.atomic import check_output
from dubber_jax.types import SAMPLE_RATE, Line, Voice

if TYPE_CHECKING:
  from dubber_jax.inference.model import Model

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpeakRequest:
  """Lines to be spoken by one voice, and the sound file for each, whose suffix says its format (media/encode.py).

  emotion: one of EMOTIONS, which goes to the director as a stage direction. fit: lines that have times are spoken in
  these, as in a film, the last one with no end of a film after it; None: they last as long as they need.
  """

  lines: tuple[Line, ...]
  voice: Voice
  outs: tuple[Path, ...]
  options: LineOptions = field(default_factory=LineOptions)
  emotion: str = ''
  fit: str | None = None
  overwrite: bool = False

  def __post_init__(self):
    if self.emotion:
      check_emotion(self.emotion)


def speak(
  request: SpeakRequest,
  model: 'Model | StoredModel',
  library: Library | None = None,
  planner: Planner = by_rules,
  staged: Mapping[Path, Path] | None = None,
) -> list[LineResult]:
  """Speaks each line into its sound file, all at one loudness. Raises BadInput, before anything is written, for what
  cannot be used.

  staged: as `complete_together` gives it, where the files are to appear together."""
  from dubber_jax.dubbing.line import dub_line  # with JAX

  for out in request.outs:
    sound_format(out)
    check_output(out, request.overwrite)
  check_script(request.lines, request.options.lexicon)
  options = dataclasses.replace(request.options, fit=request.fit or request.options.fit)
  tasks = timed_tasks(request.lines, request.voice, request.fit)
  library, model = library or shipped_library(model), opened(model)
  for warning in request.voice.warnings:
    logger.warning(warning)
  results, before = [], []
  for task, out in zip(tasks, request.outs, strict=True):
    line = task.line
    if request.emotion:
      (line,) = with_emotion([dataclasses.replace(line, stage_direction='')], request.emotion)
    done = dub_line(model, library, dataclasses.replace(task, line=line, before=tuple(before)), options, planner)
    before.append((line, done.direction))
    wave = fill(done.take.waveform, len(done.take.waveform))
    level = integrated_loudness(wave, SAMPLE_RATE) - done.direction.loudness
    if np.isfinite(level):
      wave = limit_peaks(wave * 10 ** ((TARGET_LUFS - level) / 20), SAMPLE_RATE)
    write_sound((staged or {}).get(out.absolute(), out), wave, SAMPLE_RATE, line.text, request.overwrite)
    logger.info(f'{out}: {line.text}')
    for warning in done.result.warnings:
      logger.warning(warning)
    warnings = (*request.voice.warnings, *done.result.warnings)
    results.append(dataclasses.replace(done.result, warnings=warnings, files={'sound': str(out)}))
  return results


def timed_tasks(lines: Sequence[Line], voice: Voice, fit: str | None) -> list[LineTask]:
  """A task a line: with its own times as its slot, and the silence after it, where `fit` asks for these.

  Raises BadInput where no line has times, and there is nothing to fit to.
  """
  if fit is None:
    return [LineTask(line, voice) for line in lines]
  check_fit(fit)
  timed = [line for line in lines if line.start is not None and line.end is not None]
  if not timed:
    raise BadInput(f'--fit {fit}: the lines have no times, so that each lasts as long as it needs; leave it out')
  tasks = []
  for line in lines:
    if line.start is None or line.end is None:
      tasks.append(LineTask(line, voice, room_seconds=LONGEST_LINE))
      continue
    others = [(other.start, other.end) for other in timed if other is not line]
    room = room_after((line.start, line.end), others, line.end + LONGEST_LINE)
    tasks.append(LineTask(line, voice, slot_seconds=line.end - line.start, room_seconds=room))
  return tasks
