"""Viseme classes: which phonemes look alike on the lips.

A coarse version of the classes of Fisher (1968, Journal of Speech and Hearing Research 11): only what lip contours can
show. Voicing, nasality and what the tongue does behind the teeth are invisible. Mandarin finals count by the vowel that
shapes the lips most.
"""

import numpy as np

from dubber_jax.script.symbols import BASE_OF, SILENCES, SYMBOLS

# By name: phonemes of English; initials and finals of Mandarin.
VISEMES = {
  'silence': ('', ''),
  'bilabial': ('P B M', 'b p m m1'),  # lips closed
  'labiodental': ('F V', 'f'),  # lower lip at the upper teeth: nearly closed
  'rounded': ('W UW UH OW AO OY', 'o ou ong iong u ua uo uai uei uan uen uang ueng v ve van vn io iou'),
  'protruded': ('R ER CH JH SH ZH', 'zh ch sh r iii er'),
  'dental': ('TH DH', ''),
  'alveolar': ('T D N S Z L', 'd t n l j q x z c s ii n1'),
  'velar': ('K G NG HH Y', 'g k h ng1'),
  'open': ('AA AE AH AW AY', 'a ai ao an ang ia iao iang'),  # jaw low
  'front': ('EH EY IH IY', 'e eh ei en eng i ie ian in ing'),  # lips spread
}
NAMES = tuple(VISEMES)
SILENT = NAMES.index('silence')


def _classes():
  """A class for each of SYMBOLS."""
  english = {phone: i for i, (phones, _) in enumerate(VISEMES.values()) for phone in phones.split()}
  mandarin = {part: i for i, (_, parts) in enumerate(VISEMES.values()) for part in parts.split()}
  classes = {}
  for i, symbol in enumerate(SYMBOLS):
    base = SYMBOLS[BASE_OF[i]]
    if symbol in SILENCES or not i:
      classes[symbol] = SILENT
    elif base.startswith('zh:'):  # 'zh:n' is an initial, 'zh:n1' a final
      classes[symbol] = mandarin.get(base[3:], mandarin.get(base[3:].rstrip('1')))
    else:
      classes[symbol] = english[base.lstrip('@').rstrip('012')]
  return classes


CLASS_OF = _classes()


def visemes_of(symbols) -> np.ndarray:
  """(N,) int32 classes (places in NAMES) of symbols of `symbols.SYMBOLS`; pauses and punctuation are silence."""
  return np.array([CLASS_OF[s] for s in symbols], np.int32)
