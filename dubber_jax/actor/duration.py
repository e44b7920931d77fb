"""How long each phoneme lasts, and how that is made to fill the slot."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.nn.convolution import ConvNeXtBlock
from dubber_jax.nn.scan import Stacking, scan_layers
from dubber_jax.types import HOP, SAMPLE_RATE

# Limits of the speaking rate, against the durations that are predicted. A direction asks for SLOWEST to UNHURRIED;
# what lies beyond is only spoken where a slot is short, up to FASTEST: so fast do actors speak lines in films.
SLOWEST, UNHURRIED, FASTEST = 0.75, 1.35, 1.8
STRICT, NATURAL = FITS = ('strict', 'natural')  # a line keeps to its slot, or to an unhurried rate
GAP = 0.1  # s of silence kept between a line that runs on and the next one
EDGE = 2.0  # mel frames kept for the first and the last breath of silence
FRAME_RATE = SAMPLE_RATE / HOP  # mel frames a second
LEAST = {'vowel': 3.0, 'consonant': 4.0}  # mel frames, of a sound that is spoken faster than UNHURRIED
YIELDING = {'vowel': 1.0, 'consonant': 0.3}  # how much of the shortening each takes, beyond UNHURRIED


class DurationPredictor(nn.Module):
  """text (B, N, D), lip context (B, N, D), condition (B, C) -> log(frames + 1), (B, N)."""

  width: int
  layers: int
  kernel: int = 5
  dropout: float = 0.0
  stacking: Stacking = Stacking()

  @nn.compact
  def __call__(self, text_bnd, lips_bnd, mask_bn, condition_bc, train: bool = False) -> jax.Array:
    x = nn.Dense(self.width)(jnp.concatenate([text_bnd, lips_bnd], axis=-1)) * mask_bn[..., None]
    block = ConvNeXtBlock(self.kernel, dropout=self.dropout, name='block')
    x = scan_layers(block, self.layers, x, mask_bn, condition_bc, train, stacking=self.stacking)
    return nn.softplus(nn.Dense(1, bias_init=nn.initializers.constant(1.5), name='out')(x)[..., 0]) * mask_bn


def largest_remainder(weights: np.ndarray, total: int) -> np.ndarray:
  """Integers in proportion to `weights` (N,) that add up to `total` exactly; every boundary is off by less than 1."""
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
  """Durations that fill the slot exactly or, in natural fit, run on into the silence after it.

  frames: (N,) predicted mel frames at rate 1, first and last being silence; silent: (N,) bool, the pauses; slot: mel
  frames in all; pace: the speaking rate asked for; speech: (first, last) frame between which the mouth moves, or None;
  fit: STRICT or NATURAL; room: mel frames of silence after the slot; vowels: (N,) bool, None where it is not known.

  Speech starts when the mouth does and, where the rate that takes lies between SLOWEST and UNHURRIED, ends when it
  does; the rest is silence. Without a mouth, speech goes at the pace asked for from about a tenth of a second in. A
  line that is longer gives up its pauses first, then is spoken at up to UNHURRIED. What is longer still is spoken in
  its slot at up to FASTEST by a strict fit, vowels shortened more than consonants (`shorten`), and runs on by a
  natural one, by as little as it can and never by more than `room`.

  Returns durations (N,) int32 that add up to `slot`, or more where the line runs on; the rate that came out, spoken
  frames predicted over those that were given; and warnings. Raises BadInput where the line does not fit, naming the
  rate that would take and what to do.
  """
  frames = np.maximum(np.asarray(frames, np.float64), 0.0)
  silent = np.asarray(silent, bool)
  body = slice(1, len(frames) - 1)
  inner, sounds = np.array(frames[body]), ~silent[body]
  spoken, pauses = inner[sounds].sum(), inner[~sounds].sum()
  if spoken <= 0:
    raise BadInput('the line has no sound to spread over its slot')
  fastest, most = (UNHURRIED, slot + room) if fit == NATURAL else (FASTEST, slot)
  if frames_needed(spoken, sounds.sum(), fastest) > most:
    raise BadInput(_too_long(spoken, sounds.sum(), slot, fit, room))

  wanted = float(np.clip(pace, SLOWEST, UNHURRIED))
  first = min(0.1 * FRAME_RATE, max(EDGE, (slot - (spoken + pauses) / wanted) / 2))
  if speech is not None:
    # Rather begun before the mouth than hurried.
    first = float(np.clip(speech[0], EDGE, max(EDGE, slot - EDGE - spoken / UNHURRIED)))
    window = max(speech[1] - first, 1.0)
    # The mouth says how long speech lasts; the direction leans on it either way.
    wanted = float(np.clip((spoken + pauses) / window * pace, SLOWEST, UNHURRIED))
  rate, total, warnings = wanted, slot, []
  space = slot - EDGE - first
  if spoken / wanted > space:
    rate = spoken / space if space > 0 else np.inf
    if abs(rate - UNHURRIED) < 1e-9:  # rounding; a line that just fits is not hurried
      rate = UNHURRIED
    if rate > UNHURRIED and fit == NATURAL:
      rate = UNHURRIED
      total = max(slot, int(np.ceil(frames_needed(spoken, sounds.sum(), rate) - 1e-6)))
    rate = min(rate, FASTEST)
    warnings = _told(rate, wanted, total - slot)
    space = total - EDGE - first
  if rate > UNHURRIED and vowels is not None:
    inner[sounds] = shorten(inner[sounds], np.asarray(vowels, bool)[body][sounds], spoken / rate)
  else:
    inner[sounds] /= rate
  if pauses > 0:  # they give way before speech does
    inner[~sounds] *= min(pauses / rate, max(space - spoken / rate, 0.0)) / pauses
  last = max(total - first - inner.sum(), 0.0)
  # Rounding of the inner boundaries to whole frames; both ends take what is left.
  durations = largest_remainder(np.concatenate([[first], inner, [last]]), total)
  starved = np.flatnonzero((durations == 0) & ~silent)
  for i in starved:  # every sound gets at least a frame, from the longest
    longest = int(np.argmax(durations))
    durations[longest] -= 1
    durations[i] += 1
  return durations.astype(np.int32), rate, warnings


def frames_needed(spoken: float, sounds: int, rate: float) -> float:
  """Mel frames in which so many, predicted, of so many sounds can be spoken at a rate, without pauses: a frame each at
  least, and EDGE on either side."""
  return max(spoken / rate, float(sounds)) + 2 * EDGE


def shorten(frames: np.ndarray, vowels: np.ndarray, total: float) -> np.ndarray:
  """Durations (N,) of sounds, shortened to `total` frames in all: vowels more than consonants.

  In fast speech vowels give more of their length than consonants do (Gay 1978; Klatt 1976), whose closures and bursts
  are heard by their timing. Up to the rate UNHURRIED all are shortened alike; from there on each by the same factor to
  the power of its YIELDING, but none to less than LEAST frames, or than it has where that is less. Where the least of
  all are more than `total`, all are shortened alike.
  """
  plain = frames * max(total / frames.sum(), 1 / UNHURRIED)
  least = np.minimum(np.where(vowels, LEAST['vowel'], LEAST['consonant']), plain)
  yielding = np.where(vowels, YIELDING['vowel'], YIELDING['consonant'])
  if plain.sum() <= total or least.sum() >= total:
    return frames * total / frames.sum()
  low, high = -20.0, 0.0  # of the factor's logarithm
  for _ in range(60):
    middle = (low + high) / 2
    low, high = (low, middle) if np.maximum(plain * np.exp(middle * yielding), least).sum() > total else (middle, high)
  shortened = np.maximum(plain * np.exp(low * yielding), least)
  return shortened * total / shortened.sum()


def _too_long(spoken, sounds, slot, fit, room) -> str:
  """Why a line does not fit, and what would help."""

  def seconds(frames):
    return f'{frames / FRAME_RATE:.2f} s'

  natural = fit == NATURAL
  limit, beyond = (UNHURRIED, room) if natural else (FASTEST, 0)
  space = slot + beyond - 2 * EDGE
  rate = spoken / space if space > 0 else np.inf
  after = f', with {seconds(room) if room else "no"} silence after it' if natural else ''
  ways = []
  if natural and frames_needed(spoken, sounds, FASTEST) <= slot:
    ways = [f'give --fit strict, which may go up to {FASTEST}']
  if not natural and frames_needed(spoken, sounds, UNHURRIED) <= slot + room:
    ways = ['give --fit natural, which may run on into the silence after the slot']
  ways += ['shorten the line', f'give it {seconds(np.ceil(frames_needed(spoken, sounds, limit)) - beyond)}']
  return (
    f'the line needs {seconds(spoken)} at its natural pace and its slot is {seconds(slot)}{after}; it would have to be '
    f'spoken {rate:.2f} times as fast, and {limit} is the limit{" of --fit natural" if natural else ""}: '
    f'{", ".join(ways[:-1])} or {ways[-1]}'
  )


def _told(rate, wanted, overrun) -> list[str]:
  """What is said of a line that is longer than its slot."""
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


def room_after(span: tuple[float, float], others, end: float) -> float:
  """Seconds that a line of the span (start s, end s) may run on: to GAP before the next of the `others`, spans alike,
  and to the film's `end` at most. 0 where another one has begun and is still spoken."""
  following = [start - GAP for start, finish in others if finish > span[1]]
  return max(min([end, *following]) - span[1], 0.0)


def check_fit(fit: str):
  """Raises BadInput for what is not a way to fit a line to its slot."""
  if fit not in FITS:
    steps = f'; the steps that fit the actor to a voice are --fit-steps {fit}' if fit.strip('-').isdigit() else ''
    raise BadInput(f'--fit {fit}: give {" or ".join(FITS)}{steps}')
