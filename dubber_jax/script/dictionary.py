"""English pronunciation dictionary: the word list of gruut, and ARPAbet for letter names and for interjections.

gruut itself looks up the pronunciations (g2p.py); the word list decides what is a word, what is spelled out and what
is a guess.
"""

import functools

LETTER_NAMES = {
  'a': 'EY1', 'b': 'B IY1', 'c': 'S IY1', 'd': 'D IY1', 'e': 'IY1', 'f': 'EH1 F', 'g': 'JH IY1',
  'h': 'EY1 CH', 'i': 'AY1', 'j': 'JH EY1', 'k': 'K EY1', 'l': 'EH1 L', 'm': 'EH1 M', 'n': 'EH1 N',
  'o': 'OW1', 'p': 'P IY1', 'q': 'K Y UW1', 'r': 'AA1 R', 's': 'EH1 S', 't': 'T IY1', 'u': 'Y UW1',
  'v': 'V IY1', 'w': 'D AH1 B AH0 L Y UW0', 'x': 'EH1 K S', 'y': 'W AY1', 'z': 'Z IY1',
}  # fmt: skip
# Interjections that gruut's dictionary lacks.
INTERJECTIONS = {
  'hm': 'HH AH1 M', 'hmm': 'HH AH1 M', 'hmmm': 'HH AH1 M', 'mm': 'M', 'mmm': 'M', 'uh': 'AH1', 'um': 'AH1 M',
  'huh': 'HH AH1', 'shh': 'SH', 'sh': 'SH', 'ah': 'AA1', 'aah': 'AA1', 'argh': 'AA1 R G', 'ugh': 'AH1 G',
  'er': 'ER1', 'psst': 'P S T', 'pst': 'P S T', 'pfft': 'P F T', 'tsk': 'T S K', 'grr': 'G R', 'gr': 'G R',
  'brr': 'B R', 'br': 'B R', 'zz': 'Z', 'zzz': 'Z', 'mhm': 'M HH AH1 M', 'hmph': 'HH AH1 M F', 'ssh': 'SH',
  'ooh': 'UW1', 'oh': 'OW1', 'eh': 'EH1', 'nah': 'N AA1', 'yeah': 'Y AE1',
}  # fmt: skip


@functools.cache
def _dictionary_words() -> frozenset[str]:
  import os
  import sqlite3

  import gruut_lang_en

  path = os.path.join(os.path.dirname(gruut_lang_en.__file__), 'lexicon.db')
  connection = sqlite3.connect(path)
  try:
    return frozenset(word for (word,) in connection.execute('SELECT DISTINCT word FROM word_phonemes'))
  finally:
    connection.close()


def in_dictionary(word: str) -> bool:
  """Whether gruut's dictionary has the word, in any case."""
  return word.lower() in _dictionary_words()
