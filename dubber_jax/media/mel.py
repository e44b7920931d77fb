"""Mel spectrograms: the published convention, in JAX, on device (BigVGAN's extractor; spec section 11).

22,050 Hz, 80 bands from 0 to 8000 Hz (Slaney scale and norm), window and FFT of 1024, hop 256, natural
log clipped at 1e-5. Not centered: 384 samples are reflected on both sides, so frames = floor(samples / 256).

Kept by hand, in JAX, with librosa's filters: losses differentiate through it on the device, and librosa runs in NumPy.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.types import HOP, MEL_BANDS, SAMPLE_RATE

WINDOW = 1024  # samples, FFT size too
MAX_FREQUENCY = 8000.0  # Hz
FLOOR = 1e-5  # lower clip of magnitudes
LOG_FLOOR = float(np.log(FLOOR))  # log-mel of silence
PAD = (WINDOW - HOP) // 2


@functools.cache
def filterbank(
  sample_rate: int = SAMPLE_RATE, bands: int = MEL_BANDS, max_frequency: float = MAX_FREQUENCY
) -> np.ndarray:
  """Mel filters, (bands, 513) float32."""
  from librosa.filters import mel  # slow to import

  return mel(sr=sample_rate, n_fft=WINDOW, n_mels=bands, fmin=0.0, fmax=max_frequency).astype(np.float32)


@functools.cache
def inverse_filterbank() -> np.ndarray:
  """Pseudo-inverse of the mel filters, (513, bands) float32."""
  return np.linalg.pinv(filterbank()).astype(np.float32)


@functools.cache
def hann(window: int = WINDOW) -> np.ndarray:
  """Periodic Hann window, (window,) float32."""
  return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)


def frame(wave_bs: jax.Array, num_frames: int, hop: int = HOP) -> jax.Array:
  """(B, samples) -> overlapping windows (B, num_frames, 4 * hop)."""
  hops = WINDOW // HOP
  blocks_bkh = wave_bs[:, : (num_frames + hops - 1) * hop].reshape(wave_bs.shape[0], -1, hop)
  return jnp.concatenate([blocks_bkh[:, i : i + num_frames] for i in range(hops)], axis=-1)


def mel_of_frames(frames_btw: jax.Array, filters_mf: jax.Array) -> jax.Array:
  """Windows (B, T, 1024) and mel filters (M, 513) -> natural-log mel (B, T, M)."""
  spectrum = jnp.fft.rfft(frames_btw * hann())
  magnitude_btf = jnp.sqrt(jnp.square(spectrum.real) + jnp.square(spectrum.imag) + 1e-9)
  mel = jnp.einsum('btf,mf->btm', magnitude_btf, filters_mf, precision='highest')
  return jnp.log(jnp.maximum(mel, FLOOR))


@jax.jit
def _mel(wave_bs, filters_mf):
  num_frames = wave_bs.shape[1] // HOP
  padded = jnp.pad(wave_bs, ((0, 0), (PAD, PAD)), mode='reflect')
  return mel_of_frames(frame(padded, num_frames), filters_mf)


def mel_spectrogram(
  wave: jax.Array, sample_rate: int = SAMPLE_RATE, bands: int = MEL_BANDS, max_frequency: float = MAX_FREQUENCY
) -> jax.Array:
  """(S,) or (B, S) float in -1..1 -> natural-log mel (T, bands) or (B, T, bands), T = S // 256.

  Compiles once for each length S. Raises BadInput for fewer than 385 samples, too short to reflect.
  """
  if wave.shape[-1] <= PAD:
    raise BadInput(f'sound of {wave.shape[-1]} samples is too short for a spectrogram; at least {PAD + 1} are needed')
  filters = filterbank(sample_rate, bands, max_frequency)
  if wave.ndim == 1:
    return _mel(wave[None], filters)[0]
  return _mel(wave, filters)


def mel_numpy(wave: np.ndarray) -> np.ndarray:
  """The same in NumPy, without compilation: (S,) of any length -> (S // 256, 80) float32."""
  if len(wave) <= PAD:
    raise BadInput(f'sound of {len(wave)} samples is too short for a spectrogram; at least {PAD + 1} are needed')
  padded = np.pad(np.asarray(wave, np.float32), PAD, mode='reflect')
  windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: len(wave) // HOP]
  magnitude = np.sqrt(np.abs(np.fft.rfft(windows * hann())) ** 2 + 1e-9).astype(np.float32)
  return np.log(np.maximum(magnitude @ filterbank().T, FLOOR))
