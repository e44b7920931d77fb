"""Forced alignment of words and phonemes to a recording, with the acoustic model of pocketsphinx.

Pronunciations are those of g2p.py, so the result has the symbols that the actor is trained on. The acoustic model
ignores stress; the result keeps it.
"""

import functools
import math
import os
import threading
from dataclasses import dataclass

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.script.g2p import Phonemes, phonemize
from dubber_jax.script.symbols import SILENCES
from dubber_jax.types import HOP, SAMPLE_RATE

RATE = 16000  # Hz, sample rate of the acoustic model
FRAME = 0.01  # s, frame of the acoustic model
SHORT_PAUSE = 0.06  # s: a shorter silence between words is part of the preceding word
STOPS = frozenset(('P', 'B', 'T', 'D', 'K', 'G', 'CH', 'JH'))
MAX_TAIL = 0.08  # s
MAX_STOP, MAX_EDGE = 0.12, 0.3  # s: a longer phoneme at a word's edge may contain silence


@dataclass(frozen=True)
class Alignment:
  """Times of the N symbols of a recording, contiguous from 0 to its end.

  A punctuation mark has the time of the pause, zero length where there is none; a pause without a punctuation mark is
  '@sp'. `words`: (start s, end s, word) of each spoken word.
  """

  phonemes: tuple[str, ...]
  starts: np.ndarray  # (N,) s
  ends: np.ndarray  # (N,) s
  words: tuple[tuple[float, float, str], ...]


def align(wave16k: np.ndarray, text: str | Phonemes, lexicon: dict[str, tuple[str, ...]] | None = None) -> Alignment:
  """Aligns `text` (a str, or its Phonemes) to a recording (S,) float32 at 16 kHz.

  Raises BadInput where alignment fails, and for sound that is silent or too short.
  """
  phonemes = text if isinstance(text, Phonemes) else phonemize(text, lexicon)
  wave = np.asarray(wave16k, np.float32)
  seconds = len(wave) / RATE
  spoken = sum(symbol not in SILENCES for symbol in phonemes.symbols)
  if seconds < spoken * 3 * FRAME:
    raise BadInput(f'{seconds:.2f} s of sound is too short for {spoken} phonemes: is the text of this sound?')
  pronunciations = [[] for _ in phonemes.words]
  for symbol, word in zip(phonemes.symbols, phonemes.word_of, strict=True):
    if word >= 0:
      pronunciations[word].append(symbol)
  times = _decode(to_int16(wave), pronunciations)
  if times is not None:
    times = _trim_silence(times, pronunciations, wave)
  if times is None:
    words = ' '.join(phonemes.words)
    raise BadInput(f'the words {words[:60]!r} were not found in the sound: is the text of this sound?')
  return _fill_gaps(phonemes, times, seconds)


def durations_in_frames(alignment: Alignment, num_frames: int) -> np.ndarray:
  """Durations of the symbols in mel frames (256 samples at 22,050 Hz), (N,) int32; their sum is `num_frames`."""
  edges = np.rint(np.concatenate([alignment.starts, alignment.ends[-1:]]) * SAMPLE_RATE / HOP).astype(np.int32)
  edges = np.minimum(edges, num_frames)
  edges[0], edges[-1] = 0, num_frames
  return np.diff(edges).astype(np.int32)


def to_int16(wave: np.ndarray) -> np.ndarray:
  """Normalizes the level of (S,) -> int16, with weak noise added: the model has not seen digital silence. Raises
  BadInput for silence."""
  wave = wave - wave.mean() if wave.size else wave
  peak = float(np.percentile(np.abs(wave), 99.9)) if wave.size else 0.0
  if not math.isfinite(peak) or peak < 1e-5:
    raise BadInput('the sound is silent or broken: there is nothing to align')
  noise = np.random.default_rng(0).uniform(-2, 2, len(wave))
  return np.clip(wave * (20000 / peak) + noise, -32768, 32767).astype(np.int16)


@functools.cache
def _decoder():
  import pocketsphinx

  # bestpath makes the second pass fail; wide beams keep the only path.
  return threading.Lock(), set(), pocketsphinx.Decoder(
    hmm=os.path.join(pocketsphinx.get_model_path(), 'en-us', 'en-us'), lm=None, dict=None, bestpath=False,
    cmn='batch', beam=1e-100, wbeam=1e-100, pbeam=1e-100, silprob=0.9, loglevel='FATAL',
  )  # fmt: skip


def _decode(samples, pronunciations):
  """-> for each word the (start s, end s) of its phonemes, or None where alignment fails."""
  lock, known, decoder = _decoder()
  names = ['_'.join(_without_stress(p) for p in word) for word in pronunciations]
  raw = samples.tobytes()
  with lock:
    for name in names:
      if name not in known:
        decoder.add_word(name, name.replace('_', ' '), False)
        known.add(name)
    try:
      decoder.set_align_text(' '.join(names))
      for step in range(2):  # words, then the phonemes in them
        if step:
          decoder.set_alignment()
        decoder.start_utt()
        decoder.process_raw(raw, full_utt=True)
        decoder.end_utt()
      entries = [
        (word.name, [(phone.start * FRAME, (phone.start + phone.duration) * FRAME) for phone in word])
        for word in decoder.get_alignment()
      ]
    except RuntimeError:
      return None
  entries = [entry for entry in entries if not entry[0].startswith(('<', '['))]
  if [name.split('(')[0] for name, _ in entries] != names:
    return None
  return [phones for _, phones in entries]


def _trim_silence(times, pronunciations, wave):
  """Trims silence from the first and last phoneme of each word, by the level of the sound.

  The model takes room noise for the closure of a stop: a 'P' would begin up to 0.6 s too early.
  """
  frame = int(RATE * FRAME)
  blocks = wave[: len(wave) // frame * frame].reshape(-1, frame).astype(np.float64)
  power = np.convolve(np.square(blocks - wave.mean()).mean(axis=1), np.ones(3) / 3, 'same')
  level = 10 * np.log10(power + 1e-10)
  floor, speech = np.percentile(level, [10, 90])
  loud = level > floor + 0.3 * (speech - floor)

  trimmed = []
  for word, codes in zip(times, pronunciations, strict=True):
    word = list(word)
    (start, first_end), stop = word[0], _without_stress(codes[0]) in STOPS
    if first_end - start > (MAX_STOP if stop else MAX_EDGE):
      closure = 0.04 if stop else 0.02
      quiet = np.flatnonzero(~loud[round(start / FRAME) : round(first_end / FRAME) - 2])
      if len(quiet):
        word[0] = (max(start, start + (quiet[-1] + 1) * FRAME - closure), first_end)
    (last_start, end), stop = word[-1], _without_stress(codes[-1]) in STOPS
    if end - last_start > (MAX_STOP if stop else MAX_EDGE):
      heard = np.flatnonzero(loud[round(last_start / FRAME) : round(end / FRAME)])
      last = (heard[-1] + 1) * FRAME + 0.02 if len(heard) else 0.08
      word[-1] = (last_start, min(end, last_start + max(last, 3 * FRAME)))
    trimmed.append(word)
  for i, word in enumerate(trimmed):  # decay before a pause: extends the last phoneme while the level is high
    limit = trimmed[i + 1][0][0] if i + 1 < len(trimmed) else len(loud) * FRAME
    last_start, end = word[-1]
    if limit - end >= SHORT_PAUSE:
      tail = loud[round(end / FRAME) : round(min(end + MAX_TAIL, limit - SHORT_PAUSE) / FRAME)]
      word[-1] = (last_start, end + FRAME * (len(tail) if tail.all() else int(np.argmin(tail))))
  return trimmed


def _without_stress(symbol):
  return symbol.lstrip('@').rstrip('012')


def _fill_gaps(phonemes, times, seconds):
  """Times of words -> Alignment without gaps: pauses belong to punctuation, '@sp' or the preceding word."""
  times = [[(min(s, seconds), min(e, seconds)) for s, e in word] for word in times]
  ends_to = [word[-1][1] for word in times]
  for i in range(len(times) - 1):
    if times[i + 1][0][0] - ends_to[i] < SHORT_PAUSE:
      ends_to[i] = times[i + 1][0][0]
  spoken = zip(times, ends_to, phonemes.words, strict=True)
  words = tuple((word[0][0], end, text) for word, end, text in spoken)

  symbols, starts = [], []
  word, phone = -1, 0
  for i, (symbol, index) in enumerate(zip(phonemes.symbols, phonemes.word_of, strict=True)):
    if index >= 0:
      if index != word:
        word, phone = index, 0
        if phonemes.word_of[i - 1] >= 0 and words[word][0] > words[word - 1][1]:
          symbols.append('@sp')
          starts.append(words[word - 1][1])
      start = times[word][phone][0]
      phone += 1
    elif word < 0:  # '@sil', then punctuation before the first word, of zero length
      start = 0.0 if symbol == '@sil' else words[0][0]
    else:
      start = words[word][1]
    symbols.append(symbol)
    starts.append(start)
  starts = np.maximum.accumulate(np.array(starts))
  return Alignment(tuple(symbols), starts, np.append(starts[1:], seconds), words)
