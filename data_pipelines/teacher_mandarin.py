"""What the teacher (Kokoro-82M) is given of Mandarin, and where in its speech our initials and finals are.

Kokoro learned Mandarin from misaki's transcription (version 1.0, `misaki.zh`): IPA, with an arrow for the tone after
the vowel, words apart by a space. It is spelled here from the very syllables whose symbols the actor learns, so that
text, pinyin and teacher agree; TEACHER_INITIALS and TEACHER_FINALS are what misaki writes for every syllable of
pypinyin's dictionary, but for `yo`, which it takes for `wo`.
"""

from collections.abc import Sequence

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.script.mandarin import PUNCTUATION_OF, UNSPOKEN, Syllable, split_words
from dubber_jax.script.symbols import STRENGTH

VOICES = tuple('zf_xiaobei zf_xiaoni zf_xiaoxiao zf_xiaoyi zm_yunjian zm_yunxi zm_yunxia zm_yunyang'.split())
ARROWS = ('', '→', '↗', '↓', '↘', '')  # by tone; the neutral one has none
TEACHER_INITIALS = {
  '': '', 'b': 'p', 'p': 'pʰ', 'm': 'm', 'f': 'f', 'd': 't', 't': 'tʰ', 'n': 'n', 'l': 'l', 'g': 'k', 'k': 'kʰ',
  'h': 'x', 'j': 'ʨ', 'q': 'ʨʰ', 'x': 'ɕ', 'zh': 'ꭧ', 'ch': 'ꭧʰ', 'sh': 'ʂ', 'r': 'ɻ', 'z': 'ʦ', 'c': 'ʦʰ', 's': 's',
}  # fmt: skip
# '0' is where the arrow goes.
TEACHER_FINALS = {
  'a': 'a0', 'o': 'ɔ0', 'e': 'ɤ0', 'eh': 'ɛ0', 'ai': 'ai0', 'ei': 'ei0', 'ao': 'au0', 'ou': 'ou0', 'an': 'a0n',
  'en': 'ə0n', 'ang': 'a0ŋ', 'eng': 'ə0ŋ', 'ong': 'ʊ0ŋ', 'er': 'ɚ0', 'i': 'i0', 'ii': 'ɨ0', 'iii': 'ɨ0', 'ia': 'ja0',
  'ie': 'je0', 'io': 'jɔ0', 'iao': 'jau0', 'iou': 'jou0', 'ian': 'jɛ0n', 'in': 'i0n', 'iang': 'ja0ŋ', 'ing': 'i0ŋ',
  'iong': 'jʊ0ŋ', 'u': 'u0', 'ua': 'wa0', 'uo': 'wo0', 'uai': 'wai0', 'uei': 'wei0', 'uan': 'wa0n', 'uen': 'wə0n',
  'uang': 'wa0ŋ', 'ueng': 'wə0ŋ', 'v': 'y0', 've': 'ɥe0', 'van': 'ɥɛ0n', 'vn': 'y0n', 'm': 'm0', 'n': 'n0',
  'ng': 'ŋ0',
}  # fmt: skip
# Of what stands between words, where it is not written to the teacher as it is.
TEACHER_MARKS = {
  '、': ', ', '，': ', ', '。': '. ', '．': '. ', '！': '! ', '？': '? ', '：': ': ', '；': '; ', '⋯': '…', "'": '"',
  '·': ' ',
  **dict.fromkeys('–-～~', '—'), **dict.fromkeys('《「『〈【（(«‘', ' “'), **dict.fromkeys('》」』〉】）)»’', '” '),
}  # fmt: skip


def mandarin_phonemes(text: str) -> tuple[str, tuple[Syllable, ...]]:
  """What the teacher reads for a line of Mandarin, and the line's syllables.

  Raises BadInput for an empty line, one in which nothing is spoken, and a character that cannot be read
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
  """A syllable in the teacher's symbols."""
  initial = 'h' if syllable.initial and syllable.final in ('m', 'ng') else TEACHER_INITIALS[syllable.initial]  # hm, hng
  return initial + spell_final(syllable)


def spell_final(syllable: Syllable) -> str:
  return TEACHER_FINALS[syllable.final].replace('0', ARROWS[syllable.tone])


def map_mandarin(teacher: str, durations, syllables: Sequence[Syllable]) -> tuple[list[str], np.ndarray]:
  """Our symbols (N,) of what the teacher spoke, and how long each is, (N,) int steps of 25 ms.

  teacher, syllables: as `mandarin_phonemes` gives them. durations: of each symbol of `teacher`, between the silence
  before the first and that after the last, (len(teacher) + 2,), whose sum is kept. A tone's arrow belongs to its final.
  Between two words stands their mark, the strongest where there are several, or '@sp': where the pauses are, and how
  far the sound is before the durations, is for `teacher_symbols.place` to find out. Raises BadInput where a symbol
  of `teacher` belongs to no syllable, and where a syllable is not there.
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
