"""Automatic speech recognition (ASR) by pocketsphinx, offline, for recordings without a transcript.

Its words are often wrong but phonetically close, which is sufficient for speaker adaptation.
"""

import functools
import os
import threading

import numpy as np

from dubber_jax.script.alignment import FRAME, to_int16

Word = tuple[float, float, str]  # start s, end s, as written

MAX_PIECE = 6.5  # s
MIN_PIECE = 1.0  # s, where the pauses allow it


def recognize(wave16k: np.ndarray) -> list[Word]:
  """(S,) float32 at 16 kHz -> the recognized words in order. Raises BadInput for silent or damaged sound."""
  raw = to_int16(np.asarray(wave16k, np.float32)).tobytes()
  lock, decoder = _decoder()
  with lock:
    try:
      decoder.start_utt()
      decoder.process_raw(raw, full_utt=True)
      decoder.end_utt()
      heard = [(s.start_frame * FRAME, (s.end_frame + 1) * FRAME, s.word) for s in decoder.seg() or ()]
    except RuntimeError:
      return []
  # Alternative pronunciations are 'read(2)'; non-words are in brackets.
  return [(start, end, word.split('(')[0]) for start, end, word in heard if word[0] not in '<[+']


def split_at_pauses(words: list[Word], longest: float = MAX_PIECE) -> list[list[Word]]:
  """Splits words at the longest pauses into pieces of at most `longest` s."""
  if not words:
    return []
  first, last = words[0][0], words[-1][1]
  if last - first <= longest or len(words) == 1:
    return [words]
  inner = [i for i in range(1, len(words)) if words[i - 1][1] - first >= MIN_PIECE and last - words[i][0] >= MIN_PIECE]
  at = max(inner or range(1, len(words)), key=lambda i: words[i][0] - words[i - 1][1])
  return split_at_pauses(words[:at], longest) + split_at_pauses(words[at:], longest)


def transcript(words: list[Word]) -> str:
  """The text of recognized words."""
  return ' '.join(word.strip() for _, _, word in words)


@functools.cache
def _decoder():
  import pocketsphinx

  folder = os.path.join(pocketsphinx.get_model_path(), 'en-us')
  return threading.Lock(), pocketsphinx.Decoder(
    hmm=os.path.join(folder, 'en-us'),
    lm=os.path.join(folder, 'en-us.lm.bin'),
    dict=os.path.join(folder, 'cmudict-en-us.dict'),
    cmn='batch',
    loglevel='FATAL',
  )
