"""What is reported of a dubbed line: its rounds, warnings and word times."""

import dataclasses
import sys
from dataclasses import dataclass

import numpy as np

from dubber_jax.actor.duration import FRAME_RATE
from dubber_jax.inference.synthesis import speech_span
from dubber_jax.rehearsal import Round, emotion_name
from dubber_jax.script.g2p import SILENCES, Phonemes
from dubber_jax.types import HOP, SAMPLE_RATE, Direction, Line, MouthTrack, Take

LEAST_FILLED = 1 / 3  # share of the mouth's movement; a line that fills less leaves it speaking silently


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
