"""Griffin-Lim vocoder: non-negative inversion of the mel filters, then fast Griffin-Lim, jitted.

Kept by hand, in JAX: it runs batched on any device and can be exported, which librosa's NumPy version cannot.

Sources: Griffin and Lim 1984; Perraudin, Balazs and Søndergaard 2013 (the fast variant); Lee and Seung 2000
(the multiplicative updates).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.media.mel import LOG_FLOOR, PAD, WINDOW, filterbank, frame, hann, inverse_filterbank
from dubber_jax.types import HOP, MEL_BANDS, SAMPLE_RATE
from dubber_jax.vocoder.inputs import Input, draw


def invert_filters(mel_btm: jax.Array, iterations: int = 40) -> jax.Array:
  """Natural-log mel (B, T, 80) -> non-negative STFT magnitudes (B, T, 513) with the nearest mel."""
  filters_mf = jnp.asarray(filterbank())
  target = jnp.exp(mel_btm)
  start = jnp.maximum(target @ jnp.asarray(inverse_filterbank().T), 0.0) + 1e-3 * target.mean(-1, keepdims=True)
  attracted = target @ filters_mf

  def update(_, magnitude_btf):
    return magnitude_btf * attracted / jnp.maximum(magnitude_btf @ filters_mf.T @ filters_mf, 1e-9)

  return jax.lax.fori_loop(0, iterations, update, start)


def overlap_add(windows_btw: jax.Array) -> jax.Array:
  """Overlap-add of windows (B, T, W) at a hop of W / 4 -> (B, (T + 3) * W / 4) samples."""
  batch, frames, _ = windows_btw.shape
  hops = WINDOW // HOP
  parts = windows_btw.reshape(batch, frames, hops, -1)
  return sum(jnp.pad(parts[:, :, i], ((0, 0), (i, hops - 1 - i), (0, 0))) for i in range(hops)).reshape(batch, -1)


@functools.partial(jax.jit, static_argnames='iterations')
def griffin_lim(mel_btm: jax.Array, phase_btf: jax.Array, iterations: int) -> jax.Array:
  """Natural-log mel (B, T, 80), initial phases (B, T, 513) in cycles -> waveform (B, T * 256)."""
  magnitude = invert_filters(mel_btm)
  window = jnp.asarray(hann())
  frames = mel_btm.shape[1]
  weight = jnp.maximum(overlap_add(jnp.tile(window**2, (1, frames, 1))), 1e-2)

  def synthesize(spectrum):
    return overlap_add(jnp.fft.irfft(spectrum, n=WINDOW) * window) / weight

  def analyze(wave):
    return jnp.fft.rfft(frame(wave, frames) * window)

  def iterate(_, state):
    spectrum, previous = state
    rebuilt = analyze(synthesize(spectrum))
    accelerated = rebuilt + 0.99 * (rebuilt - previous)
    phase = accelerated / jnp.maximum(jnp.abs(accelerated), 1e-8)
    return magnitude * phase, rebuilt

  angle = 2 * jnp.pi * phase_btf
  start = magnitude * jax.lax.complex(jnp.cos(angle), jnp.sin(angle))
  spectrum, _ = jax.lax.fori_loop(0, iterations, iterate, (start, jnp.zeros_like(start)))
  return synthesize(spectrum)[:, PAD : PAD + frames * HOP]


class GriffinLim:
  """Griffin-Lim as a vocoder (see vocoder/inputs.py), without weights."""

  name = 'griffin-lim'
  params = {}
  sample_rate, hop = SAMPLE_RATE, HOP

  def __init__(self, iterations: int = 60):
    self.iterations = iterations

  def inputs(self, frames: int) -> dict[str, Input]:
    phase = Input((frames, WINDOW // 2 + 1), noise='random')
    return {'mel': Input((frames, MEL_BANDS), fill=LOG_FLOOR), 'phase': phase}

  def synthesize(self, params: dict, arrays: dict) -> jax.Array:
    return griffin_lim(arrays['mel'], arrays['phase'], self.iterations)

  def vocode(self, mel: np.ndarray, seed: int = 0, breathiness: float = 0.0, tremor: float = 0.0) -> np.ndarray:
    """(T, 80) natural-log mel -> (T * 256,) float32 at 22,050 Hz, silence where the mel is at its floor. Breathiness
    and tremor are ignored.

    Lengths are padded to a multiple of 128 frames, so that few shapes are compiled.
    """
    frames = len(mel)
    bucket = -(-max(frames, 1) // 128) * 128
    padded = np.full((1, bucket, mel.shape[1]), LOG_FLOOR, np.float32)
    padded[0, :frames] = mel
    phase = draw(self.inputs(bucket), seed)['phase'][None]
    return np.array(griffin_lim(padded, phase, self.iterations)[0, : frames * HOP])
