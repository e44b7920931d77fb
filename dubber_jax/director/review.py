"""Review of a take: weighted critic scores, acceptance, and the next direction.

Control errors are measured against a baseline take with the same emotion and no other control.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from dubber_jax.critic.inference import CriticScores
from dubber_jax.director.limits import LIMITS, RATIOS, clipped
from dubber_jax.types import EMOTIONS, Direction, Exemplar, Review

# Weights of the scores in `overall`. The emotion is the director's task; intelligibility and naturalness are what no
# take may lack.
WEIGHTS = {
  'emotion': 0.35,
  'naturalness': 0.2,
  'intelligibility': 0.2,
  'control_accuracy': 0.15,
  'speaker_similarity': 0.1,
  'av_sync': 0.1,
  'timing': 0.1,
}
# Lowest scores of a take that is accepted.
FLOORS = {'emotion': 0.7, 'naturalness': 0.5, 'intelligibility': 0.7, 'control_accuracy': 0.6, 'timing': 0.5}
ENOUGH = 0.85  # lowest overall score of a take that is accepted
MIN_EMOTION_SHARE = 0.3  # share of the mixture apart from 'others', from which on the emotion is scored
# The control error that lowers control_accuracy to 1 / e.
TOLERANCE = {'pitch_shift': 1.5, 'pitch_range': math.log(1.3), 'loudness': 3.0, 'pace': math.log(1.1)}
MIN_CONTROL = 0.02  # from neutral, in additive units; a smaller control is not measured
CORRECTION = 0.8  # share of a measured error that the next direction compensates
INTENSITY_STEP, MIN_INTENSITY = 0.15, 0.1
WEAK_EMOTION = 0.4  # emotion score below which the intensity goes up by two steps
SLOWER = 0.96  # ratio of pace after an unintelligible or unnatural take
OTHERS = EMOTIONS.index('others')
CANDIDATES = {'intensity': 0.12, 'pitch_shift': 0.6, 'pitch_range': 0.1, 'pace': 0.03}  # deviations of a round's takes
CONFLICTING = 0.1  # share of an exemplar's emotion in the direction, below which it conflicts


def review(
  scores: CriticScores, baseline: CriticScores | None, direction: Direction, goal: Direction, timing: float | None
) -> Review:
  """Named scores from 0 to 1 of a take by `direction`, whether it is accepted, and the next direction.

  baseline: scores of the take with the same emotion and no other control, against which controls are measured. goal:
  the direction to be reached; `direction` may ask for more than it where the actor gave less. timing: overlap of
  speech and mouth movement, or None.
  """
  named = {
    'naturalness': scores.naturalness,
    'intelligibility': scores.intelligibility,
    'speaker_similarity': scores.speaker_similarity,
  }
  if 1 - goal.emotion[OTHERS] >= MIN_EMOTION_SHARE:
    named['emotion'] = emotion_overlap(scores.emotions, goal.emotion)
  errors = control_errors(scores, baseline, goal) if baseline is not None else {}
  if errors:
    accuracies = [math.exp(-abs(error) / TOLERANCE[name]) for name, error in errors.items()]
    named['control_accuracy'] = float(np.mean(accuracies))
  named |= {k: v for k, v in (('av_sync', scores.av_sync), ('timing', timing)) if v is not None}
  weights = {name: WEIGHTS[name] for name in named}
  named['overall'] = sum(w * named[n] for n, w in weights.items()) / sum(weights.values())
  accepted = named['overall'] >= ENOUGH and all(named[n] >= floor for n, floor in FLOORS.items() if n in named)
  return Review(named, bool(accepted), refine(direction, goal, named, errors))


def emotion_overlap(predicted: np.ndarray, target: Sequence[float]) -> float:
  """Bhattacharyya coefficient of two emotion mixtures (8,), 0 to 1, without 'others', which has no acoustic class."""
  p, q = (np.delete(np.asarray(x, float), OTHERS) for x in (predicted, target))
  return float(np.sqrt(p / (p.sum() + 1e-9) * q / (q.sum() + 1e-9)).sum())


def control_errors(scores: CriticScores, baseline: CriticScores, goal: Direction) -> dict[str, float]:
  """The remaining error of each control that the goal sets: semitones, log pitch range, dB, log pace; target minus
  measured."""
  measured = {
    'pitch_shift': scores.pitch - baseline.pitch,
    'pitch_range': math.log(max(scores.range, 0.1) / max(baseline.range, 0.1)),
    'loudness': scores.loudness - baseline.loudness,
    'pace': math.log(scores.pace / baseline.pace),
  }
  target = {
    'pitch_shift': goal.pitch_shift,
    'pitch_range': math.log(goal.pitch_range),
    'loudness': goal.loudness,
    'pace': math.log(goal.pace),
  }
  return {k: target[k] - v for k, v in measured.items() if abs(target[k]) > MIN_CONTROL and math.isfinite(v)}


def refine(direction: Direction, goal: Direction, scores: dict[str, float], errors: dict[str, float]) -> Direction:
  """The next direction: `direction` corrected by the control errors, and its intensity by the scores."""
  changes = {}
  for name, error in errors.items():
    now = getattr(direction, name)
    now = now * math.exp(CORRECTION * error) if name in RATIOS else now + CORRECTION * error
    changes[name] = clipped(name, now)
  intensity = direction.intensity
  if scores['intelligibility'] < FLOORS['intelligibility'] or scores['naturalness'] < FLOORS['naturalness']:
    intensity -= INTENSITY_STEP  # overacted
    changes['pace'] = round(max(LIMITS['pace'][0], SLOWER * changes.get('pace', direction.pace)), 3)
  elif scores.get('emotion', 1.0) < ENOUGH:
    intensity += INTENSITY_STEP * (1 + (scores['emotion'] < WEAK_EMOTION))
  changes['intensity'] = round(float(np.clip(intensity, MIN_INTENSITY, 1.0)), 3)
  if scores.get('emotion', 1.0) < ENOUGH and direction.intensity >= 1.0:
    changes['emotion'] = sharpened(goal.emotion)
  return direction.replace(**changes)


def sharpened(emotion: Sequence[float], power: float = 2.0) -> tuple[float, ...]:
  """A mixture (8,) raised to a power and normalized, closer to its largest component."""
  raised = np.asarray(emotion, float) ** power
  return tuple(float(p) for p in raised / raised.sum())


def candidate_directions(direction: Direction, count: int, rng: np.random.Generator) -> list[Direction]:
  """The direction itself and `count` - 1 random perturbations of it, for the takes of one round."""
  made = [direction]
  neutral = direction.emotion[EMOTIONS.index('neutral')] > 0.9
  for _ in range(count - 1):
    step = dict(zip(CANDIDATES, rng.normal(0.0, tuple(CANDIDATES.values())), strict=True))
    intensity = direction.intensity + (0.0 if neutral else abs(step['intensity']) * (1 if rng.random() < 0.7 else -1))
    changes = {
      'intensity': round(float(np.clip(intensity, MIN_INTENSITY, 1.0)), 3),
      'pitch_shift': clipped('pitch_shift', direction.pitch_shift + step['pitch_shift']),
      'pitch_range': clipped('pitch_range', direction.pitch_range * math.exp(step['pitch_range'])),
      'pace': clipped('pace', direction.pace * math.exp(step['pace'])),
    }
    made.append(direction.replace(**changes))
  return made


def emotion_only(direction: Direction) -> Direction:
  """The direction's emotion, intensity and pauses, every other control neutral: that of the baseline take."""
  neutral = Direction()
  return neutral.replace(emotion=direction.emotion, intensity=direction.intensity, pauses=direction.pauses)


def conflicting_exemplars(direction: Direction, clips: Iterable[Exemplar]) -> list[int]:
  """Indices of retrieved clips whose emotion has almost no share in the direction's mixture."""
  target = dict(zip(EMOTIONS, direction.emotion, strict=True))
  return [i for i, clip in enumerate(clips) if target.get(clip.emotion, 1.0) < CONFLICTING]
