"""Source-filter vocoder: harmonic and noise sources, filtered by a frame-rate network in the STFT domain.

A frame-rate network with an inverse-STFT head as in Vocos (arXiv 2306.00814), whose phases come from a source that
follows F0 as in neural source-filter models (arXiv 1904.12088) and HiFTNet (arXiv 2309.09493). The source carries the
phase, so the network is small, and F0, breathiness and tremor can be set from outside. With `projections`, the output
magnitudes are projected onto those that have the given mel (range-null decomposition, RNDVoC, arXiv 2507.20731), so
that the network cannot contradict it.
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
TREMOR_HERTZ, TREMOR_SEMITONES, TREMOR_NEPERS = (5.3, 11.9), 0.9, 0.25  # of full tremor
OVERLAP = 1.5  # sum of squared Hann windows at a hop of a quarter
MOST_GAIN = 4.0  # limit of the gain of one projection, and of its inverse


@dataclass(frozen=True)
class SourceFilterConfig:
  """Sizes of the network, and the kind of mel it takes: `num_mels`, `sampling_rate`, `hop`."""

  width: int = 256
  layers: int = 8
  kernel: int = 7  # frames
  expansion: int = 3
  window: int = WINDOW  # samples of the head's STFT, hop a quarter of it: 1024, or 512 for two frames a mel frame
  modulated: bool = False  # modulate the noise by the cycle of F0
  projections: int = 0  # number of projections onto the magnitudes that have the mel
  num_mels: int = MEL_BANDS
  sampling_rate: int = SAMPLE_RATE
  hop: int = HOP


class SourceFilter(nn.Module):
  """Source-filter vocoder: natural-log mel (B, T, 80) -> waveform (B, T * 256)."""

  config: SourceFilterConfig = SourceFilterConfig()

  def noise(self, frames: int) -> dict[str, Input]:
    """Random inputs of a take (see vocoder/inputs.py), and its voice quality: breathiness and tremor, 0 to 1."""
    drawn = Input((frames * HOP + 2 * PAD,), noise='standard_normal')
    return {'noise': drawn, 'voice_quality': Input((2,), fill=(0, 0))}

  @nn.compact
  def __call__(
    self,
    mel_btm: jax.Array,
    frames_b: jax.Array | None = None,
    pitch_bt: jax.Array | None = None,
    noise: jax.Array | None = None,
    phase_b: jax.Array | None = None,
    return_logits: bool = False,
    voice_quality: jax.Array | None = None,
    takes: int = 1,
  ) -> jax.Array:
    """frames (B,): true lengths; the waveform is zero after them and does not depend on what follows.

    pitch (B, T): F0 in Hz, interpolated over unvoiced frames; None: predicted from the mel. noise (B, T * 256 + 768):
    white, of unit power; phase (B,): of the first harmonic at the start, in cycles. With several `takes` of each mel,
    noise and phase have takes * B rows, one batch after the other, and so has the waveform. voice_quality (B, 2):
    breathiness and tremor from 0 to 1: more noise and weaker harmonics; F0 and level modulated at 5 Hz. With
    `return_logits` the result is (waveform, logits of F0 classes (B, T, 96)).
    """
    c = self.config
    batch, length, _ = mel_btm.shape
    mask_bt = jnp.ones((batch, length), bool) if frames_b is None else length_mask(frames_b, length)
    mask_bt1 = mask_bt[..., None]
    mel_btm = jnp.where(mask_bt1, mel_btm, LOG_FLOOR)

    # F0 predictor, a small network of its own.
    hidden = nn.Dense(c.width // 2, name='hear')(mel_btm * 0.25 + 1.0) * mask_bt1
    for i in range(2):
      hidden = ConvNeXtBlock(c.kernel, 2, name=f'hear_{i}')(hidden, mask_bt)
    logits = nn.Dense(PITCH.count, name='pitch')(nn.LayerNorm(name='hear_norm')(hidden))
    if pitch_bt is None:
      pitch_bt = PITCH.smoothed_hertz(logits, mask_bt)
    breathiness, tremor = (0.0, 0.0) if voice_quality is None else jnp.split(voice_quality[..., None], 2, axis=1)
    modulation = tremor_modulation(length)[None, :, None] * tremor  # (B, T, 1)
    pitch_bt = pitch_bt * 2.0 ** (TREMOR_SEMITONES / 12 * jnp.broadcast_to(modulation, (batch, length, 1))[..., 0])
    pitch_bt = jnp.clip(pitch_bt, PITCH.lowest, PITCH.highest)
    if frames_b is not None:  # in the last window the source keeps the last frame's F0
      pitch_bt = jnp.where(mask_bt, pitch_bt, jnp.take_along_axis(pitch_bt, frames_b[:, None] - 1, axis=1))

    if noise is None:
      noise = jax.random.normal(jax.random.key(0), (batch * takes, length * HOP + 2 * PAD))
    phase_b = jnp.zeros((batch * takes,)) if phase_b is None else phase_b

    def repeat_takes(x):
      return x if takes == 1 else jnp.concatenate([x] * takes)

    log_f0 = jnp.log(pitch_bt / 180.0)[..., None]
    features = jnp.concatenate([mel_btm * 0.25 + 1.0, log_f0, jnp.square(log_f0)], axis=-1)
    x = nn.Dense(c.width, name='enter')(features) * mask_bt1
    for i in range(c.layers):
      x = ConvNeXtBlock(c.kernel, c.expansion, name=f'conv_{i}')(x, mask_bt)
    x = nn.LayerNorm(name='norm')(x)

    # Head: a filter over the bins of each STFT frame, of which a mel frame has `hops`.
    bins, hops = c.window // 2 + 1, 4 * HOP // c.window
    small = nn.initializers.variance_scaling(0.05, 'fan_in', 'normal')
    parts = 5 if c.modulated else 3
    head = nn.Dense(hops * parts * bins, kernel_init=small, name='shape')(x)
    harmonic, angle, noise_gain, *cycle = jnp.split(head.reshape(batch, length * hops, parts * bins), parts, axis=-1)
    level = interpolate_frames(envelope(mel_btm, c.window), hops) - np.log(NOISE_LEVEL)
    harmonic, noise_gain = (jnp.exp(jnp.clip(level + g - 0.7, -14.0, 4.0)) for g in (harmonic, noise_gain))
    modulation = jnp.repeat(modulation, hops, axis=1)
    harmonic = harmonic * jnp.exp(-0.9 * breathiness + TREMOR_NEPERS * modulation)
    noise_gain = noise_gain * jnp.exp(1.5 * breathiness + TREMOR_NEPERS * modulation)
    mask_bt1 = jnp.repeat(mask_bt1, hops, axis=1)
    filters = [(harmonic * jnp.exp(1j * angle)) * mask_bt1, noise_gain * mask_bt1]
    filters += [noise_gain * jnp.tanh(m) * mask_bt1 for m in cycle]

    pulses, cycles = pulse_train(repeat_takes(pitch_bt), phase_b)
    sources = [pulses, noise]
    if c.modulated:
      sources += [noise * jnp.cos(2 * jnp.pi * cycles), noise * jnp.sin(2 * jnp.pi * cycles)]
    filtered = sum(
      stft(source, length, c.window) * repeat_takes(gain) for source, gain in zip(sources, filters, strict=True)
    )
    wave = inverse_stft(filtered, c.window)
    if c.projections:
      target = mel_btm + nn.Dense(c.num_mels, kernel_init=nn.initializers.zeros, name='correction')(x)
      target = repeat_takes(jnp.where(mask_bt[..., None], target, LOG_FLOOR))
      mask_bs = repeat_takes(jnp.repeat(mask_bt, HOP, axis=1))
      for _ in range(c.projections):
        wave = project(wave, target) * mask_bs
    return (wave, logits) if return_logits else wave


def project(wave_bs: jax.Array, mel_btm: jax.Array) -> jax.Array:
  """Waveform (B, T * 256) with its STFT magnitudes moved to the nearest that have the natural-log mel (B, T, 80).

  magnitude + pinv(filters) (mel - filters magnitude), with gains limited to MOST_GAIN either way; phases stay.
  Windows overlap, so the mel of the result is closer to the target, not equal.
  """
  filters, length = filterbank(), mel_btm.shape[1]
  spectrum_btf = stft(jnp.pad(wave_bs, ((0, 0), (PAD, PAD))), length)
  magnitude = jnp.sqrt(jnp.square(spectrum_btf.real) + jnp.square(spectrum_btf.imag) + 1e-9)
  residual = jnp.exp(mel_btm) - magnitude @ filters.T
  projected = magnitude + residual @ inverse_filterbank().T
  return inverse_stft(spectrum_btf * jnp.clip(projected / magnitude, 1 / MOST_GAIN, MOST_GAIN), WINDOW)


def tremor_modulation(length: int) -> jax.Array:
  """Modulation of F0 and level by vocal tremor, (T,) from -1 to 1: the sum of two sines of TREMOR_HERTZ."""
  time = jnp.arange(length) * HOP / SAMPLE_RATE
  slow, fast = (jnp.sin(2 * jnp.pi * hertz * time) for hertz in TREMOR_HERTZ)
  return 0.7 * slow + 0.3 * fast


def stft(wave_bs: jax.Array, length: int, window: int = WINDOW) -> jax.Array:
  """STFT of (B, T * 256 + 768) samples, hop a quarter of the Hann window -> (B, T * 1024 / window, window / 2 + 1)
  complex. A window of 1024 gives the frames of media.mel."""
  hop, spare = window // 4, PAD - 3 * window // 8
  inner = wave_bs[:, spare : wave_bs.shape[1] - spare]
  return jnp.fft.rfft(frame(inner, length * (HOP // hop), hop) * hann(window))


def inverse_stft(spectrum_btf: jax.Array, window: int) -> jax.Array:
  """Inverse of `stft`, cut to the hops of the frames: (B, T * 256)."""
  windows = jnp.fft.irfft(spectrum_btf, n=window) * hann(window) / OVERLAP
  pad = 3 * window // 8
  return overlap_add(windows)[:, pad : pad + spectrum_btf.shape[1] * (window // 4)]


def interpolate_frames(x_btd: jax.Array, count: int) -> jax.Array:
  """Linear interpolation between the centers of the frames: (B, T, D) -> (B, T * count, D)."""
  if count == 1:
    return x_btd
  padded = jnp.pad(x_btd, ((0, 0), (1, 1), (0, 0)), mode='edge')
  parts = []
  for offset in (np.arange(count) + 0.5) / count - 0.5:
    other = padded[:, :-2] if offset < 0 else padded[:, 2:]
    parts.append(x_btd + abs(offset) * (other - x_btd))
  return jnp.stack(parts, axis=2).reshape(x_btd.shape[0], x_btd.shape[1] * count, x_btd.shape[2])


def pulse_train(pitch_bt: jax.Array, phase_b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Band-limited pulse train: F0 (B, T) in Hz, phase (B,) in cycles -> all harmonics up to 10.8 kHz, in phase, of unit
  power together, (B, T * 256 + 768) samples, and the phase of F0 in cycles, 0 to 1.

  F0 is linear between the centers of the frames.
  """
  padded = jnp.pad(pitch_bt, ((0, 0), (2, 2)), mode='edge')  # frames -2 .. T + 1, whose centers enclose all samples
  fraction_h = (jnp.arange(HOP) + 0.5) / HOP
  hertz_bth = padded[:, :-1, None] * (1 - fraction_h) + padded[:, 1:, None] * fraction_h
  cycles_bth = jnp.cumsum(hertz_bth, axis=-1) / SAMPLE_RATE
  starts_bt = jnp.cumsum(cycles_bth[..., -1] % 1.0, axis=1) - cycles_bth[..., -1] % 1.0
  batch = pitch_bt.shape[0]
  cycles = (phase_b[:, None, None] + starts_bt[..., None] + cycles_bth).reshape(batch, -1) % 1.0
  first = 2 * HOP - HOP // 2 - PAD  # samples from the center of frame -2 to the first one returned
  size = pitch_bt.shape[1] * HOP + 2 * PAD
  cycles, hertz = cycles[:, first : first + size], hertz_bth.reshape(batch, -1)[:, first : first + size]
  count = jnp.floor(0.98 * SAMPLE_RATE / 2 / hertz)
  half = jnp.sin(jnp.pi * cycles)
  half = jnp.where(jnp.abs(half) < 1e-4, 1e-4, half)
  pulses = jnp.sin(jnp.pi * (2 * count + 1) * cycles) / half - 1.0  # Dirichlet's kernel: twice the sum of cosines
  return pulses / jnp.sqrt(2 * count), cycles


def envelope(mel_btm: jax.Array, window: int = WINDOW) -> jax.Array:
  """Spectral envelope of a mel: log magnitudes (B, T, window / 2 + 1) of a 1024-sample STFT, interpolated linearly
  between the centers of the bands and falling off above 8 kHz, at the bins of an STFT of `window` samples."""
  filters = filterbank()
  level_btm = mel_btm - np.log(filters.sum(1))
  centers = (filters * np.arange(WINDOW // 2 + 1)).sum(1) / filters.sum(1)
  places = np.arange(window // 2 + 1) * (WINDOW // window)
  weights_mf = np.stack([np.interp(places, centers, row) for row in np.eye(len(filters))])
  above = np.maximum(places * SAMPLE_RATE / WINDOW - MAX_FREQUENCY, 0.0) / 1000.0
  return level_btm @ weights_mf.astype(np.float32) - 0.5 * above.astype(np.float32)
