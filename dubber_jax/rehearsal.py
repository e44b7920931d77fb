"""The rehearsal: direct, perform, review, and again until the take is right."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dubber_jax.director.notes.apply import describe_change
from dubber_jax.director.review import candidate_directions as propose
from dubber_jax.director.review import conflicting_exemplars, emotion_only, review
from dubber_jax.inference.model import Model
from dubber_jax.inference.synthesis import LineInputs, speech_span, synthesize_all
from dubber_jax.types import (
  EMOTIONS,
  MODALITIES,
  Direction,
  Exemplars,
  Review,
  Take,
)


@dataclass(frozen=True)
class Round:
  """One round: the direction that was given, its takes' reviews, which of them was best, and what the director says.

  `directions` has one a take: the round's own and others near it.
  """

  direction: Direction
  directions: tuple[Direction, ...]
  reviews: tuple[Review, ...]
  best: int
  why: str  # it was accepted, or what has to change
  why_zh: str
  seconds: float

  @property
  def best_score(self) -> float:
    return self.reviews[self.best].scores['overall']


@dataclass(frozen=True)
class Rehearsal:
  """The best take of all rounds, the direction that it is by, and the rounds. `level`: dB by which the take has to be
  brought up so that it is as loud, against the same emotion without other wishes, as the goal says."""

  take: Take
  direction: Direction
  review: Review
  rounds: tuple[Round, ...]
  level: float


def rehearse(
  model: Model,
  part: LineInputs,
  goal: Direction,
  rounds: int = 3,
  candidates: int = 4,
  seed: int = 0,
  seconds: float | None = None,
  on_take: Callable[[Take], None] | None = None,
) -> Rehearsal:
  """Directs, performs, listens, and asks again, until a take is accepted, rounds are over or `seconds` have passed.

  Each round's takes are performed and heard as mels in one batch; the best take so far is kept, so that more rounds
  never make it worse by the critic's measure. The same seed gives the same rehearsal. on_take: called with the first
  take as soon as it is there. A model without a critic performs once and judges by the actor's own emotion head.
  """
  began = time.perf_counter()
  if model.critic is None or not model.config.director.enabled:
    take = synthesize_all(model, part, [goal], [seed])[0]
    judged = review_without_critic(take, goal, part.window)
    only = Round(goal, (goal,), (judged,), 0, '', '', time.perf_counter() - began)
    return Rehearsal(take, goal, judged, (only,), 0.5 * goal.loudness)

  direction, done, best = goal, [], None
  part = without_conflicting_exemplars(part, goal)
  window = part.window
  felt = emotion_name(goal.emotion) not in ('neutral', 'others')
  for number in range(rounds):
    started, rng = time.perf_counter(), np.random.default_rng([seed, number])
    tried = propose(direction, candidates, rng)
    seeds = [seed] + rng.integers(2**31, size=candidates - 1).tolist()
    alone = [felt and (i + number) % 2 == 1 for i in range(candidates)]  # it depends on the line which are better
    *takes, plain = synthesize_all(model, part, [*tried, emotion_only(direction)], [*seeds, seed], [*alone, False])
    if on_take and not number:
      on_take(takes[0])
    *heard, plain = model.critic.hear([*takes, plain], part.voice, part.track)
    reviews = tuple(
      review(h, plain, d, goal, timing_score(t, window)) for h, d, t in zip(heard, tried, takes, strict=True)
    )
    place = max(range(len(reviews)), key=lambda i: rank(reviews[i]))
    found = reviews[place]
    if best is None or rank(found) > rank(best.review):
      level = goal.loudness - (heard[place].loudness - plain.loudness) if goal.loudness else 0.0
      best = Rehearsal(takes[place], tried[place], found, (), float(np.clip(level, -12.0, 12.0)))
    over = number == rounds - 1 or (seconds is not None and time.perf_counter() - began > seconds)
    following = best.review.direction
    if following == direction:
      over = True
    why, why_zh = ('accepted', '通过') if found.accepted else describe_change(direction, following, part.phonemes.words)
    if over and not found.accepted:
      why, why_zh = 'kept: the best so far', '保留：目前最好的一条'
    done.append(Round(direction, tuple(tried), reviews, place, why, why_zh, time.perf_counter() - started))
    if found.accepted or over:
      break
    note, note_zh = describe_change(direction, following, part.phonemes.words)
    direction = following.replace(note=note, note_zh=note_zh)
  return dataclasses.replace(best, rounds=tuple(done))


def rank(judged: Review) -> tuple[bool, float]:
  """By which the better of two takes is kept."""
  return judged.accepted, judged.scores['overall']


def without_conflicting_exemplars(part: LineInputs, goal: Direction) -> LineInputs:
  """The part, in which exemplars that play another emotion than the goal have given way to those of their modality that
  do not. A modality all of whose exemplars mislead is not shown at all, as long as another one is left."""
  if part.exemplars is None:
    return part
  e = part.exemplars
  clips, refs = dict(e.clips), dict(e.refs)
  sounds, refs_present, sounds_present = e.sounds.copy(), e.refs_present.copy(), e.sounds_present.copy()
  hidden, kept = [], False
  for row, m in enumerate(MODALITIES):
    shown = clips.get(m, ())
    wrong = conflicting_exemplars(goal, shown)
    right = [i for i in range(len(shown)) if i not in wrong]
    kept |= bool(right)
    if not wrong or not right:
      hidden += [row] if wrong else []
      continue
    order = [i if i in right else right[place % len(right)] for place, i in enumerate(range(len(shown)))]
    clips[m] = tuple(shown[i] for i in order)
    if m in refs:
      refs[m] = np.concatenate([refs[m][order], refs[m][len(order) :]])
    for rows in (sounds, refs_present, sounds_present):
      rows[row, : len(order)] = rows[row, order]
  reading = part.reading
  if kept and hidden:
    clips |= {MODALITIES[row]: () for row in hidden}
    refs_present[hidden] = sounds_present[hidden] = False
    if reading is not None:
      present = np.array(reading.present)
      present[hidden] = False
      reading = dataclasses.replace(reading, present=present)
  exemplars = Exemplars(clips, refs, sounds, refs_present, sounds_present)
  return dataclasses.replace(part, reading=reading, exemplars=exemplars)


def timing_score(take: Take, window: tuple[float, float] | None) -> float | None:
  """Does speech lie where the mouth moves: overlap of the two spans over their union; None where no mouth was seen."""
  if window is None:
    return None
  start, end = speech_span(take)
  overlap = max(0.0, min(end, window[1]) - max(start, window[0]))
  return overlap / max(max(end, window[1]) - min(start, window[0]), 1e-6)


def review_without_critic(take: Take, direction: Direction, window: tuple[float, float] | None) -> Review:
  """What can be told of a take without a critic: is the emotion the one asked for, by the actor's own emotion head,
  and does speech lie where the mouth moves."""
  scores = {'emotion': float(take.emotion[int(np.argmax(direction.emotion))])}
  timing = timing_score(take, window)
  if timing is not None:
    scores['timing'] = timing
  scores['overall'] = float(np.mean(list(scores.values())))
  return Review(scores, scores['overall'] >= 0.5, direction)


def emotion_name(probabilities) -> str:
  return EMOTIONS[int(np.argmax(probabilities))]
