"""One line: read, directed, performed, with a result for programs. `film.py` makes a film of many."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from dubber_jax.actor.duration import STRICT, check_fit
from dubber_jax.director.planner import Before, Planner, by_rules, mixed_emotion, modality_agreement
from dubber_jax.dubbing.result import DubbedLine, overrun_of, round_result, take_warnings
from dubber_jax.dubbing.timeline import LONGEST_LINE
from dubber_jax.errors import BadInput
from dubber_jax.inference.model import Model
from dubber_jax.inference.synthesis import LineInputs, speech_span, vocode
from dubber_jax.perception.analyze import Extractors, follow_mouth, read_clip
from dubber_jax.profiling import Stopwatch
from dubber_jax.rehearsal import emotion_name, rehearse
from dubber_jax.retrieval.library import Library
from dubber_jax.script.g2p import Phonemes, phonemize
from dubber_jax.types import MODALITIES, Clip, Direction, Line, Take, Voice

LONGEST_TEXT, MOST_PHONEMES = 3000, 1200  # characters and phonemes of a line: a minute and more of speech
ROUNDS, CANDIDATES = 3, 4  # of a rehearsal
REHEARSING = ('reading', 'recall', 'direction', 'rehearsal')  # stages that it is made of


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


def shipped_library(model: Model) -> Library | None:
  """The library that comes with the package, checked against the extractors; None where the director is off."""
  return Library.open(None, library_features()) if model.config.director.enabled else None


def library_features() -> dict[str, dict]:
  manifest = Extractors().manifest()
  return {m: manifest[m] for m in (*MODALITIES, 'sound')}


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
