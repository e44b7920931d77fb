"""Mel discriminators of the actor: one full-band, conditioned on speaker and prosody, and one sub-band.

Reconstruction losses alone give over-smoothed mels, the mean of all plausible ones. The sub-band discriminator sees
16 bands at a time, without the condition, and so judges spectral texture. Sources: GANSpeech (arXiv 2106.15153),
least squares as in HiFi-GAN (arXiv 2010.05646). Measured effect:
docs/results/voice.md.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.convolution import TimeConv

BAND, STEP = 16, 8  # width and hop of the sub-bands, mel bands


class MelDiscriminators(nn.Module):
  """Mels (B, T, 80), prosody (B, T, 4), speaker (B, 256) -> [(scores, features of every layer), ...] of both.

  Scores are (B, T, 1) of the full band and (B, 9, T, 1) of the sub-bands; 1 means a recording.
  """

  width: int = 128
  band_width: int = 48

  @nn.compact
  def __call__(
    self, mel_btm: jax.Array, prosody_bt4: jax.Array, speaker_bs: jax.Array
  ) -> list[tuple[jax.Array, list[jax.Array]]]:
    mel_btm = (mel_btm + 5.0) / 2.5  # about unit size
    speaker = nn.Dense(self.width, name='speaker')(speaker_bs)[:, None]
    full_band = TimeConv(self.width, 5, name='enter')(jnp.concatenate([mel_btm, prosody_bt4], axis=-1)) + speaker
    outputs = [ConvDiscriminator(self.width, 3, name='whole')(leaky(full_band))]

    batch, length, bands = mel_btm.shape
    starts = range(0, bands - BAND + 1, STEP)
    strips_bktm = jnp.stack([mel_btm[..., s : s + BAND] for s in starts], axis=1)
    place = self.param('place', nn.initializers.normal(0.1), (len(starts), self.band_width))
    strips = TimeConv(self.band_width, 5, name='enter_band')(strips_bktm.reshape(-1, length, BAND))
    strips = leaky(strips.reshape(batch, len(starts), length, -1) + place[:, None])
    score, features = ConvDiscriminator(self.band_width, 2, name='band')(strips.reshape(-1, length, self.band_width))
    unfold = (batch, len(starts), length, -1)
    return [*outputs, (score.reshape(unfold), [x.reshape(unfold) for x in features])]


class ConvDiscriminator(nn.Module):
  """Convolutional discriminator over time: (B, T, D) -> scores (B, T, 1), features of every layer, the input first."""

  width: int
  layers: int

  @nn.compact
  def __call__(self, x_btd: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
    features = [x_btd]
    for i in range(self.layers):
      features.append(leaky(TimeConv(self.width, 5, name=f'conv_{i}')(features[-1])))
    return TimeConv(1, 3, name='score')(features[-1]), features


def leaky(x: jax.Array) -> jax.Array:
  return nn.leaky_relu(x, 0.2)
