"""Mandarin text to the teacher's (Kokoro-82M's) IPA, and its symbols with durations to the actor's initials and finals.

Kokoro was trained on misaki's transcription of Mandarin (version 1.0, `misaki.zh`): IPA with the tone's arrow after
the vowel, and a space between words. It is written here from the same syllables as the actor's symbols, so that the two
agree. TEACHER_INITIALS and TEACHER_FINALS equal misaki's output for every syllable of pypinyin's dictionary but `yo`,
which misaki writes as `wo`.
"""

from collections.abc import Sequence

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.script.mandarin import PUNCTUATION_OF, UNSPOKEN, Syllable, split_words
from dubber_jax.script.symbols import STRENGTH

VOICES = tuple('zf_xiaobei zf_xiaoni zf_xiaoxiao zf_xiaoyi zm_yunjian zm_yunxi zm_yunxia zm_yunyang'.split())
ARROWS = ('', '→', '↗', '↓', '↘', '')  # by tone; the neutral tone has none
TEACHER_INITIALS = {
  '': '', 'b': 'p', 'p': 'pʰ', 'm': 'm', 'f': 'f', 'd': 't', 't': 'tʰ', 'n': 'n', 'l': 'l', 'g': 'k', 'k': 'kʰ',
  'h': 'x', 'j': 'ʨ', 'q': 'ʨʰ', 'x': 'ɕ', 'zh': 'ꭧ', 'ch': 'ꭧʰ', 'sh': 'ʂ', 'r': 'ɻ', 'z': 'ʦ', 'c': 'ʦʰ', 's': 's',
}  # fmt: skip
# '0' is the place of the tone's arrow.
TEACHER_FINALS = {
  'a': 'a0', 'o': 'ɔ0', 'e': 'ɤ0', 'eh': 'ɛ0', 'ai': 'ai0', 'ei': 'ei0', 'ao': 'au0', 'ou': 'ou0', 'an': 'a0n',
  'en': 'ə0n', 'ang': 'a0ŋ', 'eng': 'ə0ŋ', 'ong': 'ʊ0ŋ', 'er': 'ɚ0', 'i': 'i0', 'ii': 'ɨ0', 'iii': 'ɨ0', 'ia': 'ja0',
  'ie': 'je0', 'io': 'jɔ0', 'iao': 'jau0', 'iou': 'jou0', 'ian': 'jɛ0n', 'in': 'i0n', 'iang': 'ja0ŋ', 'ing': 'i0ŋ',
  'iong': 'jʊ0ŋ', 'u': 'u0', 'ua': 'wa0', 'uo': 'wo0', 'uai': 'wai0', 'uei': 'wei0', 'uan': 'wa0n', 'uen': 'wə0n',
  'uang': 'wa0ŋ', 'ueng': 'wə0ŋ', 'v': 'y0', 've': 'ɥe0', 'van': 'ɥɛ0n', 'vn': 'y0n', 'm': 'm0', 'n': 'n0',
  'ng': 'ŋ0',
}  # fmt: skip
# Punctuation that the teacher's alphabet writes differently.
TEACHER_MARKS = {
  '、': ', ', '，': ', ', '。': '. ', '．': '. ', '！': '! ', '？': '? ', '：': ': ', '；': '; ', '⋯': '…', "'": '"',
  '·': ' ',
  **dict.fromkeys('–-～~', '—'), **dict.fromkeys('《「『〈【（(«‘', ' “'), **dict.fromkeys('》」』〉】）)»’', '” '),
}  # fmt: skip


def mandarin_phonemes(text: str) -> tuple[str, tuple[Syllable, ...]]:
  """The teacher's symbols of a line of Mandarin, and the line's syllables.

  Raises BadInput for a line without a syllable, and for a character of unknown pronunciation
  (dubber_jax/script/mandarin.py).
  """
  teacher, syllables, before = '', [], None
  for word in split_words(text):
    if word.syllables:
      apart = ' ' if before and before.syllables else ''
      teacher += apart + ''.join(spell(syllable) for syllable in word.syllables)
      syllables += word.syllables
    else:
      teacher += ' ' if word.text.isspace() else TEACHER_MARKS.get(word.text, word.text)
    before = word
  if not syllables:
    raise BadInput(f'nothing in the line {text.strip()[:60]!r} can be spoken: give words in Chinese')
  return teacher.strip(), tuple(syllables)


def spell(syllable: Syllable) -> str:
  """The teacher's symbols of a syllable."""
  initial = 'h' if syllable.initial and syllable.final in ('m', 'ng') else TEACHER_INITIALS[syllable.initial]  # hm, hng
  return initial + spell_final(syllable)


def spell_final(syllable: Syllable) -> str:
  return TEACHER_FINALS[syllable.final].replace('0', ARROWS[syllable.tone])


def map_mandarin(teacher: str, durations: Sequence[int], syllables: Sequence[Syllable]) -> tuple[list[str], np.ndarray]:
  """The actor's symbols (N,) of the teacher's, and their durations (N,) in int steps of 25 ms.

  teacher, syllables: as `mandarin_phonemes` gives them. durations (len(teacher) + 2,): of the leading silence, of each
  symbol of `teacher` and of the trailing silence; their sum is preserved. A tone's arrow belongs to its final. Between
  two words stands their strongest punctuation mark, or '@sp'; `teacher_symbols.place` finds the pauses and the lag of
  the durations. Raises BadInput where symbols and syllables do not match.
  """
  steps = [int(d) for d in durations]
  if len(steps) != len(teacher) + 2:
    raise BadInput(f'{len(steps)} durations for the {len(teacher)} symbols of {teacher!r}, which need two more')
  symbols, lengths, at = ['@sil'], steps[:1], 0

  def take(end: int) -> int:
    nonlocal at
    spent, at = sum(steps[at + 1 : end + 1]), end
    return spent

  for number, syllable in enumerate([*syllables, None]):
    gap = at
    while gap < len(teacher) and (teacher[gap] in PUNCTUATION_OF or teacher[gap] in UNSPOKEN):
      gap += 1
    marks = [PUNCTUATION_OF[c] for c in teacher[at:gap] if c in PUNCTUATION_OF]
    if marks or (at < gap and number and syllable):
      symbols.append(max(marks, key=STRENGTH.index) if marks else '@sp')
      lengths.append(take(gap))
    else:
      lengths[-1] += take(gap)
    if syllable is None:
      break
    if not teacher.startswith(spell(syllable), at):
      raise BadInput(f'{"".join(syllable.symbols)} is not at {at} of {teacher!r}')
    final = len(spell_final(syllable))
    end = at + len(spell(syllable))
    symbols += syllable.symbols
    lengths += [take(cut) for cut in (end - final, end) if at < cut]
  if at < len(teacher):
    raise BadInput(f'{teacher[at]!r} at {at} of {teacher!r} is of no syllable')
  return [*symbols, '@sil'], np.array([*lengths, steps[-1]], np.int32)
