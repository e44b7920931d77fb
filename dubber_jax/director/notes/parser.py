"""Parser of stage directions and notes: text in English or Chinese to requests.

The text is split into clauses; in each, the words of `lexicon.py` are matched, the longest first, and combined into
requests. All other text is ignored: nothing in a note is executed or obeyed as an instruction.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dubber_jax.director.limits import LIMITS, RATIOS
from dubber_jax.director.notes.lexicon import (
  CUES,
  DEGREES,
  DIGITS,
  FIXED,
  MOVES,
  NOUNS,
  NUMBERS,
  PARTICLES,
  SIMPLIFIED,
  UNITS,
  Cue,
)

LONGEST = 2000  # characters of a note; the rest is not read


@dataclass
class Request:
  """One requested change. `axis`: a control of LIMITS, 'emotion', 'pauses', 'emphasis' or 'reset'; '' for a cue that
  names none and only implies changes."""

  said: str  # its words in the note
  axis: str = ''
  sign: float = 1.0  # direction of change of a control that is named
  cue: Cue | None = None
  degree: float = 1.0
  amount: tuple[float, str] | None = None  # (value, unit): a control, 'percent', 'times', 'pauses' or 'set'
  negated: bool = False
  flipped: bool = False  # "too", "less": the opposite change
  relative: bool = False  # to the current value, not to neutral
  keep: bool = False  # "keep", "stay": no further change
  normal: bool = False  # back to neutral
  where: tuple[str, ...] = ()  # of pauses: 'breath', 'marks', 'after', 'before'
  clause: str = ''
  size: float = 1.0  # of pauses, a ratio
  quoted: tuple[str, ...] = ()  # words of the line

  @property
  def held(self) -> bool:
    """Whether no change is requested: "not louder", "keep the pace"."""
    return (self.negated and self.relative) or (self.keep and self.cue is None)


@dataclass
class ParsedNote:
  """Requests of a text, and the clauses in which nothing was understood."""

  requests: list[Request] = field(default_factory=list)
  unknown: list[str] = field(default_factory=list)
  understood: bool = False  # at least one word of the lexicon that requests something by itself


def parse_note(text: str, in_script: bool = False) -> ParsedNote:
  """Requests of a note in its order. Never raises.

  in_script: the text is a stage direction, where "sits down" and "beat" do not refer to the voice.
  """
  text = unicodedata.normalize('NFKC', text[:LONGEST]).replace('\u2019', "'").replace('\u2018', "'").lower()
  text = ''.join(c if unicodedata.category(c)[0] != 'C' else ' ' for c in text).translate(SIMPLIFIED)
  quoted = []

  def mask(match):
    quoted.append(next(part for part in match.groups() if part is not None).strip())
    return f' {chr(0xE000 + len(quoted) - 1)} '

  text = _QUOTED.sub(mask, text)
  parsed = ParsedNote()
  for said in filter(None, map(str.strip, _CLAUSES.split(text))):
    requests, understood = _Clause(said, parsed.requests[-1] if parsed.requests else None, quoted, in_script).read()
    parsed.requests += requests
    parsed.understood |= understood or bool(requests)
    if not requests and not understood and re.search(r'\w', said) and not _FILLER.fullmatch(said):
      parsed.unknown.append(re.sub('[\ue000-\uf8ff]', lambda m: f'"{quoted[ord(m[0]) - 0xE000]}"', said))
  return parsed


def requested_emotions(requests: Sequence[Request]) -> list[str]:
  """Emotions that are requested, without those ruled out, in order."""
  return [e for a in requests if a.cue and not (a.negated or a.flipped) for e in a.cue.emotion.split()]


def number(word: str) -> float:
  """Value of a number in digits, English or Chinese words: '3', '.5', 'two', 'half a', '两', '二十', '一点五'."""
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
# Words around a request that carry none, so that no warning is given.
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
  """(start, end, kind, value) of the lexicon's matches in a clause; of overlapping ones the longest is kept."""
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
  """Combines the tokens of one clause into requests. `last`: the request before it, which a degree or an amount alone
  ("but only a little") still refers to."""

  def __init__(self, said: str, last: Request | None, quoted: list[str], in_script: bool):
    tokens = _tokens(said)
    if in_script:
      named = any(kind in ('noun', 'amount') for _, _, kind, _ in tokens)
      pauses = 'paus' in said or '停' in said
      tokens = [t for t in tokens if (t[2] != 'move' or named) and (t[2] != 'pause' or pauses)]
    self.said, self.last, self.quoted, self.tokens = said, last, quoted, tokens
    self.kinds = {kind for _, _, kind, _ in tokens}
    self.requests, self.amounts = [], []
    self.noun = self.move = None  # a control and a direction of change, not yet combined
    self.next, self.end = {}, -1  # modifiers of the next request; end of the one before
    self.all = {'keep': True} if 'keep' in self.kinds else {}  # modifiers of all that follow

  def read(self) -> tuple[list[Request], bool]:
    """Its requests, and whether anything in it was understood."""
    names = tuple(self.quoted[value] for _, _, kind, value in self.tokens if kind == 'quoted')
    if names and self.kinds <= {'quoted', 'not'} and self.last is not None and self.last.quoted:
      # as in: stress "never" and "house"
      return [replace(self.last, quoted=names, negated='not' in self.kinds or self.last.negated)], True
    if 'stress' in self.kinds:
      return self._stresses(names), True
    if self.kinds & {'pause', 'breath'}:
      rest = [t for t in self.tokens if t[2] == 'cue' and t[3].about != 'breathiness']
      return [self._on_words('pauses', names), *(self._request(t[3], self.said[t[0] : t[1]], {}) for t in rest)], True
    for token in self.tokens:
      self._take(*token)
    for amount, place in self.amounts:
      self._measure(amount, place)
    self._finish()
    meaningful = {'normal', 'same', 'keep', 'reset'} | ({'degree', 'amount'} if self.last is not None else set())
    return self.requests, bool(self.kinds & meaningful)

  def _take(self, start, stop, kind, value):
    said = self.said[start:stop]
    behind = bool(self.requests) and start == self.end  # with no space between, as in 慢一点
    if kind == 'degree' and behind:
      self.requests[-1].degree *= value
      self.requests[-1].relative, self.end = True, stop
    elif kind == 'degree':
      self.next['degree'] = self.next.get('degree', 1.0) * value
    elif kind == 'amount':
      self.amounts.append((value, len(self.requests)))
    elif kind == 'not' and self.requests and said in ('去掉', '取消'):  # as in 颤音去掉
      self.requests[-1].negated = True
    elif kind == 'not':
      self.all['not'] = True
    elif kind in ('less', 'more') and behind:  # as in 愤怒少一点
      self.requests[-1].flipped, self.requests[-1].relative = kind == 'less', True
    elif kind == 'lacking':
      self.all.pop('not', None)
      self.next['more'] = True
    elif kind == 'enough' and self.all.pop('not', None) and self.requests:
      self.requests[-1].negated, self.requests[-1].relative = False, True
    elif kind in ('too', 'less', 'more', 'normal', 'same'):
      self.next[kind] = True
    elif kind == 'cue':
      self._add(self._request(value, said, self.next | self.all), stop)
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

  def _add(self, request, stop):
    self.requests.append(request)
    self.next, self.end = {}, stop

  def _measure(self, amount, place):
    """Attaches an amount to the request it belongs to, or makes a request of it."""
    value, unit, sign = amount
    near = next((a for a in self.requests[::-1] if a.axis == unit), None)
    alone = not (self.requests or self.noun or self.move or sign) and self.last is not None
    if alone and (unit == self.last.axis or (self.last.axis == 'pace' and unit in ('percent', 'times'))):
      near = self.last  # as in: quieter, by 3 dB
    elif unit in LIMITS and near is None and (self.move or sign):
      near = self._moved(unit, sign or self.move[0], self.said, {})
      self.requests.append(near)
      self.move = None
    elif unit not in LIMITS and self.requests:
      near = self.requests[min(place, len(self.requests) - 1)]
    elif unit not in LIMITS and self.noun and self.noun[0] in LIMITS:  # a value, as "pace 0.9" or "at half speed"
      near = Request(self.said, self.noun[0], clause=self.said)
      self.requests.append(near)
      unit, self.noun = 'set' if near.axis in RATIOS else unit, None
    if near is not None and unit != 'pauses':
      near.amount, near.relative, near.sign = (value, unit), True, sign or near.sign

  def _finish(self):
    """Requests from a control or a direction of change that was named alone."""
    if self.move:
      sign, axis, said, given = self.move
      if axis != 'intensity' or not (self.requests and self.requests[-1].axis):
        self.requests.append(self._moved(axis, sign, said, given | self.all))
      elif said not in ('up', 'down'):  # of what was named, as in 悲伤加强; "quiet down" is quiet
        self.requests[-1].relative, self.requests[-1].flipped = True, sign < 0
    elif self.noun and not self.requests:
      normal, kept = 'normal' in self.kinds, self.kinds & {'keep', 'same'}
      if normal or kept:
        self.requests.append(Request(self.said, _named(self.noun[0]), normal=normal, keep=not normal, clause=self.said))
      elif 'not' in self.all:  # without emotion
        self.requests.append(self._moved(self.noun[0], -1, self.said, {}))
    target = self.requests[-1] if self.requests else self.last
    if target is not None:
      target.degree *= self.next.get('degree', 1.0)
    if 'reset' in self.kinds:
      self.requests.insert(0, Request(self.said, 'reset', clause=self.said))

  def _request(self, cue, said, given) -> Request:
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
    """Requests of stress and, after a "not" or "instead of", of no stress."""
    request = self._on_words('emphasis', names)
    kinds = [kind for _, _, kind, _ in self.tokens]
    if request.negated or 'not' not in kinds:
      return [request]
    count = kinds[: kinds.index('not')].count('quoted')
    if count == len(names):  # "stress the word never"
      return [request]
    return [replace(request, quoted=names[:count]), replace(request, quoted=names[count:], negated=True)]

  def _on_words(self, axis, names) -> Request:
    """A request of a pause or of stress: on which words, how long."""
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
