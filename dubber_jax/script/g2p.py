"""Grapheme-to-phoneme conversion (G2P) of English: ARPAbet with stress, and punctuation (script/symbols.py).

Text is normalized (normalize.py), words of a user lexicon are taken from there (lexicon.py), others from the dictionary
of gruut (dictionary.py), whose models tag parts of speech and guess words outside of it. Heteronyms are chosen by their
context (heteronyms.py). IPA is mapped to ARPAbet here.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.script import heteronyms
from dubber_jax.script.dictionary import LETTER_NAMES, guess_phonemes, in_dictionary, interjection, readings, tag_words
from dubber_jax.script.lexicon import possessive, split_by_lexicon
from dubber_jax.script.normalize import SPELLED_A, normalize_text
from dubber_jax.script.symbols import ARPABET_87, STRENGTH, SYMBOLS, VOWELS

_ID = {symbol: i for i, symbol in enumerate(SYMBOLS)}
_PUBLISHED_ID = {symbol: i for i, symbol in enumerate(ARPABET_87)}

FOREIGN_SHARE = 0.4  # share of out-of-vocabulary words from which a line counts as another language
MAX_LISTED = 5  # words or parts named in a warning

_IPA = {
  'ɑ': 'AA', 'æ': 'AE', 'ʌ': 'AH', 'ə': 'AH', 'ɐ': 'AH', 'ɔ': 'AO', 'aʊ': 'AW', 'aɪ': 'AY', 'ɛ': 'EH',
  'ɚ': 'ER', 'ɝ': 'ER', 'eɪ': 'EY', 'ɪ': 'IH', 'i': 'IY', 'oʊ': 'OW', 'ɔɪ': 'OY', 'ʊ': 'UH', 'u': 'UW',
  'b': 'B', 't͡ʃ': 'CH', 'd': 'D', 'ð': 'DH', 'f': 'F', 'ɡ': 'G', 'g': 'G', 'h': 'HH', 'd͡ʒ': 'JH', 'k': 'K',
  'l': 'L', 'm': 'M', 'n': 'N', 'ŋ': 'NG', 'p': 'P', 'ɹ': 'R', 'r': 'R', 's': 'S', 'ʃ': 'SH', 't': 'T',
  'ɾ': 'T', 'θ': 'TH', 'v': 'V', 'w': 'W', 'j': 'Y', 'z': 'Z', 'ʒ': 'ZH',
}  # fmt: skip
_STRESS = {'ˈ': '1', 'ˌ': '2'}


@dataclass(frozen=True)
class Phonemes:
  """The phoneme sequence of a line. '@sil' is first and last; there is no symbol between words.

  `words` are the words as spoken ('three', 'dollars' for '$3'), lower case. `word_of` (N,) is the index into `words`
  of each symbol, -1 for silence and punctuation. `unspoken` are parts of the text without a pronunciation, such as
  emoji or another script. `guessed` are out-of-vocabulary words, whose pronunciation is predicted from the spelling.
  """

  symbols: tuple[str, ...]
  word_of: np.ndarray
  words: tuple[str, ...]
  unspoken: tuple[str, ...] = ()
  guessed: tuple[str, ...] = ()
  language: str = 'en'  # one of symbols.LANGUAGES

  @property
  def warnings(self) -> tuple[str, ...]:
    """A line about text that is not spoken, and one about words that may be mispronounced."""
    warnings = []
    if self.unspoken:
      warnings.append(f'not spoken: {_list_some(_with_script_name(part) for part in self.unspoken)}')
    if len(self.guessed) >= max(2, FOREIGN_SHARE * len(self.words)):
      warnings.append(
        f'not English? {_list_some(self.guessed)}: read by the rules of English; no other language is spoken'
      )
    elif self.guessed:
      warnings.append(
        f'not in the dictionary, pronounced by the spelling: {_list_some(self.guessed)}; '
        'a --lexicon says how they are spoken'
      )
    return tuple(warnings)


def _list_some(parts):
  parts = list(dict.fromkeys(parts))
  return ', '.join(parts[:MAX_LISTED]) + (f' and {len(parts) - MAX_LISTED} more' if len(parts) > MAX_LISTED else '')


def _with_script_name(part):
  """The quoted part, with the script of its letters unless Latin: "'Привет' (Cyrillic)"."""
  letter = next((c for c in part if c.isalpha()), None)
  name = unicodedata.name(letter, '').split(' ')[0].title() if letter else ''
  return repr(part) + (f' ({name})' if name not in ('', 'Latin') else '')


def phonemize(text: str, lexicon: dict[str, tuple[str, ...]] | None = None) -> Phonemes:
  """English text -> Phonemes.

  `lexicon` (see `lexicon.read_lexicon`) takes precedence over the dictionary. Raises BadInput for an empty line and
  for one without a pronounceable word.
  """
  if not text.strip():
    raise BadInput('the line is empty: give the words to speak')
  if any(unicodedata.category(c) == 'Cs' for c in text):
    raise BadInput('the line holds bytes that are no text: give it as UTF-8')
  unspoken, guessed = [], []
  tagged = []  # (word, tag, symbols) or (punctuation, None, None)
  for piece, symbols in split_by_lexicon(normalize_text(text, unspoken), lexicon or {}):
    tagged += [(piece, 'NNP', symbols)] if symbols else _words_of(piece)
  tokens = _merge_punctuation(_pronounce(tagged, unspoken, guessed))
  words = [(word, symbols) for word, symbols in tokens if symbols]
  if not words:
    raise BadInput(f'nothing in the line {text.strip()[:60]!r} can be spoken: give words in English')

  symbols, word_of, index = ['@sil'], [-1], 0
  for token, pronunciation in tokens:
    if pronunciation is None:
      symbols.append(token)
      word_of.append(-1)
      continue
    following = words[index + 1][1][0] if index + 1 < len(words) else ''
    symbols += _liaison(token, pronunciation, following)
    word_of += [index] * (len(symbols) - len(word_of))
    index += 1
  symbols.append('@sil')
  word_of.append(-1)
  spoken = tuple(word.lower() for word, _ in words)
  return Phonemes(tuple(symbols), np.array(word_of, np.int32), spoken, tuple(unspoken), tuple(guessed))


def encode(symbols: Iterable[str]) -> np.ndarray:
  """Ids (N,) int32 of symbols: indices into SYMBOLS, 0 is padding. Raises BadInput for an unknown symbol."""
  unknown = [s for s in symbols if s not in _ID]
  if unknown:
    raise BadInput(f'unknown phoneme {unknown[0]!r}: use ARPAbet with stress, as @AH0, or punctuation')
  return np.array([_ID[s] for s in symbols], np.int32)


def published_ids(line: str) -> np.ndarray:
  """Ids (N,) int64 of the ARPAbet codes within {braces}, as the published system reads a line of its lists.

  Ids are indices into ARPABET_87. Unknown codes and text outside braces are skipped (spec, section 10).
  """
  codes = ('@' + code for inside in re.findall(r'\{(.+?)\}', line) for code in inside.split())
  return np.array([_PUBLISHED_ID[code] for code in codes if code in _PUBLISHED_ID], np.int64)


def _words_of(text):
  """Normalized text without lexicon words -> [(word, tag, symbols or ())] and (punctuation, None, None)."""
  tokens = []
  for part in re.split("(\u2014|[\ue000-\ue019](?:'s)?|\\.{2,}|[?!;]+|[.,:]+(?=\\W|$))", text):
    part = part.strip()
    if not part:
      continue
    if part == '\u2014':
      tokens.append(('-', None, None))
    elif '\ue000' <= part[0] <= '\ue019':
      letter = chr(ord(part[0]) - SPELLED_A + ord('a'))
      symbols = tuple('@' + code for code in LETTER_NAMES[letter].split())
      tokens.append((letter + part[1:], 'NNP', symbols + (possessive(symbols[-1]) if part[1:] else ())))
    elif re.fullmatch(r'\.{2,}', part):
      tokens.append(('...', None, None))
    elif re.fullmatch('[.,;:?!]+', part):
      tokens += [(mark, None, None) for mark in part]
    else:
      words = re.findall("[A-Za-z]+(?:'[A-Za-z]+)*", part)
      tokens += [(word, tag, ()) for word, tag in zip(words, _tags(tuple(words)), strict=True)]
  return tokens


@functools.lru_cache(1024)
def _tags(words):
  return tuple(tag_words(words))


def _pronounce(tagged, unspoken, guessed):
  """Tokens (word, tag, symbols or ()) and (punctuation, None, None) -> (word, symbols) and (punctuation, None)."""
  tokens = []
  contexts = heteronyms.contexts([(word, tag) for word, tag, _ in tagged])
  for (word, tag, symbols), context in zip(tagged, contexts, strict=True):
    if tag is None or symbols:
      tokens.append((word, symbols))
      continue
    pronunciation = _symbols_of(word, tag, context)
    if not pronunciation:
      unspoken.append(word)
      continue
    tokens.append((word, pronunciation))
    if _is_guess(word):
      guessed.append(word)
  return tokens


def _symbols_of(word, tag, context):
  """Symbols of a word: of an interjection, a heteronym, the dictionary or a guess by its spelling."""
  sounds = interjection(word) or (context and heteronyms.choose(context))
  if isinstance(sounds, str):
    return tuple('@' + code for code in sounds.split())
  if not sounds:
    found = readings(word)
    sounds = found.get(tag) or found.get('') or next(iter(found.values()), None) or guess_phonemes(word)
  return _to_arpabet(sounds)


def _to_arpabet(ipa):
  symbols = []
  for phoneme in ipa:
    stress = _STRESS.get(phoneme[0], '')
    code = _IPA.get(phoneme[len(stress) :])
    if code:
      symbols.append('@' + code + ((stress or '0') if code in VOWELS else ''))
  return tuple(symbols)


def _is_guess(word):
  """Whether a word is out of vocabulary."""
  stem = re.sub("'s?$", '', word.lower())
  return bool(re.fullmatch("[a-z']{2,}", word.lower())) and not (
    in_dictionary(word) or in_dictionary(stem) or interjection(stem)
  )


def _merge_punctuation(tokens):
  """Keeps one punctuation mark between two words: the strongest by STRENGTH."""
  merged = []
  for token in tokens:
    if token[1] is None and merged and merged[-1][1] is None:
      merged[-1] = max(merged[-1], token, key=lambda t: STRENGTH.index(t[0]))
    else:
      merged.append(token)
  return merged


def _liaison(word, symbols, following):
  """The word's symbols, with 'the' as DH IY0 before a vowel."""
  if word.lower() == 'the' and symbols == ('@DH', '@AH0') and following[1:3] in VOWELS:
    return ('@DH', '@IY0')
  return symbols
