"""Viseme classes of the phonemes.

A coarse version of the classes of Fisher (1968, Journal of Speech and Hearing Research 11) that lip contours can
distinguish: voicing, nasality and tongue positions are invisible. Mandarin finals have the class of the vowel with the
strongest lip shape.
"""

from collections.abc import Iterable

import numpy as np

from dubber_jax.script.symbols import BASE_OF, SILENCES, SYMBOLS

# By name: English phonemes; Mandarin initials and finals.
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
  """{symbol: class} of all SYMBOLS."""
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


def visemes_of(symbols: Iterable[str]) -> np.ndarray:
  """Viseme classes (N,) int32, indices into NAMES, of symbols of SYMBOLS; pauses and punctuation are silence."""
  return np.array([CLASS_OF[s] for s in symbols], np.int32)
