"""Places in a line: words that a note names, marks of punctuation, and where one would take a breath."""

import re
from collections.abc import Sequence

from dubber_jax.director.notes.parser import Request
from dubber_jax.script.g2p import Phonemes

Words = Phonemes | Sequence[str]  # of a line; Phonemes have its punctuation as well


def plain_words(words: Words) -> tuple[str, ...]:
  """The line's words, in lower case."""
  return words.words if isinstance(words, Phonemes) else tuple(word.lower() for word in words)


def marks(words: Words) -> list[tuple[int, str]]:
  """(index of the word before it, mark) for each mark of punctuation within the line."""
  if not isinstance(words, Phonemes):
    return []
  phonemes = words
  found, word, last = [], -1, len(phonemes.words) - 1
  for symbol, word_of in zip(phonemes.symbols, phonemes.word_of.tolist(), strict=True):
    word = max(word, word_of)
    if word_of < 0 and 0 <= word < last and not symbol.startswith('@'):
      found.append((word, symbol))
  return found


# Conjunctions and prepositions, before which one takes a breath where the line has no mark.
JOINTS = frozenset(
  'and but or because that when if while who which before after until so than as to for with from'.split()
)


def breath_place(line: Words) -> int | None:
  """Index of the word after which one would take a breath: at the mark nearest to the middle, else before a
  conjunction or preposition, else in the middle; None for a single word."""
  words = plain_words(line)
  if len(words) < 2:
    return None
  places = [word for word, _ in marks(line)] or [i - 1 for i, word in enumerate(words) if i and word in JOINTS]
  middle = len(words) / 2 - 1
  return min(places, key=lambda i: abs(i - middle)) if places else round(middle)


# English words that a Chinese note may mean in an English line.
ENGLISH = {
  '你': 'you your', '您': 'you your', '我': 'i me my', '他': 'he him his', '她': 'she her', '它': 'it',
  '我们': 'we us our', '他们': 'they them their', '不': "not no don't won't can't never", '没有': 'no not nothing',
  '从不': 'never', '绝不': 'never', '永远': 'forever always never', '总是': 'always', '现在': 'now', '今天': 'today',
  '这': 'this', '那': 'that', '爱': 'love', '恨': 'hate', '什么': 'what', '为什么': 'why', '谁': 'who', '哪里': 'where',
  '家': 'home house', '走': 'go leave',
}  # fmt: skip


def _find(phrase, words) -> tuple[int, ...]:
  """Indices of a phrase's words in the line, where it occurs last; () where it does not."""
  parts = re.findall(r"[a-z0-9']+", phrase.lower())
  for i in range(len(words) - len(parts), -1, -1):
    if parts and list(words[i : i + len(parts)]) == parts:
      return tuple(range(i, i + len(parts)))
  for word in ENGLISH.get(phrase, '').split():
    if word in words:
      return (words.index(word),)
  return ()


def named_places(request: Request, words: Sequence[str], warnings: list[str], purpose: str) -> list[tuple[int, ...]]:
  """Word indices of each phrase that a request names; warnings are added, with its purpose, for those not found."""
  numbered = re.findall(r'(?:word |第)(\d+)', request.clause)
  if numbered:
    return [(int(n) - 1,) for n in numbered if not words or 0 < int(n) <= len(words)]
  if request.quoted and not words:
    warnings.append(f'{purpose} {", ".join(request.quoted)!r}: not done, the words of the line are not known')
    return []
  found = []
  for phrase in request.quoted:
    place = _find(phrase, words)
    if not place:
      warnings.append(f'there is no {phrase!r} in the line to {purpose}')
    found += [place] if place else []
  if request.quoted:
    return found
  tail = re.split(r'\b(?:on|after|before|stress|emphasi[sz]e|accent|punch|highlight|underline)\b', request.clause)[-1]
  if re.search('[\u4e00-\u9fff]', request.clause):  # as in 强调never
    tail = ' '.join(re.findall(r"[a-z']+", request.clause))
  said = [word for word in re.findall(r"[a-z']+", tail) if word not in ('the', 'word', 'a') or word == tail.strip()]
  for length in range(len(said), 0, -1):
    for i in range(len(said) - length + 1):
      place = _find(' '.join(said[i : i + length]), words)
      if place and len(tail) < len(request.clause):
        return [place]
  return []


def shown(request: Request) -> str:
  """A request's words as they were written, in quotation marks."""
  said, names = request.said, list(request.quoted)
  return repr(' '.join(re.sub('[\ue000-\uf8ff]', lambda _: f'"{names.pop(0)}"' if names else '', said).split()))
