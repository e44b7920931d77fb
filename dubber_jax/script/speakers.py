"""Who speaks in a cue, and what of it is not spoken: names, changes of speaker, stage directions, sounds and songs.

A name is what stands before a colon at the head of a line in capitals ("MARY:", "McCOY:", "GUARD #2:", "ANNA & BOB:"),
in brackets ("[Mary]:"), behind ">>", or in a form that other lines of the script show to be a name.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dubber_jax.script.cues import VOICE, Cue, Notes

CHANGE = '\ue002'  # in rows: another speaker begins
LONGEST_NAME = 6  # words

_NAME = r"[^\W_][\w .'\u2019&#/,+\-]{0,40}?"
_DIRECTION = r'\([^()]*\)|\[[^\[\]]*\]'
# A name before a colon, which is no time of day ("10:30") and no address ("http://").
_HEAD = re.compile(
  rf'(?:(?P<name>{_NAME})|\[\s*(?P<square>{_NAME})\s*\]|\(\s*(?P<round>{_NAME})\s*\))'
  rf'\s*(?P<direction>{_DIRECTION})?\s?(?<!\d)(?:[:：])\s?(?=\S)(?!//)'
  rf'|(?P<numbered>{_NAME}\d)\s*(?P<more>{_DIRECTION})?\s?[:：]\s?(?=\S)(?!\d|//)'
)
_INSIDE = re.compile(rf'(?<=[.!?…"\'”’)\]-])\s+(?=(?:{_NAME}|[\[(]{_NAME}[\])])\s*(?:{_DIRECTION})?\s?[:：]\s)')
_SPOKEN = re.compile(r'\w')

# Words before a colon that are said or shown, and no names.
LABELS = frozenset(
  'ok okay warning note notes danger caution attention important notice question answer ps fyi update alert breaking '
  'listen look remember wait stop hey well so but and or yes no yeah right now then here there reason result rule step '
  'lesson part chapter act scene day week month year title subject date time place location help tip hint example '
  'fact facts true false case option problem solution answer correction translation wanted error message mission '
  'address phone name age status total price today tomorrow yesterday tonight previously meanwhile first second third '
  'finally also again plus minus remark quote unquote meaning news headline live exit sign rewind spoiler truth point '
  'conclusion summary verdict result guess think imagine see consider hello hi goodbye please sorry thanks thank '
  'rule one two three four five six seven eight nine ten'.split()
)
# Words that no name holds: of a sentence that is set in capitals.
_SENTENCE = frozenset(
  'i you he she we they it this that these those is are was were be been am said says say saying have has had do does '
  'did what who whom why how when where if because so but not no yes my your his its our their me him us them can will '
  "would could should must let's i'm you're he's she's it's that's don't can't here's there's know think want means "
  'pm a.m. p.m.'.split()
)
_ROLES = (
  'man|woman|boy|girl|child|kid|guard|officer|doctor|nurse|narrator|speaker|voice|announcer|reporter|host|guest|'
  'interviewer|interviewee|crowd|all|both|everyone|person|male|female|driver|waiter|waitress|soldier|teacher|student|'
  'operator|actor|character|caller|judge|clerk|cop|policeman|mother|father|mom|dad|computer|radio|tv'
)
_ROLE = re.compile(rf'(?:the |old |young |little |male |female )?(?:{_ROLES})[ _]?(?:#?\d+|[A-Z])?$', re.IGNORECASE)
_CAPITAL_WORD = re.compile(r"(?:Mc|Mac|O['’]|D['’]|De|Di|La|Le|Van|Von|von|van|de)?[^\W\d_a-z]['’.\w\-]*$")
_SMALL = frozenset(
  ('and', 'of', 'the', 'on', 'in', 'at', 'over', 'with', 'from', 'by', 'as', 'to', 'de', 'von', 'van', 'vs')
)
_TITLES = frozenset(('dr.', 'mr.', 'mrs.', 'ms.', 'st.', 'prof.', 'sgt.', 'lt.', 'capt.', 'dr', 'mr', 'mrs', 'ms'))

# Sounds that a person makes or that are heard, as captions name them.
_VERBS = (
  'laugh|sigh|chuckl|gasp|groan|moan|grunt|scream|shout|yell|sob|sniff|sniffl|cough|sneez|snort|scoff|whimper|whisper|'
  'mutter|mumbl|murmur|pant|breath|exhal|inhal|giggl|cackl|growl|snarl|hiss|yawn|gulp|swallow|humm?|whistl|applaud|clap|'
  'clapp|cheer|knock|bark|ring|beep|click|thud|creak|slam|slamm|crash|rumbl|chatter|honk|wail|squeal|screech|gagg?|'
  'retch|burp|hiccup|snor|squeak|rustl|splash|buzz|whoosh|stammer|stutter|cry|cri|clear|play|speak'
)
_VERB = re.compile(rf'(?:{_VERBS})(?:e?s|ing)$', re.IGNORECASE)
_SOUNDS = re.compile(
  rf'(?:\w+ly |(?:he|she|they|both|all|man|woman|crowd|audience) )?(?:(?:{_VERBS})(?:e?s|ing|ed|e|y|ter)?|throat|'
  r'applause|music|door|phone|bell|footsteps|thunder|meow|bang|gunshots?|explosions?|siren|wind|rain|silence|pause|beat|'
  r'indistinct|inaudible|static|engine|horn|tires|in \w+)\b',
  re.IGNORECASE,
)
_BLEEP = re.compile(
  r'\W*(?:bleep(?:ed|s|ing)?|beep(?:ed|s)?|expletive(?: deleted)?|censored|redacted|muted|_+|\*+)\W*$', re.I
)
_UNHEARD = re.compile(r'\W*(?:inaudible|unintelligible|indistinct|unclear|crosstalk)[\w\s:.,\d]*$', re.IGNORECASE)


@dataclass
class Names:
  """Evidence of what is a name in a script: how often each stands before a colon, by its folded form."""

  certain: set[str] = field(default_factory=set)  # marked as a speaker, or in the cast
  heads: Counter[str] = field(default_factory=Counter)
  taken: dict[str, str] = field(default_factory=dict)  # taken as names for their form alone
  notes: Notes | None = None

  @classmethod
  def of(cls, cues: Iterable[Cue], known: Iterable[str] = (), notes: Notes | None = None) -> 'Names':
    names = cls({_folded(name) for name in known}, notes=notes)
    for cue in cues:
      names.certain.update(_folded(part) for part in _people(cue.speaker))
      for row in cue.rows:
        for piece in re.split(r'>{2,3}|(?<=[.!?…"”)\]]) ', row):
          names._add(re.sub(r'^[^\w\[(\ue000]+', '', piece))
    return names

  def _add(self, piece: str):
    if voice := re.match(VOICE.format('(.*?)'), piece):
      self.certain.add(_folded(voice[1]))
    elif (found := _HEAD.match(_without_directions(piece) + '.')) and (name := _name_of(found)):
      self.heads[_folded(name)] += 1
      if found['square'] and is_capitals(name) and not _is_label(name):
        self.certain.add(_folded(name))

  def accept(self, name: str, bracketed: bool = False, announced: bool = False) -> bool:
    """Whether what stands before a colon is a name. `announced`: behind ">>"."""
    name, folded = ' '.join(name.split()), _folded(name)
    words = folded.split()
    if folded in self.certain:
      return True
    if len(words) > LONGEST_NAME or _is_label(name) or _VERB.match(name) or _SENTENCE.intersection(words):
      return False
    if is_capitals(name):
      if not (bracketed or announced or _ROLE.match(name) or name != name.upper() or re.search(r'[\d&]', name)):
        self.taken.setdefault(folded, name)
      return True
    if _ROLE.match(name) or re.fullmatch(r'speaker[ _]\w{1,2}', folded):
      return True
    title = all(word[:1].isupper() or word in _SMALL or not word[:1].isalpha() for word in name.split())
    if not title or len(words) > 3:
      return False
    return bracketed or announced or self.heads[folded] > 1

  def knows(self, name: str) -> bool:
    """Whether a name in brackets without a colon ("[MARY] Come!") is one that other lines use."""
    folded = _folded(name)
    return folded in self.certain or (folded in self.heads and is_capitals(name) and not _is_label(name))


def is_capitals(name: str) -> bool:
  """Whether a name is set in capitals, as "MARY", "McCOY", "Dr. SMITH", "1ST GUARD", "ANNA and BOB", "J.R."."""
  words = name.split()
  capital = [
    word == word.upper() or bool(_CAPITAL_WORD.match(word) and re.search(r'[^\W\d_a-z]{2}', word)) for word in words
  ]
  named = any(
    is_c and re.search(r'[^\W\d_]{2}|(?:[^\W\d_]\.){2}', word) for is_c, word in zip(capital, words, strict=True)
  )
  inner = range(1, len(words) - 1)
  return named and all(
    is_c or word.lower() in _TITLES or (i in inner and word in _SMALL)
    for i, (is_c, word) in enumerate(zip(capital, words, strict=True))
  )


def character_of(name: str) -> str:
  """A name as a character's: "MARY ANN" -> "Mary Ann", "McCOY" -> "McCoy"; one that has small letters stays."""
  name = ' '.join(name.split())
  if not is_capitals(name):
    return name

  def capitalized(found):
    letters, before = found[0], found.string[: found.start()]
    if (len(letters) == 1 and before.endswith(("'", '\u2019'))) or (len(letters) == 2 and before[-1:].isdigit()):
      return letters.lower()  # "MARY'S", "1ST"
    prefix = re.match(r'(?:Mc|Mac|De|Di|La|Le|Van|Von)(?=[^\W\d_a-z]{2})', letters)
    return prefix[0] + letters[prefix.end() :].capitalize() if prefix else letters.capitalize()

  small = _SMALL | _TITLES
  words = (word if word in small else re.sub(r'[^\W\d_]+', capitalized, word) for word in name.split())
  return ' '.join(words)


@dataclass(frozen=True)
class Part:
  """What one speaker says in a cue, as written; `speaker` is '' where nobody is marked."""

  speaker: str
  text: str


def parts_of(cue: Cue, names: Names) -> list[Part]:
  """The parts of a cue, of one speaker each: new ones begin at a name, at ">>" and at the dashes of a dialogue."""
  people = _people(cue.speaker)
  parts: list[list[str]] = []  # [speaker, text]
  for row in _rows_of_changes(cue.rows, names):
    changed = row.startswith(CHANGE)
    row = row.lstrip(CHANGE + ' ')
    voice = re.match(VOICE.format('(.*?)'), row)
    row = row[voice.end() :].strip() if voice else row
    named = _named(row, names, announced=changed)
    new = (changed or voice or named) and parts and spoken_part(parts[-1][1], names)
    if not parts or new:
      parts.append([cue.speaker if not parts else '', ''])
    if voice:
      parts[-1][0] = voice[1].strip()
    parts[-1][1] += f'\n{CHANGE if changed else ""}{row}'
  if len(people) == len(parts) > 1:
    parts = [[speaker or person, text] for (speaker, text), person in zip(parts, people, strict=True)]
    parts[0][0] = people[0]
  return [Part(speaker, text) for speaker, text in parts]


def _rows_of_changes(rows: Sequence[str], names: Names) -> list[str]:
  """Rows of which each has one speaker; one that begins with another speaker begins with CHANGE."""
  text = re.sub(r'\s*(?:>{2,3}|»{2,})\s*', f'\n{CHANGE}', '\n'.join(rows))
  rows = [row for row in text.split('\n') if row.strip(CHANGE + ' ')]
  dashed = [dash_of(row) for row in rows]
  # One dash opens a row of one speaker; a hyphen in a later row, or two dashes, are a dialogue.
  dialogue = sum(d is not None for d in dashed) > 1 or any(d and d[0][0] in '-\u2010\u2011' for d in dashed[1:])
  split = []
  for row, dash in zip(rows, dashed, strict=True):
    if dash is not None:
      row = (CHANGE if dialogue else '') + row[dash.end() :]
      row = re.sub(r'(?<=[.!?…"”])\s+[-\u2013\u2014]\s?(?=["“\'¿¡]?[^\W\d_a-z])', f'\n{CHANGE}', row)
    pieces = []
    for piece in _INSIDE.split(row):
      titled = pieces and pieces[-1].split()[-1:] and pieces[-1].split()[-1].lower() in _TITLES  # "Dr. SMITH:"
      if pieces and (titled or not _named(piece, names, inside=True)):
        pieces[-1] += f' {piece}'
      else:
        pieces.append(piece)
    split += [r for piece in pieces for r in piece.split('\n')]
  return split


def dash_of(row: str) -> re.Match | None:
  """The dash of a dialogue at the head of a row: not of a number, of a broken-off word ("--") or a lone one."""
  return re.match(r'[-\u2010-\u2014\u2212](?![-\d])\s*(?=\S)', row)


def _named(text: str, names: Names, announced: bool = False, inside: bool = False) -> str:
  """The name with which a text begins, behind its directions; '' for none."""
  text = re.sub(r'^[^\w\[(]+', '', text) if not inside else text
  found = _HEAD.match(text + '.') or _HEAD.match(_without_directions(text) + '.')
  name = _name_of(found) if found else ''
  bracketed = bool(found and (found['square'] or found['round']))
  if inside and name and not bracketed and not is_capitals(name) and _folded(name) not in names.certain:
    return ''
  return name if name and names.accept(name, bracketed, announced) else ''


def take_name(text: str, names: Names, announced: bool = False) -> tuple[str, str, str]:
  """Text -> (the speaker's name at its head or '', the direction between name and colon, the rest)."""
  found = _HEAD.match(text + '.')
  name = _name_of(found) if found else ''
  if found is None or not name:
    return '', '', text
  if names.accept(name, bool(found['square'] or found['round']), announced):
    return name, found['direction'] or found['more'] or '', text[found.end() :]
  if names.notes is not None:
    if _is_label(name) and is_capitals(name):
      names.notes.add('kept as spoken words, since no line shows it to be a name', quote=f'{name}:')
    elif re.fullmatch(r'[^\W\d_a-z][\w’\'-]+(?: [^\W\d_a-z][\w’\'-]+)?', name) and not _is_label(name):
      names.notes.add('may be a name, and is spoken: write it in capitals, or put it into the cast', quote=f'{name}:')
  return '', '', text


def take_directions(text: str, names: Names | None = None) -> tuple[str, list[str], str]:
  """Text -> (without brackets at its beginning, their contents, the one of them that is a known name or '')."""
  directions, speaker = [], ''
  while found := re.match(r'(?:\(([^()]*)\)|\[([^\[\]]*)\])\s*', text):
    if re.match(r'\s*[:：]\s', text[found.end() :]):
      break  # a name: "(MARY): Come!"
    direction = (found[1] or found[2] or '').strip()
    if names is not None and direction and not speaker and names.knows(direction):
      speaker = direction
    elif direction and not (_BLEEP.match(direction) or _UNHEARD.match(direction)):
      directions.append(direction)
    elif direction:
      break
    text = text[found.end() :]
  return text, directions, speaker


def spoken_part(text: str, names: Names) -> bool:
  """Whether a part has words beside its name and its brackets."""
  text = re.sub(rf'{CHANGE}|{_DIRECTION}', ' ', text).strip()
  text = re.sub(r'^[^\w]+', '', text)
  found = _HEAD.match(text + '.')
  name = _name_of(found) if found else ''
  rest = text[found.end() :] if found and name and names.accept(name, False, True) else text
  return bool(_SPOKEN.search(rest))


def mark_sounds(text: str) -> str:
  """Text with "*sighs*" and "SIGHS:" as "[sighs]"; emphasis by asterisks is taken off."""

  def starred(found):
    return f'[{found[1]}]' if _SOUNDS.match(found[1]) and len(found[1].split()) <= 4 else found[1]

  text = re.sub(r'(?<![\w*])\*([^\W_][^*\n]*?)\*(?![\w*])', starred, text)
  # "Really? LAUGHS: Yeah."
  return re.sub(r'(?<![\w\[(-])([^\W\d_a-z]{4,}):(?=\s)', lambda m: f'[{m[1]}]' if _VERB.match(m[1]) else m[0], text)


def remove_sounds(text: str, notes: Notes | None = None) -> str:
  """Text without sounds, in square brackets or known; a bleep or something unheard leaves a pause, which is told."""

  def removed(found):
    inside = found[1]
    if not (_BLEEP.match(inside) or _UNHEARD.match(inside)):
      return ' '
    if notes is not None:
      notes.add('a word that is not to be heard is played as a pause', quote=found[0])
    return ' ... '

  def bracketed(found):
    """Round brackets hold a sound where they are in capitals or begin with the name of one."""
    inside = found[1].strip()
    capitals = inside == inside.upper() and re.search(r'[^\W\d_]{2}', inside)
    sound = _SOUNDS.match(inside) and len(inside.split()) <= 4
    return f'[{inside}]' if capitals or sound else found[0]

  text = re.sub(r'\(([^()]*)\)', bracketed, text)
  text = re.sub(r'\[([^\[\]]*)\]', removed, text)
  return re.sub(r'\s+([,.;:!?…](?![.\w]))', r'\1', re.sub(r'\s+', ' ', text)).strip()


def remove_songs(rows: Sequence[str]) -> tuple[list[str], str]:
  """Rows without songs (between notes, or from a note to the row's end) -> (the rest, what was sung)."""
  text = '\n'.join(rows)
  if re.search('[♩♪♫♬]', text):
    sung = re.findall(r'[♩♪♫♬]+([^♩♪♫♬]*)[♩♪♫♬]+|[♩♪♫♬]([^♩♪♫♬]*)$', text)
    rest = re.sub(r'[♩♪♫♬]+[^♩♪♫♬]*[♩♪♫♬]+|[♩♪♫♬][^♩♪♫♬\n]*$', ' ', text)
    text, words = rest.replace('♪', ' '), ' '.join(a or b for a, b in sung)
  else:
    words = ' '.join(re.findall(r'(?m)^#\s+(\S.*?)\s*#?$', text))
    text = re.sub(r'(?m)^#\s+\S.*$', ' ', text)
  return [row for row in text.split('\n') if row.strip()], ' '.join(words.split())


def join_rows(rows: Sequence[str]) -> str:
  """Rows -> one text; a word that is divided at a row's end is joined where the dictionary has it."""
  text = '\n'.join(row.strip() for row in rows)

  def joined(found):
    from dubber_jax.script.dictionary import in_dictionary

    return f'{found[1]}{found[2]}' if in_dictionary(f'{found[1]}{found[2]}') else f'{found[1]}- {found[2]}'

  text = re.sub(r"(?<![\w'’-])([^\W\d_]{2,})-\n([a-z]+)(?![\w'’-])", joined, text)
  return re.sub(r'\s+', ' ', text).strip()


def _people(speaker: str) -> list[str]:
  return [part.strip() for part in re.split(r'[/;,&+]| and ', speaker) if part.strip()]


def _name_of(found: re.Match) -> str:
  return (found['name'] or found['square'] or found['round'] or found['numbered'] or '').strip(' ,-')


def _without_directions(text: str) -> str:
  return re.sub(rf'^(?:(?:{_DIRECTION})\s*(?![:：]))+', '', text)


def _is_label(name: str) -> bool:
  return all(word.strip(".'") in LABELS for word in _folded(name).split()) or bool(re.fullmatch(r'\W*\w\W*', name))


def _folded(name: str) -> str:
  return ' '.join(name.split()).casefold()
