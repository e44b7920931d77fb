"""Prosody and emotion of the original performance, and a direction interpolated toward them.

Nothing but the numbers of `SourcePerformance` is taken from the recording: neither words nor voice. Pace and F0 are
relative to the median of the same character's lines, which makes them independent of language and speaker; a character
of fewer than LEAST_LINES lines has no median, and gives its pitch range, pauses and emotion alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dubber_jax.director.limits import clipped, clipped_pause
from dubber_jax.director.notes.line_words import breath_place, marks
from dubber_jax.errors import BadInput
from dubber_jax.media.sound import resample
from dubber_jax.perception.prosody import track_pitch
from dubber_jax.perception.speech_emotion import sound_emotion
from dubber_jax.perception.vad import RATE, WINDOW, speech_probabilities
from dubber_jax.script.g2p import Phonemes
from dubber_jax.types import EMOTIONS, SAMPLE_RATE, Direction, Line

LEAST_SPEECH = 0.4  # s of speech in a line; with less nothing is measured
LEAST_LINES = 3  # of a character, from which on its median is taken
NEUTRAL_RANGE = 6.2  # semitones, 10th to 90th percentile: median of the 120 neutral clips of the shipped library
PAUSE = 0.2  # s from which on a gap in speech is a pause
FOLLOWED = 0.5  # weight of the original's pace, pitch and range against the plan's, geometric for ratios
COURSE = 16  # points of an F0 contour
SYLLABLE_DB, SYLLABLE_SECONDS = 2.0, 0.1  # least prominence of a syllable's intensity peak, and least time between two


@dataclass(frozen=True)
class SourcePerformance:
  """Measured performance of one line. What could not be measured is None."""

  emotions: tuple[float, ...]  # (8,) probabilities
  seconds: float  # of speech, without pauses
  rate: float  # syllables a second of speech
  pitch: float | None  # median F0 in Hz, to compare a character's lines
  range: float | None  # semitones, 10th to 90th percentile
  course: tuple[float, ...]  # (COURSE,) F0 contour, semitones about its median, first to last voiced frame
  pauses: tuple[tuple[float, float], ...]  # (share of the line's speech before it, seconds)
  pace_ratio: float | None = None  # to the character's median
  pitch_shift: float | None = None  # semitones from the character's median


def read_performance(wave: np.ndarray, sample_rate: int) -> SourcePerformance | None:
  """Measures one line's performance, from its wave (S,) float32 mono; None where hardly anything is spoken."""
  wave = np.asarray(wave, np.float32)
  peak = float(np.abs(wave).max()) if wave.size else 0.0
  if peak < 1e-4 or len(wave) < LEAST_SPEECH * sample_rate:
    return None
  speaking = speech_probabilities(resample(wave / peak, sample_rate, RATE)) > 0.5
  step = WINDOW / RATE
  if speaking.sum() * step < LEAST_SPEECH:
    return None
  spoken = np.flatnonzero(speaking)
  first, last = spoken[0], spoken[-1] + 1
  part = wave[round(first * step * sample_rate) : round(last * step * sample_rate)]
  pitch = track_pitch(part, sample_rate)
  voiced = np.flatnonzero(pitch > 0)
  middle = spread = None
  course = (0.0,) * COURSE
  if len(voiced) >= 10:
    low, middle, high = (float(hz) for hz in np.percentile(pitch[voiced], (10, 50, 90)))
    spread = 12 * math.log2(high / low)
    at = np.linspace(voiced[0], voiced[-1], COURSE)
    course = tuple(round(float(s), 2) for s in np.interp(at, voiced, 12 * np.log2(pitch[voiced] / middle)))
  seconds = speaking.sum() * step
  return SourcePerformance(
    tuple(float(p) for p in sound_emotion(part, sample_rate)),
    float(seconds),
    _syllables(part, sample_rate, pitch) / float(seconds),
    middle,
    spread,
    course,
    _gaps(speaking[first:last], step),
  )


def _syllables(wave, sample_rate, pitch) -> int:
  """Number of syllables: intensity peaks in voiced sound (after de Jong and Wempe 2009)."""
  from scipy.signal import find_peaks  # slow to import

  hop = round(0.01 * sample_rate)
  frames = wave[: len(wave) // hop * hop].reshape(-1, hop)
  level = 10 * np.log10(np.square(frames, dtype=np.float64).mean(1) + 1e-10)
  level = np.convolve(level, np.hanning(7)[1:-1] / np.hanning(7).sum(), mode='same')
  peaks, _ = find_peaks(
    level, prominence=SYLLABLE_DB, distance=max(1, round(SYLLABLE_SECONDS / 0.01)), height=level.max() - 25
  )
  on_pitch = np.minimum((peaks / max(len(level), 1) * len(pitch)).astype(int), max(len(pitch) - 1, 0))
  return int((pitch[on_pitch] > 0).sum()) if len(pitch) else 0


def _gaps(speaking, step) -> tuple[tuple[float, float], ...]:
  """(share of the speech before it, seconds) of each gap of PAUSE or more; speaking (W,) bool, step s."""
  edges = np.flatnonzero(np.diff(np.concatenate([[True], speaking, [True]]).astype(int)))
  gaps = [(a, b) for a, b in edges.reshape(-1, 2) if (b - a) * step >= PAUSE]
  total = max(int(speaking.sum()), 1)
  return tuple((round(float(speaking[:a].sum() / total), 3), round(float((b - a) * step), 2)) for a, b in gaps)


def read_performances(
  waves: Iterable[np.ndarray], lines: Sequence[Line], source: str | Path = 'the recording'
) -> tuple[list[SourcePerformance | None], list[str]]:
  """Measures each line's performance in its own part of a recording; and warnings. waves: (S,) at SAMPLE_RATE of each
  line, one in memory at a time.

  Raises BadInput where nothing is spoken in any line. source: the recording's name in messages.
  """
  guides, silent = [], []
  for number, (wave, _) in enumerate(zip(waves, lines, strict=True), 1):
    guides.append(read_performance(wave, SAMPLE_RATE))
    silent += [] if guides[-1] else [number]
  if len(silent) == len(guides):
    raise BadInput(f'{source}: nobody speaks in it within the lines: there is no performance to be guided by')
  warnings = [f'lines {", ".join(map(str, silent))}: nobody speaks in {source} there, no guide'] if silent else []
  return relative_to_character(guides, lines), warnings


def relative_to_character(
  guides: Sequence[SourcePerformance | None], lines: Sequence[Line]
) -> list[SourcePerformance | None]:
  """The performances with pace and pitch relative to the median of the same character's lines."""
  known = {}
  for guide, line in zip(guides, lines, strict=True):
    if guide is not None and guide.pitch is not None and guide.rate > 0:
      known.setdefault(line.character, []).append((guide.rate, guide.pitch))
  relative = []
  for guide, line in zip(guides, lines, strict=True):
    own = known.get(line.character, ())
    if guide is not None and guide.pitch is not None and guide.rate > 0 and len(own) >= LEAST_LINES:
      rate, pitch = np.median(own, axis=0)
      guide = replace(guide, pace_ratio=float(guide.rate / rate), pitch_shift=float(12 * np.log2(guide.pitch / pitch)))
    relative.append(guide)
  return relative


def describe_performance(guide: SourcePerformance | None) -> str:
  """One row of what is taken from an original performance: emotion, pace, pitch, range and pauses, never its words."""
  if guide is None:
    return 'nobody speaks there'
  top = int(np.argmax(guide.emotions))
  heard = [f'{EMOTIONS[top]} {guide.emotions[top]:.0%}', f'{guide.rate:.1f} syllables/s']
  if guide.pace_ratio:
    heard[-1] += f' (pace {guide.pace_ratio:.2f})'
  if guide.pitch:
    heard.append(f'{guide.pitch:.0f} Hz')
    if guide.pitch_shift is not None:
      heard[-1] += f' ({guide.pitch_shift:+.1f} semitones)'
  if guide.range:
    heard.append(f'range {guide.range:.1f} semitones')
  if guide.pauses:
    heard.append(f'pauses of {", ".join(f"{seconds:.1f}" for _, seconds in guide.pauses)} s')
  return ', '.join(heard)


def follow_performance(guide: SourcePerformance, direction: Direction, phonemes: Phonemes) -> Direction:
  """The direction interpolated toward the original's pace, pitch, range and pauses; its emotion stays."""
  changes = {}
  ratios = {'pace': guide.pace_ratio, 'pitch_range': guide.range and guide.range / NEUTRAL_RANGE}
  for name, ratio in ratios.items():
    if ratio:
      changes[name] = getattr(direction, name) ** (1 - FOLLOWED) * ratio**FOLLOWED
  if guide.pitch_shift is not None:
    changes['pitch_shift'] = (1 - FOLLOWED) * direction.pitch_shift + FOLLOWED * guide.pitch_shift
  changes = {name: clipped(name, value) for name, value in changes.items()}
  pauses = dict(direction.pauses)
  for share, seconds in guide.pauses:
    word = _word_at(share, phonemes)
    if word is not None:
      pauses[word] = clipped_pause(seconds)
  return direction.replace(pauses=tuple(sorted(pauses.items())), **changes)


def _word_at(share, phonemes) -> int | None:
  """Index of the word after which this share of the line's phonemes is spoken, preferring marks of punctuation."""
  words = phonemes.word_of[phonemes.word_of >= 0]
  if breath_place(phonemes) is None:
    return None
  done = np.array([(words <= i).mean() for i in range(len(phonemes.words) - 1)])
  marked = np.isin(np.arange(len(done)), [word for word, _ in marks(phonemes)])
  return int(np.argmin(np.abs(done - share) - 0.15 * marked))
