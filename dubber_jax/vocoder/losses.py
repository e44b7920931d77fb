"""Losses of the vocoder: mel, multi-resolution STFT, spectral energy distance, F0 and adversarial."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from dubber_jax.media.mel import PAD, frame, mel_of_frames
from dubber_jax.vocoder.discriminators import log_magnitude
from dubber_jax.vocoder.source_filter import PITCH

QUIETEST = -8.0  # nepers, floor of log magnitudes

SPECTRA = ((256, 64), (512, 128), (1024, 256), (2048, 512))  # FFT and hop of the spectral loss, samples


def mel_loss(generated_bs: jax.Array, mel_btm: jax.Array, filters: jax.Array) -> jax.Array:
  """L1 distance of the log mel of generated waveforms (B, S) from the target (B, T, 80), over the frames whose windows
  lie within the segment."""
  mel = mel_of_frames(frame(jnp.pad(generated_bs, ((0, 0), (PAD, PAD))), mel_btm.shape[1]), filters)
  return jnp.abs(mel - mel_btm)[:, 2:-2].mean()


def spectral_loss(generated_bs: jax.Array, recorded_bs: jax.Array) -> jax.Array:
  """Multi-resolution STFT loss: L1 of log magnitudes and spectral convergence at four resolutions (Parallel WaveGAN,
  arXiv 1910.11480)."""
  total = 0.0
  for fft, hop in SPECTRA:
    a, b = (jnp.maximum(log_magnitude(x, fft, hop), QUIETEST) for x in (generated_bs, recorded_bs))
    convergence = optax.safe_norm(jnp.exp(a) - jnp.exp(b), 1e-6) / optax.safe_norm(jnp.exp(b), 1e-6)
    total += (jnp.abs(a - b).mean() + convergence) / len(SPECTRA)
  return total


def energy_distance(one_bs: jax.Array, other_bs: jax.Array, recorded_bs: jax.Array) -> jax.Array:
  """Spectral energy distance (Gritsenko et al. 2020, arXiv 2008.01160): mean distance of two takes, which differ only
  in their noise, to the recording, minus half their distance to each other.

  Minimal where takes are distributed as recordings; a plain distance is minimal with noise quieter than recorded. The
  distance is the Euclidean one of a frame's log magnitudes plus the L1 one of its magnitudes, at four resolutions.
  """
  total = 0.0
  for fft, hop in SPECTRA:
    logs = [jnp.maximum(log_magnitude(x, fft, hop), QUIETEST) for x in (one_bs, other_bs, recorded_bs)]
    sizes = [jnp.exp(x) for x in logs]
    level = sizes[2].mean((1, 2)) + 1e-3

    def distance(i, j, logs=logs, sizes=sizes, level=level):
      log_distance = jnp.sqrt(jnp.square(logs[i] - logs[j]).mean(-1) + 1e-6).mean()
      return log_distance + (jnp.abs(sizes[i] - sizes[j]).mean((1, 2)) / level).mean()

    total += ((distance(0, 2) + distance(1, 2)) / 2 - distance(0, 1) / 2) / len(SPECTRA)
  return total


def pitch_loss(logits_btc: jax.Array, pitch_bt: jax.Array, voiced_bt: jax.Array) -> jax.Array:
  """Cross-entropy of F0 class logits against soft targets on the two nearest classes, over voiced frames."""
  each = optax.softmax_cross_entropy(logits_btc, PITCH.soft_targets(pitch_bt))
  return (each * voiced_bt).sum() / jnp.maximum(voiced_bt.sum(), 1)


def adversarial_losses(
  discriminators: nn.Module, params: dict, generated_bs: jax.Array, recorded_bs: jax.Array
) -> dict[str, jax.Array]:
  """Least-squares GAN and feature-matching losses (HiFi-GAN).

  `adversarial` and `features` have gradients in the generator alone, `discriminators` in the discriminators alone,
  whose parameters are `params`; `disc_accuracy` is the share of scores that classify correctly.
  """
  both = jnp.concatenate([generated_bs, recorded_bs])
  judged = discriminators.apply({'params': jax.lax.stop_gradient(params)}, both)
  adversarial = matching = 0.0
  for score, features in judged:
    adversarial += jnp.square(1.0 - score[: len(score) // 2]).mean() / len(judged)
    for layer in features:
      half = len(layer) // 2
      real = jax.lax.stop_gradient(layer[half:])
      distance = jnp.abs(layer[:half] - real).mean() / (jnp.abs(real).mean() + 1e-3)
      matching += distance / len(features) / len(judged)
  judged = discriminators.apply({'params': params}, jax.lax.stop_gradient(both))
  loss = accuracy = 0.0
  for score, _ in judged:
    half = len(score) // 2
    loss += (jnp.square(score[:half]).mean() + jnp.square(1.0 - score[half:]).mean()) / len(judged)
    accuracy += ((score[:half] < 0.5).mean() + (score[half:] > 0.5).mean()) / 2 / len(judged)
  return {'adversarial': adversarial, 'features': matching, 'discriminators': loss, 'disc_accuracy': accuracy}
