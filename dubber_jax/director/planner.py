"""From what the director sees and recalls to what it tells the actor: rules, no network.

The emotion comes from the reading; how the voice goes with it from the exemplars' prosody, each told against
its own speaker's neutral delivery. What stands in brackets in the script overrules both.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dubber_jax.clip import EMOTIONS, MODALITIES, Direction, Exemplars, Line, Reading
from dubber_jax.script.phonemes import Phonemes, phonemize

# How much each modality's emotion counts when all are equally sure. The face says most about the speaker.
READING_WEIGHT = {'scene': 0.2, 'face': 0.45, 'text': 0.35}
# How much of a modality's neutral odds counts against an emotion seen elsewhere. "Don't forget a jacket" rules
# out no feeling, and neither does an ordinary room; a composed face does.
NEUTRAL_SHARE = {'scene': 0.2, 'face': 0.8, 'text': 0.3}
EXEMPLAR_WEIGHT = 0.3  # of the recalled clips' labels against the reading's probabilities
NEUTRAL_WEIGHT = 0.03  # of playing it straight: decides only where little is seen
SCRIPT_WEIGHT = 1.5  # of an emotion that the script names in brackets: more than all the others together
SHARPNESS = 1.5  # exponent on the mixture: actors play one thing, not eight
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
TEMPER = np.array([0.6, 0.5, 0.5, 0.3, 0.6])
# Breathiness and tremor, 0 to 1, at full intensity: not measured, as an acting coach would say.
VOICE = {'fear': (0.3, 0.5), 'sad': (0.4, 0.3), 'surprise': (0.15, 0.0), 'disgust': (0.1, 0.0)}

PAUSES = {'...': 0.3, '-': 0.25, '.': 0.3, '?': 0.3, '!': 0.3, ';': 0.25, ':': 0.25, ',': 0.1}  # s at marks
LIMITS = {'pace': (0.75, 1.35), 'pitch_shift': (-4.0, 6.0), 'pitch_range': (0.6, 1.6), 'loudness': (-10.0, 8.0)}


@dataclass(frozen=True)
class Cue:
  """What a stage direction asks for. Sums and factors on top of the plan; None: says nothing."""

  words: str  # a regular expression
  emotion: str = ''
  intensity: float = 0.0
  pace: float = 1.0
  pitch: float = 0.0
  range: float = 1.0
  loudness: float | None = None
  breathiness: float = 0.0
  tremor: float = 0.0
  pauses: float = 0.0  # s after marks of punctuation
  held_back: bool = False


CUES = (
  Cue(r'ang(?:ry|rily|er)|furious|rag(?:e|ing)|enraged|irritated|annoyed|bitter', 'angry'),
  Cue(r'disgust|revolted|repulsed|contempt|sneer', 'disgust'),
  Cue(r'afraid|fear|scared|terrified|frightened|panic|nervous|anxious|worried', 'fear'),
  Cue(r'happ(?:y|ily)|joy|cheer|delight|laugh|smil|excited|gleeful|amused', 'happy'),
  Cue(r'calm|neutral|matter.of.fact|evenly|composed', 'neutral', intensity=-0.1),
  Cue(r'sad|sorrow|grie[fv]|mourn|heartbroken|tearful|crying|sobbing|weep|melanchol', 'sad'),
  Cue(r'surpris|shocked|astonish|amazed|startled|stunned|incredulous', 'surprise'),
  Cue(r'whisper|hushed|sotto voce|under (?:his|her|their) breath', loudness=-8, breathiness=0.8, range=0.8, pitch=-1),
  Cue(r'quiet|soft|gentl|mutter|murmur|mumbl|low voice', intensity=-0.1, loudness=-4, breathiness=0.2),
  Cue(r'shout|yell|scream|loud|roar|bellow|at the top of', intensity=0.3, loudness=6, pitch=2),
  Cue(r'held.back|holding back|restrain|control|suppress|(?:gritted|clenched) teeth|tight', intensity=-0.15, pace=0.92,
      range=0.85, held_back=True),
  Cue(r'slow|deliberate|drawl|draws? out', pace=0.86),
  Cue(r'fast|quick|hurr|rush|urgent|rapid', pace=1.15),
  Cue(r'breathless|out of breath|panting|gasp', breathiness=0.5, pauses=0.1),
  Cue(r'trembl|shak(?:y|ing)|quaver|quiver|sob|crying|tearful|chok', tremor=0.5),
  Cue(r'flat|monoton|deadpan|dr(?:y|ily)|sarcas', intensity=-0.1, range=0.65),
  Cue(r'tired|exhausted|weak|weary|dying|sleepy|drunk', pace=0.88, loudness=-3, breathiness=0.3, range=0.85),
  Cue(r'hesita|halting|unsure|uncertain|pauses?|falter', pace=0.95, pauses=0.2),
  Cue(r'intense|very|deeply|violent|extremely', intensity=0.15),
  Cue(r'slightly|a little|mild|a bit', intensity=-0.15),
)  # fmt: skip


Before = Sequence[tuple[Line, Direction]]  # the lines that went before, in order, and how they were to be played
Planner = Callable[[Reading, Exemplars, Line, Phonemes, Before], tuple[Direction, tuple[str, ...]]]  # and warnings


def by_rules(reading, exemplars, line, phonemes, before=()) -> tuple[Direction, tuple[str, ...]]:
  """`plan` as a Planner."""
  return plan(reading, exemplars, line, phonemes), ()


def plan(reading: Reading, exemplars: Exemplars, line: Line, phonemes: Phonemes | None = None) -> Direction:
  """What to tell the actor about a line, by what was seen and recalled.

  Where nothing was seen, nothing recalled and the script says nothing, this is a neutral, plain delivery.
  Departures from neutral grow with intensity and stay within LIMITS. `phonemes`: the line's, where a lexicon
  was used; pauses and emphasis count its words. Raises BadInput for a line that cannot be spoken.
  """
  phonemes = phonemes or phonemize(line.text)
  cues = _cues(line.stage_direction)
  emotion = _mixture(reading, exemplars, cues)
  held_back = any(cue.held_back for cue in cues)
  intensity = _intensity(emotion, line, cues)
  pace, pitch, span, loudness, pauses = _delivery(emotion, reading, exemplars) * (intensity / 0.75)
  loud_cues = [cue.loudness for cue in cues if cue.loudness is not None]
  loudness = min(loudness, 0) if held_back or min(loud_cues, default=0) < 0 else loudness
  breathiness, tremor = (
    intensity * sum(p * VOICE.get(e, (0, 0))[i] for e, p in zip(EMOTIONS, emotion, strict=True)) for i in (0, 1)
  )
  direction = Direction(
    emotion=tuple(float(p) for p in emotion),
    intensity=intensity,
    pace=_limit('pace', math.exp(pace) * math.prod(cue.pace for cue in cues)),
    pitch_shift=_limit('pitch_shift', pitch + sum(cue.pitch for cue in cues)),
    pitch_range=_limit('pitch_range', math.exp(span) * math.prod(cue.range for cue in cues)),
    loudness=_limit('loudness', loudness + sum(loud_cues)),
    breathiness=round(min(1.0, breathiness + sum(cue.breathiness for cue in cues)), 3),
    tremor=round(min(1.0, tremor + sum(cue.tremor for cue in cues)), 3),
    pauses=_pauses(phonemes, pauses, sum(cue.pauses for cue in cues)),
    emphasis=_emphasis(line.text, phonemes.words),
  )
  note, note_zh = describe(direction, phonemes.words, held_back)
  return direction.replace(note=note, note_zh=note_zh)


def _cues(stage_direction):
  """The cues whose words stand in the brackets, except where a 'not' goes before."""
  text = stage_direction.lower()
  found = []
  for cue in CUES:
    match = re.search(rf"(\b(?:not|never|without|isn't|no longer)\s+(?:\w+\s+)?)?\b(?:{cue.words})", text)
    if match and not match.group(1):
      found.append(cue)
  return found


def _mixture(reading, exemplars, cues) -> np.ndarray:
  """(8,) probabilities: the reading's, each modality by how sure it is, a vote of the recalled clips, and
  what the script names."""
  total = np.zeros(len(EMOTIONS))
  total[EMOTIONS.index('neutral')] = NEUTRAL_WEIGHT
  for m, seen in zip(MODALITIES, reading.present, strict=True):
    p = np.asarray(reading.emotions.get(m, ()), float)
    if not seen or p.size != len(EMOTIONS) or not np.isfinite(p).all() or p.sum() <= 0:
      continue
    p = p / p.sum()
    sureness = 1 - float(-(p * np.log(p + 1e-12)).sum()) / math.log(len(EMOTIONS))
    neutral_share = np.where(np.array(EMOTIONS) == 'neutral', NEUTRAL_SHARE[m], 1)
    total += READING_WEIGHT[m] * sureness * p * neutral_share
    for weight, exemplar in _weighted(exemplars, m):
      if exemplar.emotion in EMOTIONS:
        total[EMOTIONS.index(exemplar.emotion)] += EXEMPLAR_WEIGHT * READING_WEIGHT[m] * sureness * weight
  named = [cue.emotion for cue in cues if cue.emotion]
  for emotion in named:
    total[EMOTIONS.index(emotion)] += SCRIPT_WEIGHT / len(named)
  sharp = (total / total.sum()) ** SHARPNESS
  return sharp / sharp.sum()


def _weighted(exemplars, modality):
  """(weight, exemplar) of a modality's recalled clips: by similarity, at most 1 together."""
  clips = exemplars.clips.get(modality, ())
  return [(max(0.0, min(1.0, clip.similarity)) / max(1, len(clips)), clip) for clip in clips]


def _intensity(emotion, line, cues) -> float:
  strength = float(np.max(np.delete(emotion, EMOTIONS.index('neutral'))))
  words = re.findall(r"[A-Za-z']{2,}", line.text)
  shouted = bool(words) and all(word.isupper() for word in words)
  marks = 0.1 * ('!' in line.text) + 0.15 * shouted
  return round(float(np.clip(0.5 + 0.3 * strength + marks + sum(cue.intensity for cue in cues), 0.1, 1.0)), 3)


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


def _pauses(phonemes, share, asked) -> tuple[tuple[int, float], ...]:
  """Pauses at the marks within the line: at dots and dashes always, at others where the exemplars pause more than
  is usual or the script asks for it. Elsewhere the actor's own are right."""
  more = asked + float(np.clip(2 * share, 0, 0.2))
  pauses, word, last = {}, -1, len(phonemes.words) - 1
  for symbol, word_of in zip(phonemes.symbols, phonemes.word_of.tolist(), strict=True):
    word = max(word, word_of)
    if word_of >= 0 or not 0 <= word < last or symbol not in PAUSES:
      continue
    if symbol in ('...', '-') or more >= 0.05:
      pauses[word] = round(min(PAUSES[symbol] + more, 0.8), 2)
  return tuple(pauses.items())


def _emphasis(text, words) -> tuple[float, ...]:
  """1 for words in capitals in a line that is not all capitals, 0 for others; single letters and names that are
  spelt out are no shout."""
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


NAMES = {
  'angry': ('anger', '愤怒'),
  'disgust': ('disgust', '厌恶'),
  'fear': ('fear', '恐惧'),
  'happy': ('joy', '喜悦'),
  'neutral': ('plain speech', '平静'),
  'sad': ('sadness', '悲伤'),
  'surprise': ('surprise', '惊讶'),
  'others': ('mixed feelings', '复杂的情绪'),
}


def describe(direction: Direction, words: tuple[str, ...] = (), held_back: bool = False) -> tuple[str, str]:
  """A direction as a sentence for a person, in English and Chinese, as 'held-back anger: slower, tight, not
  louder'. `words`: the line's, to name those that are stressed or followed by a pause."""
  ranked = sorted(range(len(EMOTIONS)), key=lambda i: -direction.emotion[i])
  first, second = (EMOTIONS[i] for i in ranked[:2])
  feeling, feeling_zh = NAMES[first]
  if first != 'neutral':
    if held_back or (first == 'angry' and direction.loudness < 1):
      feeling, feeling_zh = f'held-back {feeling}', f'克制的{feeling_zh}'
    elif direction.intensity < 0.6:
      feeling, feeling_zh = f'a touch of {feeling}', f'一丝{feeling_zh}'
    elif direction.intensity > 0.85:
      feeling, feeling_zh = f'strong {feeling}', f'强烈的{feeling_zh}'
  if second != 'neutral' and direction.emotion[ranked[1]] >= 0.25:
    feeling, feeling_zh = f'{feeling} with some {NAMES[second][0]}', f'{feeling_zh}，带一点{NAMES[second][1]}'

  how = [said for applies, said in _manners(direction, first) if applies]
  stressed = [word for word, weight in zip(words, direction.emphasis, strict=False) if weight > 0]
  if stressed:
    how.append((f'lean on "{" ".join(stressed)}"', f'重读“{" ".join(stressed)}”'))
  paused = [words[i] for i, _ in direction.pauses if i < len(words)]
  if paused:
    how.append((f'pause after "{paused[0]}"', f'在“{paused[0]}”之后停顿'))
  how = how or [('even and natural', '平稳自然')]
  return f'{feeling}: {", ".join(en for en, _ in how)}', f'{feeling_zh}：{"，".join(zh for _, zh in how)}'


def _manners(d, emotion):
  return (
    (d.pace < 0.85, ('much slower', '明显放慢')),
    (0.85 <= d.pace < 0.96, ('slower', '放慢')),
    (1.05 < d.pace <= 1.15, ('faster', '加快')),
    (d.pace > 1.15, ('much faster', '明显加快')),
    (d.pitch_shift > 1, ('higher', '音调升高')),
    (d.pitch_shift < -1, ('lower', '音调压低')),
    (d.pitch_range < 0.9, ('tight', '语调收紧')),
    (d.pitch_range > 1.15, ('lively', '语调起伏')),
    (d.loudness > 1.5, ('louder', '更响亮')),
    (d.loudness < -6, ('very soft', '很轻')),
    (-6 <= d.loudness < -1.5, ('softer', '放轻')),
    (emotion == 'angry' and abs(d.loudness) <= 1.5, ('not louder', '不提高音量')),
    (d.breathiness >= 0.3, ('breathy', '带气声')),
    (d.tremor >= 0.25, ('trembling', '声音发颤')),
  )
