"""The critic: what the director hears in a take, from its mel, before any of it is made sound.

One small convolutional ear writes down what was said (connectionist temporal classification) and at what pitch. On it
rest five opinions: the emotion, how natural it is, whether it is this voice, whether it goes with the mouth, and the
words themselves. All of them are differentiable.

The emotion is heard in how far each phoneme departs from how this voice says it plainly: in its spectrum, pitch,
loudness and length. What the words are is taken out beforehand, since an ear taught two sentences would otherwise know
emotions by words. No judge of `evaluation` has these features, this form, or speakers that it learned from.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.nn.alignment import frame_to_phoneme
from dubber_jax.nn.convolution import ConvNeXtBlock, TimeConv
from dubber_jax.script.symbols import ARPABET_87, SILENCES, SYMBOLS
from dubber_jax.types import EMOTIONS, HOP, LIP_RATE, MEL_BANDS, SAMPLE_RATE

STEP = 2  # mel frames that the ear takes at once
PHONES = ('',) + tuple(sorted({s.rstrip('012') for s in ARPABET_87 if s not in SILENCES}))  # the blank first
PHONE_OF = np.array([PHONES.index(s.rstrip('012')) if s[0] == '@' and s not in SILENCES else 0 for s in SYMBOLS])
COEFFICIENTS = 12  # of a cosine transform, by which a departure from the usual spectrum is described
LOWEST, PITCH_CLASSES, SEMITONES = 50.0, 96, 0.5  # Hz of the first class of pitch; how many; how wide each is
OPENING = 80  # where lips (82,) have the mouth's opening; its width is next


@dataclass(frozen=True)
class CriticSizes:
  """Of the networks. `embedding` is that of a voice."""

  width: int = 128
  layers: int = 4
  opinion: int = 64
  embedding: int = 96
  dropout: float = 0.3


class Critic(nn.Module):
  """What is heard in takes. `batch` has, for B items of T mel frames (even) and N phonemes,

    mel (B, T, 80)          phonemes, durations (B, N) int, 0 is padding; durations add up to the item's frames
    reference (B, R, 80), reference_mask (B, R): plain speech of the voice, R even
    lips (B, L, 82), lip_mask (B, L): the mouth at 25 frames a second, where it was seen

  -> a dictionary: `phones` logits (B, T/2, 40), blank first; `pitch` logits (B, T/2, 96) and `voicing` logit;
  `emotion` logits (B, 8); `natural` (B,), 1 for a recording and 0 for one spoilt altogether; `voice` and
  `reference_voice` (B, 96), unit vectors; `together` (B,), a logit of mouth and sound going together; `usual`
  (B, T, 80) and `usual_length` (B, N), how the voice would have said each phoneme plainly; `height` (B, T/2) of the
  pitch, semitones above 50 Hz, and `voiced`, from 0 to 1.
  """

  sizes: CriticSizes = CriticSizes()

  @nn.compact
  def __call__(self, batch, train: bool = False):
    s = self.sizes
    hear, who = AcousticEncoder(s.width, s.layers, name='Ear_0'), StatsPooling(s.embedding, name='Pool_0')
    mask_bt = jnp.arange(batch['mel'].shape[1]) < batch['durations'].sum(1, keepdims=True)
    mel_btm = (batch['mel'] + 5.0) / 2.5  # about unit size
    reference_brm = (batch['reference'] + 5.0) / 2.5
    hidden, phones, pitch, voicing = hear(mel_btm, mask_bt)
    known, _, known_pitch, known_voicing = hear(reference_brm, batch['reference_mask'])
    half, known_half = mask_bt[:, ::STEP], batch['reference_mask'][:, ::STEP]
    voice, reference_voice = (unit(nn.tanh(who(x, m))) for x, m in ((hidden, half), (known, known_half)))

    # The voice's own: its mean spectrum while it speaks, and its pitch.
    spoken = batch['reference_mask'] * nn.sigmoid(4.0 * (reference_brm.mean(-1) + 1.0))
    spectrum = (reference_brm * spoken[..., None]).sum(1) / jnp.maximum(spoken.sum(1), 1.0)[:, None]
    height = mean_semitones(pitch)
    voiced, known_voiced = nn.sigmoid(voicing) * half, nn.sigmoid(known_voicing) * known_half
    at = (mean_semitones(known_pitch) * known_voiced).sum(1) / jnp.maximum(known_voiced.sum(1), 1.0)

    path_btn = frame_to_phoneme(batch['durations'], mask_bt.shape[1])
    said_bn = jax.nn.one_hot(jnp.asarray(PHONE_OF)[batch['phonemes']], len(PHONES))
    usual_spectrum = self.param('usual_spectrum', nn.initializers.zeros, (len(PHONES), MEL_BANDS))
    usual_length = said_bn @ self.param('usual_length', nn.initializers.constant(2.0), (len(PHONES),))
    usual_btm = spectrum[:, None] + path_btn @ (said_bn @ usual_spectrum)
    apart_btm = jnp.clip(mel_btm - jax.lax.stop_gradient(usual_btm), -2.0, 2.0) * mask_bt[..., None]
    longer_bn = jnp.log(batch['durations'] + 1.0) - jax.lax.stop_gradient(usual_length)
    speech_bt = (path_btn @ (1.0 - said_bn[..., :1]))[..., 0]

    def pairs(x):  # (B, T, ...) -> (B, T/2, ...)
      return x.reshape(x.shape[0], -1, STEP, *x.shape[2:]).mean(2)

    rise = (height - at[:, None]) / 6.0
    told = [pairs(apart_btm) @ dct_basis(), (rise * voiced)[..., None], (jnp.square(rise) * voiced)[..., None]]
    told += [voiced[..., None], pairs(path_btn @ longer_bn[..., None])]
    emotion = ScoreHead(s.opinion, len(EMOTIONS), s.dropout, name='emotion')(
      jnp.concatenate(told, axis=-1), pairs(speech_bt) * half, train
    )
    texture = jnp.concatenate([pairs(mel_btm), pairs(jnp.abs(jnp.diff(mel_btm, axis=1, append=mel_btm[:, -1:])))], -1)
    texture = jnp.concatenate([texture, pairs(jnp.abs(jnp.diff(mel_btm, axis=2))), rise[..., None]], axis=-1)
    natural = ScoreHead(s.opinion, 1, s.dropout, name='natural')(texture, half, train)[:, 0]

    mouth, seen = mouth_features(batch['lips'], batch['lip_mask'], half.shape[1])
    heard = jnp.concatenate([pairs(mel_btm) @ dct_basis(), voiced[..., None], mouth], axis=-1)
    together = ScoreHead(s.opinion, 1, s.dropout, reach=9, name='together')(heard, half * seen, train)[:, 0]
    return {
      'phones': phones,
      'pitch': pitch,
      'voicing': voicing,
      'emotion': emotion,
      'natural': natural,
      'voice': voice,
      'reference_voice': reference_voice,
      'together': together,
      'usual': usual_btm * 2.5 - 5.0,
      'usual_length': usual_length,
      'height': height,
      'voiced': voiced,
    }


class AcousticEncoder(nn.Module):
  """mel (B, T, 80) of unit size, mask (B, T) -> hidden (B, T/2, D), logits of phones, of pitch, and of voicing."""

  width: int
  layers: int

  @nn.compact
  def __call__(self, mel_btm, mask_bt):
    batch, length, bands = mel_btm.shape
    half = mask_bt[:, ::STEP]
    x = nn.Dense(self.width, name='enter')(mel_btm.reshape(batch, length // STEP, STEP * bands)) * half[..., None]
    for i in range(self.layers):
      x = ConvNeXtBlock(7, 2, name=f'block_{i}')(x, half)
    x = nn.LayerNorm()(x)
    pitch = nn.Dense(PITCH_CLASSES + 1, name='pitch')(x)
    return x, nn.Dense(len(PHONES), name='phones')(x), pitch[..., 1:], pitch[..., 0]


class StatsPooling(nn.Module):
  """(B, T, D), weight (B, T) -> (B, out), of the mean and the spread over time."""

  out: int

  @nn.compact
  def __call__(self, x_btd, weight_bt):
    weight = weight_bt[..., None].astype(x_btd.dtype)
    count = jnp.maximum(weight.sum(1), 1.0)
    mean = (x_btd * weight).sum(1) / count
    spread = jnp.sqrt((jnp.square(x_btd - mean[:, None]) * weight).sum(1) / count + 1e-4)
    return nn.Dense(self.out, name='out')(jnp.concatenate([mean, spread], axis=-1))


class ScoreHead(nn.Module):
  """Two convolutions over (B, T, D), pooled where weight (B, T) is, and a layer on top -> (B, out)."""

  width: int
  out: int
  dropout: float
  reach: int = 5

  @nn.compact
  def __call__(self, x_btd, weight_bt, train):
    drop = nn.Dropout(self.dropout, deterministic=not train)
    x = x_btd
    for i in range(2):
      x = drop(nn.gelu(TimeConv(self.width, self.reach, name=f'conv_{i}')(x)))
    return nn.Dense(self.out, name='out')(drop(nn.gelu(StatsPooling(self.width, name='pool')(x, weight_bt))))


def mean_semitones(logits_btc: jax.Array) -> jax.Array:
  """Logits (B, T, 96) of classes of pitch -> its mean, semitones above 50 Hz."""
  return (jax.nn.softmax(logits_btc) * jnp.arange(PITCH_CLASSES)).sum(-1) * SEMITONES


def class_of_pitch(hertz: jax.Array) -> jax.Array:
  """Hz -> place among the classes of pitch, a fraction."""
  return jnp.clip(12 * jnp.log2(jnp.maximum(hertz, 1.0) / LOWEST) / SEMITONES, 0.0, PITCH_CLASSES - 1.0)


def dct_basis() -> jax.Array:
  """(80, 12): the first cosines over the bands, the level first."""
  places = np.arange(MEL_BANDS)[:, None] + 0.5
  basis = np.cos(np.pi / MEL_BANDS * places * np.arange(COEFFICIENTS))
  return jnp.asarray(basis / np.sqrt((basis**2).sum(0)), jnp.float32) * 0.5


def mouth_features(lips_blc: jax.Array, mask_bl: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
  """Lips at 25 a second -> opening, width and their slopes (B, T/2, 5) at the ear's rate, and where they were seen."""
  at = np.round((np.arange(length) + 0.5) * STEP * HOP / SAMPLE_RATE * LIP_RATE - 0.5).astype(int)
  at = np.clip(at, 0, lips_blc.shape[1] - 1)
  shape = lips_blc[..., OPENING : OPENING + 2] * mask_bl[..., None]
  count = jnp.maximum(mask_bl.sum(1), 1)[:, None, None]
  shape = (shape - shape.sum(1, keepdims=True) / count) * mask_bl[..., None] * 5.0
  slope = jnp.diff(shape, axis=1, prepend=shape[:, :1])
  seen = mask_bl.astype(shape.dtype)
  return jnp.concatenate([shape, slope, seen[..., None]], axis=-1)[:, at], seen[:, at]


def unit(x: jax.Array) -> jax.Array:
  return x / jnp.sqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-8)
