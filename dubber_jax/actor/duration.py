"""How long each phoneme lasts, and how that is made to fill the slot."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.blocks.convolution import ConvNeXtBlock
from dubber_jax.blocks.norms import LayerNorm
from dubber_jax.blocks.stack import Stacking, scan_layers
from dubber_jax.errors import BadInput

SLOWEST, FASTEST = 0.75, 1.35  # limits of the speaking rate


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


class PointwiseDurationPredictor(nn.Module):
  """Lip context (B, N, D), mask (B, N) -> log(frames + 1), (B, N), phoneme by phoneme: the published one (4.3)."""

  width: int = 256
  dropout: float = 0.5

  @nn.compact
  def __call__(self, context_bnd, mask_bn, train: bool = False) -> jax.Array:
    x = context_bnd
    for i in range(2):
      x = LayerNorm(name=f'norm_{i}')(nn.relu(nn.Dense(self.width, name=f'dense_{i}')(x)))
      x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return jnp.where(mask_bn, nn.softplus(nn.Dense(1, name='out')(x)[..., 0]), 0.0)


def spread_over_slot(log_durations_bn: jax.Array, slot_b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Predicted log durations, scaled to `slot` (B,) mel frames and each rounded half to even (published, 4.4).

  Returns durations (B, N) int32, whose sum is near the slot but need not equal it, and the same before rounding. Where
  every prediction is 0, and the released code gives NaN, nothing is spread.
  """
  frames_bn = jnp.maximum(jnp.exp(log_durations_bn) - 1.0, 0.0)
  total_b1 = frames_bn.sum(1, keepdims=True)
  share_bn = frames_bn / jnp.where(total_b1 > 0, total_b1, 1.0)
  unrounded_bn = share_bn * slot_b[:, None].astype(frames_bn.dtype)
  return jnp.round(unrounded_bn).astype(jnp.int32), unrounded_bn


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
) -> tuple[np.ndarray, float, list[str]]:
  """Durations that fill the slot exactly.

  frames: (N,) predicted mel frames at pace 1, first and last being silence; silent: (N,) bool, the
  pauses; slot: mel frames in all; pace: the speaking rate asked for; speech: (first, last) frame
  between which the mouth moves, or None.

  Speech starts when the mouth does and, where the rate that takes lies between 0.75 and 1.35, ends when it
  does; the rest is silence. Without a mouth, speech goes at the pace asked for from about a tenth of a
  second in. Returns durations (N,) int32 that add up to `slot`, the pace that came out, and warnings.
  Raises BadInput where the line does not fit even at the fastest rate, naming the pace that would.
  """
  frames = np.maximum(np.asarray(frames, np.float64), 0.0)
  silent = np.asarray(silent, bool)
  body = slice(1, len(frames) - 1)
  inner, inner_silent = np.array(frames[body]), silent[body]
  spoken = inner[~inner_silent].sum()
  pauses = inner[inner_silent].sum()
  warnings = []
  if spoken <= 0:
    raise BadInput('the line has no sound to spread over its slot')
  edge = 2.0  # frames kept for the first and the last breath of silence
  room = slot - 2 * edge
  needed = spoken / room if room > 0 else np.inf  # the rate at which speech without pauses just fits
  if needed > FASTEST:
    raise BadInput(
      f'the line needs {spoken * 256 / 22050:.2f} s at its natural pace and its slot is {slot * 256 / 22050:.2f} s; '
      f'it would have to be spoken {needed:.2f} times as fast, and {FASTEST} is the limit: '
      f'shorten the line or give it {(spoken / FASTEST + 2 * edge) * 256 / 22050:.2f} s'
    )

  wanted = float(np.clip(pace, SLOWEST, FASTEST))
  first = min(0.1 * 22050 / 256, max(edge, (slot - (spoken + pauses) / wanted) / 2))
  if speech is not None:
    first = float(np.clip(speech[0], edge, slot - edge - spoken / FASTEST))
    window = max(speech[1] - first, 1.0)
    # The mouth says how long speech lasts; the direction leans on it either way.
    wanted = float(np.clip((spoken + pauses) / window * pace, SLOWEST, FASTEST))
  room = slot - edge - first
  if spoken / wanted > room:
    fitting = spoken / room
    if abs(fitting - wanted) > 0.02:
      warnings.append(f'the slot is short: pace {fitting:.2f} instead of {wanted:.2f}')
    wanted = min(fitting, FASTEST)
  speaking = spoken / wanted
  pause_time = min(pauses / wanted, max(room - speaking, 0.0))  # pauses give way before speech does
  inner[~inner_silent] /= wanted
  if pauses > 0:
    inner[inner_silent] *= pause_time / pauses
  last = max(slot - first - inner.sum(), 0.0)
  # Rounding of the inner boundaries to whole frames; both ends take what is left.
  durations = largest_remainder(np.concatenate([[first], inner, [last]]), slot)
  starved = np.flatnonzero((durations == 0) & ~silent)
  for i in starved:  # every sound gets at least a frame, from the longest
    longest = int(np.argmax(durations))
    durations[longest] -= 1
    durations[i] += 1
  return durations.astype(np.int32), wanted, warnings
