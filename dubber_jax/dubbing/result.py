"""Results of a dub: what was read, directed, rehearsed and synthesized, typed, with the JSON that programs read.

`LineResult.to_json()` and `DubResult.to_json()` are the contract of `--json` and of a project's result.json.
"""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dubber_jax.actor.slot import FRAME_RATE
from dubber_jax.dubbing.directions import direction_from
from dubber_jax.inference.speech_span import speech_span
from dubber_jax.script.g2p import Phonemes
from dubber_jax.script.symbols import SILENCES
from dubber_jax.types import HOP, SAMPLE_RATE, Direction, Exemplar, Line, MouthTrack, Take, emotion_name

if TYPE_CHECKING:
  from dubber_jax.rehearsal import Round

logger = logging.getLogger(__name__)

LEAST_FILLED = 1 / 3  # share of the mouth's movement; a line that fills less leaves it moving without sound
# The critic's scores as JSON names them: names of the contract do not change with those of the code.
JSON_SCORES = {
  'naturalness': 'natural',
  'intelligibility': 'words',
  'speaker_similarity': 'voice',
  'av_sync': 'together',
  'control_accuracy': 'obedience',
}
SUMMED = ('slot_seconds', 'speech_seconds', 'rehearsal_seconds', 'compile_seconds')  # over the lines of a film


@dataclass(frozen=True)
class ReadingResult:
  """What the director read: captions and emotion probabilities (8,) by modality; agreement of the modalities, 0 to 1;
  `mixed`: (emotion of the face, emotion of the words) where they contradict each other."""

  captions: dict[str, str]
  emotions: dict[str, list[float]]
  agreement: float
  mixed: tuple[str, str] | None = None


@dataclass(frozen=True)
class TakeScores:
  """The critic's scores of one take, 0 to 1 by name, and what of its direction differs between takes of a round."""

  scores: dict[str, float]
  accepted: bool
  intensity: float
  pitch_shift: float  # semitones
  pitch_range: float  # ratio
  pace: float  # ratio


@dataclass(frozen=True)
class RoundResult:
  """One round of the rehearsal: its direction, its takes, the best of them, and why it was accepted or not."""

  direction: Direction
  takes: tuple[TakeScores, ...]
  best: int
  best_score: float
  accepted: bool
  why: str
  why_zh: str
  seconds: float


@dataclass(frozen=True)
class TakeResult:
  """Phonemes of the take, the mel frames of each, and the emotion that the actor's own head finds in it."""

  phonemes: tuple[str, ...]
  durations: tuple[int, ...]
  emotion: str


@dataclass(frozen=True)
class LineResult:
  """All that is reported of one line. Seconds; `seconds` by stage. What belongs to a film only (`words` with their
  times, loudness, median F0, files) is absent from a line that was not exported."""

  line: Line
  voice: str
  direction: Direction
  take: TakeResult
  slot_seconds: float
  fit: str
  speech_seconds: float
  speech_start: float
  overrun_seconds: float = 0.0  # for which the line goes on after its slot, by a natural fit
  rehearsal_seconds: float = 0.0
  compile_seconds: float = 0.0
  seconds: dict[str, float] = field(default_factory=dict)
  reading: ReadingResult | None = None
  exemplars: dict[str, tuple[Exemplar, ...]] = field(default_factory=dict)  # by modality
  rounds: tuple[RoundResult, ...] = ()
  warnings: tuple[str, ...] = ()
  words: tuple[tuple[float, float, str], ...] | None = None  # (start s, end s, word) within the slot
  level_lufs: float | None = None  # of the line as it is in the film; None for silence
  pitch_hz: float | None = None  # median F0 of voiced frames
  exported: bool = False
  files: dict[str, str] = field(default_factory=dict)

  def to_json(self) -> dict[str, Any]:
    """The line in JSON's terms: dictionaries, lists, strings and numbers."""
    r = self.reading
    found: dict[str, Any] = {
      'line': dataclasses.asdict(self.line),
      'voice': self.voice,
      'reading': None if r is None else dataclasses.asdict(r) | {'mixed': r.mixed and list(r.mixed)},
      'exemplars': {m: [dataclasses.asdict(e) for e in clips] for m, clips in self.exemplars.items()},
      'direction': _plain_direction(self.direction),
      'rounds': [_round_to_json(done) for done in self.rounds],
      'take': {
        'phonemes': list(self.take.phonemes),
        'durations': list(self.take.durations),
        'emotion': self.take.emotion,
      },
      'slot_seconds': self.slot_seconds,
      'fit': self.fit,
      'overrun_seconds': self.overrun_seconds,
      'speech_seconds': self.speech_seconds,
      'speech_start': self.speech_start,
      'rehearsal_seconds': self.rehearsal_seconds,
      'compile_seconds': self.compile_seconds,
      'seconds': dict(self.seconds),
      'warnings': list(self.warnings),
    }
    if self.words is not None:
      found['words'] = [list(word) for word in self.words]
    if self.exported:
      found |= {'level_lufs': self.level_lufs, 'pitch_hz': self.pitch_hz}
    return found | ({'files': dict(self.files)} if self.files else {})

  @classmethod
  def from_json(cls, found: Mapping[str, Any]) -> 'LineResult':
    """What `to_json` gave. Raises KeyError, TypeError or ValueError where it is damaged."""
    reading = found['reading']
    return cls(
      line=Line(**found['line']),
      voice=found['voice'],
      direction=direction_from(found['direction'], 'result'),
      take=TakeResult(
        tuple(found['take']['phonemes']), tuple(map(int, found['take']['durations'])), found['take']['emotion']
      ),
      slot_seconds=found['slot_seconds'],
      fit=found['fit'],
      speech_seconds=found['speech_seconds'],
      speech_start=found['speech_start'],
      overrun_seconds=found.get('overrun_seconds', 0.0),
      rehearsal_seconds=found['rehearsal_seconds'],
      compile_seconds=found['compile_seconds'],
      seconds=dict(found['seconds']),
      reading=reading and ReadingResult(**{**reading, 'mixed': reading['mixed'] and tuple(reading['mixed'])}),
      exemplars={m: tuple(Exemplar(**clip) for clip in clips) for m, clips in found['exemplars'].items()},
      rounds=tuple(_round_from_json(done) for done in found['rounds']),
      warnings=tuple(found['warnings']),
      words=tuple((first, last, word) for first, last, word in found['words']) if 'words' in found else None,
      level_lufs=found.get('level_lufs'),
      pitch_hz=found.get('pitch_hz'),
      exported='level_lufs' in found,
      files=dict(found.get('files', {})),
    )


@dataclass(frozen=True)
class DubResult:
  """A dubbed film: its lines, warnings of the whole, seconds by stage of the export, and the files that were written
  (`film`, `dialogue`, `report`, `project`)."""

  lines: tuple[LineResult, ...]
  warnings: tuple[str, ...] = ()
  seconds: dict[str, float] = field(default_factory=dict)
  files: dict[str, str] = field(default_factory=dict)

  def to_json(self) -> dict[str, Any]:
    """Of one line: the line's own JSON, with warnings, seconds and files of the film in it; of several: `lines` with
    sums over them."""
    lines = [line.to_json() for line in self.lines]
    if len(lines) == 1:
      found = lines[0]
    else:
      found = {'lines': lines, **{name: sum(line[name] for line in lines) for name in SUMMED}, 'rounds': []}
    own = {'warnings': [*self.warnings, *found.get('warnings', ())]}
    return found | own | {'seconds': found.get('seconds', {}) | self.seconds, 'files': dict(self.files)}


@dataclass(frozen=True)
class DubbedLine:
  """One line, done: its take with its waveform, what is reported of it, and what was seen."""

  line: Line
  take: Take
  result: LineResult
  phonemes: Phonemes
  track: MouthTrack | None = None
  frames: np.ndarray | None = None

  @property
  def direction(self) -> Direction:
    """The director's own direction, with which the rehearsal began."""
    return self.result.direction


def overrun_of(take: Take, slot_seconds: float | None) -> float:
  """Seconds that a take goes on after its slot; 0 where it lasts as long, to the nearest mel frame."""
  on = slot_seconds is not None and len(take.mel) > round(slot_seconds * FRAME_RATE)
  return take.slot_seconds - slot_seconds if on else 0.0


def round_result(done: 'Round') -> RoundResult:
  """A round of the rehearsal as it is reported."""
  takes = tuple(
    TakeScores(
      {name: round(v, 4) for name, v in r.scores.items()}, r.accepted, d.intensity, d.pitch_shift, d.pitch_range, d.pace
    )
    for d, r in zip(done.directions, done.reviews, strict=True)
  )
  accepted = done.reviews[done.best].accepted
  return RoundResult(
    done.direction, takes, done.best, done.best_score, accepted, done.why, done.why_zh, round(done.seconds, 4)
  )


def take_result(take: Take) -> TakeResult:
  """Phonemes, durations and emotion of a take as they are reported."""
  return TakeResult(tuple(take.phonemes), tuple(int(d) for d in take.durations), emotion_name(take.emotion))


def take_warnings(take: Take, window: tuple[float, float] | None) -> list[str]:
  """Warnings of a take by itself: silence, and a mouth (start s, end s) that goes on without sound."""
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


def words_of(take: Take, phonemes: Phonemes) -> tuple[tuple[float, float, str], ...]:
  """(start s, end s, word) of each word of the line in the take."""
  spoken = np.array([symbol not in SILENCES for symbol in take.phonemes])
  word_of = np.full(len(spoken), -1)
  word_of[spoken] = phonemes.word_of[phonemes.word_of >= 0]
  ends = np.cumsum(take.durations) * HOP / SAMPLE_RATE
  starts = ends - take.durations * HOP / SAMPLE_RATE
  spans = []
  for i, word in enumerate(phonemes.words):
    own = np.flatnonzero(word_of == i)
    spans.append((float(starts[own[0]]), float(ends[own[-1]]), word))
  return tuple(spans)


def log_line(result: LineResult):
  """Logs a line in two rows: how it was directed, and how it came out or, as a warning, what is wrong with it. What the
  director read and retrieved, and the rounds of the rehearsal, are logged for those who debug."""
  _log_details(result)
  logger.info(f'  {result.direction.note or emotion_name(result.direction.emotion)}')
  over = f', running on for {result.overrun_seconds:.2f} s after it' if result.overrun_seconds else ''
  spoken = f'{result.speech_seconds:.2f} s of speech in {result.slot_seconds:.2f} s{over}'
  takes = sum(len(done.takes) for done in result.rounds)
  scored = [done.best_score for done in result.rounds if done.why]  # a model without a critic says nothing
  best = f'; best of {takes} takes: {max(scored):.2f}' if scored else ''
  if result.warnings:
    logger.warning('; '.join(result.warnings))
  else:
    logger.info(f'  {spoken}{best}')


def _log_details(result: LineResult):
  reading = result.reading
  if reading:
    for modality, caption in reading.captions.items():
      probabilities = reading.emotions.get(modality)
      emotion = f' [{emotion_name(probabilities)} {max(probabilities):.0%}]' if probabilities else ''
      logger.debug(f'  saw ({modality}): {caption}{emotion}')
    if reading.mixed:
      face, words = reading.mixed
      logger.debug(
        f'  the face shows {face}, the words say {words}: both are played (agreement {reading.agreement:.2f})'
      )
    for modality, clips in result.exemplars.items():
      if clips:
        named = (f'{c.key} ({c.emotion}, {c.similarity:.2f})' for c in clips)
        logger.debug(f'  retrieved ({modality}): {", ".join(named)}')
  for number, done in enumerate(result.rounds, 1):
    if done.why:
      logger.debug(f'  round {number}: best of {len(done.takes)} takes {done.best_score:.2f}; {done.why}')
  logger.debug(f'  rehearsed in {result.rehearsal_seconds:.2f} s')


def _plain_direction(direction: Direction) -> dict[str, Any]:
  found = dataclasses.asdict(direction)
  listed = {'emotion': list(direction.emotion), 'emphasis': list(direction.emphasis)}
  return found | listed | {'pauses': [list(pause) for pause in direction.pauses]}


def _round_to_json(done: RoundResult) -> dict[str, Any]:
  takes = [
    dataclasses.asdict(t) | {'scores': {JSON_SCORES.get(name, name): v for name, v in t.scores.items()}}
    for t in done.takes
  ]
  return {
    'direction': _plain_direction(done.direction),
    'takes': takes,
    'best': done.best,
    'best_score': done.best_score,
    'accepted': done.accepted,
    'why': done.why,
    'why_zh': done.why_zh,
    'seconds': done.seconds,
  }


def _round_from_json(found: Mapping[str, Any]) -> RoundResult:
  names = {theirs: ours for ours, theirs in JSON_SCORES.items()}
  takes = tuple(
    TakeScores(**{**take, 'scores': {names.get(name, name): v for name, v in take['scores'].items()}})
    for take in found['takes']
  )
  return RoundResult(**{**found, 'takes': takes, 'direction': direction_from(found['direction'], 'result')})
