"""Speech without a film: lines to wave files."""

import dataclasses
from pathlib import Path

import numpy as np

from dubber_jax.actor.duration import check_fit, room_after
from dubber_jax.director.planner import Planner, by_rules
from dubber_jax.dubbing.line import STAGE_DIRECTIONS, check_script, play_line, shipped_library
from dubber_jax.dubbing.mix import fill
from dubber_jax.dubbing.timeline import LONGEST_LINE
from dubber_jax.errors import BadInput
from dubber_jax.inference.model import Model
from dubber_jax.media.loudness import TARGET_LUFS, integrated, limit_peaks
from dubber_jax.media.sound import write_wav
from dubber_jax.retrieval.library import Library
from dubber_jax.storage.atomic import check_output
from dubber_jax.types import EMOTIONS, SAMPLE_RATE, Line, Voice


def speak(
  lines: list[Line],
  voice: Voice,
  outs: list[Path],
  model: Model,
  library: Library | None = None,
  overwrite: bool = False,
  lexicon: dict | None = None,
  emotion: str = '',
  planner: Planner = by_rules,
  say=print,
  fit: str | None = None,
  **options,
) -> list[dict]:
  """Speaks each line into a wav of its own. `emotion`, one of EMOTIONS, goes to the director as a stage direction;
  fit: lines that have times are spoken in these, as by `dub`, the last one with no end of a film after it; None: they
  last as long as they need. options: of `play_line`."""
  if emotion and emotion not in EMOTIONS:
    raise BadInput(f'no emotion {emotion!r}: use one of {", ".join(EMOTIONS)}')
  for out in outs:
    check_output(out, overwrite)
  check_script(lines, lexicon)
  slots = [{}] * len(lines) if fit is None else slots_of(lines, fit, 'slot_seconds' in options)
  library = library or shipped_library(model)
  for warning in voice.warnings:
    say(f'warning: {warning}')
  results, before = [], []
  for line, out, slot in zip(lines, outs, slots, strict=True):
    if emotion:
      line = dataclasses.replace(line, stage_direction=STAGE_DIRECTIONS[emotion])
    how = options | slot | {'lexicon': lexicon, 'planner': planner, 'before': before}
    done = play_line(model, line, voice, library, **how)
    before.append((line, done.direction))
    wave = fill(done.take.waveform, len(done.take.waveform))
    level = integrated(wave, SAMPLE_RATE) - done.result['direction']['loudness']
    if np.isfinite(level):
      wave = limit_peaks(wave * 10 ** ((TARGET_LUFS - level) / 20), SAMPLE_RATE)
    write_wav(out, wave, SAMPLE_RATE, overwrite)
    say(f'{out}: {line.text}')
    for warning in done.result['warnings']:
      say(f'  warning: {warning}')
    warnings = [*voice.warnings, *done.result['warnings']]
    results.append(done.result | {'warnings': warnings, 'files': {'sound': str(out)}})
  return results


def slots_of(lines: list[Line], fit: str, given: bool = False) -> list[dict]:
  """How `play_line` is to fit each of the lines to its own times, where it has some; `given`: a slot is given besides.

  Raises BadInput where none has, and there is nothing to fit to.
  """
  check_fit(fit)
  spans = [(line.start, line.end) for line in lines if line.start is not None and line.end is not None]
  if not spans and not given:
    raise BadInput(f'--fit {fit}: the lines have no times, so that each lasts as long as it needs; leave it out')
  slots = []
  for i, line in enumerate(lines):
    slot = {'fit': fit, 'room_seconds': LONGEST_LINE}
    if line.start is not None and line.end is not None:
      others = [(o.start, o.end) for o in lines[:i] + lines[i + 1 :] if o.start is not None and o.end is not None]
      slot |= {
        'slot_seconds': line.end - line.start,
        'room_seconds': room_after((line.start, line.end), others, line.end + LONGEST_LINE),
      }
    slots.append(slot)
  return slots
