"""Automatic speech recognition with word times, by Whisper (Radford et al. 2022) as faster-whisper runs it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.script.asr import Word

RATE = 16000  # Hz
INSTALL = 'uv pip install "dubber_jax[transcribe]"'


class Recognizer(Protocol):
  """Speech to words."""

  name: str

  def recognize(self, wave16k: np.ndarray, language: str = '') -> tuple[list[Word], str]:
    """(S,) float32 at 16 kHz -> the words in order, as written, with their times in s, and the language ('en').

    language: of the speech; '': to be detected.
    """
    ...


class FasterWhisper:
  """Whisper, int8 on the CPU, with beam search over 5; about a third of real time on two cores (base).

  weights: a folder of CTranslate2 weights, or the name of a size ('base', 'small', 'large-v3'), which faster-whisper
  downloads. Raises BadInput where faster-whisper or the weights are missing.
  """

  def __init__(self, weights: str | Path, threads: int = 0):
    try:
      from faster_whisper import WhisperModel
    except ImportError as error:
      raise BadInput(f'speech recognition needs the Python module faster_whisper ({error}): {INSTALL}') from error
    logging.getLogger('faster_whisper').setLevel(logging.ERROR)
    try:
      self._model = WhisperModel(str(weights), device='cpu', compute_type='int8', cpu_threads=threads)
    except Exception as error:  # of a download, a missing folder or damaged weights: each library has its own
      why = ' '.join(str(error).split())[:120]
      raise BadInput(
        f'--asr-model {weights}: cannot be loaded ({why}); give a folder of CTranslate2 weights, or a size as base, '
        'where the network is there'
      ) from error
    self.name = f'faster-whisper {Path(weights).name}'

  def recognize(self, wave16k: np.ndarray, language: str = '') -> tuple[list[Word], str]:
    peak = float(np.abs(wave16k).max(initial=0.0))
    if peak < 1e-4:
      return [], language
    segments, info = self._model.transcribe(
      np.asarray(wave16k / peak * 0.7, np.float32),  # very quiet speech is not recognized
      language=language or None,
      beam_size=5,
      condition_on_previous_text=False,  # or a loop in one segment goes on in all
      word_timestamps=True,
      vad_filter=True,
      hallucination_silence_threshold=2.0,
    )
    words = [(float(w.start), float(w.end), w.word) for segment in segments for w in segment.words or ()]
    return joined_words(words), info.language


def joined_words(tokens: list[Word]) -> list[Word]:
  """Whisper's words, which begin with a space, from its tokens: "well", "-known" are one."""
  words: list[Word] = []
  for start, end, text in tokens:
    if words and not text.startswith(' '):
      words[-1] = (words[-1][0], end, words[-1][2] + text.strip())
    elif text.strip():
      words.append((start, end, text.strip()))
  return words


Progress = Callable[[float, float], None]  # s that are heard, of how many
