"""English pronunciation data: gruut's dictionary, its taggers for parts of speech and for spellings, and tables for
letter names and interjections.

The models and the dictionary of gruut_lang_en (MIT) are read directly: importing gruut itself takes seconds, for the
text processing of other languages.
"""

import base64
import functools
import os
import re
import string
import threading
from collections.abc import Sequence

LETTER_NAMES = {
  'a': 'EY1', 'b': 'B IY1', 'c': 'S IY1', 'd': 'D IY1', 'e': 'IY1', 'f': 'EH1 F', 'g': 'JH IY1',
  'h': 'EY1 CH', 'i': 'AY1', 'j': 'JH EY1', 'k': 'K EY1', 'l': 'EH1 L', 'm': 'EH1 M', 'n': 'EH1 N',
  'o': 'OW1', 'p': 'P IY1', 'q': 'K Y UW1', 'r': 'AA1 R', 's': 'EH1 S', 't': 'T IY1', 'u': 'Y UW1',
  'v': 'V IY1', 'w': 'D AH1 B AH0 L Y UW0', 'x': 'EH1 K S', 'y': 'W AY1', 'z': 'Z IY1',
}  # fmt: skip
# Interjections by pattern, lower case: they are written with any number of letters. The first match counts.
INTERJECTIONS = {
  'a+h*': 'AA1', 'a+r+g+h+': 'AA1 R G', 'a+r{2,}': 'AA1 R', 'a{2,}w+': 'AO1', 'aww+': 'AO1', 'a{2,}y+': 'AY1',
  'a+ck+': 'AE1 K', 'a+h+e+m+': 'AH0 HH EH1 M', 'ay{2,}': 'EY1', 'a+h+a{2,}': 'AA0 HH AA1', 'a+i+e{2,}': 'AY1 IY0',
  'bl+e+h+': 'B L EH1', 'bl+e+ch+': 'B L EH1 K', 'br+': 'B R', 'e+h+': 'EH1', 'e{2,}k+': 'IY1 K', 'e+w+': 'IY1 UW0',
  'er|er{3,}': 'ER1', 'e+r+m+': 'ER1 M', 'e{3,}': 'IY1', 'g+a+h+': 'G AA1', 'gr+': 'G R', 'h+m+': 'HH AH1 M',
  'hmp+h+': 'HH AH1 M F', 'hu+h+': 'HH AH1', 'm{2,}': 'M', 'm+hm+': 'M HH AH1 M', 'm+e+h+': 'M EH1',
  'm+w+a+h+': 'M W AA1', 'na+h+': 'N AA1', 'n+g+h+': 'NG', 'nu+h+': 'N AH1', 'oh+': 'OW1', 'o{2,}h+': 'UW1',
  'o{3,}': 'UW1', 'oo+f+': 'UW1 F', 'oww+': 'AW1', 'p+f+t*': 'P F T', 'p+s+h+': 'P SH', 'p+s+t+': 'P S T',
  'phe{2,}w+': 'F Y UW1', 'rawr+': 'R AO1 R', 's+h+': 'SH', 'tch+': 'CH', 't+s+k+': 'T S K', 'u+g+h+': 'AH1 G',
  'u+h+': 'AH1', 'u+m+': 'AH1 M', 'u+r+g+h+': 'ER1 G', 'u{3,}': 'UW1', 'wa{2,}h*': 'W AA1', 'wh?e{3,}': 'W IY1',
  'w+h*o+a+h*': 'W OW1', 'wo{2,}h*': 'W UW1', 'woo+h+oo*': 'W UW1 HH UW1', 'y+e+a+h+': 'Y AE1', 'ya+h+': 'Y AA1',
  'ya{2,}y+': 'Y EY1', 'z{2,}': 'Z',
}  # fmt: skip
_LAUGHTER = {'ha': 'HH AA', 'he': 'HH EH', 'hee': 'HH IY', 'hi': 'HH IY', 'ho': 'HH OW'}
_BEFORE_LAUGHTER = {'': '', 'a': 'AA0 ', 'bwa': 'B W AA0 ', 'mwa': 'M W AA0 ', 'mua': 'M W AA0 '}

_models_lock = threading.Lock()  # CRF taggers keep the sequence they tag


@functools.lru_cache(4096)
def interjection(word: str) -> str | None:
  """ARPAbet of an interjection of any length and case ('Aaaah', 'Shhh', 'Hahaha'); None for other words."""
  word = word.lower()
  if len(word) < 2:
    return None
  laugh = re.fullmatch('(|a|bwa|mwa|mua)((?:ha+){2,}|(?:hee+){2,}|(?:he){2,}|(?:hi){2,}|(?:ho){2,})h?', word)
  if laugh:
    syllable = _LAUGHTER['hee' if 'hee' in laugh[2] else laugh[2][:2]]
    beats = (syllable + '10'[i % 2] for i in range(laugh[2].count('h')))
    return _BEFORE_LAUGHTER[laugh[1]] + ' '.join(beats)
  return next((sounds for pattern, sounds in INTERJECTIONS.items() if re.fullmatch(pattern, word)), None)


def in_dictionary(word: str) -> bool:
  """Whether gruut's dictionary has the word, in any case."""
  return word.lower() in _dictionary()


def readings(word: str) -> dict[str, tuple[str, ...]]:
  """Pronunciations of a word of the dictionary: {part of speech, '' for any: IPA phonemes}; empty for other words."""
  dictionary = _dictionary()
  plain = re.sub(r'\W', '', word)
  for form in (word, word.lower(), plain, plain.lower()):
    found = dictionary.get(form)
    if found:
      return {role.removeprefix('gruut:'): tuple(ipa.split()) for role, ipa in found.items()}
  return {}


def tag_words(words: Sequence[str]) -> list[str]:
  """Parts of speech (Penn Treebank) of the words of a sentence or a part of it, by gruut's model."""
  features = [_word_features(words, i) for i in range(len(words))]
  tagger = _tagger('pos')
  with _models_lock:
    return tagger.tag(features) if features else []


@functools.lru_cache(4096)
def guess_phonemes(word: str) -> tuple[str, ...]:
  """IPA phonemes of a word outside the dictionary, predicted from its spelling by gruut's model."""
  letters = word.lower()
  features = []
  for i, letter in enumerate(letters):
    feature = {'bias': 1.0, 'grapheme': _coded(letter)}
    feature |= {'begin': True} if i == 0 else {}
    feature |= {'end': True} if i == len(letters) - 1 else {}
    feature |= {f'grapheme-{j}': _coded(letters[i - j]) for j in (1, 2, 3) if i >= j}
    feature |= {f'grapheme+{j}': _coded(letters[i + j]) for j in (1, 2, 3) if i + j < len(letters)}
    features.append(feature)
  tagger = _tagger('g2p')
  with _models_lock:
    codes = tagger.tag(features)
  phonemes = (p for code in codes for p in base64.b64decode(code).decode().split('|'))
  return tuple(p for p in phonemes if p != '_')


def _word_features(words, index):
  """Features of gruut's part-of-speech model: the word, two words to each side, their first and last letters."""
  features = {}
  for offset in range(-2, 3):
    if not 0 <= index + offset < len(words):
      continue
    word, prefix = words[index + offset], f'{offset:+d}:' if offset else ''
    features |= {
      f'{prefix}bias': 1.0,
      f'{prefix}word': _coded(word),
      f'{prefix}len(word)': len(word),
      f'{prefix}word.ispunctuation': word in string.punctuation,
      f'{prefix}word.isdigit()': word.isdigit(),
    }
    features |= {f'{prefix}word[:{n}]': word[:n] for n in (2, 3)}
    features |= {f'{prefix}word[-{n}:]': word[-n:] for n in (2, 3)}
  features |= {'BOS': True} if index == 0 else {}
  features |= {'EOS': True} if index == len(words) - 1 else {}
  return features


def _coded(text):
  return base64.b64encode(text.encode()).decode()


def _data_file(*parts):
  import gruut_lang_en

  return os.path.join(os.path.dirname(gruut_lang_en.__file__), *parts)


@functools.cache
def _tagger(name):
  import pycrfsuite

  tagger = pycrfsuite.Tagger()  # pyright: ignore[reportAttributeAccessIssue]
  tagger.open(_data_file(name, 'model.crf'))
  return tagger


@functools.cache
def _dictionary() -> dict[str, dict[str, str]]:
  """{word: {role: IPA phonemes}}, of each role the first pronunciation."""
  import sqlite3

  connection = sqlite3.connect(_data_file('lexicon.db'))
  dictionary = {}
  try:
    for word, role, ipa in connection.execute('SELECT word, role, phonemes FROM word_phonemes ORDER BY pron_order, id'):
      dictionary.setdefault(word, {}).setdefault(role, ipa)
  finally:
    connection.close()
  return dictionary
