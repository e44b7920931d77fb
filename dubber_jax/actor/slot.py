"""The fit of predicted durations to a line's time slot. NumPy alone: what is asked of a dub is checked by it, too, and
that takes no network."""

from collections.abc import Iterable

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.types import HOP, SAMPLE_RATE

# Limits of the speaking rate, relative to the predicted durations. A direction may ask for SLOWEST to UNHURRIED; higher
# rates, up to FASTEST, the fastest lines of actors in films, are used only where a slot is short.
SLOWEST, UNHURRIED, FASTEST = 0.75, 1.35, 1.8
STRICT, NATURAL = FITS = ('strict', 'natural')  # keep to the slot, or to UNHURRIED
GAP = 0.1  # s of silence between a line that runs on and the next line
EDGE = 2.0  # mel frames of silence kept before and after speech
FRAME_RATE = SAMPLE_RATE / HOP  # mel frames a second
MIN_FRAMES = {'vowel': 3.0, 'consonant': 4.0}  # of a sound spoken faster than UNHURRIED
COMPRESSION = {'vowel': 1.0, 'consonant': 0.3}  # exponent of the common factor, beyond UNHURRIED


def largest_remainder(weights: np.ndarray, total: int) -> np.ndarray:
  """Integers in proportion to `weights` (N,) that add up to `total`, by rounding of the cumulative sums: every boundary
  is off by less than 1."""
  ends = np.cumsum(np.asarray(weights, np.float64))
  if not len(ends) or ends[-1] <= 0:
    raise BadInput('the line has no sound to spread over its slot')
  edges = np.round(ends / ends[-1] * total).astype(np.int32)
  return np.diff(edges, prepend=0)


def fit_to_slot(
  frames: np.ndarray,
  silent: np.ndarray,
  slot: int,
  pace: float = 1.0,
  speech: tuple[int, int] | None = None,
  fit: str = STRICT,
  room: int = 0,
  vowels: np.ndarray | None = None,
) -> tuple[np.ndarray, float, list[str]]:
  """Phoneme durations scaled to fill a time slot exactly or, in natural fit, to run on into the silence after it.

  frames: (N,) predicted mel frames at rate 1, first and last being silence; silent: (N,) bool, the pauses; slot: mel
  frames in all; pace: the speaking rate asked for; speech: (first, last) frame of mouth movement, or None; fit: STRICT
  or NATURAL; room: mel frames of silence after the slot; vowels: (N,) bool, None if unknown.

  Speech starts with the mouth and ends with it where the rate needed lies between SLOWEST and UNHURRIED; the rest is
  silence. Without a mouth, speech starts after about a tenth of a second at the pace asked for. A line too long for
  the slot first loses its pauses, then is spoken at up to UNHURRIED. If still too long, it is spoken in the slot at up
  to FASTEST in strict fit, vowels shortened more than consonants (`shorten`); in natural fit it runs on, as little as
  possible and by `room` at most.

  Returns durations (N,) int32 whose sum is `slot`, or more where the line runs on; the resulting speaking rate,
  predicted frames of speech over given ones; and warnings. Raises BadInput where the line does not fit, with the rate
  that would be needed and what to do.
  """
  frames = np.maximum(np.asarray(frames, np.float64), 0.0)
  silent = np.asarray(silent, bool)
  body = slice(1, len(frames) - 1)
  inner, sounds = np.array(frames[body]), ~silent[body]
  spoken, pauses = inner[sounds].sum(), inner[~sounds].sum()
  if spoken <= 0:
    raise BadInput('the line has no sound to spread over its slot')
  fastest, longest = (UNHURRIED, slot + room) if fit == NATURAL else (FASTEST, slot)
  if frames_needed(spoken, sounds.sum(), fastest) > longest:
    raise BadInput(_does_not_fit(spoken, sounds.sum(), slot, fit, room))

  first, wanted = _start_and_rate(spoken, pauses, slot, pace, speech)
  rate, total, warnings = wanted, slot, []
  space = slot - EDGE - first
  if spoken / wanted > space:
    rate = spoken / space if space > 0 else np.inf
    if abs(rate - UNHURRIED) < 1e-9:  # rounding: a line that just fits counts as unhurried
      rate = UNHURRIED
    if rate > UNHURRIED and fit == NATURAL:
      rate = UNHURRIED
      total = max(slot, int(np.ceil(frames_needed(spoken, sounds.sum(), rate) - 1e-6)))
    rate = min(rate, FASTEST)
    warnings = _short_slot_warnings(rate, wanted, total - slot)
    space = total - EDGE - first
  if rate > UNHURRIED and vowels is not None:
    inner[sounds] = shorten(inner[sounds], np.asarray(vowels, bool)[body][sounds], spoken / rate)
  else:
    inner[sounds] /= rate
  if pauses > 0:  # pauses get what speech leaves of the space
    inner[~sounds] *= min(pauses / rate, max(space - spoken / rate, 0.0)) / pauses
  last = max(total - first - inner.sum(), 0.0)
  durations = largest_remainder(np.concatenate([[first], inner, [last]]), total)
  return _at_least_one_frame(durations, silent).astype(np.int32), rate, warnings


def _start_and_rate(spoken, pauses, slot, pace, speech) -> tuple[float, float]:
  """Frames of silence before speech, and the speaking rate wanted, from the mouth's movement where it is known."""
  wanted = float(np.clip(pace, SLOWEST, UNHURRIED))
  if speech is None:
    return min(0.1 * FRAME_RATE, max(EDGE, (slot - (spoken + pauses) / wanted) / 2)), wanted
  # Speech starts before the mouth does where it would otherwise exceed UNHURRIED.
  first = float(np.clip(speech[0], EDGE, max(EDGE, slot - EDGE - spoken / UNHURRIED)))
  window = max(speech[1] - first, 1.0)
  # The rate that fills the mouth's window, times the pace asked for.
  return first, float(np.clip((spoken + pauses) / window * pace, SLOWEST, UNHURRIED))


def _at_least_one_frame(durations: np.ndarray, silent: np.ndarray) -> np.ndarray:
  """Durations (N,) in which every sound that rounding left without a frame takes one from the longest phoneme."""
  for i in np.flatnonzero((durations == 0) & ~silent):
    durations[int(np.argmax(durations))] -= 1
    durations[i] += 1
  return durations


def frames_needed(spoken: float, sounds: int, rate: float) -> float:
  """Mel frames that speech without pauses needs: `spoken` predicted frames of `sounds` phonemes at a speaking rate, at
  least one frame each, with EDGE of silence on either side."""
  return max(spoken / rate, float(sounds)) + 2 * EDGE


def shorten(frames: np.ndarray, vowels: np.ndarray, total: float) -> np.ndarray:
  """Durations (N,) of sounds compressed to `total` frames, vowels more than consonants.

  In fast speech vowels are compressed more than consonants (Gay 1978; Klatt 1976), whose closures and bursts are
  recognized by their timing. Up to the rate UNHURRIED all are compressed alike; beyond it each by a common factor to
  the power of its COMPRESSION, but to no less than MIN_FRAMES, or its duration at UNHURRIED where that is less. Where
  these minima add up to more than `total`, all are compressed alike.
  """
  unhurried = frames * max(total / frames.sum(), 1 / UNHURRIED)
  least = np.minimum(np.where(vowels, MIN_FRAMES['vowel'], MIN_FRAMES['consonant']), unhurried)
  exponent = np.where(vowels, COMPRESSION['vowel'], COMPRESSION['consonant'])
  if unhurried.sum() <= total or least.sum() >= total:
    return frames * total / frames.sum()
  low, high = -20.0, 0.0  # bisection over the logarithm of the common factor
  for _ in range(60):
    middle = (low + high) / 2
    too_long = np.maximum(unhurried * np.exp(middle * exponent), least).sum() > total
    low, high = (low, middle) if too_long else (middle, high)
  shortened = np.maximum(unhurried * np.exp(low * exponent), least)
  return shortened * total / shortened.sum()


def _does_not_fit(spoken, sounds, slot, fit, room) -> str:
  """Error message: the rate that the line would need, and what would help."""

  def seconds(frames):
    return f'{frames / FRAME_RATE:.2f} s'

  natural = fit == NATURAL
  limit, beyond = (UNHURRIED, room) if natural else (FASTEST, 0)
  space = slot + beyond - 2 * EDGE
  rate = spoken / space if space > 0 else np.inf
  after = f', with {seconds(room) if room else "no"} silence after it' if natural else ''
  remedies = []
  if natural and frames_needed(spoken, sounds, FASTEST) <= slot:
    remedies = [f'give --fit strict, which may go up to {FASTEST}']
  if not natural and frames_needed(spoken, sounds, UNHURRIED) <= slot + room:
    remedies = ['give --fit natural, which may run on into the silence after the slot']
  remedies += ['shorten the line', f'give it {seconds(np.ceil(frames_needed(spoken, sounds, limit)) - beyond)}']
  return (
    f'the line needs {seconds(spoken)} at its natural pace and its slot is {seconds(slot)}{after}; it would have to be '
    f'spoken {rate:.2f} times as fast, and {limit} is the limit{" of --fit natural" if natural else ""}: '
    f'{", ".join(remedies[:-1])} or {remedies[-1]}'
  )


def _short_slot_warnings(rate, wanted, overrun) -> list[str]:
  """Warnings about a line that is longer than its slot at the rate wanted."""
  if overrun > 0:
    return [
      f'the slot is short: at {rate:.2f} times its natural pace the line runs on for '
      f'{overrun / FRAME_RATE:.2f} s after it'
    ]
  if rate > UNHURRIED:
    return [
      f'the slot is short: the line is spoken {rate:.2f} times as fast as it would be, which is harder to '
      f'understand; --fit natural keeps to {UNHURRIED} where there is silence after the slot'
    ]
  return [f'the slot is short: pace {rate:.2f} instead of {wanted:.2f}'] if abs(rate - wanted) > 0.02 else []


def room_after(span: tuple[float, float], others: Iterable[tuple[float, float]], end: float) -> float:
  """Seconds by which a line spoken in `span` (start s, end s) may run on: up to GAP before the next of the `others`,
  spans alike, and to the film's `end` at most. 0 where another line overlaps the span's end."""
  following = [start - GAP for start, finish in others if finish > span[1]]
  return max(min([end, *following]) - span[1], 0.0)


def check_fit(fit: str) -> None:
  """Raises BadInput where `fit` is not one of FITS."""
  if fit not in FITS:
    steps = f'; the steps that fit the actor to a voice are --fit-steps {fit}' if fit.strip('-').isdigit() else ''
    raise BadInput(f'--fit {fit}: give {" or ".join(FITS)}{steps}')
