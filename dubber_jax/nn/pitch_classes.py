"""F0 as a distribution over classes that are evenly spaced in log frequency, as in CREPE (arXiv 1802.06182)."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class PitchClasses:
  """`count` classes of F0; a class's index, which may be a fraction, is linear in log frequency.

  `per_octave`: classes an octave; `lowest`: Hz, the center of class 0.
  """

  per_octave: float
  count: int = 96
  lowest: float = 50.0

  @property
  def highest(self) -> float:
    """Hz, the center of the last class."""
    return self.lowest * 2 ** ((self.count - 1) / self.per_octave)

  def index_of(self, hertz: jax.Array) -> jax.Array:
    """F0 in Hz -> fractional class index, clipped to 0 ... count - 1."""
    octaves = jnp.log2(jnp.maximum(hertz, self.lowest) / self.lowest)
    return jnp.clip(octaves * self.per_octave, 0.0, self.count - 1.0)

  def soft_targets(self, hertz: jax.Array) -> jax.Array:
    """F0 (...) in Hz -> targets of a cross-entropy (..., count): linear interpolation between the two nearest
    classes."""
    index = self.index_of(hertz)[..., None]
    return jnp.maximum(1.0 - jnp.abs(jnp.arange(self.count) - index), 0.0)

  def semitones(self, index: jax.Array) -> jax.Array:
    """Class index -> semitones above `lowest`."""
    return index * (12.0 / self.per_octave)

  def expected_semitones(self, logits_btc: jax.Array) -> jax.Array:
    """Logits (B, T, count) -> the distribution's mean (B, T), semitones above `lowest`."""
    return self.semitones((jax.nn.softmax(logits_btc) * jnp.arange(self.count)).sum(-1))

  def smoothed_hertz(self, logits_btc: jax.Array, mask_bt: jax.Array) -> jax.Array:
    """Logits (B, T, count) -> F0 (B, T) in Hz: the mean over the seven classes around the most probable one, smoothed
    over seven frames with weights by how much of the probability lies there.

    Frames outside the mask (B, T) have no weight and come out as `lowest`.
    """
    best = jnp.argmax(logits_btc, axis=-1)[..., None]
    near = jnp.abs(jnp.arange(self.count) - best) <= 3
    weight = jax.nn.softmax(logits_btc) * near
    confidence = weight.sum(-1)
    index = (weight * jnp.arange(self.count)).sum(-1) / confidence
    frame_weight = (confidence**4 + 1e-6) * mask_bt
    kernel = jnp.asarray([0.02, 0.1, 0.5, 1.0, 0.5, 0.1, 0.02])

    def smooth(x_bt):
      padded = jnp.pad(x_bt, ((0, 0), (3, 3)))
      return sum(padded[:, i : i + x_bt.shape[1]] * kernel[i] for i in range(7))

    index = smooth(index * frame_weight) / jnp.maximum(smooth(frame_weight), 1e-9) * mask_bt
    return self.lowest * jnp.exp(index / (self.count - 1) * np.log(self.highest / self.lowest))
