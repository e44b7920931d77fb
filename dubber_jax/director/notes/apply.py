"""Directions as sentences, and sentences as directions, in English and Chinese.

`parse` takes a note from a person, the way one is given on a set ("held-back anger here: slow down, keep the tone
tight"), and says what it changes of a direction; `describe` writes a direction down, and `describe_change` what is
asked for differently from one round to the next. What is written can be parsed again.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dubber_jax.director.notes.lexicon import LIMITS, NEUTRAL, RATIOS, STEPS
from dubber_jax.director.notes.parser import LONGEST, Request, parse_note
from dubber_jax.errors import BadInput
from dubber_jax.script.g2p import Phonemes
from dubber_jax.types import EMOTIONS, Direction

PAUSE = 0.3  # s, where a note does not say how long
PAUSE_LIMITS = (0.08, 1.2)  # s
TAKEN = 0.85  # share of the mixture that a note's emotion takes of what was there before
SECOND = 0.5  # of an emotion that is only a touch beside another
UNITS = {'loudness': 'dB', 'pitch_shift': 'semitones'}
Words = Phonemes | Sequence[str]  # of a line; its Phonemes tell where it has marks of punctuation too
PLAIN = Direction()
CALLED = {
  'pace': 'pace',
  'pitch_shift': 'pitch',
  'pitch_range': 'pitch range',
  'loudness': 'loudness',
  'breathiness': 'breathiness',
  'tremor': 'tremor',
  'intensity': 'intensity',
}


@dataclass(frozen=True)
class RevisedDirection:
  """What a note makes of a direction, and a line for each thing in it that was not understood or not followed."""

  direction: Direction
  warnings: tuple[str, ...] = ()


def parse(note: str, direction: Direction = PLAIN, words: Words = ()) -> RevisedDirection:
  """The direction that a note makes of `direction`: what it does not speak of stays as it is.

  A comparative ("slower", 再慢一点) goes on from the direction given; a plain word ("slow") asks for at least so much,
  and a little more where it is so already. An amount ("two semitones lower", 轻三分贝) is taken as it stands. Of two
  words that contradict each other an amount counts before a word, and the later before the earlier. `words`: the
  line's, so that they can be stressed and paused after.

  Raises BadInput for an empty note, one of more than LONGEST characters, and one in which nothing is understood.
  """
  if not note.strip():
    raise BadInput('the note is empty: say what to change, as "softer, almost a whisper" or “放慢语速”')
  if len(note) > LONGEST:
    raise BadInput(f'the note has {len(note)} characters, the limit is {LONGEST}: a sentence or two is enough')
  heard = parse_note(note)
  if not heard.understood:
    said = ' '.join(note.split())[:60]
    raise BadInput(
      f'nothing in the note {said!r} was understood: notes are read in English and Chinese and speak of '
      'emotion, pace, pitch, loudness, breath, tremor, pauses and stress, as "sadder, slower, two '
      'semitones lower", "a pause after \'never\'", “压低音量，声音略带颤抖”'
    )
  parsed = apply(heard.asks, direction, words)
  clauses = list(dict.fromkeys(heard.unknown))
  more = f' and {len(clauses) - 3} more' * (len(clauses) > 3)
  unknown = f'not understood in the note: {", ".join(repr(clause[:60]) for clause in clauses[:3])}{more}'
  return RevisedDirection(parsed.direction, (*parsed.warnings, unknown) if clauses else parsed.warnings)


def apply(asks: Sequence[Request], direction: Direction, words: Words = (), skip=()) -> RevisedDirection:
  """What the asks make of a direction. `skip`: 'emotion' or quantities that are left alone."""
  warnings = []
  if any(ask.axis == 'reset' for ask in asks):
    direction = Direction()
  changes = {} if 'emotion' in skip else _emotion(asks, direction, warnings)
  for axis in LIMITS:
    if axis not in skip:
      given = changes.get(axis, getattr(direction, axis))
      changes[axis] = _quantity(axis, given, asks, warnings)
  held_back = any(ask.cue and ask.cue.held_back and not ask.negated for ask in asks)
  if held_back and not any(step > 0 for _, step in _steps('loudness', asks)[0]):
    changes['loudness'] = min(changes['loudness'], 0.0)
  changes['pauses'] = _pauses(asks, direction, words, warnings)
  changes['emphasis'] = _emphasis(asks, direction, _plain_words(words), warnings)
  changed = direction.replace(**changes)
  said, said_zh = describe(changed, _plain_words(words), held_back)
  return RevisedDirection(changed.replace(note=said, note_zh=said_zh), tuple(dict.fromkeys(warnings)))


# Quantities


def _steps(axis, asks) -> tuple[list[tuple[Request, float]], list[tuple[Request, float]]]:
  """What is said outright about a quantity, and what is implied: each ask with its step, without amounts."""
  outright, implied = [], []
  for ask in asks:
    if ask.cue is None:
      if ask.axis == axis:
        sign = -ask.sign if ask.flipped or ask.negated else ask.sign
        outright.append((ask, sign * STEPS[axis] * ask.degree))
      continue
    step = ask.cue.steps.get(axis, 0.0)
    if not step or (axis == 'intensity' and ask.cue.emotion):
      continue
    if axis == 'intensity' and ask.negated and ask.axis != 'intensity':
      continue
    if ask.negated or ask.flipped:
      if ask.axis == axis:
        back = -(1.0 if ask.flipped else 0.75) * step * ask.degree
        outright.append((ask, float(np.clip(back, -STEPS[axis], STEPS[axis]))))
    elif ask.axis == axis:
      outright.append((ask, step * ask.degree))
    else:
      implied.append((ask, step * ask.degree))
  return outright, implied


def _quantity(axis, given, asks, warnings) -> float:
  value = math.log(given) if axis in RATIOS else given
  neutral = NEUTRAL[axis]
  outright, implied = _steps(axis, asks)
  if outright:
    ask, step = _settle(axis, outright, warnings)
    value = _follow(axis, value, neutral, ask, step)
  elif implied:
    ask, step = max(implied, key=lambda pair: abs(pair[1]))
    at = value - neutral if axis != 'intensity' else 0.0
    value = neutral + (max if step > 0 else min)(at, step) if axis != 'intensity' else value + step
  value = math.exp(value) if axis in RATIOS else value
  low, high = LIMITS[axis]
  if not low - 1e-6 <= value <= high + 1e-6 and outright and (ask.amount or axis in UNITS or axis == 'pace'):
    limit = low if value < low else high
    warnings.append(f'{ask.said!r} asks for {CALLED[axis]} {value:.2g}{_unit(axis)}: {limit:g} is as far as it goes')
  return round(float(np.clip(value, low, high)), 3) if outright or implied else given


def _unit(axis):
  return f' {UNITS[axis]}' if axis in UNITS else ''


def _settle(axis, outright, warnings) -> tuple[Request, float]:
  """Which of several words about one quantity counts: an amount before a word, of contrary ones the later, of those
  that agree the strongest."""
  meant = [pair for pair in outright if not pair[0].negated or pair[0].held]
  outright = meant or outright  # "louder, but don't shout" is louder
  measured = [pair for pair in outright if pair[0].amount]
  pairs = measured or outright
  ask, step = pairs[-1]
  contrary = [pair for pair in outright if _contrary(pair, (ask, step))]
  if contrary and not (ask.amount and ask.amount[1] == 'set'):
    why = 'an amount counts before a word' if measured and not contrary[-1][0].amount else 'what is said last counts'
    warnings.append(
      f'{contrary[-1][0].said!r} and {ask.said!r} contradict each other in {CALLED[axis]}: '
      f'{ask.said!r} is followed, {why}'
    )
  if ask.amount:
    return ask, step
  agreeing = [pair for pair in pairs if not _contrary(pair, (ask, step))]
  return max(agreeing, key=lambda pair: (not pair[0].held, abs(pair[1])))


def _contrary(a, b) -> bool:
  """Whether two words pull apart. "Not louder" goes with softer, "keep the volume" with neither."""
  kept = any(ask.held and not ask.negated for ask, _ in (a, b))
  return a[0].held != b[0].held if kept else (a[1] > 0) != (b[1] > 0)


def _follow(axis, value, neutral, ask, step) -> float:
  """The additive value of a quantity after one ask."""
  if ask.normal:
    return neutral
  if ask.amount:
    return _by_amount(axis, value, step, *ask.amount)
  if ask.held:
    return value
  if axis in ('tremor', 'breathiness') and ask.negated and not ask.flipped:
    return 0.0 if not ask.cue or step < 0 else value
  if axis == 'intensity' or ask.relative or ask.negated or ask.flipped:
    return value + step
  sign = math.copysign(1.0, step)
  beyond = sign * (value - neutral) >= abs(step) - 1e-9
  if beyond:
    return value if ask.keep else value + step / 2
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


def intensity_asked(asks) -> float:
  """What words besides the emotion itself add to its intensity: "restrained", "very"."""
  total = 0.0
  for ask in asks:
    if ask.cue and not (ask.negated or ask.flipped):
      by_degree = 0.3 * (ask.degree - 1) if ask.cue.emotion else 0.0
      total += ask.cue.intensity * ask.degree + by_degree
    elif ask.axis == 'intensity' and not ask.held:
      total += _steps('intensity', [ask])[0][0][1] if _steps('intensity', [ask])[0] else 0.0
  return total


# Emotion


def _emotion(asks, direction, warnings) -> dict:
  """Changes of emotion and intensity."""
  mixture = np.asarray(direction.emotion, float)
  before_leads = EMOTIONS[int(np.argmax(mixture))]
  intensity = direction.intensity
  primary, second, share, exact = {}, {}, {}, {}
  stand = {}  # the sign in which each emotion is asked for, the last counts
  for ask in asks:
    if not (ask.cue and ask.cue.emotion):
      continue
    against = ask.negated or ask.flipped
    for emotion in ask.cue.emotion.split():
      if stand.get(emotion, against) != against:
        warnings.append(f'{emotion} is asked for and ruled out: {ask.said!r} is followed, what is said last counts')
        for named in (primary, second, share):
          named.pop(emotion, None)
      stand[emotion] = against
      if ask.amount and ask.amount[1] == 'set':
        exact[emotion] = min(max(ask.amount[0], 0.0), 1.0)
      elif against:
        i = EMOTIONS.index(emotion)
        removed = mixture[i] * (0.45 if ask.flipped else 0.9)
        mixture[i] -= removed
        mixture[EMOTIONS.index('neutral')] += 0.5 * removed if emotion != 'neutral' else 0.0
        if emotion == 'neutral':
          intensity += 0.15
        elif ask.flipped and emotion == before_leads:
          intensity -= 0.1
      elif ask.relative:
        share[emotion] = 1.0
        intensity += 0.1 * ask.degree if emotion != 'neutral' else -0.1
      elif ask.degree < 0.75 and (primary or before_leads not in ('neutral', emotion)):
        second[emotion] = SECOND
      else:
        primary[emotion] = 0.75 ** len(primary)
        intensity += 0.3 * (ask.degree - 1) if emotion != 'neutral' else 0.0
  mixture = mixture / mixture.sum() if mixture.sum() > 1e-6 else np.asarray(Direction().emotion)
  named = (
    primary
    | {e: w for e, w in second.items() if e not in primary}
    | {e: w for e, w in share.items() if e not in primary}
  )
  if named:
    taken = TAKEN if primary else 0.4
    mixture = (1 - taken) * mixture
    for emotion, weight in named.items():
      mixture[EMOTIONS.index(emotion)] += taken * weight / sum(named.values())
  if exact:
    rest = np.array([e not in exact for e in EMOTIONS])
    scale = max(1 - sum(exact.values()), 0.0) / max(mixture[rest].sum(), 1e-9)
    mixture = np.where(rest, mixture * scale, [exact.get(e, 0.0) for e in EMOTIONS])
    mixture = mixture / max(mixture.sum(), 1e-9)
  if not (stand or exact):
    return {}
  leads = EMOTIONS[int(np.argmax(mixture))]
  if primary and before_leads == 'neutral' and leads != 'neutral':  # as strongly as it would be planned
    intensity += max(0.2, direction.intensity) - direction.intensity + 0.22
  low, high = LIMITS['intensity']
  return {'emotion': tuple(float(p) for p in mixture), 'intensity': round(float(np.clip(intensity, low, high)), 3)}


# Pauses and stress


def _plain_words(words: Words) -> tuple[str, ...]:
  return words.words if isinstance(words, Phonemes) else tuple(word.lower() for word in words)


def marks(words: Words) -> list[tuple[int, str]]:
  """(word after which it stands, mark) for each mark of punctuation within the line."""
  if not isinstance(words, Phonemes):
    return []
  phonemes = words
  found, word, last = [], -1, len(phonemes.words) - 1
  for symbol, word_of in zip(phonemes.symbols, phonemes.word_of.tolist(), strict=True):
    word = max(word, word_of)
    if word_of < 0 and 0 <= word < last and not symbol.startswith('@'):
      found.append((word, symbol))
  return found


# Before these one breathes, where the line has no mark.
JOINTS = frozenset(
  'and but or because that when if while who which before after until so than as to for with from'.split()
)


def breath_place(line: Words) -> int | None:
  """The word after which one would take a breath: at a mark of punctuation, before a conjunction or preposition, or
  in the middle; None for a single word."""
  words = _plain_words(line)
  if len(words) < 2:
    return None
  places = [word for word, _ in marks(line)] or [i - 1 for i, word in enumerate(words) if i and word in JOINTS]
  middle = len(words) / 2 - 1
  return min(places, key=lambda i: abs(i - middle)) if places else round(middle)


# What a note in Chinese means of an English line.
ENGLISH = {
  '你': 'you your', '您': 'you your', '我': 'i me my', '他': 'he him his', '她': 'she her', '它': 'it',
  '我们': 'we us our', '他们': 'they them their', '不': "not no don't won't can't never", '没有': 'no not nothing',
  '从不': 'never', '绝不': 'never', '永远': 'forever always never', '总是': 'always', '现在': 'now', '今天': 'today',
  '这': 'this', '那': 'that', '爱': 'love', '恨': 'hate', '什么': 'what', '为什么': 'why', '谁': 'who', '哪里': 'where',
  '家': 'home house', '走': 'go leave',
}  # fmt: skip


def _find(phrase, words) -> tuple[int, ...]:
  """Where a phrase stands in the line: indices of its words, the last time it is said; () if it does not."""
  parts = re.findall(r"[a-z0-9']+", phrase.lower())
  for i in range(len(words) - len(parts), -1, -1):
    if parts and list(words[i : i + len(parts)]) == parts:
      return tuple(range(i, i + len(parts)))
  for word in ENGLISH.get(phrase, '').split():
    if word in words:
      return (words.index(word),)
  return ()


def _meant(ask, words, warnings, purpose) -> list[tuple[int, ...]]:
  """Where the words that an ask names stand in the line."""
  numbered = re.findall(r'(?:word |第)(\d+)', ask.clause)
  if numbered:
    return [(int(n) - 1,) for n in numbered if not words or 0 < int(n) <= len(words)]
  if ask.quoted and not words:
    warnings.append(f'{purpose} {", ".join(ask.quoted)!r}: not done, the words of the line are not known')
    return []
  found = []
  for phrase in ask.quoted:
    place = _find(phrase, words)
    if not place:
      warnings.append(f'there is no {phrase!r} in the line to {purpose}')
    found += [place] if place else []
  if ask.quoted:
    return found
  tail = re.split(r'\b(?:on|after|before|stress|emphasi[sz]e|accent|punch|highlight|underline)\b', ask.clause)[-1]
  if re.search('[\u4e00-\u9fff]', ask.clause):  # as in 强调never
    tail = ' '.join(re.findall(r"[a-z']+", ask.clause))
  said = [word for word in re.findall(r"[a-z']+", tail) if word not in ('the', 'word', 'a') or word == tail.strip()]
  for length in range(len(said), 0, -1):
    for i in range(len(said) - length + 1):
      place = _find(' '.join(said[i : i + length]), words)
      if place and len(tail) < len(ask.clause):
        return [place]
  return []


def _pauses(asks, direction, line, warnings):
  pauses = dict(direction.pauses)
  words = _plain_words(line)
  for ask in asks:
    if ask.cue and ask.cue.pauses and not (ask.negated or ask.flipped):
      for place in [word for word, _ in marks(line)] or [breath_place(line)]:
        if place is not None:
          pauses[place] = max(pauses.get(place, 0.0), _seconds(ask.cue.pauses * ask.degree))
    if ask.axis != 'pauses':
      continue
    named = bool({'after', 'before'} & set(ask.where))
    places = []
    if named:
      for span in _meant(ask, words, warnings, 'pause after' if 'after' in ask.where else 'pause before'):
        places.append(span[-1] if 'after' in ask.where else span[0] - 1)
      places = [p for p in places if p >= 0 and (not words or p < len(words) - 1)]
      if not places:
        if not ask.quoted:
          warnings.append(f'{_shown(ask)}: it is not clear after which word of the line')
        elif not warnings:
          warnings.append(f'{_shown(ask)}: there the line begins or ends, and is silent anyway')
        continue
    if ask.negated:
      pauses = {w: s for w, s in pauses.items() if named and w not in places}
      continue
    if ask.flipped or (ask.relative and pauses and not named):  # fewer, shorter, longer
      ratio = 0.6 if ask.flipped or ask.size < 1 else 1.6
      pauses = {w: _seconds(s * ratio ** (1 if ask.degree == 1 else ask.degree)) for w, s in pauses.items()}
      if ask.amount is None and (ask.flipped or ask.size != 1):
        continue
    if ask.flipped:
      continue
    if not named and 'marks' in ask.where:
      places = [word for word, _ in marks(line)]
    if not named and not places:
      place = breath_place(line) if words else 0
      if place is None:
        warnings.append(f'{_shown(ask)}: a single word has no place for a pause')
        continue
      if not words:
        warnings.append(f'{_shown(ask)}: the words of the line are not known, so it stands after the first')
      places = [place]
    degree = 0.6 if ask.degree < 1 else ask.degree
    seconds = ask.amount[0] if ask.amount else PAUSE * min(ask.size, 1 if ask.size < 1 else 2) * degree
    if ask.amount and not PAUSE_LIMITS[0] <= seconds <= PAUSE_LIMITS[1]:
      warnings.append(f'a pause of {seconds:g} s: pauses last from {PAUSE_LIMITS[0]} to {PAUSE_LIMITS[1]} s')
    pauses |= {place: _seconds(seconds) for place in places}
  return tuple(sorted(pauses.items()))


def _seconds(value):
  return round(float(np.clip(value, *PAUSE_LIMITS)), 2)


def _shown(ask):
  """An ask's words as they were written."""
  said, names = ask.said, list(ask.quoted)
  return repr(' '.join(re.sub('[\ue000-\uf8ff]', lambda _: f'"{names.pop(0)}"' if names else '', said).split()))


def _emphasis(asks, direction, words, warnings):
  stresses = [ask for ask in asks if ask.axis == 'emphasis']
  if not stresses:
    return direction.emphasis
  weights = list(direction.emphasis) + [0.0] * (len(words) - len(direction.emphasis))
  for ask in stresses:
    places = _meant(ask, words, warnings, 'stress')
    if not places and not ask.quoted:
      if ask.negated:
        weights = [0.0] * len(weights)
      else:
        warnings.append(f'{_shown(ask)}: it is not clear which word of the line; put it in quotation marks')
    for i in (i for span in places for i in span):
      weights += [0.0] * (i + 1 - len(weights))
      weights[i] = 0.0 if ask.negated else round(min(max(ask.degree, 0.5), 2.0), 2)
  return tuple(weights) if any(weights) else ()


# Directions as sentences


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
MIXED = 0.25  # share from which on a second emotion is named


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
  if second != 'neutral' and direction.emotion[ranked[1]] >= MIXED:
    if second == 'happy':
      feeling, feeling_zh = f'{feeling} behind a smile', f'{feeling_zh}，却带着笑'
    else:
      feeling, feeling_zh = f'{feeling} with some {NAMES[second][0]}', f'{feeling_zh}，带一点{NAMES[second][1]}'

  how = [said for applies, said in _manners(direction, first) if applies]
  stressed = [word for word, weight in zip(words, direction.emphasis, strict=False) if weight > 0]
  if stressed:
    how.append((f'lean on "{" ".join(stressed)}"', f'重读“{" ".join(stressed)}”'))
  paused = [words[i] for i, _ in direction.pauses if i < len(words)]
  if paused:
    how.append((f'pause after "{paused[0]}"', f'在“{paused[0]}”之后停顿'))
  if not how and first != 'neutral':
    return feeling, feeling_zh
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


# From how much on a change is said, and how: less and more, in English and Chinese with a place for 再 (still).
CHANGES = {
  'loudness': (0.5, ('softer', 'louder'), ('{}轻', '{}响')),
  'pitch_shift': (0.25, ('lower', 'higher'), ('音调{}低', '音调{}高')),
  'pace': (0.02, ('slower', 'faster'), ('{}慢', '{}快')),
  'pitch_range': (0.04, ('flatter', 'livelier'), ('语调{}平淡', '语调{}起伏')),
  'intensity': (0.04, ('less intense', 'more intense'), ('情绪{}收敛', '情绪{}强烈')),
  'breathiness': (0.05, ('less breathy', 'breathier'), ('气声{}减轻', '气声{}加强')),
  'tremor': (0.05, ('less tremor', 'more tremor'), ('颤抖{}减轻', '颤抖{}加强')),
}


def describe_change(before: Direction, after: Direction, words: tuple[str, ...] = ()) -> tuple[str, str]:
  """What `after` asks for differently, as the next round's note in English and Chinese: 'softer still by 2 dB'.

  `parse` of either, on top of `before`, gives `after` again, to the precision that is written.
  """
  said = []
  for i in np.argsort(-np.abs(np.subtract(after.emotion, before.emotion)), kind='stable'):
    change = after.emotion[i] - before.emotion[i]
    if abs(change) >= 0.05:
      (name, name_zh), share = NAMES[EMOTIONS[i]], f'{after.emotion[i]:.2f}'
      more, more_zh = ('more', '加强') if change > 0 else ('less', '减弱')
      said.append((f'{more} {name} to {share}', f'{name_zh}{more_zh}到{share}'))
  for axis, (least, english, chinese) in CHANGES.items():
    old, new = getattr(before, axis), getattr(after, axis)
    change = math.log(new / old) if axis in RATIOS else new - old
    if abs(change) < least:
      continue
    more = int(change > 0)
    plain = getattr(Direction, axis)
    still = abs(old - plain) > least and (old > plain) == more
    english, chinese = english[more] + ' still' * still, chinese[more].format('再' * still)
    said.append(_amount_of_change(axis, english, chinese, old, new))
  said += _word_changes(before, after, words)
  if not said:
    return 'the same again', '照原样再来一遍'
  return '; '.join(en for en, _ in said), '；'.join(zh for _, zh in said)


def _amount_of_change(axis, english, chinese, old, new) -> tuple[str, str]:
  if axis == 'loudness':
    return f'{english} by {abs(new - old):.1f} dB', f'{chinese}{abs(new - old):.1f}分贝'
  if axis == 'pitch_shift':
    return f'{english} by {abs(new - old):.1f} semitones', f'{chinese}{abs(new - old):.1f}个半音'
  if axis in RATIOS:
    share = abs(new / old - 1)
    return f'{english} by {share:.0%}', f'{chinese}{share:.0%}'
  return f'{english} to {new:.2f}', f'{chinese}到{new:.2f}'


def _word_changes(before, after, words) -> list[tuple[str, str]]:
  def name(i):
    if i < len(words) and words.count(words[i]) == 1:
      return f'"{words[i]}"', f'“{words[i]}”'
    return f'word {i + 1}', f'第{i + 1}个词'

  said = []
  old, new = dict(before.pauses), dict(after.pauses)
  for i in sorted(old.keys() | new.keys()):
    english, chinese = name(i)
    if i not in new:
      said.append((f'no pause after {english}', f'{chinese}之后不停顿'))
    elif abs(new[i] - old.get(i, 0.0)) >= 0.03:
      said.append((f'a pause of {new[i]:.2f} s after {english}', f'在{chinese}之后停顿{new[i]:.2f}秒'))
  count = max(len(before.emphasis), len(after.emphasis))
  old, new = ((*d.emphasis, *[0.0] * (count - len(d.emphasis))) for d in (before, after))
  for i in range(count):
    english, chinese = name(i)
    if old[i] <= 0 < new[i]:
      said.append((f'lean on {english}', f'重读{chinese}'))
    elif new[i] <= 0 < old[i]:
      said.append((f'no stress on {english}', f'不要重读{chinese}'))
  return said
