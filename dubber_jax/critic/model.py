"""Critic: CTC phone recognizer with five score heads (emotion, naturalness, speaker similarity, AV sync,
intelligibility), differentiable in the mel.

One small convolutional encoder gives phone posteriors (connectionist temporal classification) and F0 classes; the heads
use its outputs and the mel. The director ranks takes by the scores before any take is vocoded.

The emotion head sees residuals alone: how far each phoneme's spectrum, F0, level and duration are from a neutral
template of the same phoneme in the same voice. Without that, an encoder trained on acted corpora of two sentences would
predict the emotion from the text. No judge in `evaluation` shares these features, this architecture or training
speakers.
"""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.nn.alignment import frame_to_phoneme
from dubber_jax.nn.convolution import ConvNeXtBlock, TimeConv
from dubber_jax.nn.masks import frame_mask
from dubber_jax.nn.pitch_classes import PitchClasses
from dubber_jax.script.symbols import ARPABET_87, SILENCES, SYMBOLS
from dubber_jax.types import EMOTIONS, HOP, LIP_RATE, MEL_BANDS, SAMPLE_RATE

SUBSAMPLING = 2  # mel frames for each encoder step
PHONES = ('',) + tuple(sorted({s.rstrip('012') for s in ARPABET_87 if s not in SILENCES}))  # the CTC blank first
PHONE_OF = np.array(  # (symbols,): phone class of each symbol, 0 for silence and punctuation
  [PHONES.index(s.rstrip('012')) if s[0] == '@' and s not in SILENCES else 0 for s in SYMBOLS]
)
DCT_COEFFICIENTS = 12  # of a spectral residual
PITCH = PitchClasses(per_octave=24.0)  # half a semitone each, 50 to 777 Hz
OPENING = 80  # index of the mouth opening in lips (82,); the mouth width follows it


@dataclass(frozen=True)
class CriticSizes:
  """Sizes of the networks: encoder width and depth, width of a score head, and of the speaker embedding.

  The field names are the keys of config.json.
  """

  width: int = 128
  layers: int = 4
  opinion: int = 64  # width of each score head
  embedding: int = 96
  dropout: float = 0.3


class Critic(nn.Module):
  """Scores, phone logits and F0 of takes. `batch` has, for B items of T mel frames (even) and N phonemes,

    mel (B, T, 80)          phonemes, durations (B, N) int, 0 is padding; durations add up to the item's frames
    reference (B, R, 80), reference_mask (B, R): neutral speech of the same voice, R even
    lips (B, L, 82), lip_mask (B, L): lip landmarks at 25 frames a second, and where they were tracked

  -> a dictionary: `phones` logits (B, T/2, 40), blank first; `pitch` logits (B, T/2, 96) and `voicing` logit;
  `emotion` logits (B, 8); `naturalness` (B,), logit of recorded against fully degraded speech; `speaker_embedding` and
  `reference_embedding` (B, 96), unit vectors; `av_sync` (B,), logit of lips and sound being in sync; `neutral_template`
  (B, T, 80) log mel and `neutral_log_duration` (B, N), of the same phonemes in neutral speech of this voice;
  `f0_semitones` (B, T/2) above 50 Hz, and `voiced`, the probability of voicing.
  """

  sizes: CriticSizes = CriticSizes()

  @nn.compact
  def __call__(self, batch: dict[str, Any], train: bool = False) -> dict[str, jax.Array]:
    s = self.sizes
    # Parameter names are those of stored checkpoints: Ear_0, Pool_0, natural, together, usual_*.
    encoder, pool = AcousticEncoder(s.width, s.layers, name='Ear_0'), StatsPooling(s.embedding, name='Pool_0')
    mask_bt = frame_mask(batch['durations'], batch['mel'].shape[1])
    mel_btm = (batch['mel'] + 5.0) / 2.5  # to about unit variance
    reference_brm = (batch['reference'] + 5.0) / 2.5
    hidden, phones, pitch, voicing = encoder(mel_btm, mask_bt)
    reference_hidden, _, reference_pitch, reference_voicing = encoder(reference_brm, batch['reference_mask'])
    half, reference_half = mask_bt[:, ::SUBSAMPLING], batch['reference_mask'][:, ::SUBSAMPLING]
    speaker_embedding = unit(nn.tanh(pool(hidden, half)))
    reference_embedding = unit(nn.tanh(pool(reference_hidden, reference_half)))

    # Speaker normalization: mean spectrum and mean F0 of the reference while it is spoken.
    spoken = batch['reference_mask'] * nn.sigmoid(4.0 * (reference_brm.mean(-1) + 1.0))
    spectrum = (reference_brm * spoken[..., None]).sum(1) / jnp.maximum(spoken.sum(1), 1.0)[:, None]
    f0_semitones = PITCH.expected_semitones(pitch)
    voiced, reference_voiced = nn.sigmoid(voicing) * half, nn.sigmoid(reference_voicing) * reference_half
    reference_f0 = (PITCH.expected_semitones(reference_pitch) * reference_voiced).sum(1)
    reference_f0 = reference_f0 / jnp.maximum(reference_voiced.sum(1), 1.0)

    path_btn = frame_to_phoneme(batch['durations'], mask_bt.shape[1])
    phone_bnp = jax.nn.one_hot(jnp.asarray(PHONE_OF)[batch['phonemes']], len(PHONES))
    template_spectrum = self.param('usual_spectrum', nn.initializers.zeros, (len(PHONES), MEL_BANDS))
    template_log_duration = phone_bnp @ self.param('usual_length', nn.initializers.constant(2.0), (len(PHONES),))
    template_btm = spectrum[:, None] + path_btn @ (phone_bnp @ template_spectrum)
    residual_btm = jnp.clip(mel_btm - jax.lax.stop_gradient(template_btm), -2.0, 2.0) * mask_bt[..., None]
    log_duration_residual_bn = jnp.log(batch['durations'] + 1.0) - jax.lax.stop_gradient(template_log_duration)
    speech_bt = (path_btn @ (1.0 - phone_bnp[..., :1]))[..., 0]

    def subsample(x):  # (B, T, ...) -> (B, T/2, ...), means
      return x.reshape(x.shape[0], -1, SUBSAMPLING, *x.shape[2:]).mean(2)

    relative_f0 = (f0_semitones - reference_f0[:, None]) / 6.0
    features = [
      subsample(residual_btm) @ dct_basis(),
      (relative_f0 * voiced)[..., None],
      (jnp.square(relative_f0) * voiced)[..., None],
      voiced[..., None],
      subsample(path_btn @ log_duration_residual_bn[..., None]),
    ]
    emotion = ScoreHead(s.opinion, len(EMOTIONS), s.dropout, name='emotion')(
      jnp.concatenate(features, axis=-1), subsample(speech_bt) * half, train
    )
    slopes = (jnp.diff(mel_btm, axis=1, append=mel_btm[:, -1:]), jnp.diff(mel_btm, axis=2))  # over time, over bands
    texture = [subsample(x) for x in (mel_btm, *map(jnp.abs, slopes))]
    slopes = (jnp.diff(mel_btm, axis=1, append=mel_btm[:, -1:]), jnp.diff(mel_btm, axis=2))  # over time, over bands
    texture = [subsample(x) for x in (mel_btm, *map(jnp.abs, slopes))]
    texture = jnp.concatenate([*texture, relative_f0[..., None]], axis=-1)
    naturalness = ScoreHead(s.opinion, 1, s.dropout, name='natural')(texture, half, train)[:, 0]

    mouth, tracked = mouth_features(batch['lips'], batch['lip_mask'], half.shape[1])
    sync = jnp.concatenate([subsample(mel_btm) @ dct_basis(), voiced[..., None], mouth], axis=-1)
    av_sync = ScoreHead(s.opinion, 1, s.dropout, kernel=9, name='together')(sync, half * tracked, train)[:, 0]
    return {
      'phones': phones,
      'pitch': pitch,
      'voicing': voicing,
      'emotion': emotion,
      'naturalness': naturalness,
      'speaker_embedding': speaker_embedding,
      'reference_embedding': reference_embedding,
      'av_sync': av_sync,
      'neutral_template': template_btm * 2.5 - 5.0,
      'neutral_log_duration': template_log_duration,
      'f0_semitones': f0_semitones,
      'voiced': voiced,
    }


class AcousticEncoder(nn.Module):
  """ConvNeXt encoder: normalized mel (B, T, 80), mask (B, T) -> hidden (B, T/2, D), logits of phones (B, T/2, 40), of
  F0 classes (B, T/2, 96) and of voicing (B, T/2)."""

  width: int
  layers: int

  @nn.compact
  def __call__(self, mel_btm: jax.Array, mask_bt: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    batch, length, bands = mel_btm.shape
    half = mask_bt[:, ::SUBSAMPLING]
    stacked = mel_btm.reshape(batch, length // SUBSAMPLING, SUBSAMPLING * bands)
    x = nn.Dense(self.width, name='enter')(stacked) * half[..., None]
    for i in range(self.layers):
      x = ConvNeXtBlock(7, 2, name=f'block_{i}')(x, half)
    x = nn.LayerNorm()(x)
    pitch = nn.Dense(PITCH.count + 1, name='pitch')(x)
    return x, nn.Dense(len(PHONES), name='phones')(x), pitch[..., 1:], pitch[..., 0]


class StatsPooling(nn.Module):
  """Statistics pooling: x (B, T, D), weight (B, T) -> (B, out), linear in the weighted mean and deviation over time."""

  out: int

  @nn.compact
  def __call__(self, x_btd: jax.Array, weight_bt: jax.Array) -> jax.Array:
    weight = weight_bt[..., None].astype(x_btd.dtype)
    count = jnp.maximum(weight.sum(1), 1.0)
    mean = (x_btd * weight).sum(1) / count
    deviation = jnp.sqrt((jnp.square(x_btd - mean[:, None]) * weight).sum(1) / count + 1e-4)
    return nn.Dense(self.out, name='out')(jnp.concatenate([mean, deviation], axis=-1))


class ScoreHead(nn.Module):
  """Score head: two convolutions over x (B, T, D), statistics pooling with weight (B, T), linear -> logits (B, out)."""

  width: int
  out: int
  dropout: float
  kernel: int = 5  # width of the convolutions, in steps

  @nn.compact
  def __call__(self, x_btd: jax.Array, weight_bt: jax.Array, train: bool) -> jax.Array:
    drop = nn.Dropout(self.dropout, deterministic=not train)
    x = x_btd
    for i in range(2):
      x = drop(nn.gelu(TimeConv(self.width, self.kernel, name=f'conv_{i}')(x)))
    return nn.Dense(self.out, name='out')(drop(nn.gelu(StatsPooling(self.width, name='pool')(x, weight_bt))))


def dct_basis() -> jax.Array:
  """(80, 12): DCT-II basis over the mel bands, lowest coefficients, the level first; columns of norm 0.5."""
  places = np.arange(MEL_BANDS)[:, None] + 0.5
  basis = np.cos(np.pi / MEL_BANDS * places * np.arange(DCT_COEFFICIENTS))
  return jnp.asarray(basis / np.sqrt((basis**2).sum(0)), jnp.float32) * 0.5


def mouth_features(lips_blc: jax.Array, mask_bl: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
  """Mouth opening, width, their slopes and the mask, centered: lips (B, L, 82) at 25 a second -> (B, T/2, 5) at the
  encoder's rate, and the mask (B, T/2)."""
  at = np.round((np.arange(length) + 0.5) * SUBSAMPLING * HOP / SAMPLE_RATE * LIP_RATE - 0.5).astype(int)
  at = np.clip(at, 0, lips_blc.shape[1] - 1)
  shape = lips_blc[..., OPENING : OPENING + 2] * mask_bl[..., None]
  count = jnp.maximum(mask_bl.sum(1), 1)[:, None, None]
  shape = (shape - shape.sum(1, keepdims=True) / count) * mask_bl[..., None] * 5.0
  slope = jnp.diff(shape, axis=1, prepend=shape[:, :1])
  tracked = mask_bl.astype(shape.dtype)
  return jnp.concatenate([shape, slope, tracked[..., None]], axis=-1)[:, at], tracked[:, at]


def unit(x: jax.Array) -> jax.Array:
  """x (..., D) scaled to unit Euclidean norm over its last axis."""
  return x / jnp.sqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-8)
