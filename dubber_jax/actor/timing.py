"""Lip-synchronized durations: forced alignment of the line's phonemes with the visemes recognized in the video.

Viterbi search of a hidden semi-Markov model over mel frames. The score of a segment is the sum of its viseme class's
frame scores, so that bilabials align with closed lips, open vowels with an open mouth and pauses with a mouth at rest,
plus a log-normal prior of its duration about the predicted one.
"""

import numpy as np

from dubber_jax.script.symbols import SILENCES
from dubber_jax.script.visemes import visemes_of

SPREAD = 0.5  # standard deviation of log duration about the predicted one
PAUSE_SPREAD = 1.0  # the same for pauses within the line
SHORTEST, LONGEST = 1 / 1.8, 1 / 0.6  # limits relative to the natural duration; vowels can be held on an open mouth
TRUST = 0.5  # weight of the viseme scores, below 1 since those of neighboring frames are correlated
NEW_PAUSE = 3.0  # cost of a pause that was not predicted, nats
LEAST_PAUSE, MOST_PAUSE = 12, 172  # mel frames of such a pause: 0.14 s to 2 s


def time_by_lips(
  symbols: tuple[str, ...],
  word_of: np.ndarray,
  durations: np.ndarray,
  natural: np.ndarray,
  scores: np.ndarray,
  rate: float,
  frame_rate: float,
  gap_seconds: float = 0.0,
) -> tuple[tuple[str, ...], np.ndarray]:
  """Symbols and durations aligned with the lips, with '@sp' inserted where the mouth pauses between two words.

  symbols, word_of, durations, natural (N,): the line fitted to its slot, in mel frames, `frame_rate` a second, and its
  durations at the natural pace; scores (M, C): of viseme classes, `rate` a second; gap_seconds: time within the line in
  which the mouth is certainly at rest; pauses are inserted only if it is above 0. Where no alignment lies within the
  limits of the speaking rate, the line is returned unchanged.
  """
  total, symbols, word_of = int(durations.sum()), list(symbols), np.asarray(word_of)
  silent = np.array([s in SILENCES for s in symbols])
  expected, natural = durations.astype(float), np.asarray(natural, float)
  optional = np.zeros(len(symbols), bool)
  if gap_seconds > 0:
    inner = slice(1, -1)
    spoken, window = expected[inner][~silent[inner]].sum(), expected[inner].sum()
    expected[~silent] *= max(window - gap_seconds * frame_rate, spoken * SHORTEST) / max(spoken, 1.0)
    between = 1 + np.flatnonzero((word_of[:-1] >= 0) & (word_of[1:] >= 0) & (word_of[:-1] != word_of[1:]))
    symbols = list(np.insert(np.array(symbols, object), between, '@sp'))
    expected, natural = np.insert(expected, between, 0.0), np.insert(natural, between, 0.0)
    silent, optional = np.insert(silent, between, True), np.insert(optional, between, True)
  scores_tn = phoneme_scores(scores, visemes_of(symbols), total, rate, frame_rate)
  aligned = align_to_lips(expected, natural, silent, scores_tn, optional)
  if aligned is None:
    return tuple(s for s, o in zip(symbols, optional, strict=True) if not o), durations
  kept = ~optional | (aligned > 0)
  return tuple(s for s, k in zip(symbols, kept, strict=True) if k), aligned[kept]


def align_to_lips(
  expected: np.ndarray,
  natural: np.ndarray,
  silent: np.ndarray,
  scores: np.ndarray,
  optional: np.ndarray | None = None,
  trust: float = TRUST,
  spread: float = SPREAD,
) -> np.ndarray | None:
  """Viterbi alignment: durations (N,) int32 that add up to T, or None where there are none within the limits.

  expected: (N,) mel frames, the mode of the duration prior; first and last silence are free; natural: (N,) frames at
  the natural pace, relative to which sounds may be spoken 0.6 to 1.8 times as fast, or as `expected` is; silent: (N,)
  bool, pauses; scores: (T, N) log-likelihood of each phoneme in each mel frame; optional: (N,) bool, pauses that may be
  skipped. O(T N D) for durations of up to D frames.
  """
  total, count = scores.shape
  gains = np.concatenate([np.zeros((1, count)), np.cumsum(trust * scores, axis=0)])
  optional = np.zeros(count, bool) if optional is None else optional
  best = gains[:, 0].copy()  # of segments that end before frame t; the first silence is frames 0 to t
  chosen = np.zeros((count, total + 1), np.int32)
  chosen[0] = np.arange(total + 1)
  for n in range(1, count - 1):
    lengths, cost = _lengths(expected[n], natural[n], bool(silent[n]), bool(optional[n]), spread, total)
    if not len(lengths):
      return None
    reach = int(lengths[-1])
    padded = np.concatenate([np.full(reach, -np.inf), best - gains[:, n]])
    values = np.lib.stride_tricks.sliding_window_view(padded, reach + 1)[:, reach - lengths] - cost
    place = values.argmax(1)
    best = values[np.arange(total + 1), place] + gains[:, n]
    chosen[n] = lengths[place]
  ending = best - gains[:, -1]
  t = int(ending.argmax())
  if not np.isfinite(ending[t]):
    return None
  durations = np.zeros(count, np.int32)
  durations[-1] = total - t
  for n in range(count - 2, -1, -1):
    durations[n] = chosen[n, t]
    t -= durations[n]
  return durations


def _lengths(expected, natural, silent, optional, spread, total):
  """Allowed durations of a phoneme, ascending, and the cost of each."""
  if optional:
    lengths = np.concatenate([[0], np.arange(LEAST_PAUSE, MOST_PAUSE)])
    cost = np.where(lengths > 0, NEW_PAUSE, 0.0)
  elif silent:
    lengths = np.arange(int(max(2 * expected, 8)) + 1)
    cost = 0.5 * np.square(np.log((lengths + 2) / (expected + 2)) / PAUSE_SPREAD)
  else:
    expected = max(expected, 1.0)
    low = max(1, int(min(natural * SHORTEST, expected)))
    lengths = np.arange(low, max(int(np.ceil(max(natural * LONGEST, expected))), low) + 1)
    cost = 0.5 * np.square(np.log(lengths / expected) / spread)
  kept = lengths <= total
  return lengths[kept], cost[kept]


def phoneme_scores(
  viseme_scores: np.ndarray, visemes: np.ndarray, frames: int, rate: float, frame_rate: float
) -> np.ndarray:
  """Viseme class scores (M, C), `rate` a second -> scores (frames, N) of phonemes of the classes `visemes` (N,),
  interpolated at the centers of mel frames, `frame_rate` a second. Frames after the end of the video score 0."""
  moments = (np.arange(frames) + 0.5) / frame_rate * rate - 0.5
  columns = [np.interp(moments, np.arange(len(viseme_scores)), column) for column in viseme_scores.T]
  scores = np.stack(columns, axis=1)[:, visemes]
  scores[moments > len(viseme_scores) - 0.5] = 0.0
  return scores
