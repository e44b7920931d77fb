"""What a stage direction or a note asks for.

A text is cut into clauses; in each, the words of the table (`cues.py`) are found, the longest first, and put together
into asks. Whatever else stands there is left alone: a note is words about a line, and nothing in it is ever obeyed as
an instruction.
"""

import math
import re
import unicodedata
from dataclasses import dataclass, field, replace

from dubber_jax.director.notes.lexicon import (
  CUES,
  DEGREES,
  DIGITS,
  FIXED,
  LIMITS,
  MOVES,
  NOUNS,
  NUMBERS,
  PARTICLES,
  RATIOS,
  SIMPLIFIED,
  UNITS,
  Cue,
)

LONGEST = 2000  # characters of a note; of more no more is read


@dataclass
class Request:
  """One thing that a text asks for. `axis` is a quantity of LIMITS, 'emotion', 'pauses', 'emphasis', 'reset', or ''
  for a cue that only implies."""

  said: str  # its words
  axis: str = ''
  sign: float = 1.0  # of a quantity that is moved by name
  cue: Cue | None = None
  degree: float = 1.0
  amount: tuple[float, str] | None = None  # (how much, a quantity of LIMITS, 'percent', 'times', 'pauses' or 'set')
  negated: bool = False
  flipped: bool = False  # too much, or less of it
  relative: bool = False  # from what is, not from plain speech
  keep: bool = False
  normal: bool = False
  where: tuple[str, ...] = ()  # of pauses: 'breath', 'marks', 'after', 'before'
  clause: str = ''
  size: float = 1.0  # of pauses
  quoted: tuple[str, ...] = ()

  @property
  def held(self) -> bool:
    """Whether it asks for no change: "not louder", "keep the pace"."""
    return (self.negated and self.relative) or (self.keep and self.cue is None)


@dataclass
class ParsedNote:
  """What a text asks for, and the clauses in which nothing was understood."""

  asks: list[Request] = field(default_factory=list)
  unknown: list[str] = field(default_factory=list)
  understood: bool = False  # at least one word of the table that says something by itself


def parse_note(text: str, in_script: bool = False) -> ParsedNote:
  """What a note asks for, in the order in which it is said. Never raises.

  in_script: it stands in the script's brackets, where "sits down" and "beat" say nothing of the voice.
  """
  text = unicodedata.normalize('NFKC', text[:LONGEST]).replace('\u2019', "'").replace('\u2018', "'").lower()
  text = ''.join(c if unicodedata.category(c)[0] != 'C' else ' ' for c in text).translate(SIMPLIFIED)
  quoted = []

  def mask(match):
    quoted.append(next(part for part in match.groups() if part is not None).strip())
    return f' {chr(0xE000 + len(quoted) - 1)} '

  text = _QUOTED.sub(mask, text)
  heard = ParsedNote()
  for said in filter(None, map(str.strip, _CLAUSES.split(text))):
    asks, understood = _Clause(said, heard.asks[-1] if heard.asks else None, quoted, in_script).read()
    heard.asks += asks
    heard.understood |= understood or bool(asks)
    if not asks and not understood and re.search(r'\w', said) and not _FILLER.fullmatch(said):
      heard.unknown.append(re.sub('[\ue000-\uf8ff]', lambda m: f'"{quoted[ord(m[0]) - 0xE000]}"', said))
  return heard


def requested_emotions(asks) -> list[str]:
  """The emotions that are asked for, not those that are ruled out, in order."""
  return [e for a in asks if a.cue and not (a.negated or a.flipped) for e in a.cue.emotion.split()]


def number(word: str) -> float:
  """'3', '.5', 'two', 'half a', '两', '二十', '一点五' -> its value."""
  word = word.strip()
  if word in NUMBERS:
    return NUMBERS[word]
  if re.fullmatch(r'[\d.]+', word):
    return float(word)
  whole, _, fraction = word.partition('点')
  tens, ten, ones = whole.rpartition('十')
  value = 10 * DIGITS.get(tens, 1) * bool(ten) + DIGITS.get(ones[:1], 0)
  return value + (float('0.' + ''.join(str(DIGITS[c]) for c in fraction if c != '半')) if fraction else 0.0)


# Words


_WORDS = '|'.join(sorted((re.escape(w) for w in NUMBERS), key=len, reverse=True))
_NUMBER = rf'(?:\d+(?:\.\d+)?|\.\d+|\b(?:{_WORDS})\b|[{"".join(DIGITS)}十]+(?:点[{"".join(DIGITS)}]+)?)'
_UNIT = '|'.join(f'(?P<u{i}>{pattern})' for i, (pattern, _, _) in enumerate(UNITS))
_AMOUNT = re.compile(
  rf'(?P<sign>[+-])?\s*(?P<n>{_NUMBER})(?: more| further| extra)?\s*个?\s*(?:{_UNIT})(?![a-z])'
  rf'|百分之(?P<of100>{_NUMBER})'
)
_BARE = re.compile(r'(?:(?:to|at|of|=|为|到|至)\s*|(?<=[a-z] ))(\d?\.\d+|(?<![a-z] )[01])(?![\d.]*\s*[%a-z半分秒倍成])')
_QUOTED = re.compile(
  r'"([^"]{1,60})"|[“”]([^“”]{1,60})[“”]|「([^」]{1,60})」|『([^』]{1,60})』'
  r"|(?<![a-z])'([^']{1,60})'(?![a-z])"
)
_CLAUSES = re.compile(
  r'[,;:!?()\[\]{}\n。、…]+|\.(?!\d)|[—–]+|\s-+\s'
  r'|\b(?:but|and|then|yet|while|although|though|instead(?! of))\b'
  '|但是?|不过|而且|并且|并|同时|然后|却'
)
_COMPARATIVE = re.compile(
  r'(?:ier|dder|(?:loud|soft|quiet|slow|fast|quick|high|low|tight|flat|deep|gentl|weak|strong'
  r'|calm|bright|dark|warm|tens|cool|clear|firm|bigg|small|wid|narrow|brisk|long|short)er)\b'
  r'|\b(?:slow|speed|pick)\b.*\b(?:down|up)|^(?:放|加|减|提|降|压|升|增|拔|调)'
)
# What is said around an ask and needs no answer.
_FILLER = re.compile(
  r'(?:ok(?:ay)?|please|here|good|great|nice|yes|this|it|time|now|so|let us|the line|line|sound'
  r'|um|well|just|try|again|play|这里|这句|请|要|好|很好|再来|一遍|演出|一次|吧|了|的|\s|\d'
  ')*'
)


def _compiled(kind, entries, ending):
  return [(kind, value, re.compile(rf'\b(?:{en}){ending}|{zh}')) for value, (en, zh) in entries]


_VOCABULARY = (
  *_compiled('cue', [(cue, (cue.en, cue.zh)) for cue in CUES], '[a-z]*'),
  *_compiled('noun', NOUNS.items(), '[a-z]*'),
  *_compiled('move', MOVES.items(), '[a-z]*'),
  *_compiled('degree', DEGREES.items(), r'\b'),
  *(entry for kind, words in PARTICLES.items() for entry in _compiled(kind, [(None, words)], '(?![a-z])')),
)


def _tokens(clause):
  """(start, end, kind, value) of the words of the table, none overlapping, the longest first served."""
  found = [(m.start(), m.end(), kind, value) for kind, value, pattern in _VOCABULARY for m in pattern.finditer(clause)]
  for m in _AMOUNT.finditer(clause):
    unit = next(((q, k) for i, (_, q, k) in enumerate(UNITS) if m[f'u{i}']), ('percent', 0.01))
    sign = {'+': 1, '-': -1}.get(m['sign'], 0)
    found.append((m.start(), m.end(), 'amount', (number(m['n'] or m['of100']) * unit[1], unit[0], sign)))
  for pattern, unit, value in FIXED:
    found += [(m.start(), m.end(), 'amount', (value, unit, 0)) for m in re.finditer(pattern, clause)]
  found += [(m.start(), m.end(), 'amount', (float(m[1]), 'set', 0)) for m in _BARE.finditer(clause)]
  found += [(m.start(), m.end(), 'quoted', ord(m[0]) - 0xE000) for m in re.finditer('[\ue000-\uf8ff]', clause)]
  kept = []
  for token in sorted(found, key=lambda t: (t[0] - t[1], t[0])):
    if all(token[1] <= k[0] or token[0] >= k[1] for k in kept):
      kept.append(token)
  return sorted(kept, key=lambda t: t[0])


# Clauses


class _Clause:
  """Puts the words of one clause together. `last`: the ask before it, which a degree or an amount alone ("but only a
  little") still belongs to."""

  def __init__(self, said: str, last: Request | None, quoted: list[str], in_script: bool):
    tokens = _tokens(said)
    if in_script:
      named = any(kind in ('noun', 'amount') for _, _, kind, _ in tokens)
      pauses = 'paus' in said or '停' in said
      tokens = [t for t in tokens if (t[2] != 'move' or named) and (t[2] != 'pause' or pauses)]
    self.said, self.last, self.quoted, self.tokens = said, last, quoted, tokens
    self.kinds = {kind for _, _, kind, _ in tokens}
    self.asks, self.amounts = [], []
    self.noun = self.move = None  # named, and waiting for the other
    self.next, self.end = {}, -1  # what is said of the next ask; where the one before ends
    self.all = {'keep': True} if 'keep' in self.kinds else {}  # what is said of all that follow

  def read(self) -> tuple[list[Request], bool]:
    """Its asks, and whether anything in it was understood."""
    names = tuple(self.quoted[value] for _, _, kind, value in self.tokens if kind == 'quoted')
    if names and self.kinds <= {'quoted', 'not'} and self.last is not None and self.last.quoted:
      # as in: stress "never" and "house"
      return [replace(self.last, quoted=names, negated='not' in self.kinds or self.last.negated)], True
    if 'stress' in self.kinds:
      return self._stresses(names), True
    if self.kinds & {'pause', 'breath'}:
      rest = [t for t in self.tokens if t[2] == 'cue' and t[3].about != 'breathiness']
      return [self._on_words('pauses', names), *(self._ask(t[3], self.said[t[0] : t[1]], {}) for t in rest)], True
    for token in self.tokens:
      self._take(*token)
    for amount, place in self.amounts:
      self._measure(amount, place)
    self._finish()
    told = {'normal', 'same', 'keep', 'reset'} | ({'degree', 'amount'} if self.last is not None else set())
    return self.asks, bool(self.kinds & told)

  def _take(self, start, stop, kind, value):
    said = self.said[start:stop]
    behind = bool(self.asks) and start == self.end  # with no space between, as in 慢一点
    if kind == 'degree' and behind:
      self.asks[-1].degree *= value
      self.asks[-1].relative, self.end = True, stop
    elif kind == 'degree':
      self.next['degree'] = self.next.get('degree', 1.0) * value
    elif kind == 'amount':
      self.amounts.append((value, len(self.asks)))
    elif kind == 'not' and self.asks and said in ('去掉', '取消'):  # as in 颤音去掉
      self.asks[-1].negated = True
    elif kind == 'not':
      self.all['not'] = True
    elif kind in ('less', 'more') and behind:  # as in 愤怒少一点
      self.asks[-1].flipped, self.asks[-1].relative = kind == 'less', True
    elif kind == 'lacking':
      self.all.pop('not', None)
      self.next['more'] = True
    elif kind == 'enough' and self.all.pop('not', None) and self.asks:
      self.asks[-1].negated, self.asks[-1].relative = False, True
    elif kind in ('too', 'less', 'more', 'normal', 'same'):
      self.next[kind] = True
    elif kind == 'cue':
      self._add(self._ask(value, said, self.next | self.all), stop)
    elif kind == 'noun':
      self.noun = (value, self.next)
      if 'move' not in self.kinds and self.next.keys() & {'more', 'less'}:
        sign = -1 if self.next.pop('less', False) else 1
        self._add(self._moved(value, sign, self.said, self.next | self.all), stop)
        self.noun = None
    elif kind == 'move':
      self.move, self.next = (*value, said, self.next), {}
    if self.noun and self.move:
      sign, _, said, given = self.move
      self._add(self._moved(self.noun[0], sign, said, given | self.noun[1] | self.all), stop)
      self.noun = self.move = None

  def _add(self, ask, stop):
    self.asks.append(ask)
    self.next, self.end = {}, stop

  def _measure(self, amount, place):
    """Gives an amount to the ask that it belongs to, or makes one of it."""
    value, unit, sign = amount
    near = next((a for a in self.asks[::-1] if a.axis == unit), None)
    alone = not (self.asks or self.noun or self.move or sign) and self.last is not None
    if alone and (unit == self.last.axis or (self.last.axis == 'pace' and unit in ('percent', 'times'))):
      near = self.last  # as in: quieter, by 3 dB
    elif unit in LIMITS and near is None and (self.move or sign):
      near = self._moved(unit, sign or self.move[0], self.said, {})
      self.asks.append(near)
      self.move = None
    elif unit not in LIMITS and self.asks:
      near = self.asks[min(place, len(self.asks) - 1)]
    elif unit not in LIMITS and self.noun and self.noun[0] in LIMITS:  # a value, as "pace 0.9" or "at half speed"
      near = Request(self.said, self.noun[0], clause=self.said)
      self.asks.append(near)
      unit, self.noun = 'set' if near.axis in RATIOS else unit, None
    if near is not None and unit != 'pauses':
      near.amount, near.relative, near.sign = (value, unit), True, sign or near.sign

  def _finish(self):
    """What is left without its other half."""
    if self.move:
      sign, axis, said, given = self.move
      if axis != 'intensity' or not (self.asks and self.asks[-1].axis):
        self.asks.append(self._moved(axis, sign, said, given | self.all))
      elif said not in ('up', 'down'):  # of what was named, as in 悲伤加强; "quiet down" is quiet
        self.asks[-1].relative, self.asks[-1].flipped = True, sign < 0
    elif self.noun and not self.asks:
      normal, kept = 'normal' in self.kinds, self.kinds & {'keep', 'same'}
      if normal or kept:
        self.asks.append(Request(self.said, _named(self.noun[0]), normal=normal, keep=not normal, clause=self.said))
      elif 'not' in self.all:  # without emotion
        self.asks.append(self._moved(self.noun[0], -1, self.said, {}))
    target = self.asks[-1] if self.asks else self.last
    if target is not None:
      target.degree *= self.next.get('degree', 1.0)
    if 'reset' in self.kinds:
      self.asks.insert(0, Request(self.said, 'reset', clause=self.said))

  def _ask(self, cue, said, given) -> Request:
    relative = bool(_COMPARATIVE.search(said)) or bool(given.get('more'))
    return replace(self._moved(cue.about, 1, said, given), cue=cue, relative=relative, keep=bool(given.get('keep')))

  def _moved(self, noun, sign, said, given) -> Request:
    return Request(
      said,
      _named(noun),
      float(sign),
      degree=given.get('degree', 1.0),
      negated=bool(given.get('not')),
      flipped=bool(given.get('too') or given.get('less')),
      relative=not given.get('too'),
      clause=self.said,
    )

  def _stresses(self, names) -> list[Request]:
    """The words to be stressed and, after a "not" or "instead of", those that are not."""
    ask = self._on_words('emphasis', names)
    kinds = [kind for _, _, kind, _ in self.tokens]
    if ask.negated or 'not' not in kinds:
      return [ask]
    count = kinds[: kinds.index('not')].count('quoted')
    if count == len(names):  # "stress the word never"
      return [ask]
    return [replace(ask, quoted=names[:count]), replace(ask, quoted=names[count:], negated=True)]

  def _on_words(self, axis, names) -> Request:
    """A pause or a stress: which words, how long."""
    seconds = [v[0] for _, _, kind, v in self.tokens if kind == 'amount' and v[1] == 'pauses']
    first = min(start for start, _, kind, _ in self.tokens if kind in ('pause', 'breath', 'stress'))
    small = any(kind == 'short' or (kind == 'move' and v[0] < 0) for _, _, kind, v in self.tokens)
    large = any(kind == 'long' or (kind == 'move' and v[0] > 0) for _, _, kind, v in self.tokens)
    return Request(
      self.said,
      axis,
      degree=math.prod(v for _, _, kind, v in self.tokens if kind == 'degree'),
      amount=(seconds[0], 'pauses') if seconds else None,
      negated=any(kind == 'not' and start < first for start, _, kind, _ in self.tokens),
      flipped=bool(self.kinds & {'less', 'too'}),
      relative='more' in self.kinds or bool(re.search('longer|shorter|一些', self.said)),
      where=tuple(k for k in ('breath', 'marks', 'after', 'before') if k in self.kinds),
      clause=self.said,
      size=0.6**small * 1.8**large,
      quoted=names,
    )


def _named(noun):
  return 'loudness' if noun == 'voice' else noun
