"""What the director says of a take that the critic has heard, and what to ask for next."""

import math
from collections.abc import Sequence

import numpy as np

from dubber_jax.critic.inference import CriticScores
from dubber_jax.director.planner import LIMITS
from dubber_jax.types import EMOTIONS, Direction, Review

# What counts for the whole of a take. Emotion is what the director is for; words and nature are what nobody forgives.
WEIGHTS = {
  'emotion': 0.35,
  'natural': 0.2,
  'words': 0.2,
  'obedience': 0.15,
  'voice': 0.1,
  'together': 0.1,
  'timing': 0.1,
}
FLOORS = {'emotion': 0.7, 'natural': 0.5, 'words': 0.7, 'obedience': 0.6, 'timing': 0.5}  # of a take that is accepted
ENOUGH = 0.85  # overall, of one that is
NAMED = 0.3  # share of a mixture that has to be emotions with a sound, for it to be listened for
# By how much a take may miss what was asked of it before its obedience falls to 1 / e.
TOLERANCE = {'pitch_shift': 1.5, 'pitch_range': math.log(1.3), 'loudness': 3.0, 'pace': math.log(1.1)}
FOLLOWED = 0.8  # share of a measured error that the next direction makes up for
STRONGER, LEAST = 0.15, 0.1  # what intensity goes up by, and the least there is
OTHERS = EMOTIONS.index('others')
CANDIDATES = {'intensity': 0.12, 'pitch_shift': 0.6, 'pitch_range': 0.1, 'pace': 0.03}  # spread of a round's candidates


def review(
  heard: CriticScores, plain: CriticScores | None, direction: Direction, goal: Direction, timing: float | None
) -> Review:
  """Scores from 0 to 1 of a take by `direction`, accepted or not, and the direction that would bring it to the goal.

  plain: the same emotion without the direction's other wishes, against which they are measured. goal: what is wanted
  in the end; a direction asks for more where the actor gave less. timing: share of the mouth's movement, if seen.
  """
  scores = {'natural': heard.natural, 'words': heard.words, 'voice': heard.voice}
  if 1 - goal.emotion[OTHERS] >= NAMED:
    scores['emotion'] = emotion_overlap(heard.emotions, goal.emotion)
  missed = control_errors(heard, plain, goal) if plain is not None else {}
  if missed:
    scores['obedience'] = float(np.mean([math.exp(-abs(by) / TOLERANCE[name]) for name, by in missed.items()]))
  scores |= {k: v for k, v in (('together', heard.together), ('timing', timing)) if v is not None}
  weights = {name: WEIGHTS[name] for name in scores}
  scores['overall'] = sum(w * scores[n] for n, w in weights.items()) / sum(weights.values())
  accepted = scores['overall'] >= ENOUGH and all(scores[n] >= floor for n, floor in FLOORS.items() if n in scores)
  return Review(scores, bool(accepted), refine(direction, goal, scores, missed))


def emotion_overlap(heard: np.ndarray, wanted: Sequence[float]) -> float:
  """Of two mixtures (8,), 0 to 1: Bhattacharyya's coefficient, 'others' left out, which has no sound of its own."""
  p, q = (np.delete(np.asarray(x, float), OTHERS) for x in (heard, wanted))
  return float(np.sqrt(p / (p.sum() + 1e-9) * q / (q.sum() + 1e-9)).sum())


def control_errors(heard: CriticScores, plain: CriticScores, goal: Direction) -> dict[str, float]:
  """How far a take is from each wish of its goal that is one: semitones, log range, dB, log pace still to go."""
  measured = {
    'pitch_shift': heard.pitch - plain.pitch,
    'pitch_range': math.log(max(heard.range, 0.1) / max(plain.range, 0.1)),
    'loudness': heard.loudness - plain.loudness,
    'pace': math.log(heard.pace / plain.pace),
  }
  asked = {
    'pitch_shift': goal.pitch_shift,
    'pitch_range': math.log(goal.pitch_range),
    'loudness': goal.loudness,
    'pace': math.log(goal.pace),
  }
  return {k: asked[k] - v for k, v in measured.items() if abs(asked[k]) > 0.02 and math.isfinite(v)}


def refine(direction: Direction, goal: Direction, scores: dict[str, float], missed: dict[str, float]) -> Direction:
  """The next direction, after a take by `direction` with these scores that missed its goal by so much."""
  changes = {}
  for name, by in missed.items():
    now = getattr(direction, name)
    now = now * math.exp(FOLLOWED * by) if name in ('pitch_range', 'pace') else now + FOLLOWED * by
    changes[name] = round(float(np.clip(now, *LIMITS[name])), 3)
  intensity = direction.intensity
  if scores['words'] < FLOORS['words'] or scores['natural'] < FLOORS['natural']:
    intensity -= STRONGER  # overdone
    changes['pace'] = round(max(LIMITS['pace'][0], 0.96 * changes.get('pace', direction.pace)), 3)
  elif scores.get('emotion', 1.0) < ENOUGH:
    intensity += STRONGER * (1 + (scores['emotion'] < 0.4))
  changes['intensity'] = round(float(np.clip(intensity, LEAST, 1.0)), 3)
  if scores.get('emotion', 1.0) < ENOUGH and direction.intensity >= 1.0:
    changes['emotion'] = sharpened(goal.emotion)
  return direction.replace(**changes)


def sharpened(emotion: Sequence[float], power: float = 2.0) -> tuple[float, ...]:
  """A mixture nearer to its strongest part."""
  raised = np.asarray(emotion, float) ** power
  return tuple(float(p) for p in raised / raised.sum())


def candidate_directions(direction: Direction, count: int, rng: np.random.Generator) -> list[Direction]:
  """The direction itself, and others near it, for as many takes of one round."""
  made = [direction]
  plain = direction.emotion[EMOTIONS.index('neutral')] > 0.9
  for _ in range(count - 1):
    step = dict(zip(CANDIDATES, rng.normal(0.0, tuple(CANDIDATES.values())), strict=True))
    intensity = direction.intensity + (0.0 if plain else abs(step['intensity']) * (1 if rng.random() < 0.7 else -1))
    changed = {
      'intensity': float(np.clip(intensity, LEAST, 1.0)),
      'pitch_shift': float(np.clip(direction.pitch_shift + step['pitch_shift'], *LIMITS['pitch_shift'])),
      'pitch_range': float(np.clip(direction.pitch_range * math.exp(step['pitch_range']), *LIMITS['pitch_range'])),
      'pace': float(np.clip(direction.pace * math.exp(step['pace']), *LIMITS['pace'])),
    }
    made.append(direction.replace(**{k: round(v, 3) for k, v in changed.items()}))
  return made


def emotion_only(direction: Direction) -> Direction:
  """The same emotion with nothing else asked for, against which wishes are measured."""
  plain = Direction()
  return plain.replace(emotion=direction.emotion, intensity=direction.intensity, pauses=direction.pauses)


def conflicting_exemplars(direction: Direction, clips) -> list[int]:
  """Which of a modality's recalled clips play an emotion that the direction hardly asks for."""
  wanted = dict(zip(EMOTIONS, direction.emotion, strict=True))
  return [i for i, clip in enumerate(clips) if wanted.get(clip.emotion, 1.0) < 0.1]
