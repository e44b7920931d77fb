"""What a note did: loudness, tempo, pitch and emotion of a take, measured, against those of the take before it."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dubber_jax.director.notes.vocabulary import CHANGES, EMOTION_NAMES
from dubber_jax.dubbing.mix import EVEN
from dubber_jax.inference.speech_span import speech_span
from dubber_jax.media.loudness import integrated_loudness
from dubber_jax.types import SAMPLE_RATE, Direction, Take, emotion_name

# Smaller differences are between any two takes of one direction, and are not told.
LEAST = {'level': 0.5, 'seconds': 0.02, 'pitch': 0.3, 'range': 0.1}  # dB, share, semitones, share
UNITS_ZH = {'dB': '分贝', 'semitones': '个半音', '%': '%'}


@dataclass(frozen=True)
class TakeMeasures:
  """Measured from a take: what is not there (a silent or unvoiced take) is None.

  plain_lufs: loudness without what its direction asks for, `asked` dB; seconds: of speech, from the first to the last
  sound; pitch_hz: median F0; range_st: semitones from the 10th to the 90th percentile of F0; emotion: what the actor's
  emotion head finds in it.
  """

  plain_lufs: float | None
  asked: float
  seconds: float
  pitch_hz: float | None
  range_st: float | None
  emotion: str

  def to_json(self) -> dict[str, Any]:
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, found: Mapping[str, Any]) -> 'TakeMeasures':
    """What `to_json` gave. Raises KeyError or TypeError where it is damaged."""
    return cls(**{field.name: found[field.name] for field in dataclasses.fields(cls)})

  def heard(self, anchor: float) -> float | None:
    """dB by which it is heard in the film above its character's level, `anchor` LUFS; see `mix.gain_of`."""
    if self.plain_lufs is None or not np.isfinite(anchor):
      return None
    return float(np.clip(self.plain_lufs - anchor, -EVEN, EVEN)) + self.asked


@dataclass(frozen=True)
class TakeChange:
  """The note of a take, and what that did: `describe_change` in English and in Chinese; '' where there is none."""

  note: str = ''
  change: str = ''
  change_zh: str = ''


def measure_take(take: Take, direction: Direction) -> TakeMeasures:
  """The measures of a take with its waveform."""
  wave = np.zeros(0, np.float32) if take.waveform is None else take.waveform
  level = integrated_loudness(wave, SAMPLE_RATE) - direction.loudness
  start, end = speech_span(take)
  voiced = take.pitch[take.pitch > 0]
  low, median, high = np.percentile(voiced, (10, 50, 90)).tolist() if len(voiced) >= 5 else (None,) * 3
  return TakeMeasures(
    round(float(level), 2) if np.isfinite(level) else None,
    direction.loudness,
    round(end - start, 3),
    median and round(median, 1),
    low and round(12 * math.log2(high / low), 2),
    emotion_name(take.emotion),
  )


def describe_change(before: TakeMeasures, after: TakeMeasures, anchor: float) -> tuple[str, str]:
  """Differences of two takes of a line as they are heard in the film, in English and in Chinese: 'softer by 4.0 dB,
  slower by 7 %, lower by 1.2 semitones'. anchor: the level of the line's character, LUFS."""
  told = []
  level, old_level = after.heard(anchor), before.heard(anchor)
  if level is not None and old_level is not None and abs(level - old_level) >= LEAST['level']:
    told.append(_difference('loudness', level > old_level, f'{abs(level - old_level):.1f}', 'dB'))
  if before.seconds > 0 and after.seconds > 0:
    longer = after.seconds / before.seconds - 1
    if abs(longer) >= LEAST['seconds']:
      told.append(_difference('pace', longer < 0, f'{100 * abs(longer):.0f}', '%'))
  if before.pitch_hz and after.pitch_hz:
    higher = 12 * math.log2(after.pitch_hz / before.pitch_hz)
    if abs(higher) >= LEAST['pitch']:
      told.append(_difference('pitch_shift', higher > 0, f'{abs(higher):.1f}', 'semitones'))
  if before.range_st and after.range_st:
    wider = after.range_st / before.range_st - 1
    if abs(wider) >= LEAST['range']:
      told.append(_difference('pitch_range', wider > 0, f'{100 * abs(wider):.0f}', '%'))
  if before.emotion != after.emotion:
    (_, old), (_, new) = EMOTION_NAMES[before.emotion], EMOTION_NAMES[after.emotion]
    told.append((f'{after.emotion} instead of {before.emotion}', f'情绪由{old}变为{new}'))
  told = told or [('no measurable difference', '没有可测得的差别')]
  return ', '.join(english for english, _ in told), '，'.join(chinese for _, chinese in told)


def _difference(axis: str, more: bool, amount: str, unit: str) -> tuple[str, str]:
  """A difference in the words of the director's notes, as ('softer by 4.0 dB', '轻4.0分贝')."""
  _, english, chinese = CHANGES[axis]
  return f'{english[more]} by {amount} {unit}', f'{chinese[more].format("")}{amount}{UNITS_ZH[unit]}'
