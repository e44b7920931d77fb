"""Losses of the vocoder: mel, multi-resolution STFT, spectral energy distance, F0 and adversarial."""

import jax
import jax.numpy as jnp
import optax

from dubber_jax.media.mel import PAD, frame, mel_of_frames
from dubber_jax.vocoder.discriminators import log_magnitude
from dubber_jax.vocoder.source_filter import PITCH

QUIETEST = -8.0  # nepers: magnitudes below count as this

SPECTRA = ((256, 64), (512, 128), (1024, 256), (2048, 512))  # FFT and hop of the spectral loss, samples


def mel_loss(made_bs, mel_btm, filters) -> jax.Array:
  """L1 of the log mel of what was made to the mel wanted, over the frames whose windows lie within the piece."""
  own = mel_of_frames(frame(jnp.pad(made_bs, ((0, 0), (PAD, PAD))), mel_btm.shape[1]), filters)
  return jnp.abs(own - mel_btm)[:, 2:-2].mean()


def spectral_loss(made_bs, sound_bs) -> jax.Array:
  """L1 of log magnitudes at four resolutions, with the spectral convergence of each (Parallel WaveGAN, 1910.11480)."""
  total = 0.0
  for fft, hop in SPECTRA:
    a, b = (jnp.maximum(log_magnitude(x, fft, hop), QUIETEST) for x in (made_bs, sound_bs))
    convergence = optax.safe_norm(jnp.exp(a) - jnp.exp(b), 1e-6) / optax.safe_norm(jnp.exp(b), 1e-6)
    total += (jnp.abs(a - b).mean() + convergence) / len(SPECTRA)
  return total


def energy_distance(one_bs, other_bs, sound_bs) -> jax.Array:
  """Spectral energy distance (Gritsenko et al. 2020, arXiv 2008.01160) of two takes, alike but for their noise, to a
  recording: their mean distance to it less half of that to each other.

  Least where takes are distributed as recordings are; a plain distance is least where noise is quieter than recorded.
  The distance is the Euclidean one of a frame's log magnitudes and the L1 of its magnitudes, at four resolutions.
  """
  total = 0.0
  for fft, hop in SPECTRA:
    logs = [jnp.maximum(log_magnitude(x, fft, hop), QUIETEST) for x in (one_bs, other_bs, sound_bs)]
    sizes = [jnp.exp(x) for x in logs]
    level = sizes[2].mean((1, 2)) + 1e-3

    def distance(i, j, logs=logs, sizes=sizes, level=level):
      apart = jnp.sqrt(jnp.square(logs[i] - logs[j]).mean(-1) + 1e-6).mean()
      return apart + (jnp.abs(sizes[i] - sizes[j]).mean((1, 2)) / level).mean()

    total += ((distance(0, 2) + distance(1, 2)) / 2 - distance(0, 1) / 2) / len(SPECTRA)
  return total


def pitch_loss(logits_btc, pitch_bt, voiced_bt) -> jax.Array:
  """Cross-entropy with the pitch's two neighboring classes, over voiced frames."""
  each = optax.softmax_cross_entropy(logits_btc, PITCH.soft_targets(pitch_bt))
  return (each * voiced_bt).sum() / jnp.maximum(voiced_bt.sum(), 1)


def adversarial_losses(judges, params, made, sound) -> dict[str, jax.Array]:
  """Least squares (HiFi-GAN): `adversarial` and `features` move the generator alone, `discriminators` them alone."""
  held = jax.lax.stop_gradient(params)
  listened = judges.apply({'params': held}, jnp.concatenate([made, sound]))
  adversarial = features = 0.0
  for score, layers in listened:
    adversarial += jnp.square(1.0 - score[: len(score) // 2]).mean() / len(listened)
    for layer in layers:
      half = len(layer) // 2
      real = jax.lax.stop_gradient(layer[half:])
      features += jnp.abs(layer[:half] - real).mean() / (jnp.abs(real).mean() + 1e-3) / len(layers) / len(listened)
  judged = judges.apply({'params': params}, jax.lax.stop_gradient(jnp.concatenate([made, sound])))
  teaching = right = 0.0
  for score, _ in judged:
    half = len(score) // 2
    teaching += (jnp.square(score[:half]).mean() + jnp.square(1.0 - score[half:]).mean()) / len(judged)
    right += ((score[:half] < 0.5).mean() + (score[half:] > 0.5).mean()) / 2 / len(judged)
  return {'adversarial': adversarial, 'features': features, 'discriminators': teaching, 'disc_accuracy': right}
