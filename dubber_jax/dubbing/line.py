"""One line: read, directed, performed, with a result for programs. `film.py` makes a film of many."""

import dataclasses
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dubber_jax.actor.duration import FRAME_RATE, STRICT, check_fit, room_after
from dubber_jax.director.planner import Before, Planner, by_rules, mixed_emotion, modality_agreement
from dubber_jax.dubbing.timeline import LONGEST_LINE, fill
from dubber_jax.errors import BadInput
from dubber_jax.inference.model_directory import Model
from dubber_jax.media.loudness import TARGET_LUFS, integrated, limit_peaks
from dubber_jax.media.sound import write_wav
from dubber_jax.perception.analyze import Extractors, follow_mouth, read_clip
from dubber_jax.rehearsal import (
  LineInputs,
  Round,
  compile_clock,
  emotion_name,
  rehearse,
  speech_span,
  vocode,
)
from dubber_jax.retrieval.library import Library
from dubber_jax.script.g2p import SILENCES, Phonemes, phonemize
from dubber_jax.storage.atomic import check_output
from dubber_jax.types import EMOTIONS, HOP, MODALITIES, SAMPLE_RATE, Clip, Direction, Line, MouthTrack, Take, Voice

LONGEST_TEXT, MOST_PHONEMES = 3000, 1200  # characters and phonemes of a line: a minute and more of speech
LEAST_FILLED = 1 / 3  # share of the mouth's movement; a line that fills less leaves it speaking silently
ROUNDS, CANDIDATES = 3, 4  # of a rehearsal
REHEARSING = ('reading', 'recall', 'direction', 'rehearsal')  # stages that it is made of


@dataclass(frozen=True)
class DubbedLine:
  """One line, done: what was seen, directed and played, and what of it goes into the result."""

  line: Line
  take: Take
  result: dict
  phonemes: Phonemes
  direction: Direction = Direction()
  track: MouthTrack | None = None
  frames: np.ndarray | None = None


@dataclass
class Stopwatch:
  """Seconds by stage, in the order in which the stages first began; compilation counts apart."""

  seconds: dict[str, float] = field(default_factory=dict)
  compiling: float = 0.0

  def __call__(self, stage: str):
    return _Lap(self, stage)


@dataclass
class _Lap:
  watch: Stopwatch
  stage: str

  def __enter__(self):
    self.began, self.compiled = time.perf_counter(), compile_clock().seconds

  def __exit__(self, *_):
    compiling = compile_clock().seconds - self.compiled
    spent = time.perf_counter() - self.began - compiling
    self.watch.compiling += compiling
    self.watch.seconds[self.stage] = self.watch.seconds.get(self.stage, 0.0) + spent


def play_line(
  model: Model,
  line: Line,
  voice: Voice,
  library: Library | None,
  clip: Clip | None = None,
  slot_seconds: float | None = None,
  face: int | None = None,
  lexicon: dict | None = None,
  search: str = 'exact',
  extractors: Extractors | None = None,
  planner: Planner = by_rules,
  before: Before = (),
  seed: int = 0,
  rounds: int = ROUNDS,
  candidates: int = CANDIDATES,
  on_take: Callable[[Take], None] | None = None,
  fit: str = STRICT,
  room_seconds: float = 0.0,
) -> DubbedLine:
  """Reads, recalls, directs, rehearses and vocodes one line.

  clip: its silent pictures, or None for speech alone. The take lasts `slot_seconds`, or as long as it needs.
  rounds, candidates: how often it is tried at most, and by how many takes at once.
  before: the lines that went before it, each with its direction, the last one last. seed: another one, another take.
  on_take: called with the first take, a mel, as soon as it is there, for those who do not want to wait.
  fit: 'strict', the take lasts as long as its slot; or 'natural', it may run on into the `room_seconds` of silence
  after it, by the result's `overrun_seconds`, and keeps to an unhurried rate (actor/duration.py).
  Raises BadInput for a line that cannot be spoken or does not fit its slot.
  """
  if slot_seconds is not None and not 0 < slot_seconds <= LONGEST_LINE + 1:
    raise BadInput(f'a slot of {slot_seconds:.2f} s: a line has more than 0 and at most {LONGEST_LINE:g} s')
  check_fit(fit)
  watch = Stopwatch()
  extractors = extractors or Extractors()
  phonemes = read_script(line.text, lexicon)
  warnings = list(phonemes.warnings)
  silent_clip = clip or Clip(np.zeros((0, 8, 8, 3), np.uint8), slot_seconds or 0.0)
  track = None
  if len(silent_clip.frames):
    with watch('lips'):
      track = follow_mouth(silent_clip.frames, face, extractors)
    warnings += track.warnings
  reading = exemplars = None
  direction = Direction()
  if model.config.director.enabled and library is not None:
    with watch('reading'):
      reading = read_clip(silent_clip, line, track, extractors)
    warnings += reading.warnings if len(silent_clip.frames) else ()
    with watch('recall'):
      exemplars = library.recall(
        reading,
        model.config.director.exemplars,
        exclude_key=silent_clip.key,
        search=search,
        exclude_media=silent_clip.path,
        exclude_span=(line.start or 0.0, line.end or math.inf),
      )
    with watch('direction'):
      direction, noted = planner(reading, exemplars, line, phonemes, before)
    warnings += noted
  part = LineInputs(phonemes, voice, slot_seconds, reading, exemplars, track, fit, min(room_seconds, LONGEST_LINE))
  with watch('rehearsal'):
    rehearsal = rehearse(model, part, direction, rounds, candidates, seed, on_take=on_take)
  with watch('vocoder'):
    take = vocode(model, rehearsal.take, seed, direction)
  take = dataclasses.replace(take, waveform=take.waveform * 10 ** (rehearsal.level / 20))
  start, end = speech_span(take)
  warnings += [*take.warnings, *take_warnings(take, part.window)]
  result = {
    'line': dataclasses.asdict(line),
    'voice': voice.name,
    'reading': reading
    and {
      'captions': reading.captions,
      'emotions': {m: [round(float(p), 4) for p in v] for m, v in reading.emotions.items()},
      'agreement': round(modality_agreement(reading), 3),
      'mixed': mixed_emotion(reading),
    },
    'exemplars': {m: [dataclasses.asdict(e) for e in exemplars.clips.get(m, ())] for m in MODALITIES}
    if exemplars
    else {},
    'direction': dataclasses.asdict(direction),
    'rounds': [round_result(done) for done in rehearsal.rounds],
    'take': {
      'phonemes': list(take.phonemes),
      'durations': [int(d) for d in take.durations],
      'emotion': emotion_name(take.emotion),
    },
    'slot_seconds': slot_seconds if slot_seconds is not None else take.slot_seconds,
    'fit': fit,
    'overrun_seconds': overrun_of(take, slot_seconds),
    'speech_seconds': end - start,
    'speech_start': start,
    'rehearsal_seconds': sum(watch.seconds.get(s, 0.0) for s in REHEARSING),
    'compile_seconds': watch.compiling,
    'seconds': {k: round(v, 4) for k, v in watch.seconds.items()},
    'warnings': list(dict.fromkeys(warnings)),
  }
  frames = silent_clip.frames if len(silent_clip.frames) else None
  return DubbedLine(line, take, result, phonemes, direction, track, frames)


def overrun_of(take: Take, slot_seconds: float | None) -> float:
  """Seconds that a take goes on after its slot; 0 where it lasts as long, to the nearest mel frame."""
  on = slot_seconds is not None and len(take.mel) > round(slot_seconds * FRAME_RATE)
  return take.slot_seconds - slot_seconds if on else 0.0


def round_result(done: Round) -> dict:
  """A round as it stands in the result."""
  return {
    'direction': dataclasses.asdict(done.direction),
    'takes': [
      {
        'scores': {k: round(v, 4) for k, v in r.scores.items()},
        'accepted': r.accepted,
        'intensity': d.intensity,
        'pitch_shift': d.pitch_shift,
        'pitch_range': d.pitch_range,
        'pace': d.pace,
      }
      for d, r in zip(done.directions, done.reviews, strict=True)
    ],
    'best': done.best,
    'best_score': done.best_score,
    'accepted': done.reviews[done.best].accepted,
    'why': done.why,
    'why_zh': done.why_zh,
    'seconds': round(done.seconds, 4),
  }


def read_script(text: str, lexicon: dict | None = None) -> Phonemes:
  """`phonemize`; raises BadInput as well for a line that takes more than about a minute."""
  phonemes = phonemize(text, lexicon) if len(text) < LONGEST_TEXT else None
  if phonemes is None or len(phonemes.symbols) > MOST_PHONEMES:
    raise BadInput(f'the line {text.strip()[:40]!r}... is more than a minute of speech: split it into several')
  return phonemes


def check_script(lines, lexicon: dict | None = None):
  """Raises BadInput for the first line that cannot be spoken, before any time is spent on the others."""
  for number, line in enumerate(lines, 1):
    try:
      read_script(line.text, lexicon)
    except BadInput as e:
      raise BadInput(f'line {number}: {e}' if len(lines) > 1 else str(e)) from None


def take_warnings(take: Take, window: tuple[float, float] | None) -> list[str]:
  """What can be seen of a take by itself: silence, and a mouth (start s, end s) that goes on without it."""
  start, end = speech_span(take)
  warnings = []
  spoken = take.waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
  if not np.sqrt(np.mean(np.square(spoken, dtype=np.float64))) > 1e-3:
    warnings.append('the take came out nearly silent: try another voice, or another model')
  if window is not None and end - start < LEAST_FILLED * (window[1] - window[0]):
    warnings.append(
      f'the slot is long for the line: {end - start:.1f} s are spoken while the mouth moves for '
      f'{window[1] - window[0]:.1f} s; lengthen the line, or give it less time'
    )
  return warnings


def shipped_library(model: Model) -> Library | None:
  """The library that comes with the package, checked against the extractors; None where the director is off."""
  return Library.open(None, library_features()) if model.config.director.enabled else None


def library_features() -> dict[str, dict]:
  manifest = Extractors().manifest()
  return {m: manifest[m] for m in (*MODALITIES, 'sound')}


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


# How a script would say it in brackets; the planner and the text reader know these words.
STAGE_DIRECTIONS = {
  'angry': 'angrily',
  'disgust': 'disgusted',
  'fear': 'frightened',
  'happy': 'happily',
  'neutral': 'calmly',
  'sad': 'sadly',
  'surprise': 'surprised',
  'others': 'hesitantly',
}


def words_of(done: DubbedLine) -> tuple[tuple[float, float, str], ...]:
  """(start s, end s, word) of the take."""
  spoken = np.array([symbol not in SILENCES for symbol in done.take.phonemes])
  word_of = np.full(len(spoken), -1)
  word_of[spoken] = done.phonemes.word_of[done.phonemes.word_of >= 0]
  ends = np.cumsum(done.take.durations) * HOP / SAMPLE_RATE
  starts = ends - done.take.durations * HOP / SAMPLE_RATE
  spans = []
  for i, word in enumerate(done.phonemes.words):
    own = np.flatnonzero(word_of == i)
    spans.append((float(starts[own[0]]), float(ends[own[-1]]), word))
  return tuple(spans)


def tell(result: dict, say=print):
  """Says what the director saw, recalled and directed."""
  reading = result['reading']
  if reading:
    for modality, caption in reading['captions'].items():
      odds = reading['emotions'].get(modality)
      feeling = f' [{emotion_name(odds)} {max(odds):.0%}]' if odds else ''
      say(f'  saw ({modality}): {caption}{feeling}')
    if reading['mixed']:
      shown, said = reading['mixed']
      say(f'  the face shows {shown}, the words say {said}: both are played (agreement {reading["agreement"]:.2f})')
    for modality, clips in result['exemplars'].items():
      if clips:
        named = (f'{c["key"]} ({c["emotion"]}, {c["similarity"]:.2f})' for c in clips)
        say(f'  recalled ({modality}): {", ".join(named)}')
  if result['direction']['note']:
    say(f'  directed: {result["direction"]["note"]}')
    say(f'            {result["direction"]["note_zh"]}')
  for number, done in enumerate(result['rounds'], 1):
    if done['why']:  # a model without a critic says nothing
      say(f'  round {number}: best of {len(done["takes"])} takes {done["best_score"]:.2f}; {done["why"]}')
  over = f'running on for {result["overrun_seconds"]:.2f} s after it, ' if result.get('overrun_seconds') else ''
  say(
    f'  spoke {result["speech_seconds"]:.2f} s in a slot of {result["slot_seconds"]:.2f} s, {over}'
    f'rehearsed in {result["rehearsal_seconds"]:.2f} s'
  )
  for warning in result['warnings']:
    say(f'  warning: {warning}')
  sys.stdout.flush()
