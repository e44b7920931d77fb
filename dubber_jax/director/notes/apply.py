"""Applies notes in English and Chinese to a direction: changes of emotion, controls, pauses and word stress.

`parse` takes a person's note as text, as "held-back anger here: slow down, keep the tone tight"; `apply` takes requests
that are parsed already, as those of a stage direction.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from dubber_jax.director.limits import LIMITS, NEUTRAL, PAUSE_LIMITS, RATIOS, clipped_pause
from dubber_jax.director.notes.describe import describe
from dubber_jax.director.notes.lexicon import STEPS
from dubber_jax.director.notes.line_words import Words, breath_place, marks, named_places, plain_words, shown
from dubber_jax.director.notes.parser import LONGEST, Request, parse_note
from dubber_jax.director.notes.vocabulary import CONTROL_NAMES, UNIT_NAMES
from dubber_jax.errors import BadInput
from dubber_jax.types import EMOTIONS, Direction

PAUSE = 0.3  # s, where a note gives no duration
NAMED_SHARE, ADDED_SHARE = 0.85, 0.4  # of the mixture, for emotions that a note names, or only asks for more of
SECONDARY = 0.5  # weight of an emotion named by "a touch of" beside another
OVERRULED, LESSENED = 0.9, 0.45  # share of an emotion that "not" and "less" remove
PLAIN = Direction()


@dataclass(frozen=True)
class RevisedDirection:
  """The direction after a note, and a warning for each part of it that was not understood or not followed."""

  direction: Direction
  warnings: tuple[str, ...] = ()


def parse(note: str, direction: Direction = PLAIN, words: Words = ()) -> RevisedDirection:
  """The direction changed by a note; what the note does not mention stays.

  A comparative ("slower", 再慢一点) is relative to `direction`; a plain word ("slow") sets at least its step from
  neutral, and half a step more where the control is there already. An amount ("two semitones lower", 轻三分贝) is taken
  as it is. Of two contradicting words an amount counts before a word, and the later before the earlier. `words`: the
  line's, for stress and pauses.

  Raises BadInput for an empty note, one of more than LONGEST characters, and one in which nothing is understood.
  """
  if not note.strip():
    raise BadInput('the note is empty: say what to change, as "softer, almost a whisper" or “放慢语速”')
  if len(note) > LONGEST:
    raise BadInput(f'the note has {len(note)} characters, the limit is {LONGEST}: a sentence or two is enough')
  parsed_note = parse_note(note)
  if not parsed_note.understood:
    said = ' '.join(note.split())[:60]
    raise BadInput(
      f'nothing in the note {said!r} was understood: notes are read in English and Chinese and speak of '
      'emotion, pace, pitch, loudness, breath, tremor, pauses and stress, as "sadder, slower, two '
      'semitones lower", "a pause after \'never\'", “压低音量，声音略带颤抖”'
    )
  parsed = apply(parsed_note.requests, direction, words)
  clauses = list(dict.fromkeys(parsed_note.unknown))
  more = f' and {len(clauses) - 3} more' * (len(clauses) > 3)
  unknown = f'not understood in the note: {", ".join(repr(clause[:60]) for clause in clauses[:3])}{more}'
  return RevisedDirection(parsed.direction, (*parsed.warnings, unknown) if clauses else parsed.warnings)


def apply(
  requests: Sequence[Request], direction: Direction, words: Words = (), skip: Collection[str] = ()
) -> RevisedDirection:
  """The direction changed by parsed requests, in their order. `skip`: controls, or 'emotion', that stay."""
  warnings = []
  if any(request.axis == 'reset' for request in requests):
    direction = Direction()
  changes = {} if 'emotion' in skip else _emotion(requests, direction, warnings)
  for axis in LIMITS:
    if axis not in skip:
      given = changes.get(axis, getattr(direction, axis))
      changes[axis] = _quantity(axis, given, requests, warnings)
  held_back = any(request.cue and request.cue.held_back and not request.negated for request in requests)
  if held_back and not any(step > 0 for _, step in _steps('loudness', requests)[0]):
    changes['loudness'] = min(changes['loudness'], 0.0)
  changes['pauses'] = _pauses(requests, direction, words, warnings)
  changes['emphasis'] = _emphasis(requests, direction, plain_words(words), warnings)
  changed = direction.replace(**changes)
  said, said_zh = describe(changed, plain_words(words), held_back)
  return RevisedDirection(changed.replace(note=said, note_zh=said_zh), tuple(dict.fromkeys(warnings)))


# Controls


def _steps(axis, requests) -> tuple[list[tuple[Request, float]], list[tuple[Request, float]]]:
  """Requests that name a control, and those that imply a change of it, each with its additive step; no amounts."""
  outright, implied = [], []
  for request in requests:
    if request.cue is None:
      if request.axis == axis:
        sign = -request.sign if request.flipped or request.negated else request.sign
        outright.append((request, sign * STEPS[axis] * request.degree))
      continue
    step = request.cue.steps.get(axis, 0.0)
    if not step or (axis == 'intensity' and request.cue.emotion):
      continue
    if axis == 'intensity' and request.negated and request.axis != 'intensity':
      continue
    if request.negated or request.flipped:
      if request.axis == axis:
        back = -(1.0 if request.flipped else 0.75) * step * request.degree
        outright.append((request, float(np.clip(back, -STEPS[axis], STEPS[axis]))))
    elif request.axis == axis:
      outright.append((request, step * request.degree))
    else:
      implied.append((request, step * request.degree))
  return outright, implied


def _quantity(axis, given, requests, warnings) -> float:
  value = math.log(given) if axis in RATIOS else given
  neutral = NEUTRAL[axis]
  outright, implied = _steps(axis, requests)
  if outright:
    request, step = _settle(axis, outright, warnings)
    value = _follow(axis, value, neutral, request, step)
  elif implied:
    request, step = max(implied, key=lambda pair: abs(pair[1]))
    at = value - neutral if axis != 'intensity' else 0.0
    value = neutral + (max if step > 0 else min)(at, step) if axis != 'intensity' else value + step
  value = math.exp(value) if axis in RATIOS else value
  low, high = LIMITS[axis]
  if not low - 1e-6 <= value <= high + 1e-6 and outright and (request.amount or axis in UNIT_NAMES or axis == 'pace'):
    limit = low if value < low else high
    warnings.append(
      f'{request.said!r} asks for {CONTROL_NAMES[axis]} {value:.2g}{_unit(axis)}: {limit:g} is as far as it goes'
    )
  return round(float(np.clip(value, low, high)), 3) if outright or implied else given


def _unit(axis):
  return f' {UNIT_NAMES[axis]}' if axis in UNIT_NAMES else ''


def _settle(axis, outright, warnings) -> tuple[Request, float]:
  """The request that counts of several about one control: an amount before a word, the later of contrary ones, the
  strongest of those that agree."""
  meant = [pair for pair in outright if not pair[0].negated or pair[0].held]
  outright = meant or outright  # "louder, but don't shout" means louder
  measured = [pair for pair in outright if pair[0].amount]
  pairs = measured or outright
  request, step = pairs[-1]
  contrary = [pair for pair in outright if _contrary(pair, (request, step))]
  if contrary and not (request.amount and request.amount[1] == 'set'):
    why = 'an amount counts before a word' if measured and not contrary[-1][0].amount else 'what is said last counts'
    warnings.append(
      f'{contrary[-1][0].said!r} and {request.said!r} contradict each other in {CONTROL_NAMES[axis]}: '
      f'{request.said!r} is followed, {why}'
    )
  if request.amount:
    return request, step
  agreeing = [pair for pair in pairs if not _contrary(pair, (request, step))]
  return max(agreeing, key=lambda pair: (not pair[0].held, abs(pair[1])))


def _contrary(a, b) -> bool:
  """Whether two requests contradict each other. "Not louder" agrees with softer, "keep the volume" with neither."""
  kept = any(request.held and not request.negated for request, _ in (a, b))
  return a[0].held != b[0].held if kept else (a[1] > 0) != (b[1] > 0)


def _follow(axis, value, neutral, request, step) -> float:
  """The additive value of a control after one request."""
  if request.normal:
    return neutral
  if request.amount:
    return _by_amount(axis, value, step, *request.amount)
  if request.held:
    return value
  if axis in ('tremor', 'breathiness') and request.negated and not request.flipped:
    return 0.0 if not request.cue or step < 0 else value
  if axis == 'intensity' or request.relative or request.negated or request.flipped:
    return value + step
  sign = math.copysign(1.0, step)
  beyond = sign * (value - neutral) >= abs(step) - 1e-9
  if beyond:
    return value if request.keep else value + step / 2
  return neutral + step


def _by_amount(axis, value, step, amount, unit) -> float:
  if unit == 'set':
    return math.log(max(amount, 0.05)) if axis in RATIOS else amount
  sign = 1.0 if step >= 0 else -1.0
  if unit == 'percent':
    ratio = max(1 + sign * amount, 0.05)
  elif unit == 'times':
    ratio = max(amount, 0.05) ** sign
  else:
    return value + sign * amount
  if axis in RATIOS:
    return value + math.log(ratio)
  if axis == 'loudness':
    return value + 20 * math.log10(ratio)
  return value * ratio


def requested_intensity(requests: Sequence[Request]) -> float:
  """Change of intensity by words other than the emotion itself: "restrained", "very"."""
  total = 0.0
  for request in requests:
    if request.cue and not (request.negated or request.flipped):
      by_degree = 0.3 * (request.degree - 1) if request.cue.emotion else 0.0
      total += request.cue.intensity * request.degree + by_degree
    elif request.axis == 'intensity' and not request.held:
      total += _steps('intensity', [request])[0][0][1] if _steps('intensity', [request])[0] else 0.0
  return total


# Emotion


def _emotion(requests, direction, warnings) -> dict:
  """The changed emotion mixture and intensity; {} where no emotion is requested."""
  mixture = np.asarray(direction.emotion, float)
  main_before = EMOTIONS[int(np.argmax(mixture))]
  intensity = direction.intensity
  primary, second, share, exact = {}, {}, {}, {}
  ruled_out = {}  # whether each emotion was last ruled out or asked for
  for request in requests:
    if not (request.cue and request.cue.emotion):
      continue
    against = request.negated or request.flipped
    for emotion in request.cue.emotion.split():
      if ruled_out.get(emotion, against) != against:
        warnings.append(f'{emotion} is asked for and ruled out: {request.said!r} is followed, what is said last counts')
        for named in (primary, second, share):
          named.pop(emotion, None)
      ruled_out[emotion] = against
      if request.amount and request.amount[1] == 'set':
        exact[emotion] = min(max(request.amount[0], 0.0), 1.0)
      elif against:
        i = EMOTIONS.index(emotion)
        removed = mixture[i] * (LESSENED if request.flipped else OVERRULED)
        mixture[i] -= removed
        mixture[EMOTIONS.index('neutral')] += 0.5 * removed if emotion != 'neutral' else 0.0
        if emotion == 'neutral':
          intensity += 0.15
        elif request.flipped and emotion == main_before:
          intensity -= 0.1
      elif request.relative:
        share[emotion] = 1.0
        intensity += 0.1 * request.degree if emotion != 'neutral' else -0.1
      elif request.degree < 0.75 and (primary or main_before not in ('neutral', emotion)):
        second[emotion] = SECONDARY
      else:
        primary[emotion] = 0.75 ** len(primary)
        intensity += 0.3 * (request.degree - 1) if emotion != 'neutral' else 0.0
  mixture = mixture / mixture.sum() if mixture.sum() > 1e-6 else np.asarray(Direction().emotion)
  named = (
    primary
    | {e: w for e, w in second.items() if e not in primary}
    | {e: w for e, w in share.items() if e not in primary}
  )
  if named:
    named_share = NAMED_SHARE if primary else ADDED_SHARE
    mixture = (1 - named_share) * mixture
    for emotion, weight in named.items():
      mixture[EMOTIONS.index(emotion)] += named_share * weight / sum(named.values())
  if exact:
    rest = np.array([e not in exact for e in EMOTIONS])
    scale = max(1 - sum(exact.values()), 0.0) / max(mixture[rest].sum(), 1e-9)
    mixture = np.where(rest, mixture * scale, [exact.get(e, 0.0) for e in EMOTIONS])
    mixture = mixture / max(mixture.sum(), 1e-9)
  if not (ruled_out or exact):
    return {}
  main = EMOTIONS[int(np.argmax(mixture))]
  if primary and main_before == 'neutral' and main != 'neutral':  # as intense as the planner would set it
    intensity += max(0.2, direction.intensity) - direction.intensity + 0.22
  low, high = LIMITS['intensity']
  return {'emotion': tuple(float(p) for p in mixture), 'intensity': round(float(np.clip(intensity, low, high)), 3)}


# Pauses and stress


def _pauses(requests, direction, line, warnings):
  pauses = dict(direction.pauses)
  words = plain_words(line)
  for request in requests:
    if request.cue and request.cue.pauses and not (request.negated or request.flipped):
      for place in [word for word, _ in marks(line)] or [breath_place(line)]:
        if place is not None:
          pauses[place] = max(pauses.get(place, 0.0), clipped_pause(request.cue.pauses * request.degree))
    if request.axis != 'pauses':
      continue
    named = bool({'after', 'before'} & set(request.where))
    places = []
    if named:
      for span in named_places(request, words, warnings, 'pause after' if 'after' in request.where else 'pause before'):
        places.append(span[-1] if 'after' in request.where else span[0] - 1)
      places = [p for p in places if p >= 0 and (not words or p < len(words) - 1)]
      if not places:
        if not request.quoted:
          warnings.append(f'{shown(request)}: it is not clear after which word of the line')
        elif not warnings:
          warnings.append(f'{shown(request)}: there the line begins or ends, and is silent anyway')
        continue
    if request.negated:
      pauses = {w: s for w, s in pauses.items() if named and w not in places}
      continue
    if request.flipped or (request.relative and pauses and not named):  # fewer, shorter, longer
      ratio = 0.6 if request.flipped or request.size < 1 else 1.6
      pauses = {w: clipped_pause(s * ratio**request.degree) for w, s in pauses.items()}
      if request.amount is None and (request.flipped or request.size != 1):
        continue
    if request.flipped:
      continue
    if not named and 'marks' in request.where:
      places = [word for word, _ in marks(line)]
    if not named and not places:
      place = breath_place(line) if words else 0
      if place is None:
        warnings.append(f'{shown(request)}: a single word has no place for a pause')
        continue
      if not words:
        warnings.append(f'{shown(request)}: the words of the line are not known, so it stands after the first')
      places = [place]
    degree = 0.6 if request.degree < 1 else request.degree
    seconds = request.amount[0] if request.amount else PAUSE * min(request.size, 1 if request.size < 1 else 2) * degree
    if request.amount and not PAUSE_LIMITS[0] <= seconds <= PAUSE_LIMITS[1]:
      warnings.append(f'a pause of {seconds:g} s: pauses last from {PAUSE_LIMITS[0]} to {PAUSE_LIMITS[1]} s')
    pauses |= {place: clipped_pause(seconds) for place in places}
  return tuple(sorted(pauses.items()))


def _emphasis(requests, direction, words, warnings):
  stresses = [request for request in requests if request.axis == 'emphasis']
  if not stresses:
    return direction.emphasis
  weights = list(direction.emphasis) + [0.0] * (len(words) - len(direction.emphasis))
  for request in stresses:
    places = named_places(request, words, warnings, 'stress')
    if not places and not request.quoted:
      if request.negated:
        weights = [0.0] * len(weights)
      else:
        warnings.append(f'{shown(request)}: it is not clear which word of the line; put it in quotation marks')
    for i in (i for span in places for i in span):
      weights += [0.0] * (i + 1 - len(weights))
      weights[i] = 0.0 if request.negated else round(min(max(request.degree, 0.5), 2.0), 2)
  return tuple(weights) if any(weights) else ()
