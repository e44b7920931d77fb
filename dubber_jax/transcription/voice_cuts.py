"""The cleanest stretch of each speaker, cut from the film as a reference recording of their voice."""

from collections.abc import Sequence

import numpy as np

from dubber_jax.media.film import Film
from dubber_jax.transcription.utterances import Utterance
from dubber_jax.types import SAMPLE_RATE

WANTED = 6.0  # s of speech
MOST = 12.0  # s
LEAST = 1.0  # s, of a recording that can be used at all
MARGIN = 0.12  # s kept around a stretch, where nobody else speaks
JOIN = 1.0  # s of pause within a stretch
GAP = 0.15  # s of silence between stretches that are put together
FADE = 0.01  # s
TRIED = 6  # stretches of a speaker that are listened to

Span = tuple[float, float]


def cut_voice(film: Film, utterances: Sequence[Utterance], names: Sequence[str], speaker: str) -> np.ndarray:
  """The reference recording of a speaker, (S,) float32 at SAMPLE_RATE; empty where there is less than LEAST s.

  One stretch of at least WANTED s where there is one, else the cleanest put together. Nobody else speaks in it, as far
  as is known. Cleanest: the greatest difference between the level of its speech and that of its quietest tenth.
  """
  spans = speaker_spans(utterances, names, speaker, film.seconds)
  long = [span for span in spans if span[1] - span[0] >= WANTED]
  tried = sorted(long or spans, key=lambda span: span[0] - span[1])[:TRIED]
  heard = [(span, _cut(film, span)) for span in tried]
  heard.sort(key=lambda pair: -cleanness(pair[1]) - (0.0 if long else 2.0 * (pair[0][1] - pair[0][0])))
  kept, seconds = [], 0.0
  for span, wave in heard:
    if kept and seconds >= WANTED:
      break
    kept.append(wave)
    seconds += span[1] - span[0]
  if seconds < LEAST:
    return np.zeros(0, np.float32)
  silence = np.zeros(round(GAP * SAMPLE_RATE), np.float32)
  pieces = [piece for wave in kept for piece in (silence, wave)]
  return np.concatenate(pieces[1:])[: round(2 * MOST * SAMPLE_RATE)]


def speaker_spans(utterances: Sequence[Utterance], names: Sequence[str], speaker: str, seconds: float) -> list[Span]:
  """Stretches (start s, end s) in which a speaker talks and nobody else does, of at most MOST s."""
  order = sorted(range(len(utterances)), key=lambda i: utterances[i].start)
  others = [(utterances[i].start, utterances[i].end) for i in order if names[i] != speaker]
  spans: list[Span] = []
  for i in order:
    if names[i] != speaker:
      continue
    start, end = utterances[i].start, utterances[i].end
    if any(start < stop and end > begin for begin, stop in others):
      continue
    if spans and start - spans[-1][1] <= JOIN and end - spans[-1][0] <= MOST:
      between = any(spans[-1][1] < stop and start > begin for begin, stop in others)
      if not between:
        spans[-1] = (spans[-1][0], end)
        continue
    spans.append((start, min(end, start + MOST)))
  return [_widened(span, others, seconds) for span in spans]


def _widened(span: Span, others: Sequence[Span], seconds: float) -> Span:
  before = max((stop for _, stop in others if stop <= span[0]), default=0.0)
  after = min((begin for begin, _ in others if begin >= span[1]), default=seconds)
  return max(before, span[0] - MARGIN, 0.0), min(after, span[1] + MARGIN, seconds)


def cleanness(wave: np.ndarray) -> float:
  """Level of the speech over that of the quietest tenth, in dB, of a wave (S,) at SAMPLE_RATE; at most 60."""
  size = SAMPLE_RATE // 50
  frames = wave[: len(wave) // size * size].reshape(-1, size)
  if not len(frames):
    return 0.0
  levels = np.sort(10 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-10))
  return float(min(levels[int(0.9 * len(levels))] - levels[int(0.1 * len(levels))], 60.0))


def _cut(film: Film, span: Span) -> np.ndarray:
  wave = np.array(film.mono_span(*span), np.float32)
  size = min(round(FADE * SAMPLE_RATE), len(wave) // 2)
  ramp = np.linspace(0, 1, size, dtype=np.float32)
  wave[:size] *= ramp
  wave[len(wave) - size :] *= ramp[::-1]
  return wave
