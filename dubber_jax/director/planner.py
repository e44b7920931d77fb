"""Rule-based planner: from the reading and the retrieved exemplars of a line to its direction, without a network.

The emotion mixture is fused from the reading's modalities; prosodic controls come from the exemplars' prosody, relative
to their own speaker's neutral delivery. The script's stage direction overrules both.
"""

import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dubber_jax.director.limits import RATIOS, clipped
from dubber_jax.director.notes.apply import apply, requested_intensity
from dubber_jax.director.notes.line_words import marks
from dubber_jax.director.notes.parser import parse_note, requested_emotions
from dubber_jax.script.g2p import Phonemes, phonemize
from dubber_jax.types import EMOTIONS, MODALITIES, Direction, Exemplars, Line, Reading

if TYPE_CHECKING:
  from dubber_jax.director.source_performance import SourcePerformance

# Weight of each modality's emotion at equal certainty. The face is the best cue to the speaker.
MODALITY_WEIGHT = {'scene': 0.2, 'face': 0.45, 'text': 0.35}
# Weight of a modality's neutral probability against emotions of others: a neutral text or scene excludes no emotion, a
# neutral face does.
NEUTRAL_SHARE = {'scene': 0.2, 'face': 0.8, 'text': 0.3}
GUIDE_WEIGHT, GUIDE_NEUTRAL = 0.6, 0.5  # the same two weights for the original performance of the line
# The same for a reference that a person gave the line, which says more than the script and all that was read and
# retrieved; and its weight in the delivery, where exemplars have at most 1 in all.
REFERENCE_WEIGHT, REFERENCE_NEUTRAL, REFERENCE_DELIVERY = 4.0, 0.5, 1.5
EXEMPLAR_WEIGHT = 0.3  # of the retrieved clips' labels against the reading's probabilities
NEUTRAL_WEIGHT = 0.03  # prior of neutral: decides only where the reading is uncertain
SCRIPT_WEIGHT = 1.5  # of an emotion in the stage direction: more than all other weights together
SHARPNESS = 1.5  # exponent on the mixture, which makes one emotion dominant
SURE, SURE_SHARPNESS = 0.6, 2.7  # share of an emotion from which on a further exponent is applied; the exponent
DEFAULT_WEIGHT = 0.5  # of DELIVERY against exemplars, whose weights add up to at most 1

# Prosody of each emotion relative to the same speaker's neutral delivery: rounded medians of RAVDESS actors 01-10,
# except that sadness is slower than their 1.09, with pauses, as most studies find (Juslin and Laukka 2003).
DELIVERY_KEYS = ('pace_ratio', 'pitch_shift', 'range_ratio', 'loudness_shift', 'pauses_shift')
DELIVERY = {
  'angry': (0.95, 5.5, 1.4, 16.0, 0.0),
  'disgust': (0.9, 1.0, 1.3, 5.5, 0.0),
  'fear': (1.12, 7.0, 0.9, 12.0, 0.0),
  'happy': (1.05, 5.0, 1.35, 12.0, 0.0),
  'neutral': (1.0, 0.0, 1.0, 0.0, 0.0),
  'sad': (0.92, 2.5, 0.8, 0.0, 0.05),
  'surprise': (1.1, 5.0, 1.8, 10.0, 0.0),
  'others': (1.0, 0.0, 1.0, 0.0, 0.0),
}
# Share of that difference that a direction requests for, by DELIVERY_KEYS: film acting is less extreme than RAVDESS.
DELIVERY_SHARE = np.array([0.6, 0.35, 0.5, 0.3, 0.6])
# (breathiness, tremor), 0 to 1, at full intensity: chosen by hand, not measured.
VOICE_QUALITY = {'fear': (0.3, 0.5), 'sad': (0.4, 0.3), 'surprise': (0.15, 0.0), 'disgust': (0.1, 0.0)}

PAUSES = {'...': 0.3, '-': 0.25, '.': 0.3, '?': 0.3, '!': 0.3, ';': 0.25, ':': 0.25, ',': 0.1}  # s at marks

# Face and text that clearly show two different emotions are both kept in the mixture, as a smile on a sad line.
CLEAR = 0.4  # probability from which on an emotion is clear
KEPT = 0.3  # least share of each of the two
# Continuity from one line of a character to the next, unless the stage direction names an emotion or time has passed.
MOMENT = 8.0  # s without a line, after which the last one has no influence
SURE_WORDS = 0.7  # probability of an emotion in the text from which on continuity is not enforced
MAX_STEPS = {
  'intensity': 0.3,
  'pace': math.log(1.2),
  'pitch_shift': 3.0,
  'pitch_range': math.log(1.35),
  'loudness': 6.0,
}
MAX_TURN = 0.6  # largest total variation distance between the two mixtures
# A cry, as 'Run!': a line of up to CRY_WORDS words that ends in an exclamation mark is raised at least this far, and
# takes its emotion at once where the text has one at CLEAR.
CRY_WORDS = 3
CRY = {'intensity': 0.75, 'pitch_shift': 1.0, 'loudness': 3.0}

Before = Sequence[tuple[Line, Direction]]  # the lines before, in order, with their directions
Planner = Callable[[Reading, Exemplars, Line, Phonemes, Before], tuple[Direction, tuple[str, ...]]]  # with warnings


def with_source_performance(planner: Planner, guide: 'SourcePerformance | None') -> Planner:
  """The planner with the original performance bound as its `guide`; the planner itself where that is None."""
  return functools.partial(planner, guide=guide) if guide is not None else planner


def by_rules(
  reading: Reading,
  exemplars: Exemplars,
  line: Line,
  phonemes: Phonemes | None = None,
  before: Before = (),
  guide: 'SourcePerformance | None' = None,
) -> tuple[Direction, tuple[str, ...]]:
  """`plan`, with a warning for each contradiction in the stage direction. guide: the original performance, if known."""
  phonemes = phonemes or phonemize(line.text)
  requests = parse_note(line.stage_direction, in_script=True).requests
  last = _line_before(line, before)
  emotion = _mixture(reading, exemplars, requests, guide)
  cry = _is_cry(line.text)
  sure = CLEAR if cry else SURE_WORDS
  given = guide is not None or exemplars.reference is not None
  turned = bool(requested_emotions(requests)) or _sure_words(reading, sure) or given
  if last is not None and not turned:
    emotion = _within_reach(emotion, np.asarray(last.emotion, float))
  intensity = _intensity(emotion, line, requests)
  pace, pitch, span, loudness, pauses = _delivery(emotion, reading, exemplars) * (intensity / 0.75)
  breathiness, tremor = (
    intensity * sum(p * VOICE_QUALITY.get(e, (0, 0))[i] for e, p in zip(EMOTIONS, emotion, strict=True)) for i in (0, 1)
  )
  direction = Direction(
    emotion=tuple(float(p) for p in emotion),
    intensity=intensity,
    pace=clipped('pace', math.exp(pace)),
    pitch_shift=clipped('pitch_shift', pitch),
    pitch_range=clipped('pitch_range', math.exp(span)),
    loudness=clipped('loudness', loudness),
    breathiness=clipped('breathiness', breathiness),
    tremor=clipped('tremor', tremor),
    pauses=_pauses(phonemes, pauses),
    emphasis=_emphasis(line.text, phonemes.words),
  )
  if last is not None and not turned:
    direction = _follow_on(direction, last)
  if cry and not requests:
    raised = {axis: max(getattr(direction, axis), least) for axis, least in CRY.items()}
    direction = direction.replace(**raised, pace=min(direction.pace, 1.0))
  if guide is not None:
    from dubber_jax.director.source_performance import follow_performance  # with the extractors of sound

    direction = follow_performance(guide, direction, phonemes)
  parsed = apply(requests, direction, phonemes, skip=('emotion', 'intensity'))
  return parsed.direction, parsed.warnings


def plan(
  reading: Reading, exemplars: Exemplars, line: Line, phonemes: Phonemes | None = None, before: Before = ()
) -> Direction:
  """Direction of a line from its reading, the retrieved exemplars and its stage direction.

  Where all three are empty it is neutral. Differences from neutral grow with intensity and stay within LIMITS. The
  stage direction is applied as a note. `phonemes`: the line's, where a lexicon was used; pauses and emphasis count its
  words. `before`: from a character's last line to this one controls change by at most MAX_STEPS and the mixture by at
  most MAX_TURN, unless the stage direction or the text names an emotion. Raises BadInput for a line that cannot be
  spoken.
  """
  return by_rules(reading, exemplars, line, phonemes, before)[0]


def modality_agreement(reading: Reading) -> float:
  """Agreement of scene, face and text on the emotion, 0 to 1: one minus the mean Jensen-Shannon divergence of their
  pairs in bits, weighted by the certainty of both. 1 where fewer than two have an emotion."""
  seen = list(_seen(reading))
  apart = weights = 0.0
  for i, (a, p, sure_p) in enumerate(seen):
    for b, q, sure_q in seen[i + 1 :]:
      middle = (p + q) / 2
      divergence = (_entropy(middle) - (_entropy(p) + _entropy(q)) / 2) / math.log(2)
      weight = MODALITY_WEIGHT[a] * MODALITY_WEIGHT[b]
      apart, weights = apart + weight * sure_p * sure_q * divergence, weights + weight
  return float(np.clip(1 - apart / weights, 0, 1)) if weights else 1.0


def mixed_emotion(reading: Reading) -> tuple[str, str] | None:
  """(emotion of the face, emotion of the text) where both are clear and differ, as ('happy', 'sad'); else None."""
  clear = {}
  for m, p, _ in _seen(reading):
    p = np.where(np.array(EMOTIONS) == 'neutral', 0, p)
    if p.max() >= CLEAR:
      clear[m] = EMOTIONS[int(np.argmax(p))]
  shown, said = clear.get('face'), clear.get('text')
  return (shown, said) if shown and said and shown != said else None


def addressee_of(line: Line, before: Before = ()) -> str:
  """Addressee of a line: named in the stage direction ("to Mary"), else the last other character who spoke, else ''."""
  named = re.search(r"\bto ([A-Z][\w'-]+(?: [A-Z][\w'-]+)?)", line.stage_direction)
  if named:
    return named[1]
  others = [said.character for said, _ in before if said.character and said.character != line.character]
  return others[-1] if others else ''


def _seen(reading):
  """(modality, probabilities (8,), certainty from 0 to 1) of the modalities that have an emotion."""
  for m, seen in zip(MODALITIES, reading.present, strict=True):
    p = np.asarray(reading.emotions.get(m, ()), float)
    if seen and p.size == len(EMOTIONS) and np.isfinite(p).all() and p.sum() > 0:
      p = p / p.sum()
      yield m, p, _certainty(p)


def _certainty(p) -> float:
  """One minus the normalized entropy of probabilities (8,)."""
  return 1 - _entropy(p) / math.log(len(EMOTIONS))


def _entropy(p) -> float:
  return float(-(p * np.log(p + 1e-12)).sum())


def _line_before(line, before) -> Direction | None:
  """The direction of the same character's last line, where that ended less than MOMENT ago; None for lines without a
  character and without times."""
  if not line.character and line.start is None:
    return None
  for said, direction in reversed(before):
    if said.character == line.character:
      known = line.start is not None and said.end is not None
      return None if known and line.start - said.end > MOMENT else direction
  return None


def _sure_words(reading: Reading, sure: float) -> bool:
  return any(m == 'text' and np.delete(p, EMOTIONS.index('neutral')).max() >= sure for m, p, _ in _seen(reading))


def _is_cry(text: str) -> bool:
  """Whether a line is one short exclamation: 'Run!', 'Look out!'. A polite 'Thank you!' is none."""
  words = re.findall(r"[A-Za-z][A-Za-z']*", text.lower())
  said = re.sub(r'[\s"\')\]]+$', '', text)
  return 0 < len(words) <= CRY_WORDS and said.endswith(('!', '!?', '?!')) and not set(words) & _GREETINGS


_GREETINGS = frozenset(('hello', 'hi', 'thanks', 'thank', 'welcome', 'goodbye', 'bye', 'morning', 'night', 'please'))


def _within_reach(emotion, last) -> np.ndarray:
  """The mixture, moved toward the last line's to a distance of MAX_TURN where it is further away."""
  distance = 0.5 * np.abs(emotion - last).sum()
  return emotion if distance <= MAX_TURN else last + (emotion - last) * MAX_TURN / distance


def _follow_on(direction, last) -> Direction:
  """The direction with controls within MAX_STEPS of the last line's."""
  changes = {}
  for axis, most in MAX_STEPS.items():
    new, old = (math.log(getattr(d, axis)) if axis in RATIOS else getattr(d, axis) for d in (direction, last))
    value = float(np.clip(new, old - most, old + most))
    changes[axis] = clipped(axis, math.exp(value) if axis in RATIOS else value)
  return direction.replace(**changes)


def _mixture(reading, exemplars, requests, guide=None) -> np.ndarray:
  """Emotion mixture (8,): the reading's probabilities weighted by modality and certainty, votes of the retrieved clips,
  the original performance, a reference and the stage direction; sharpened. A mixed emotion of face and text is kept,
  unless a stage direction or a reference decides."""
  total = np.zeros(len(EMOTIONS))
  total[EMOTIONS.index('neutral')] = NEUTRAL_WEIGHT
  for m, p, certainty in _seen(reading):
    neutral_share = np.where(np.array(EMOTIONS) == 'neutral', NEUTRAL_SHARE[m], 1)
    total += MODALITY_WEIGHT[m] * certainty * p * neutral_share
    for weight, exemplar in _weighted(exemplars, m):
      if exemplar.emotion in EMOTIONS:
        total[EMOTIONS.index(exemplar.emotion)] += EXEMPLAR_WEIGHT * MODALITY_WEIGHT[m] * certainty * weight
  if guide is not None:
    p = np.asarray(guide.emotions)
    total += GUIDE_WEIGHT * _certainty(p) * p * np.where(np.array(EMOTIONS) == 'neutral', GUIDE_NEUTRAL, 1)
  if exemplars.reference is not None:
    p = np.asarray(exemplars.reference.emotions)
    total += REFERENCE_WEIGHT * p * np.where(np.array(EMOTIONS) == 'neutral', REFERENCE_NEUTRAL, 1)
  named = requested_emotions(requests)
  for emotion in named:
    total[EMOTIONS.index(emotion)] += SCRIPT_WEIGHT / len(named)
  sharp = (total / total.sum()) ** SHARPNESS
  sharp /= sharp.sum()
  if sharp.max() >= SURE:
    sharp **= SURE_SHARPNESS
  both = mixed_emotion(reading)
  decided = named or exemplars.reference is not None
  return _keep(sharp / sharp.sum(), both) if both and not decided else sharp / sharp.sum()


def _keep(emotion, names) -> np.ndarray:
  """The mixture with each of the named emotions raised to KEPT, and the others scaled down."""
  for _ in names:  # raising the second may push the first below again
    short = np.array([e in names for e in EMOTIONS]) & (emotion < KEPT)
    free = np.where(short, 0, emotion)
    emotion = np.where(short, KEPT, free * (1 - KEPT * short.sum()) / free.sum())
  return emotion


def _weighted(exemplars, modality):
  """(weight, exemplar) of a modality's retrieved clips: similarity over their number, at most 1 in all."""
  clips = exemplars.clips.get(modality, ())
  return [(max(0.0, min(1.0, clip.similarity)) / max(1, len(clips)), clip) for clip in clips]


def _intensity(emotion, line, requests) -> float:
  strength = float(np.max(np.delete(emotion, EMOTIONS.index('neutral'))))
  words = re.findall(r"[A-Za-z']{2,}", line.text)
  shouted = bool(words) and all(word.isupper() for word in words)
  marks = 0.1 * ('!' in line.text) + 0.15 * shouted
  return clipped('intensity', 0.5 + 0.3 * strength + marks + requested_intensity(requests))


def _delivery(emotion, reading, exemplars) -> np.ndarray:
  """Difference from neutral (5,) at intensity 0.75: log pace, semitones, log pitch range, dB, share of pauses.

  A retrieved clip is weighted by its similarity and by the share of its emotion in the mixture.
  """
  default = np.array([_difference(DELIVERY[e]) for e in EMOTIONS])
  total, weights = DEFAULT_WEIGHT * (emotion @ default), np.full(len(DELIVERY_KEYS), DEFAULT_WEIGHT)
  for m, seen in zip(MODALITIES, reading.present, strict=True):
    for weight, clip in _weighted(exemplars, m) if seen else ():
      values = [clip.prosody.get(key, math.nan) for key in DELIVERY_KEYS]
      difference = _difference(values)
      fit = emotion[EMOTIONS.index(clip.emotion)] if clip.emotion in EMOTIONS else 1 / len(EMOTIONS)
      weight = MODALITY_WEIGHT[m] * weight * fit * np.isfinite(difference)
      total += weight * np.nan_to_num(difference)
      weights += weight
  if exemplars.reference is not None:
    difference = _difference([exemplars.reference.prosody.get(key, math.nan) for key in DELIVERY_KEYS])
    weight = REFERENCE_DELIVERY * np.isfinite(difference)
    total += weight * np.nan_to_num(difference)
    weights += weight
  return DELIVERY_SHARE * total / weights


def _difference(values):
  pace, pitch, span, loudness, pauses = values
  return np.array([math.log(pace), pitch, math.log(span), loudness, pauses])


def _pauses(phonemes, share) -> tuple[tuple[int, float], ...]:
  """(word, seconds) of pauses at marks within the line: at dots and dashes always, at others where the exemplars pause
  more than neutral speech. Other pauses are left to the actor."""
  more = float(np.clip(2 * share, 0, 0.2))
  found = [(word, mark) for word, mark in marks(phonemes) if mark in PAUSES]
  return tuple(
    {
      word: round(min(PAUSES[mark] + more, 0.8), 2) for word, mark in found if mark in ('...', '-') or more >= 0.05
    }.items()
  )


def _emphasis(text, words) -> tuple[float, ...]:
  """Weight of each word: 1 for words in capitals in a line that is not all capitals, else 0; single letters are not
  counted as capitals."""
  written = re.findall(r"[A-Za-z][A-Za-z']*", text)
  loud = [len(word) > 1 and word.isupper() for word in written]
  if not any(loud) or all(up or len(word) == 1 for up, word in zip(loud, written, strict=True)):
    return ()
  weights, at = [0.0] * len(words), 0
  for word, up in zip(written, loud, strict=True):
    if word.lower() in words[at:]:
      at = words.index(word.lower(), at) + 1
      weights[at - 1] = float(up)
  return tuple(weights) if any(weights) else ()
