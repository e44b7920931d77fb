"""Source-filter vocoder: harmonics and noise, filtered by a frame-rate network through an inverse STFT.

A frame-rate network with an inverse-STFT head as in Vocos (arXiv 2306.00814), whose phases come from a source that
follows F0 as in neural source-filter models (arXiv 1904.12088) and HiFTNet (arXiv 2309.09493). The source carries the
phase, so little is left to learn; and F0, breathiness and tremor can be set from outside. Where `projections` are
asked for, the magnitudes of what comes out are then projected onto those that have the given mel (range-null
decomposition, RNDVoC, arXiv 2507.20731), so that the network cannot contradict it.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.media.mel import LOG_FLOOR, MAX_FREQUENCY, PAD, WINDOW, filterbank, frame, hann, inverse_filterbank
from dubber_jax.nn.convolution import ConvNeXtBlock
from dubber_jax.nn.masks import length_mask
from dubber_jax.nn.pitch_classes import PitchClasses
from dubber_jax.types import HOP, MEL_BANDS, SAMPLE_RATE
from dubber_jax.vocoder.griffin_lim import overlap_add
from dubber_jax.vocoder.inputs import Input

PITCH = PitchClasses(per_octave=23.75)  # about half a semitone each, 50 to 800 Hz
NOISE_LEVEL = float(np.sqrt(np.square(hann()).sum()))  # magnitude of windowed white noise of unit power
TREMOR_HERTZ, TREMOR_SEMITONES, TREMOR_NEPERS = (5.3, 11.9), 0.9, 0.25  # of a whole tremor
OVERLAP = 1.5  # what squared Hann windows at a quarter's hop add up to
MOST_GAIN = 4.0  # by which one projection raises or lowers a magnitude


@dataclass(frozen=True)
class SourceFilterConfig:
  """Sizes of the network. `num_mels`, `sampling_rate` and `hop` say which mels it speaks."""

  width: int = 256
  layers: int = 8
  kernel: int = 7  # frames
  expansion: int = 3
  window: int = WINDOW  # samples of the head's STFT, whose hop is a quarter of it: 1024, or 512 for two a mel frame
  modulated: bool = False  # noise follows the cycle of the pitch
  projections: int = 0  # onto the magnitudes that have the mel
  num_mels: int = MEL_BANDS
  sampling_rate: int = SAMPLE_RATE
  hop: int = HOP


class SourceFilter(nn.Module):
  """Natural-log mel (B, T, 80) -> sound (B, T * 256)."""

  config: SourceFilterConfig = SourceFilterConfig()

  def noise(self, frames: int) -> dict[str, Input]:
    """What is drawn for a take (see vocoder/inputs.py), and its voice quality: breathiness and tremor, 0 to 1."""
    drawn = Input((frames * HOP + 2 * PAD,), noise='standard_normal')
    return {'noise': drawn, 'voice_quality': Input((2,), fill=(0, 0))}

  @nn.compact
  def __call__(
    self,
    mel_btm,
    frames_b=None,
    pitch_bt=None,
    noise=None,
    phase_b=None,
    tracked: bool = False,
    voice_quality=None,
    takes: int = 1,
  ):
    """frames (B,) are the true lengths; what is past them is silent and changes nothing before.

    pitch (B, T) in Hz, without gaps, is followed where it is given and otherwise read off the mel. noise
    (B, T * 256 + 768) is white, of unit power; phase (B,) of the first harmonic at the start, in cycles. Of several
    `takes` of each mel both have so many times B rows, one batch after the other, and so has the sound. voice_quality
    (B, 2), breathiness and tremor from 0 to 1: more of the noise and less of the harmonics; a pitch and a level that
    waver five times a second. With `tracked` the answer is (sound, logits of the pitch's class (B, T, 96)).
    """
    c = self.config
    batch, length, _ = mel_btm.shape
    mask_bt = jnp.ones((batch, length), bool) if frames_b is None else length_mask(frames_b, length)
    kept = mask_bt[..., None]
    mel_btm = jnp.where(kept, mel_btm, LOG_FLOOR)

    # The pitch is heard first, by a small part of its own.
    heard = nn.Dense(c.width // 2, name='hear')(mel_btm * 0.25 + 1.0) * kept
    for i in range(2):
      heard = ConvNeXtBlock(c.kernel, 2, name=f'hear_{i}')(heard, mask_bt)
    logits = nn.Dense(PITCH.count, name='pitch')(nn.LayerNorm(name='hear_norm')(heard))
    if pitch_bt is None:
      pitch_bt = PITCH.smoothed_hertz(logits, mask_bt)
    breathy, trembling = (0.0, 0.0) if voice_quality is None else jnp.split(voice_quality[..., None], 2, axis=1)
    wavering = waver(length)[None, :, None] * trembling  # (B, T, 1)
    pitch_bt = pitch_bt * 2.0 ** (TREMOR_SEMITONES / 12 * jnp.broadcast_to(wavering, (batch, length, 1))[..., 0])
    pitch_bt = jnp.clip(pitch_bt, PITCH.lowest, PITCH.highest)
    if frames_b is not None:  # the source goes on into the last window at the last frame's pitch
      pitch_bt = jnp.where(mask_bt, pitch_bt, jnp.take_along_axis(pitch_bt, frames_b[:, None] - 1, axis=1))

    if noise is None:
      noise = jax.random.normal(jax.random.key(0), (batch * takes, length * HOP + 2 * PAD))
    phase_b = jnp.zeros((batch * takes,)) if phase_b is None else phase_b

    def copied(x):
      return x if takes == 1 else jnp.concatenate([x] * takes)

    height = jnp.log(pitch_bt / 180.0)[..., None]
    features = jnp.concatenate([mel_btm * 0.25 + 1.0, height, jnp.square(height)], axis=-1)
    x = nn.Dense(c.width, name='enter')(features) * kept
    for i in range(c.layers):
      x = ConvNeXtBlock(c.kernel, c.expansion, name=f'conv_{i}')(x, mask_bt)
    x = nn.LayerNorm(name='norm')(x)

    # The head: gains of every bin, for each of the STFT frames that a mel frame has.
    bins, hops = c.window // 2 + 1, 4 * HOP // c.window
    small = nn.initializers.variance_scaling(0.05, 'fan_in', 'normal')
    parts = 5 if c.modulated else 3
    shape = nn.Dense(hops * parts * bins, kernel_init=small, name='shape')(x)
    voice, angle, air, *cycle = jnp.split(shape.reshape(batch, length * hops, parts * bins), parts, axis=-1)
    around = between_frames(envelope(mel_btm, c.window), hops) - np.log(NOISE_LEVEL)
    voice, air = (jnp.exp(jnp.clip(around + g - 0.7, -14.0, 4.0)) for g in (voice, air))
    gains = (-0.9 * breathy, 1.5 * breathy)  # nepers
    wavering = jnp.repeat(wavering, hops, axis=1)
    voice, air = (level * jnp.exp(by + TREMOR_NEPERS * wavering) for level, by in zip((voice, air), gains, strict=True))
    kept = jnp.repeat(kept, hops, axis=1)
    filters = [(voice * jnp.exp(1j * angle)) * kept, air * kept] + [air * jnp.tanh(m) * kept for m in cycle]

    pulses, cycles = pulse_train(copied(pitch_bt), phase_b)
    sources = [pulses, noise]
    if c.modulated:
      sources += [noise * jnp.cos(2 * jnp.pi * cycles), noise * jnp.sin(2 * jnp.pi * cycles)]
    filtered = sum(spectrum(source, length, c.window) * copied(by) for source, by in zip(sources, filters, strict=True))
    sound = resynthesize(filtered, c.window)
    if c.projections:
      target = mel_btm + nn.Dense(c.num_mels, kernel_init=nn.initializers.zeros, name='correction')(x)
      target = copied(jnp.where(mask_bt[..., None], target, LOG_FLOOR))
      audible = copied(jnp.repeat(mask_bt, HOP, axis=1))
      for _ in range(c.projections):
        sound = project(sound, target) * audible
    return (sound, logits) if tracked else sound


def project(sound_bs: jax.Array, mel_btm: jax.Array) -> jax.Array:
  """The sound (B, T * 256) with the magnitudes nearest to its own that have the given natural-log mel (B, T, 80).

  magnitude + pinv(filters) (mel - filters magnitude), bounded to a gain of MOST_GAIN either way; phases stay. Windows
  overlap, so that the mel of what comes out is nearer, not the same.
  """
  filters, length = filterbank(), mel_btm.shape[1]
  found = spectrum(jnp.pad(sound_bs, ((0, 0), (PAD, PAD))), length)
  magnitude = jnp.sqrt(jnp.square(found.real) + jnp.square(found.imag) + 1e-9)
  short = jnp.exp(mel_btm) - magnitude @ filters.T
  wanted = magnitude + short @ inverse_filterbank().T
  return resynthesize(found * jnp.clip(wanted / magnitude, 1 / MOST_GAIN, MOST_GAIN), WINDOW)


def waver(length: int) -> jax.Array:
  """(T,) from -1 to 1: how a trembling voice goes up and down, not quite evenly."""
  time = jnp.arange(length) * HOP / SAMPLE_RATE
  slow, fast = (jnp.sin(2 * jnp.pi * hertz * time) for hertz in TREMOR_HERTZ)
  return 0.7 * slow + 0.3 * fast


def spectrum(sound_bs: jax.Array, length: int, window: int = WINDOW) -> jax.Array:
  """STFT of (B, T * 256 + 768) samples, hop a quarter of the Hann window -> (B, T * 1024 / window, window / 2 + 1)
  complex. A window of 1024 gives the frames of media.mel."""
  hop, spare = window // 4, PAD - 3 * window // 8
  inner = sound_bs[:, spare : sound_bs.shape[1] - spare]
  return jnp.fft.rfft(frame(inner, length * (HOP // hop), hop) * hann(window))


def resynthesize(spectrum_btf: jax.Array, window: int) -> jax.Array:
  """Inverse of `spectrum`, without what lies before the first frame's hop and after the last one's: (B, T * 256)."""
  windows = jnp.fft.irfft(spectrum_btf, n=window) * hann(window) / OVERLAP
  pad = 3 * window // 8
  return overlap_add(windows)[:, pad : pad + spectrum_btf.shape[1] * (window // 4)]


def between_frames(x_btd: jax.Array, count: int) -> jax.Array:
  """(B, T, D) -> (B, T * count, D): linear between the middles of the frames."""
  if count == 1:
    return x_btd
  padded = jnp.pad(x_btd, ((0, 0), (1, 1), (0, 0)), mode='edge')
  parts = []
  for offset in (np.arange(count) + 0.5) / count - 0.5:
    other = padded[:, :-2] if offset < 0 else padded[:, 2:]
    parts.append(x_btd + abs(offset) * (other - x_btd))
  return jnp.stack(parts, axis=2).reshape(x_btd.shape[0], x_btd.shape[1] * count, x_btd.shape[2])


def pulse_train(pitch_bt: jax.Array, phase_b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """All harmonics of F0 up to 10.8 kHz, in phase and of unit power together, (B, T * 256 + 768) samples, and where in
  its cycle F0 is, 0 to 1.

  F0 is taken as linear between the middles of the frames.
  """
  around = jnp.pad(pitch_bt, ((0, 0), (2, 2)), mode='edge')  # frames -2 .. T + 1, whose middles enclose all samples
  share_h = (jnp.arange(HOP) + 0.5) / HOP
  hertz_bth = around[:, :-1, None] * (1 - share_h) + around[:, 1:, None] * share_h
  cycles_bth = jnp.cumsum(hertz_bth, axis=-1) / SAMPLE_RATE
  starts_bt = jnp.cumsum(cycles_bth[..., -1] % 1.0, axis=1) - cycles_bth[..., -1] % 1.0
  batch = pitch_bt.shape[0]
  cycles = (phase_b[:, None, None] + starts_bt[..., None] + cycles_bth).reshape(batch, -1) % 1.0
  first = 2 * HOP - HOP // 2 - PAD  # samples from the middle of frame -2 to the first one wanted
  size = pitch_bt.shape[1] * HOP + 2 * PAD
  cycles, hertz = cycles[:, first : first + size], hertz_bth.reshape(batch, -1)[:, first : first + size]
  count = jnp.floor(0.98 * SAMPLE_RATE / 2 / hertz)
  half = jnp.sin(jnp.pi * cycles)
  half = jnp.where(jnp.abs(half) < 1e-4, 1e-4, half)
  pulses = jnp.sin(jnp.pi * (2 * count + 1) * cycles) / half - 1.0  # Dirichlet's kernel: twice the sum of cosines
  return pulses / jnp.sqrt(2 * count), cycles


def envelope(mel_btm: jax.Array, window: int = WINDOW) -> jax.Array:
  """Log magnitude (B, T, window / 2 + 1) of a 1024-sample STFT as a mel's bands give it, linear between their centers
  and falling off above 8 kHz, at the bins of another window."""
  filters = filterbank()
  level_btm = mel_btm - np.log(filters.sum(1))
  centers = (filters * np.arange(WINDOW // 2 + 1)).sum(1) / filters.sum(1)
  places = np.arange(window // 2 + 1) * (WINDOW // window)
  weights_mf = np.stack([np.interp(places, centers, row) for row in np.eye(len(filters))])
  above = np.maximum(places * SAMPLE_RATE / WINDOW - MAX_FREQUENCY, 0.0) / 1000.0
  return level_btm @ weights_mf.astype(np.float32) - 0.5 * above.astype(np.float32)
