"""G2P of Mandarin: text to initials and finals (script/symbols.py), by jieba word segmentation and pypinyin.

Tones are lexical: tone sandhi (third tone, yi, bu) is learned by the actor, whose teacher gets the same input
(data_pipelines/teacher_mandarin.py).
"""

import functools
import logging
import re
from dataclasses import dataclass

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.script.g2p import Phonemes
from dubber_jax.script.symbols import FINALS, INITIALS, STRENGTH, TONES

INSTALL = "pip install 'dubber_jax[mandarin]'"
PUNCTUATION_OF = {
  '，': ',', '、': ',', ',': ',', '。': '.', '．': '.', '.': '.', '！': '!', '!': '!', '？': '?', '?': '?', '；': ';',
  ';': ';', '：': ':', ':': ':', '—': '-', '–': '-', '-': '-', '～': '-', '~': '-', '…': '...', '⋯': '...',
}  # fmt: skip
UNSPOKEN = frozenset(' “”‘’"\'「」『』《》〈〉【】（）()«»·')
CHINESE = '\u3007\u3400-\u4dbf\u4e00-\u9fff'
SYLLABIC = {'m': ('', 'm'), 'n': ('', 'n'), 'ng': ('', 'ng'), 'hm': ('h', 'm'), 'hng': ('h', 'ng')}
INTERJECTIONS = {'yo': ('', 'io'), 'ê': ('', 'eh')}


@dataclass(frozen=True)
class Syllable:
  """An initial of INITIALS or '', a final of FINALS, and a tone from 1 to 5."""

  initial: str
  final: str
  tone: int

  @property
  def symbols(self) -> tuple[str, ...]:
    """Its one or two symbols."""
    final = f'zh:{self.final}{self.tone}'
    return (f'zh:{self.initial}', final) if self.initial else (final,)


@dataclass(frozen=True)
class Word:
  """A word and its syllables, one per character; or a non-Chinese character without syllables."""

  text: str
  syllables: tuple[Syllable, ...] = ()


def split_words(text: str) -> list[Word]:
  """Segments a line into words and single punctuation marks, brackets and spaces.

  Raises BadInput for an empty line, for a character that is neither Chinese nor punctuation, such as a digit, and where
  jieba or pypinyin is not installed.
  """
  if not text.strip():
    raise BadInput('the line is empty: give the words to speak')
  jieba, pypinyin = _modules()
  words = []
  for piece in re.findall(f'[{CHINESE}]+|[^{CHINESE}]', text):
    if not re.match(f'[{CHINESE}]', piece):
      if piece not in PUNCTUATION_OF and piece not in UNSPOKEN and not piece.isspace():
        raise BadInput(f'{piece!r} in {text.strip()[:60]!r} is not spoken: write it in Chinese characters')
      words.append(Word(piece))
      continue
    for word in jieba.lcut(piece):
      read = pypinyin.lazy_pinyin(word, style=pypinyin.Style.TONE3, neutral_tone_with_five=True)
      words.append(Word(word, tuple(parse_pinyin(p) for p in read)))
  return words


def parse_pinyin(pinyin: str) -> Syllable:
  """Pinyin with a tone number, as zhuang4, lve4 or ma5 -> syllable. Raises BadInput for anything else."""
  convert = _modules()[1].contrib.tone_convert
  plain, tone = pinyin[:-1], pinyin[-1:]
  if plain in SYLLABIC or plain in INTERJECTIONS:
    initial, final = (SYLLABIC | INTERJECTIONS)[plain]
  else:
    initial, final = convert.to_initials(plain, strict=True), convert.to_finals(plain, strict=True)
    if final == 'i' and initial in ('z', 'c', 's'):
      final = 'ii'
    elif final == 'i' and initial in ('zh', 'ch', 'sh', 'r'):
      final = 'iii'
    elif final == 'o' and initial:  # bo, po, mo, fo, lo are pronounced with uo
      final = 'uo'
  if (initial and initial not in INITIALS) or final not in FINALS or not tone.isdigit() or int(tone) not in TONES:
    raise BadInput(f'{pinyin!r} is not the pinyin of a syllable with the number of its tone, as ma1')
  return Syllable(initial, final, int(tone))


def phonemize(text: str) -> Phonemes:
  """Mandarin text -> Phonemes; words by jieba. Raises BadInput as `split_words` does, and for a line without a word."""
  symbols, word_of, spoken = ['@sil'], [-1], []
  for word in split_words(text):
    if word.syllables:
      own = [symbol for syllable in word.syllables for symbol in syllable.symbols]
      symbols += own
      word_of += [len(spoken)] * len(own)
      spoken.append(word.text)
    elif word.text in PUNCTUATION_OF:
      if symbols[-1] in STRENGTH:
        symbols[-1] = max(symbols[-1], PUNCTUATION_OF[word.text], key=STRENGTH.index)
      else:
        symbols.append(PUNCTUATION_OF[word.text])
        word_of.append(-1)
  if not spoken:
    raise BadInput(f'nothing in the line {text.strip()[:60]!r} can be spoken: give words in Chinese')
  symbols.append('@sil')
  word_of.append(-1)
  return Phonemes(tuple(symbols), np.array(word_of, np.int32), tuple(spoken), language='zh')


@functools.cache
def _modules():
  """Imports jieba and pypinyin, which are optional."""
  try:
    import jieba
    import pypinyin.contrib.tone_convert
  except ImportError as error:
    raise BadInput(f'Mandarin needs the Python module {error.name}: {INSTALL}') from error
  jieba.setLogLevel(logging.WARNING)
  return jieba, pypinyin
