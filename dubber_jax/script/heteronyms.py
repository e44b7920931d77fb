"""Heteronyms: words of one spelling and several pronunciations, chosen by their part of speech and by their neighbors.

Most are pairs of a verb and a noun or adjective (object, record, separate), whose pronunciations the dictionary has.
Whether such a word is a verb is decided here by the words around it, which a tagger trained on newspapers often gets
wrong in dialogue; its tag decides where they tell nothing. The others have a rule each.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dubber_jax.script.dictionary import readings


@dataclass(frozen=True)
class Context:
  """A word, its tag (Penn Treebank) and the words of its sentence around it, lower case, nearest first.

  `clause_start`, `clause_end`: whether punctuation or nothing stands before or behind it. `capital`: whether it is
  written with one.
  """

  word: str
  tag: str
  before: tuple[str, ...]
  after: tuple[str, ...]
  tags_before: tuple[str, ...] = ()
  clause_start: bool = False
  clause_end: bool = False
  capital: bool = False

  @property
  def previous(self) -> str:
    """The nearest word before that is not an adverb."""
    return next((w for w in self.before if not _is_adverb(w)), '')

  @property
  def second(self) -> str:
    """The one before `previous`."""
    rest = [w for w in self.before if not _is_adverb(w)]
    return rest[1] if len(rest) > 1 else ''

  @property
  def next(self) -> str:
    return self.after[0] if self.after else ''


_ADVERBS = frozenset(
  (
    'never always often also just still really even not now then ever simply all already soon both sometimes '
    'usually rarely seldom once again better hereby almost'
  ).split()
)
_NOT_ADVERBS = frozenset(
  (
    'only',
    'family',
    'reply',
    'supply',
    'apply',
    'rely',
    'fly',
    'july',
    'ugly',
    'early',
    'daily',
    'lovely',
    'friendly',
    'lonely',
    'holy',
    'deadly',
    'silly',
    'belly',
    'bully',
    'ally',
    'jelly',
    'italy',
    'fully',
    'emily',
    'lily',
    'sally',
    'molly',
    'billy',
    'kelly',
  )
)
_DETERMINERS = frozenset(
  (
    'a an the this these those my your his her its our their some any no every each another what whose which many '
    'few several more most other such one two three four five ten good bad new old big great own first last same '
    'only perfect little small whole public criminal police permanent world next'
  ).split()
)
_OBJECTS = frozenset(
  (
    'the a an my your his her our their its this that these those it me him us them you yourself myself himself '
    'herself ourselves themselves every everything something anything nothing whatever both all some any'
  ).split()
)
_MODALS = frozenset(
  (
    "to will would can could shall should may might must do does did cannot let's lets please gonna wanna gotta "
    "dare i'll you'll we'll they'll he'll she'll it'll i'd you'd we'd they'd he'd she'd that'll who'll"
  ).split()
)
_CAUSATIVES = frozenset(('let make made makes help helped helps saw see watch heard hear have had').split())
_PLURAL_SUBJECTS = frozenset(('i you we they who people').split())
_SINGULAR_SUBJECTS = frozenset(
  ('he she it who that everyone everybody nobody someone somebody anyone anybody one').split()
)
_PREPOSITIONS = frozenset(
  (
    'of in on at by for with from without under into over about between after before during per as against behind '
    'through than like'
  ).split()
)
_BE = frozenset(
  (
    "am is are was were be been being i'm you're we're they're he's she's it's that's isn't aren't wasn't weren't "
    "feel felt feels seem seems stay remain very so too how quite pretty get gets got who's what's there's "
    "everything's"
  ).split()
)
_TAKE_NOUNS = frozenset(
  (
    'have has had make made makes need needs take took give gave keep set under want wants broke break making '
    'breaking having'
  ).split()
)
_MOSTLY_VERBS = frozenset(('proceeds resumes converses conducts converts subverts transposes').split())
_JOINING = frozenset(('and', 'or', 'but', 'then', 'so'))


def _is_adverb(word):
  return word in _ADVERBS or (word.endswith('ly') and word not in _NOT_ADVERBS)


def is_verb(c: Context) -> bool:
  """Whether a word that can be a verb or a noun is a verb here."""
  before, second, ends_in_s = c.previous, c.second, c.word.endswith('s') and not c.word.endswith('ss')
  tagged = c.tag.startswith('VB')
  if not before:
    return c.next in _OBJECTS or (tagged and c.tag != 'VBN')
  if before == 'to':
    return not ends_in_s and not (second in ('put', 'close', 'due', 'come') and c.clause_end)
  if before in _MODALS or before.endswith("n't"):
    return not ends_in_s
  if second in _CAUSATIVES and before in ('me', 'you', 'him', 'her', 'it', 'us', 'them'):
    return True
  if before in _DETERMINERS:
    return before == 'this' and ends_in_s and c.next in _OBJECTS
  if before in _PLURAL_SUBJECTS and not ends_in_s or before in _SINGULAR_SUBJECTS and ends_in_s:
    return True
  if c.word in _MOSTLY_VERBS:
    return before not in _PREPOSITIONS | {'all'}
  if before in _BE or before.endswith(("'s", "'re", "'m")) or before in _PREPOSITIONS or before in _TAKE_NOUNS:
    return False
  if before in _JOINING:
    return c.next in _OBJECTS or tagged
  tag = next((t for w, t in zip(c.before, c.tags_before, strict=False) if w == before), '')
  if c.next in _OBJECTS and (tag in ('NNS', 'NNPS') and not ends_in_s or tag in ('NN', 'NNP') and ends_in_s):
    return True
  return tagged


def _by_verb(verb, other):
  return lambda c: verb if is_verb(c) else other


def _lead(c):
  metal = {
    'pipe',
    'pipes',
    'paint',
    'poisoning',
    'bullet',
    'bullets',
    'weight',
    'weights',
    'pellets',
    'balloon',
    'lined',
    'coffin',
    'shot',
    'ball',
    'box',
    'apron',
    'acid',
    'battery',
  }
  like = c.previous in ('of', 'like', 'as', 'molten', 'solid', 'into', 'with') and c.after[:1] not in (
    ('the',),
    ('us',),
  )
  return 'L EH1 D' if c.next in metal or like and c.tag.startswith('N') or c.after[:1] == ('poisoning',) else 'L IY1 D'


def _tear(c):
  plural = ' Z' if c.word.endswith('s') else ''
  eyes = {'eye', 'eyes', 'gas', 'duct', 'ducts', 'drop', 'drops', 'stained', 'jerker'} & set(c.after[:4])
  if c.previous == 'and' and c.second == 'wear' or (is_verb(c) and not (plural and c.previous in ('in', 'to', 'of'))):
    return 'T EH1 R' + plural
  return 'T EH1 R' + plural if c.next == 'in' and not eyes and not plural else 'T IH1 R' + plural


def _wind(c):
  moves = {'up', 'down', 'around', 'through', 'back', 'along', 'your', 'my', 'its', 'it', 'him', 'them', 'me', 'us'}
  if c.word == 'winds':
    verb = c.previous in ('road', 'river', 'path', 'trail', 'it', 'he', 'she', 'which', 'that') and c.next in moves
    return 'W AY1 N D Z' if verb else 'W IH1 N D Z'
  verb = is_verb(c) and (c.next in moves or c.next in _OBJECTS or c.previous in _MODALS | _PLURAL_SUBJECTS)
  return 'W AY1 N D' if verb else 'W IH1 N D'


_LIVE_NOUNS = frozenset(
  (
    'tv television music show shows broadcast band audience ammo ammunition round rounds grenade wire wires bait '
    'stream feed performance performances concert recording album action report coverage bullet bullets fire '
    'animals theater one ones event events'
  ).split()
)
_LIVE_BEFORE = _BE | frozenset(
  (
    'go going goes went gone perform performed performing broadcast broadcasting recorded reporting streaming '
    'played playing sing singing sang coming a the it him her them this that on show here'
  ).split()
) - {'how', 'so', 'all', 'here', 'got', 'get'}


def _live(c):
  shown = {'watch', 'watched', 'watching', 'saw', 'seen', 'heard', 'hear', 'performed', 'recorded', 'played'}
  if c.clause_end and shown & set(c.before) and c.previous not in _PLURAL_SUBJECTS | {'to'}:
    return 'L AY1 V'
  if c.next in _LIVE_NOUNS and c.previous not in _PLURAL_SUBJECTS | {'to'} or c.previous in _LIVE_BEFORE:
    causative = c.second in _CAUSATIVES and c.previous in ('it', 'him', 'her', 'them')
    watched = c.second in ('saw', 'see', 'watch', 'heard', 'hear')
    return 'L IH1 V' if causative and not watched or c.second in ('did', 'does', 'do', 'will', 'would') else 'L AY1 V'
  if c.clause_start and not c.before and c.next in ('from', 'at', 'on', 'tonight'):
    return 'L AY1 V'
  return 'L AY1 V' if c.tag in ('JJ', 'RB') and not is_verb(c) else 'L IH1 V'


def _lives(c):
  places = {
    'in',
    'at',
    'on',
    'with',
    'here',
    'there',
    'near',
    'alone',
    'next',
    'by',
    'across',
    'up',
    'down',
    'like',
    'for',
    'under',
    'above',
    'upstairs',
    'downstairs',
    'far',
    'inside',
    'forever',
  }
  subject = (
    c.previous in _SINGULAR_SUBJECTS and c.previous != 'one' or c.tag == 'VBZ' and c.previous not in _DETERMINERS
  )
  name = (
    c.next in places and c.tags_before[:1] and c.tags_before[0] in ('NN', 'NNP') and c.second not in ('save', 'ruin')
  )
  return 'L IH1 V Z' if subject or (name and c.previous not in _DETERMINERS) else 'L AY1 V Z'


def _bass(c):
  fish = c.next in ('fishing', 'boat', 'fisherman', 'pond') or c.previous in (
    'sea',
    'largemouth',
    'caught',
    'catch',
    'striped',
    'fried',
    'grilled',
    'eat',
    'ate',
    'freshwater',
    'black',
  )
  return 'B AE1 S' if fish or (c.second in ('caught', 'catch') and c.previous in ('a', 'the')) else 'B EY1 S'


def _bow(c):
  plural = ' Z' if c.word.endswith('s') else ''
  arrow = {'arrow', 'arrows', 'tie'} & set(c.after[:2])
  ship = c.next == 'of' and {'ship', 'boat', 'vessel'} & set(c.after[:4])
  bent = (
    c.second in ('take', 'took', 'takes', 'taking')
    or c.previous in ('final', 'deep', 'ship', "ship's")
    or c.next == 'down'
  )
  return ('B AW1' if not arrow and (is_verb(c) or ship or bent) else 'B OW1') + plural


def _row(c):
  plural = ' Z' if c.word.endswith('s') else ''
  quarrel = c.previous in ('a', 'terrible', 'blazing', 'awful', 'huge') and c.next in ('about', 'with', 'over')
  return ('R AW1' if quarrel else 'R OW1') + plural


def _dove(c):
  past = c.previous in _PLURAL_SUBJECTS | {'he', 'she', 'it'} or c.tag == 'VBD'
  moved = c.next in (
    'into',
    'in',
    'off',
    'under',
    'down',
    'for',
    'headfirst',
    'right',
    'straight',
    'behind',
    'headlong',
  )
  return 'D OW1 V' if past or (moved and c.previous not in _DETERMINERS and c.before) else 'D AH1 V'


def _minute(c):
  small = c.next in (
    'detail',
    'details',
    'amount',
    'amounts',
    'particles',
    'quantities',
    'differences',
    'difference',
    'traces',
    'trace',
    'changes',
    'fraction',
    'quantity',
  )
  return 'M AY0 N UW1 T' if small or (c.previous in ('is', 'are', 'were') and c.clause_end) else 'M IH1 N IH0 T'


def _wound(c):
  turned = c.next in ('up', 'around', 'down', 'through', 'back', 'its') and c.previous not in _DETERMINERS
  turned |= c.previous in _PLURAL_SUBJECTS | {'he', 'she', 'it'} and c.next in _OBJECTS or c.before[:1] == ('tightly',)
  return 'W AW1 N D' if turned else 'W UW1 N D'


_NEAR = frozenset(
  (
    'to enough by friend friends call together behind range family relative quarters encounter encounters '
    'proximity second shave look race game contact combat watch ups'
  ).split()
)


def _close(c):
  if c.previous in ('a', 'the') and (c.next == 'of' or c.clause_end):
    return 'K L OW1 Z'
  if c.next in _OBJECTS and c.previous not in _DETERMINERS:
    return 'K L OW1 Z'
  if c.next in _NEAR and not (c.previous in _MODALS and c.next in ('by', 'enough', 'behind', 'the')):
    return 'K L OW1 S'
  if c.previous in (
    'came',
    'come',
    'stand',
    'keep',
    'hold',
    'up',
    'in',
    'that',
    'draw',
    'drew',
    'sit',
    'getting',
    'coming',
  ):
    return 'K L OW1 S'
  return 'K L OW1 Z' if is_verb(c) and c.before else 'K L OW1 S'


def _does(c):
  deer = c.previous in ('the', 'two', 'three', 'four', 'several', 'those', 'these') and c.next not in (
    'not',
    'it',
    'that',
  )
  return 'D OW1 Z' if deer else 'D AH1 Z'


def _used(c):
  if c.next != 'to':
    return 'Y UW1 Z D'
  passive = c.previous in _BE - {'get', 'got', 'gets'} and len(c.after) > 1
  person = c.previous in ("i'm", "you're", "we're", "they're", "he's", "she's", 'am')
  follows = c.after[1] if len(c.after) > 1 else ''
  accustomed = follows.endswith('ing') or follows in _OBJECTS | {'being'} or person
  return 'Y UW1 Z D' if passive and not accustomed else 'Y UW1 S T'


def _read(c):
  past_words = {'yesterday', 'ago', 'last', 'once', 'already', 'earlier'}
  if c.previous in (
    'have',
    'has',
    'had',
    "i've",
    "you've",
    "we've",
    "they've",
    "haven't",
    "hasn't",
    "hadn't",
    'been',
    'was',
    'were',
    'is',
    'he',
    'she',
    'being',
    "he's",
    "she's",
    'having',
    "i'd",
  ) and c.second not in ('did', 'does', 'do', 'can', 'will', 'should', 'could', 'would', 'let', 'make', 'how'):
    return 'R EH1 D' if c.second not in ('a', 'the') else 'R IY1 D'
  if c.previous in _MODALS or c.previous.endswith("n't") or not c.before:
    return 'R IY1 D'
  if c.previous in _PLURAL_SUBJECTS and past_words & set(c.after):
    return 'R EH1 D'
  return 'R EH1 D' if c.tag in ('VBD', 'VBN') else 'R IY1 D'


def _polish(c):
  nation = c.capital and not is_verb(c) and (not c.clause_start or c.after)
  return 'P OW1 L IH0 SH' if nation else 'P AA1 L IH0 SH'


def _content(c):
  pleased = c.previous in _BE or c.next in ('to', 'with') and c.previous not in _DETERMINERS | _PREPOSITIONS
  return 'K AH0 N T EH1 N T' if pleased or c.tag.startswith('VB') else 'K AA1 N T EH0 N T'


def _refuse(c):
  return 'R IH0 F Y UW1 Z' if is_verb(c) or c.previous not in _DETERMINERS | _PREPOSITIONS else 'R EH1 F Y UW2 S'


def _deserts(c):
  return 'D IH0 Z ER1 T S' if c.before[:1] == ('just',) or is_verb(c) else 'D EH1 Z ER0 T S'


def _moped(c):
  return 'M OW1 P T' if c.next in ('around', 'about') or c.previous in ('he', 'she', 'i', 'they') else 'M OW1 P EH2 D'


def _learned(c):
  respected = c.next in ('friend', 'colleague', 'man', 'men', 'gentleman', 'judge', 'scholar', 'society', 'counsel')
  return 'L ER1 N IH0 D' if respected and c.previous in _DETERMINERS else 'L ER1 N D'


def _blessed(c):
  holy = c.previous in _DETERMINERS and not c.clause_end or c.next in ('virgin', 'mother', 'are', 'be')
  return 'B L EH1 S IH0 D' if holy else 'B L EH1 S T'


def _aged(c):
  old = c.previous in _DETERMINERS or c.previous in _BE and c.clause_end
  return 'EY1 JH IH0 D' if old and c.next not in ('care', 'beef', 'cheese', 'wine', 'whiskey') else 'EY1 JH D'


def _won(c):
  money = c.previous in ('korean', 'million', 'thousand', 'hundred')
  return 'W AA1 N' if money else 'W AH1 N'


def _upset(c):
  return (
    'AH1 P S EH2 T'
    if c.previous in ('an', 'the', 'big', 'stomach') and c.next != 'that' and not _adjective(c)
    else 'AH0 P S EH1 T'
  )


def _adjective(c):
  return c.next in ('man', 'woman', 'child', 'girl', 'boy', 'stomach', 'people', 'with', 'about', 'parents', 'customer')


def _contract(c):
  plural = ' S' if c.word.endswith('s') else ''
  return ('K AH0 N T R AE1 K T' if is_verb(c) else 'K AA1 N T R AE2 K T') + plural


def _sewer(c):
  return 'S OW1 ER0' if c.next == 'of' or c.previous in ('skilled', 'good') else 'S UW1 ER0'


def _invalid(c):
  follows = c.clause_end or c.next in ('lay', 'was', 'is', 'sat', 'needs', 'can', 'and')
  person = c.previous in ('an', 'the', 'helpless', 'old', 'poor') and follows
  return 'IH1 N V AH0 L IH0 D' if person else 'IH0 N V AE1 L IH0 D'


SPECIAL: dict[str, Callable[[Context], str]] = {
  'lead': _lead,
  'tear': _tear,
  'tears': _tear,
  'wind': _wind,
  'winds': _wind,
  'live': _live,
  'lives': _lives,
  'bass': _bass,
  'bow': _bow,
  'bows': _bow,
  'row': _row,
  'rows': _row,
  'dove': _dove,
  'minute': _minute,
  'wound': _wound,
  'close': _close,
  'does': _does,
  'used': _used,
  'read': _read,
  'refuse': _refuse,
  'deserts': _deserts,
  'moped': _moped,
  'learned': _learned,
  'blessed': _blessed,
  'aged': _aged,
  'won': _won,
  'upset': _upset,
  'contract': _contract,
  'contracts': _contract,
  'sewer': _sewer,
  'invalid': _invalid,
  'proceed': lambda c: 'P R OW0 S IY1 D',
  'recounting': lambda c: 'R IH0 K AW1 N T IH0 NG',
  'polish': _polish,
  'content': _content,
  'houses': lambda c: 'HH AW1 Z IH0 Z',
  'sow': _by_verb('S OW1', 'S AW1'),
  'sows': _by_verb('S OW1 Z', 'S AW1 Z'),
}
# Words whose other readings are rare, and the one that is meant: a wrong tag must not bring the rare one.
_ONE_READING = {
  'real': 'JJ',
  'were': 'VB',
  'apply': 'VB',
  'hinder': 'VB',
  'coax': 'VB',
  'consist': 'VB',
  'consists': 'VB',
  'number': 'NN',
  'do': 'VB',
  'resent': 'VB',
  'evening': 'NN',
  'evenings': 'NN',
  'supply': 'NN',
  'wicked': 'JJ',
  'crooked': 'JJ',
  'ragged': 'JJ',
  'dogged': 'JJ',
  'entrance': 'NN',
  'entrances': 'NN',
  'agape': 'JJ',
  'pussy': 'NN',
  'irony': 'NN',
  'leasing': 'VB',
  'lied': 'VB',
  'marked': 'VB',
  'nice': 'VB',
  'nestle': 'VB',
  'multiply': 'VB',
  'misconduct': 'NN',
  'jagged': 'JJ',
  'preposition': 'NN',
  'prepositions': 'NN',
  'compress': 'VB',
}


def choose(c: Context) -> str | tuple[str, ...] | None:
  """Pronunciation of a heteronym: ARPAbet as a string, or IPA phonemes of the dictionary; None for other words."""
  if c.word in SPECIAL:
    return SPECIAL[c.word](c)
  found = readings(c.word)
  if c.word in _ONE_READING:
    return found.get(_ONE_READING[c.word])
  if 'VB' not in found or not ({'NN', 'JJ'} & set(found)) or not (c.before or c.after):
    return None
  if is_verb(c):
    return found['VB']
  if 'JJ' in found and 'NN' in found:
    return found['JJ' if c.previous in _BE or c.tag.startswith('JJ') else 'NN']
  return found.get('NN') or found['JJ']


def is_heteronym(word: str) -> bool:
  """Whether `choose` has a rule for the word, lower case."""
  return word in SPECIAL or word in _ONE_READING or len(readings(word)) > 1


def contexts(tokens: Sequence[tuple[str, str | None]]) -> list[Context | None]:
  """Contexts of the heteronyms among tokens (word, tag), where a tag of None marks punctuation; None for the others."""
  found: list[Context | None] = []
  for index, (token, tag) in enumerate(tokens):
    word = token.lower()
    if tag is None or not is_heteronym(word):
      found.append(None)
      continue
    before, tags, after = [], [], []
    for other, other_tag in reversed(tokens[max(0, index - 8) : index]):
      if other_tag is None:
        if re.fullmatch('[.?!;:-]|\\.\\.\\.', other):
          break
        continue
      before.append(other.lower())
      tags.append(other_tag)
    for other, other_tag in tokens[index + 1 : index + 9]:
      if other_tag is None:
        break
      after.append(other.lower())
    start = index == 0 or tokens[index - 1][1] is None
    if start and index and before and tokens[index - 1][0] == ',':
      before, tags = [], []
    found.append(Context(word, tag, tuple(before), tuple(after), tuple(tags), start, not after, token[0].isupper()))
  return found
