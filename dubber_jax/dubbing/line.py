"""One line of a dub: its clip is read, performances like it are retrieved, it is directed, rehearsed and vocoded."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dubber_jax.director.planner import Planner, by_rules, mixed_emotion, modality_agreement
from dubber_jax.dubbing.inputs import read_script
from dubber_jax.dubbing.request import LineOptions, LineTask
from dubber_jax.dubbing.result import (
  DubbedLine,
  LineResult,
  ReadingResult,
  overrun_of,
  round_result,
  take_result,
  take_warnings,
)
from dubber_jax.dubbing.timeline import LONGEST_LINE
from dubber_jax.errors import BadInput
from dubber_jax.inference.model import Model
from dubber_jax.inference.speech_span import speech_span
from dubber_jax.inference.synthesis import LineInputs, vocode
from dubber_jax.perception.analyze import Extractors, follow_mouth, read_clip
from dubber_jax.profiling import Stopwatch
from dubber_jax.rehearsal import rehearse
from dubber_jax.retrieval.library import Library
from dubber_jax.retrieval.reference import with_reference
from dubber_jax.script.g2p import Phonemes
from dubber_jax.types import MODALITIES, Clip, Direction, Exemplars, Line, MouthTrack, Reading, Take

REHEARSING = ('reading', 'recall', 'direction', 'rehearsal')  # stages that count as rehearsal_seconds


@dataclass(frozen=True)
class SeenLine:
  """What all takes of a line have in common: its phonemes, the mouth in its pictures, their reading, the performances
  that were retrieved for it, the length of its slot, and warnings. Without a director there is no reading."""

  phonemes: Phonemes
  slot_seconds: float | None
  track: MouthTrack | None = None
  reading: Reading | None = None
  exemplars: Exemplars | None = None
  warnings: tuple[str, ...] = ()


def see_line(
  model: Model,
  library: Library | None,
  task: LineTask,
  options: LineOptions,
  extractors: Extractors | None = None,
  watch: Stopwatch | None = None,
) -> SeenLine:
  """Reads a line's words and pictures and retrieves performances for it: all that does not depend on a take.

  Raises BadInput for a line that cannot be spoken.
  """
  extractors, watch, slot = extractors or Extractors(), watch or Stopwatch(), task.slot_seconds
  if slot is not None and not 0 < slot <= LONGEST_LINE + 1:
    raise BadInput(f'a slot of {slot:.2f} s: a line has more than 0 and at most {LONGEST_LINE:g} s')
  phonemes = read_script(task.line.text, options.lexicon)
  warnings = list(phonemes.warnings)
  clip = task.clip or Clip(np.zeros((0, 8, 8, 3), np.uint8), slot or 0.0)
  track = None
  if len(clip.frames):
    with watch('lips'):
      track = follow_mouth(clip.frames, options.face, extractors)
    warnings += track.warnings
  if not model.config.task.director.enabled or library is None:
    return SeenLine(phonemes, slot, track, warnings=tuple(warnings))
  with watch('reading'):
    reading = read_clip(clip, task.line, track, extractors)
  warnings += reading.warnings if len(clip.frames) else ()
  with watch('recall'):
    exemplars = _retrieve(model, library, reading, task.line, clip, options.search)
  return SeenLine(phonemes, slot, track, reading, exemplars, tuple(warnings))


def dub_line(
  model: Model,
  library: Library | None,
  task: LineTask,
  options: LineOptions | None = None,
  planner: Planner = by_rules,
  extractors: Extractors | None = None,
  on_take: Callable[[Take], None] | None = None,
) -> DubbedLine:
  """Reads, retrieves, directs, rehearses and vocodes one line.

  on_take: called with the first take, a mel, as soon as it is there, for those who do not want to wait.
  Raises BadInput for a line that cannot be spoken or does not fit its slot.
  """
  options, watch = options or LineOptions(), Stopwatch()
  seen = task.seen or see_line(model, library, task, options, extractors, watch)
  slot, track, reading, exemplars = seen.slot_seconds, seen.track, seen.reading, seen.exemplars
  phonemes, warnings, direction = seen.phonemes, list(seen.warnings), Direction()
  if reading is not None and exemplars is not None:
    if task.reference is not None:
      exemplars = with_reference(exemplars, reading, task.reference)
    with watch('direction'):
      direction, noted = planner(reading, exemplars, task.line, phonemes, task.before)
    warnings += noted
  room = min(task.room_seconds, LONGEST_LINE)
  inputs = LineInputs(phonemes, task.voice, slot, reading, exemplars, track, options.fit, room)
  with watch('rehearsal'):
    rehearsal = rehearse(model, inputs, direction, options.rounds, options.candidates, options.seed, on_take=on_take)
  with watch('vocoder'):
    take = vocode(model, rehearsal.take, options.seed, direction)
  take = dataclasses.replace(take, waveform=take.waveform * 10 ** (rehearsal.level / 20))
  warnings += [*take.warnings, *take_warnings(take, inputs.window)]
  start, end = speech_span(take)
  result = LineResult(
    line=task.line,
    voice=task.voice.name,
    direction=direction,
    take=take_result(take),
    slot_seconds=slot if slot is not None else take.slot_seconds,
    fit=options.fit,
    speech_seconds=end - start,
    speech_start=start,
    overrun_seconds=overrun_of(take, slot),
    rehearsal_seconds=sum(watch.seconds.get(stage, 0.0) for stage in REHEARSING),
    compile_seconds=watch.compiling,
    seconds={stage: round(seconds, 4) for stage, seconds in watch.seconds.items()},
    reading=reading and _reading_result(reading),
    exemplars={m: tuple(exemplars.clips.get(m, ())) for m in MODALITIES} if exemplars else {},
    rounds=tuple(round_result(done) for done in rehearsal.rounds),
    warnings=tuple(dict.fromkeys(warnings)),
  )
  frames = task.clip.frames if task.clip is not None and len(task.clip.frames) else None
  return DubbedLine(task.line, take, result, phonemes, track, frames)


def _retrieve(model, library, reading: Reading, line: Line, clip: Clip, search: str) -> Exemplars:
  """The performances most like the reading, none of them from the clip itself."""
  return library.retrieve(
    reading,
    model.config.task.director.exemplars,
    exclude_key=clip.key,
    search=search,
    exclude_media=clip.path,
    exclude_span=(line.start or 0.0, line.end or math.inf),
  )


def _reading_result(reading: Reading) -> ReadingResult:
  emotions = {m: [round(float(p), 4) for p in v] for m, v in reading.emotions.items()}
  agreement = round(modality_agreement(reading), 3)
  return ReadingResult(dict(reading.captions), emotions, agreement, mixed_emotion(reading))
