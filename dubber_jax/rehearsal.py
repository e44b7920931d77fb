"""Rehearsal: synthesize takes by a direction, review them by the critic, refine the direction, and repeat."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dubber_jax.director.notes.describe import describe_change
from dubber_jax.director.review import candidate_directions, conflicting_exemplars, emotion_only, review
from dubber_jax.inference.model import Model
from dubber_jax.inference.speech_span import speech_span
from dubber_jax.inference.synthesis import LineInputs, synthesize_all
from dubber_jax.types import MODALITIES, Direction, Exemplars, Review, Take, emotion_name

MAX_LEVEL = 12.0  # dB, by which a take is made louder or softer after synthesis
UNSCORED_LEVEL = 0.5  # share of the loudness that the level gives where no critic measures the take; the actor the rest
ACCEPTED = ('accepted', '通过')
KEPT_BEST = ('kept: the best so far', '保留：目前最好的一条')


@dataclass(frozen=True)
class Round:
  """One round: its direction, the directions and reviews of its takes, the best of them, and the note in two languages.

  `directions` has one for each take: the round's own and its perturbations.
  """

  direction: Direction
  directions: tuple[Direction, ...]
  reviews: tuple[Review, ...]
  best: int
  why: str  # that it was accepted or kept, or what the next direction changes
  why_zh: str
  seconds: float

  @property
  def best_score(self) -> float:
    """The overall score of the round's best take."""
    return self.reviews[self.best].scores['overall']


@dataclass(frozen=True)
class Rehearsal:
  """The best take of all rounds with its direction and review, the rounds, and the level to apply.

  level: gain in dB that brings the take's loudness, relative to the baseline take, to the goal's.
  """

  take: Take
  direction: Direction
  review: Review
  rounds: tuple[Round, ...]
  level: float


def rehearse(
  model: Model,
  inputs: LineInputs,
  goal: Direction,
  rounds: int = 3,
  candidates: int = 4,
  seed: int = 0,
  seconds: float | None = None,
  on_take: Callable[[Take], None] | None = None,
) -> Rehearsal:
  """The best take of a line over rounds of synthesis and review, until one is accepted or `seconds` have passed.

  A round's takes are synthesized and scored as mels in one batch. The best take so far is kept, so that more rounds
  never lower the critic's score. The same seed gives the same rehearsal. on_take: called with the first take as soon as
  it is there. A model without a critic synthesizes one take, reviewed by the actor's own emotion head.
  """
  began = time.perf_counter()
  if model.critic is None or not model.config.task.director.enabled:
    take = synthesize_all(model, inputs, [goal], [seed])[0]
    reviewed = review_without_critic(take, goal, inputs.window)
    only = Round(goal, (goal,), (reviewed,), 0, '', '', time.perf_counter() - began)
    return Rehearsal(take, goal, reviewed, (only,), UNSCORED_LEVEL * goal.loudness)

  direction, done, best = goal, [], None
  inputs = without_conflicting_exemplars(inputs, goal)
  is_emotional = emotion_name(goal.emotion) not in ('neutral', 'others')
  for number in range(rounds):
    started, rng = time.perf_counter(), np.random.default_rng([seed, number])
    tried = candidate_directions(direction, candidates, rng)
    seeds = [seed] + rng.integers(2**31, size=candidates - 1).tolist()
    # Half of the takes of an emotional line go without reading and exemplars: which are better depends on the line.
    no_retrieval = [is_emotional and (i + number) % 2 == 1 for i in range(candidates)]
    *takes, baseline_take = synthesize_all(
      model, inputs, [*tried, emotion_only(direction)], [*seeds, seed], [*no_retrieval, False]
    )
    if on_take and not number:
      on_take(takes[0])
    *scores, baseline = model.critic.score([*takes, baseline_take], inputs.voice, inputs.track)
    reviews = tuple(
      review(s, baseline, d, goal, timing_score(t, inputs.window)) for s, d, t in zip(scores, tried, takes, strict=True)
    )
    place = max(range(len(reviews)), key=lambda i: rank(reviews[i]))
    found = reviews[place]
    if best is None or rank(found) > rank(best.review):
      level = goal.loudness - (scores[place].loudness - baseline.loudness) if goal.loudness else 0.0
      best = Rehearsal(takes[place], tried[place], found, (), float(np.clip(level, -MAX_LEVEL, MAX_LEVEL)))
    following = best.review.direction
    out_of_time = seconds is not None and time.perf_counter() - began > seconds
    last = number == rounds - 1 or out_of_time or following == direction
    change = describe_change(direction, following, inputs.phonemes.words)
    why, why_zh = ACCEPTED if found.accepted else KEPT_BEST if last else change
    done.append(Round(direction, tuple(tried), reviews, place, why, why_zh, time.perf_counter() - started))
    if found.accepted or last:
      break
    direction = following.replace(note=change[0], note_zh=change[1])
  return dataclasses.replace(best, rounds=tuple(done))


def rank(reviewed: Review) -> tuple[bool, float]:
  """Sort key of takes: accepted before not, then by overall score."""
  return reviewed.accepted, reviewed.scores['overall']


def without_conflicting_exemplars(inputs: LineInputs, goal: Direction) -> LineInputs:
  """The inputs with exemplars of another emotion than the goal's replaced by others of their modality, repeated.

  A modality whose exemplars all conflict is masked, unless no modality would be left.
  """
  if inputs.exemplars is None:
    return inputs
  e = inputs.exemplars
  clips, refs = dict(e.clips), dict(e.refs)
  sounds, refs_present, sounds_present = e.sounds.copy(), e.refs_present.copy(), e.sounds_present.copy()
  conflicted, any_right = [], False
  for row, m in enumerate(MODALITIES):
    shown = clips.get(m, ())
    wrong = conflicting_exemplars(goal, shown)
    right = [i for i in range(len(shown)) if i not in wrong]
    any_right |= bool(right)
    if not wrong or not right:
      conflicted += [row] if wrong else []
      continue
    order = [i if i in right else right[i % len(right)] for i in range(len(shown))]
    clips[m] = tuple(shown[i] for i in order)
    if m in refs:
      refs[m] = np.concatenate([refs[m][order], refs[m][len(order) :]])
    for rows in (sounds, refs_present, sounds_present):
      rows[row, : len(order)] = rows[row, order]
  reading = inputs.reading
  if any_right and conflicted:
    clips |= {MODALITIES[row]: () for row in conflicted}
    refs_present[conflicted] = sounds_present[conflicted] = False
    if reading is not None:
      present = np.array(reading.present)
      present[conflicted] = False
      reading = dataclasses.replace(reading, present=present)
  exemplars = Exemplars(clips, refs, sounds, refs_present, sounds_present)
  return dataclasses.replace(inputs, reading=reading, exemplars=exemplars)


def timing_score(take: Take, window: tuple[float, float] | None) -> float | None:
  """Intersection over union of the take's speech span and the mouth's (start s, end s); None where none was tracked."""
  if window is None:
    return None
  start, end = speech_span(take)
  overlap = max(0.0, min(end, window[1]) - max(start, window[0]))
  return overlap / max(max(end, window[1]) - min(start, window[0]), 1e-6)


def review_without_critic(take: Take, direction: Direction, window: tuple[float, float] | None) -> Review:
  """Review of a take without a critic: the direction's main emotion by the actor's emotion head, and the timing."""
  scores = {'emotion': float(take.emotion[int(np.argmax(direction.emotion))])}
  timing = timing_score(take, window)
  if timing is not None:
    scores['timing'] = timing
  scores['overall'] = float(np.mean(list(scores.values())))
  return Review(scores, scores['overall'] >= 0.5, direction)
