"""From what the director sees and recalls to what it tells the actor: rules, no network.

The emotion comes from the reading; how the voice goes with it from the exemplars' prosody, each told against
its own speaker's neutral delivery. What stands in brackets in the script overrules both.
"""

import functools
import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from dubber_jax.director.notes.apply import apply, intensity_asked, marks
from dubber_jax.director.notes.lexicon import LIMITS, RATIOS
from dubber_jax.director.notes.parser import parse_note, requested_emotions
from dubber_jax.director.source_performance import SourcePerformance, follow
from dubber_jax.script.g2p import Phonemes, phonemize
from dubber_jax.types import EMOTIONS, MODALITIES, Direction, Exemplars, Line, Reading

# How much each modality's emotion counts when all are equally sure. The face says most about the speaker.
READING_WEIGHT = {'scene': 0.2, 'face': 0.45, 'text': 0.35}
# How much of a modality's neutral odds counts against an emotion seen elsewhere. "Don't forget a jacket" rules
# out no feeling, and neither does an ordinary room; a composed face does.
NEUTRAL_SHARE = {'scene': 0.2, 'face': 0.8, 'text': 0.3}
GUIDE_WEIGHT, GUIDE_NEUTRAL = 0.6, 0.5  # of the original performance, as of a modality; it has said this very line
EXEMPLAR_WEIGHT = 0.3  # of the recalled clips' labels against the reading's probabilities
NEUTRAL_WEIGHT = 0.03  # of playing it straight: decides only where little is seen
SCRIPT_WEIGHT = 1.5  # of an emotion that the script names in brackets: more than all the others together
SHARPNESS = 1.5  # exponent on the mixture: actors play one thing, not eight
SURE, COMMITTED = 0.6, 2.7  # share from which on a feeling is played without reserve; the exponent that makes it so
DEFAULT_WEIGHT = 0.5  # of DELIVERY against exemplars whose weights add up to 1

# How actors depart from their own neutral delivery: rounded medians of RAVDESS actors 01-10. But sadness is made
# slower than those actors' 1.09, with pauses, as most studies find it (Juslin and Laukka 2003).
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
# Share of a departure that is asked for: actors before a camera do less than those in a recording booth.
TEMPER = np.array([0.6, 0.35, 0.5, 0.3, 0.6])
# Breathiness and tremor, 0 to 1, at full intensity: not measured, as an acting coach would say.
VOICE = {'fear': (0.3, 0.5), 'sad': (0.4, 0.3), 'surprise': (0.15, 0.0), 'disgust': (0.1, 0.0)}

PAUSES = {'...': 0.3, '-': 0.25, '.': 0.3, '?': 0.3, '!': 0.3, ';': 0.25, ':': 0.25, ',': 0.1}  # s at marks

# A face and words that are each as sure of another feeling play both: a smile on a sad line is not averaged away.
CLEAR = 0.4  # probability from which on a feeling counts as shown
KEPT = 0.3  # share that each of the two keeps at least
# From one line of a character to the next, unless the script names a feeling or much time has passed.
MOMENT = 8.0  # s of silence after which a new moment begins
SURE_WORDS = 0.7  # probability of a feeling in the words from which on they may turn it
JUMPS = {'intensity': 0.3, 'pace': math.log(1.2), 'pitch_shift': 3.0, 'pitch_range': math.log(1.35), 'loudness': 6.0}
TURN = 0.6  # largest total variation between the two mixtures

Before = Sequence[tuple[Line, Direction]]  # the lines that went before, in order, and how they were to be played
Planner = Callable[[Reading, Exemplars, Line, Phonemes, Before], tuple[Direction, tuple[str, ...]]]  # and warnings


def with_source_performance(planner: Planner, guide: SourcePerformance | None) -> Planner:
  """The planner, told how the line was performed in the original; as it is where that is not known."""
  return functools.partial(planner, guide=guide) if guide is not None else planner


def by_rules(
  reading: Reading,
  exemplars: Exemplars,
  line: Line,
  phonemes: Phonemes | None = None,
  before: Before = (),
  guide: SourcePerformance | None = None,
) -> tuple[Direction, tuple[str, ...]]:
  """`plan`, with a warning for each contradiction in the line's stage direction. guide: the original performance."""
  phonemes = phonemes or phonemize(line.text)
  asks = parse_note(line.stage_direction, in_script=True).asks
  last = _line_before(line, before)
  emotion = _mixture(reading, exemplars, asks, guide)
  turned = bool(requested_emotions(asks)) or _sure_words(reading) or guide is not None
  if last is not None and not turned:
    emotion = _within_reach(emotion, np.asarray(last.emotion, float))
  intensity = _intensity(emotion, line, asks)
  pace, pitch, span, loudness, pauses = _delivery(emotion, reading, exemplars) * (intensity / 0.75)
  breathiness, tremor = (
    intensity * sum(p * VOICE.get(e, (0, 0))[i] for e, p in zip(EMOTIONS, emotion, strict=True)) for i in (0, 1)
  )
  direction = Direction(
    emotion=tuple(float(p) for p in emotion),
    intensity=intensity,
    pace=_limit('pace', math.exp(pace)),
    pitch_shift=_limit('pitch_shift', pitch),
    pitch_range=_limit('pitch_range', math.exp(span)),
    loudness=_limit('loudness', loudness),
    breathiness=_limit('breathiness', breathiness),
    tremor=_limit('tremor', tremor),
    pauses=_pauses(phonemes, pauses),
    emphasis=_emphasis(line.text, phonemes.words),
  )
  if last is not None and not turned:
    direction = _follow_on(direction, last)
  if guide is not None:
    direction = follow(guide, direction, phonemes)
  parsed = apply(asks, direction, phonemes, skip=('emotion', 'intensity'))
  return parsed.direction, parsed.warnings


def plan(
  reading: Reading, exemplars: Exemplars, line: Line, phonemes: Phonemes | None = None, before: Before = ()
) -> Direction:
  """What to tell the actor about a line, by what was seen and recalled.

  Where nothing was seen, nothing recalled and the script says nothing, this is a neutral, plain delivery.
  Departures from neutral grow with intensity and stay within LIMITS. What stands in the script's brackets is then
  done as a note would be. `phonemes`: the line's, where a lexicon was used; pauses and emphasis count its words.
  `before`: a character goes on from their last line within JUMPS and TURN, unless the script turns the feeling.
  Raises BadInput for a line that cannot be spoken.
  """
  return by_rules(reading, exemplars, line, phonemes, before)[0]


def modality_agreement(reading: Reading) -> float:
  """How far scene, face and text agree on the emotion, 0 to 1: one less the Jensen-Shannon divergence of each pair in
  bits, which counts as far as both are sure. 1 where fewer than two say anything."""
  seen = list(_seen(reading))
  apart = weights = 0.0
  for i, (a, p, sure_p) in enumerate(seen):
    for b, q, sure_q in seen[i + 1 :]:
      middle = (p + q) / 2
      divergence = (_entropy(middle) - (_entropy(p) + _entropy(q)) / 2) / math.log(2)
      weight = READING_WEIGHT[a] * READING_WEIGHT[b]
      apart, weights = apart + weight * sure_p * sure_q * divergence, weights + weight
  return float(np.clip(1 - apart / weights, 0, 1)) if weights else 1.0


def mixed_emotion(reading: Reading) -> tuple[str, str] | None:
  """(shown by the face, said by the words) where both are clear and differ, as ('happy', 'sad'); else None."""
  clear = {}
  for m, p, _ in _seen(reading):
    p = np.where(np.array(EMOTIONS) == 'neutral', 0, p)
    if p.max() >= CLEAR:
      clear[m] = EMOTIONS[int(np.argmax(p))]
  shown, said = clear.get('face'), clear.get('text')
  return (shown, said) if shown and said and shown != said else None


def has_addressee(line: Line, before: Before = ()) -> str:
  """To whom a line is said: whom the script names ("to Mary"), else who spoke last; '' where nothing tells."""
  named = re.search(r"\bto ([A-Z][\w'-]+(?: [A-Z][\w'-]+)?)", line.stage_direction)
  if named:
    return named[1]
  others = [said.character for said, _ in before if said.character and said.character != line.character]
  return others[-1] if others else ''


def _seen(reading):
  """(modality, probabilities (8,), how sure it is, 0 to 1) of the modalities that say something."""
  for m, seen in zip(MODALITIES, reading.present, strict=True):
    p = np.asarray(reading.emotions.get(m, ()), float)
    if seen and p.size == len(EMOTIONS) and np.isfinite(p).all() and p.sum() > 0:
      p = p / p.sum()
      yield m, p, _sureness(p)


def _sureness(p) -> float:
  return 1 - _entropy(p) / math.log(len(EMOTIONS))


def _entropy(p) -> float:
  return float(-(p * np.log(p + 1e-12)).sum())


def _line_before(line, before) -> Direction | None:
  """How the same character was to play the last line, where it was said a moment ago. Lines without a name and
  without times have nothing to do with each other."""
  if not line.character and line.start is None:
    return None
  for said, direction in reversed(before):
    if said.character == line.character:
      known = line.start is not None and said.end is not None
      return None if known and line.start - said.end > MOMENT else direction
  return None


def _sure_words(reading) -> bool:
  return any(m == 'text' and np.delete(p, EMOTIONS.index('neutral')).max() >= SURE_WORDS for m, p, _ in _seen(reading))


def _within_reach(emotion, last) -> np.ndarray:
  """The mixture, drawn toward the last line's until it is no further away than TURN."""
  distance = 0.5 * np.abs(emotion - last).sum()
  return emotion if distance <= TURN else last + (emotion - last) * TURN / distance


def _follow_on(direction, last) -> Direction:
  changes = {}
  for axis, most in JUMPS.items():
    new, old = (math.log(getattr(d, axis)) if axis in RATIOS else getattr(d, axis) for d in (direction, last))
    value = float(np.clip(new, old - most, old + most))
    changes[axis] = _limit(axis, math.exp(value) if axis in RATIOS else value)
  return direction.replace(**changes)


def _mixture(reading, exemplars, asks, guide=None) -> np.ndarray:
  """(8,) probabilities: the reading's, each modality by how sure it is, a vote of the recalled clips, and
  what the script names. What face and words show of two feelings is kept."""
  total = np.zeros(len(EMOTIONS))
  total[EMOTIONS.index('neutral')] = NEUTRAL_WEIGHT
  for m, p, sureness in _seen(reading):
    neutral_share = np.where(np.array(EMOTIONS) == 'neutral', NEUTRAL_SHARE[m], 1)
    total += READING_WEIGHT[m] * sureness * p * neutral_share
    for weight, exemplar in _weighted(exemplars, m):
      if exemplar.emotion in EMOTIONS:
        total[EMOTIONS.index(exemplar.emotion)] += EXEMPLAR_WEIGHT * READING_WEIGHT[m] * sureness * weight
  if guide is not None:
    p = np.asarray(guide.emotions)
    total += GUIDE_WEIGHT * _sureness(p) * p * np.where(np.array(EMOTIONS) == 'neutral', GUIDE_NEUTRAL, 1)
  named = requested_emotions(asks)
  for emotion in named:
    total[EMOTIONS.index(emotion)] += SCRIPT_WEIGHT / len(named)
  sharp = (total / total.sum()) ** SHARPNESS
  sharp /= sharp.sum()
  if sharp.max() >= SURE:
    sharp **= COMMITTED
  both = mixed_emotion(reading)
  return _keep(sharp / sharp.sum(), both) if both and not named else sharp / sharp.sum()


def _keep(emotion, names) -> np.ndarray:
  """The mixture with each of the named emotions at KEPT or more, at the others' cost."""
  for _ in names:  # raising the second may push the first below again
    short = np.array([e in names for e in EMOTIONS]) & (emotion < KEPT)
    free = np.where(short, 0, emotion)
    emotion = np.where(short, KEPT, free * (1 - KEPT * short.sum()) / free.sum())
  return emotion


def _weighted(exemplars, modality):
  """(weight, exemplar) of a modality's recalled clips: by similarity, at most 1 together."""
  clips = exemplars.clips.get(modality, ())
  return [(max(0.0, min(1.0, clip.similarity)) / max(1, len(clips)), clip) for clip in clips]


def _intensity(emotion, line, asks) -> float:
  strength = float(np.max(np.delete(emotion, EMOTIONS.index('neutral'))))
  words = re.findall(r"[A-Za-z']{2,}", line.text)
  shouted = bool(words) and all(word.isupper() for word in words)
  marks = 0.1 * ('!' in line.text) + 0.15 * shouted
  return _limit('intensity', 0.5 + 0.3 * strength + marks + intensity_asked(asks))


def _delivery(emotion, reading, exemplars) -> np.ndarray:
  """(5,) departure from neutral at usual intensity: log pace, semitones, log range, dB, share of pauses.

  A recalled clip counts by its similarity and by how far its emotion is what is to be played.
  """
  usual = np.array([_departure(DELIVERY[e]) for e in EMOTIONS])
  total, weights = DEFAULT_WEIGHT * (emotion @ usual), np.full(len(DELIVERY_KEYS), DEFAULT_WEIGHT)
  for m, seen in zip(MODALITIES, reading.present, strict=True):
    for weight, clip in _weighted(exemplars, m) if seen else ():
      values = [clip.prosody.get(key, math.nan) for key in DELIVERY_KEYS]
      departure = _departure(values)
      fit = emotion[EMOTIONS.index(clip.emotion)] if clip.emotion in EMOTIONS else 1 / len(EMOTIONS)
      weight = READING_WEIGHT[m] * weight * fit * np.isfinite(departure)
      total += weight * np.nan_to_num(departure)
      weights += weight
  return TEMPER * total / weights


def _departure(values):
  pace, pitch, span, loudness, pauses = values
  return np.array([math.log(pace), pitch, math.log(span), loudness, pauses])


def _limit(name, value) -> float:
  low, high = LIMITS[name]
  return round(float(np.clip(value, low, high)), 3)


def _pauses(phonemes, share) -> tuple[tuple[int, float], ...]:
  """Pauses at the marks within the line: at dots and dashes always, at others where the exemplars pause more than
  is usual. Elsewhere the actor's own are right."""
  more = float(np.clip(2 * share, 0, 0.2))
  found = [(word, mark) for word, mark in marks(phonemes) if mark in PAUSES]
  return tuple(
    {
      word: round(min(PAUSES[mark] + more, 0.8), 2) for word, mark in found if mark in ('...', '-') or more >= 0.05
    }.items()
  )


def _emphasis(text, words) -> tuple[float, ...]:
  """1 for words in capitals in a line that is not all capitals, 0 for others; single letters and names that are
  spelled out are no shout."""
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
