"""The symbol table: English phonemes with stress, punctuation, and Mandarin initials and finals with tone.

Ids are indices into SYMBOLS. They are stored in checkpoints, packed features and exported artifacts, so the table is
only ever extended at its end: 0 is padding, 1 to 87 are the ARPAbet of the published system, 88 to 95 punctuation, and
from 96 on Mandarin. A model of English only embeds the first ENGLISH of them.

A Mandarin syllable is an initial, where it has one, and a final with its tone: 'zh:ch', 'zh:uang2'. Finals are those
of strict pinyin (GB/T 16159; `v` for u with two dots), with the apical vowels of zi, ci, si (`ii`) and of zhi, chi,
shi, ri (`iii`) apart from `i`, the interjections `io` and `eh`, and the syllabic nasals. Tone 5 is the neutral one. The
suffix of erhua is the syllable `er`, as the teacher of Mandarin (data_pipelines/teacher_mandarin.py) speaks it.
"""

import numpy as np

LANGUAGES = ('en', 'zh')  # language ids are indices

VOWELS = ('AA', 'AE', 'AH', 'AO', 'AW', 'AY', 'EH', 'ER', 'EY', 'IH', 'IY', 'OW', 'OY', 'UH', 'UW')
CONSONANTS = (
  'B',
  'CH',
  'D',
  'DH',
  'F',
  'G',
  'HH',
  'JH',
  'K',
  'L',
  'M',
  'N',
  'NG',
  'P',
  'R',
  'S',
  'SH',
  'T',
  'TH',
  'V',
  'W',
  'Y',
  'Z',
  'ZH',
)

# The table of the published system (spec, section 10): ids 0 to 86 there.
ARPABET_87 = tuple(
  '@' + code + stress
  for code in sorted(VOWELS + CONSONANTS)
  for stress in (('', '0', '1', '2') if code in VOWELS else ('',))
) + ('@sp', '@spn', '@sil')
PUNCTUATION = (',', '.', '?', '!', ';', ':', '-', '...')
STRENGTH = ('-', ',', ':', ';', '.', '...', '!', '?')  # of adjacent marks the strongest (last) is kept
PADDING = '_'

INITIALS = ('b', 'p', 'm', 'f', 'd', 't', 'n', 'l', 'g', 'k', 'h', 'j', 'q', 'x', 'zh', 'ch', 'sh', 'r', 'z', 'c', 's')
FINALS = (
  'a', 'o', 'e', 'eh', 'ai', 'ei', 'ao', 'ou', 'an', 'en', 'ang', 'eng', 'ong', 'er', 'i', 'ii', 'iii', 'ia', 'ie',
  'io', 'iao', 'iou', 'ian', 'in', 'iang', 'ing', 'iong', 'u', 'ua', 'uo', 'uai', 'uei', 'uan', 'uen', 'uang', 'ueng',
  'v', 've', 'van', 'vn', 'm', 'n', 'ng',
)  # fmt: skip
TONES = (1, 2, 3, 4, 5)
MANDARIN = tuple(f'zh:{i}' for i in INITIALS) + tuple(f'zh:{f}{tone}' for f in FINALS for tone in TONES)

SYMBOLS = (PADDING,) + ARPABET_87 + PUNCTUATION + MANDARIN
ENGLISH = len(SYMBOLS) - len(MANDARIN)  # symbols of a model without Mandarin
SILENCES = frozenset(('@sp', '@spn', '@sil') + PUNCTUATION)  # symbols without speech


def _base_and_tone(symbol: str) -> tuple[str, int]:
  if symbol.startswith('zh:') and symbol[-1].isdigit():
    return symbol[:-1] + '1', int(symbol[-1]) + 3
  if symbol[1:-1] in VOWELS:
    return symbol[:-1], int(symbol[-1]) + 1
  return symbol, 0


# Factors of the embedding by id. BASE_OF (S,): id of the symbol's first variant, shared by the stresses of a vowel and
# the tones of a final; at most the id itself. TONE_OF (S,): 0 none, 1 to 3 stress 0, 1, 2 of
# English, 4 to 8 tones 1 to 5 of Mandarin.
BASE_OF = np.array([SYMBOLS.index(_base_and_tone(s)[0]) for s in SYMBOLS], np.int32)
TONE_OF = np.array([_base_and_tone(s)[1] for s in SYMBOLS], np.int32)
NUM_TONES = 9
