"""The shipped vocoder: a harmonic and a noise source, shaped frame by frame by a small network, then inverse STFT.

A frame-rate network with an inverse-STFT head as in Vocos (arXiv 2306.00814), whose phases come from a source that
follows the pitch as in neural source-filter models (arXiv 1904.12088) and HiFTNet (arXiv 2309.09493). The source
carries the phase, so little is left to learn; and pitch, breath and tremor can be set from outside.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.blocks.convolution import ConvNeXtBlock
from dubber_jax.clip import HOP, MEL_BANDS, SAMPLE_RATE
from dubber_jax.media.mel import LOG_FLOOR, MAX_FREQUENCY, PAD, WINDOW, filterbank, frame, hann
from dubber_jax.vocoder.griffin_lim import overlap_add
from dubber_jax.vocoder.inputs import Input

BINS = WINDOW // 2 + 1
LOWEST, HIGHEST = 50.0, 800.0  # Hz, of the pitch
PITCH_CLASSES = 96  # half a semitone each
NOISE_LEVEL = float(np.sqrt(np.square(hann()).sum()))  # magnitude of windowed white noise of unit power
TREMOR_HERTZ, TREMOR_SEMITONES, TREMOR_NEPERS = (5.3, 11.9), 0.9, 0.25  # of a whole tremor
OVERLAP = 1.5  # what squared Hann windows at a quarter's hop add up to


@dataclass(frozen=True)
class SourceFilterConfig:
  """Sizes of the network. `num_mels`, `sampling_rate` and `hop` say which mels it speaks."""

  width: int = 256
  layers: int = 8
  kernel: int = 7  # frames
  expansion: int = 3
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
    self, mel_btm, frames_b=None, pitch_bt=None, noise=None, phase_b=None, tracked: bool = False, voice_quality=None
  ):
    """frames (B,) are the true lengths; what is past them is silent and changes nothing before.

    pitch (B, T) in Hz, without gaps, is followed where it is given and otherwise read off the mel. noise
    (B, T * 256 + 768) is white, of unit power; phase (B,) of the first harmonic at the start, in cycles. voice_quality
    (B, 2), breathiness and tremor from 0 to 1: more of the noise and less of the harmonics; a pitch and a level that
    waver five times a second. With `tracked` the answer is (sound, logits of the pitch's class (B, T, 96)).
    """
    c = self.config
    batch, length, _ = mel_btm.shape
    mask_bt = jnp.ones((batch, length), bool) if frames_b is None else jnp.arange(length) < frames_b[:, None]
    kept = mask_bt[..., None]
    mel_btm = jnp.where(kept, mel_btm, LOG_FLOOR)

    # The pitch is heard first, by a small part of its own.
    heard = nn.Dense(c.width // 2, name='hear')(mel_btm * 0.25 + 1.0) * kept
    for i in range(2):
      heard = ConvNeXtBlock(c.kernel, 2, name=f'hear_{i}')(heard, mask_bt)
    logits = nn.Dense(PITCH_CLASSES, name='pitch')(nn.LayerNorm(name='hear_norm')(heard))
    if pitch_bt is None:
      pitch_bt = pitch_of_logits(logits, mask_bt)
    breathy, trembling = (0.0, 0.0) if voice_quality is None else jnp.split(voice_quality[..., None], 2, axis=1)
    wavering = waver(length)[None, :, None] * trembling  # (B, T, 1)
    pitch_bt = pitch_bt * 2.0 ** (TREMOR_SEMITONES / 12 * jnp.broadcast_to(wavering, (batch, length, 1))[..., 0])
    pitch_bt = jnp.clip(pitch_bt, LOWEST, HIGHEST)
    if frames_b is not None:  # the source goes on into the last window at the last frame's pitch
      pitch_bt = jnp.where(mask_bt, pitch_bt, jnp.take_along_axis(pitch_bt, frames_b[:, None] - 1, axis=1))

    if noise is None:
      noise = jax.random.normal(jax.random.key(0), (batch, length * HOP + 2 * PAD))
    phase_b = jnp.zeros((batch,)) if phase_b is None else phase_b
    harmonics = spectrum(pulse_train(pitch_bt, phase_b), length)
    breath = spectrum(noise, length)

    height = jnp.log(pitch_bt / 180.0)[..., None]
    features = jnp.concatenate([mel_btm * 0.25 + 1.0, height, jnp.square(height)], axis=-1)
    x = nn.Dense(c.width, name='enter')(features) * kept
    for i in range(c.layers):
      x = ConvNeXtBlock(c.kernel, c.expansion, name=f'conv_{i}')(x, mask_bt)
    x = nn.LayerNorm(name='norm')(x)
    small = nn.initializers.variance_scaling(0.05, 'fan_in', 'normal')
    shape = nn.Dense(3 * BINS, kernel_init=small, name='shape')(x)
    voice, angle, air = jnp.split(shape, 3, axis=-1)
    around = envelope(mel_btm) - np.log(NOISE_LEVEL)
    voice, air = (jnp.exp(jnp.clip(around + g - 0.7, -14.0, 4.0)) for g in (voice, air))
    gains = (-0.9 * breathy, 1.5 * breathy)  # nepers
    voice, air = (level * jnp.exp(by + TREMOR_NEPERS * wavering) for level, by in zip((voice, air), gains, strict=True))
    filtered = harmonics * (voice * jnp.exp(1j * angle)) + breath * air
    windows = jnp.fft.irfft(filtered * kept, n=WINDOW) * hann() / OVERLAP
    sound = overlap_add(windows)[:, PAD : PAD + length * HOP]
    return (sound, logits) if tracked else sound


def waver(length: int) -> jax.Array:
  """(T,) from -1 to 1: how a trembling voice goes up and down, not quite evenly."""
  time = jnp.arange(length) * HOP / SAMPLE_RATE
  slow, fast = (jnp.sin(2 * jnp.pi * hertz * time) for hertz in TREMOR_HERTZ)
  return 0.7 * slow + 0.3 * fast


def spectrum(sound_bs: jax.Array, length: int) -> jax.Array:
  """(B, T * 256 + 768) -> (B, T, 513) complex, Hann window, the frames of media.mel."""
  return jnp.fft.rfft(frame(sound_bs, length) * hann())


def pulse_train(pitch_bt: jax.Array, phase_b: jax.Array) -> jax.Array:
  """All harmonics of the pitch up to 10.8 kHz, in phase and of unit power together: (B, T * 256 + 768) samples.

  Pitch is taken as linear between the middles of the frames.
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
  return pulses / jnp.sqrt(2 * count)


def envelope(mel_btm: jax.Array) -> jax.Array:
  """Log magnitude (B, T, 513) that a mel's bands say, linear between their middles; above 8 kHz it falls off."""
  filters = filterbank()
  level_btm = mel_btm - np.log(filters.sum(1))
  middles = (filters * np.arange(BINS)).sum(1) / filters.sum(1)
  weights_mf = np.stack([np.interp(np.arange(BINS), middles, row) for row in np.eye(len(filters))])
  above = np.maximum(np.arange(BINS) * SAMPLE_RATE / WINDOW - MAX_FREQUENCY, 0.0) / 1000.0
  return level_btm @ weights_mf.astype(np.float32) - 0.5 * above.astype(np.float32)


def class_of_pitch(pitch: jax.Array) -> jax.Array:
  """Hz -> place among the classes, a fraction."""
  share = jnp.log(jnp.clip(pitch, LOWEST, HIGHEST) / LOWEST) / np.log(HIGHEST / LOWEST)
  return share * (PITCH_CLASSES - 1)


def pitch_of_logits(logits_btc: jax.Array, mask_bt: jax.Array) -> jax.Array:
  """(B, T, 96) -> Hz (B, T): the mean around the likeliest class, smoothed over seven frames by how sure each is.

  Frames outside the mask (B, T) say nothing and come out as 50 Hz.
  """
  best = jnp.argmax(logits_btc, axis=-1)[..., None]
  near = jnp.abs(jnp.arange(PITCH_CLASSES) - best) <= 3
  weight = jax.nn.softmax(logits_btc) * near
  sure = weight.sum(-1)
  place = (weight * jnp.arange(PITCH_CLASSES)).sum(-1) / sure
  trust = (sure**4 + 1e-6) * mask_bt
  reach = jnp.asarray([0.02, 0.1, 0.5, 1.0, 0.5, 0.1, 0.02])

  def smooth(x_bt):
    padded = jnp.pad(x_bt, ((0, 0), (3, 3)))
    return sum(padded[:, i : i + x_bt.shape[1]] * reach[i] for i in range(7))

  place = smooth(place * trust) / jnp.maximum(smooth(trust), 1e-9) * mask_bt
  return LOWEST * jnp.exp(place / (PITCH_CLASSES - 1) * np.log(HIGHEST / LOWEST))
