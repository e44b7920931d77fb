"""GE2E: who speaks, as 256 numbers (Wan et al. 2018, arXiv 1710.10467), the speaker encoder of the published system.

The network is the one that the package Resemblyzer distributes (Apache-2.0): three LSTM layers of 256 over 160 frames
of a 40-band power mel at 16 kHz, without a logarithm; a rectified projection of the last state; unit norm. An
utterance is the mean over partial utterances of 1.6 s. `dubber convert` makes its folder of Resemblyzer's weights:

  config.json         {"name": "ge2e"}
  model.safetensors   weights, float32
"""

import functools
import json
from pathlib import Path

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.perception.vad import WINDOW as HEARD
from dubber_jax.perception.vad import speech_probabilities
from dubber_jax.storage.hashing import sha256_bytes
from dubber_jax.storage.weights import check_shapes, flatten, read_arrays, unflatten

RATE = 16000  # Hz
HOP, WINDOW, BANDS = 160, 400, 40  # samples, samples, mel bands
PARTIAL = 160  # mel frames of a partial utterance, 1.6 s
STRIDE = 77  # mel frames from one to the next: 1.3 a second
COVERED = 0.75  # share of the last partial utterance that must be there
LEVEL = -30.0  # dB RMS that quieter recordings are brought to
SPEECH = 480  # samples, 30 ms: is somebody speaking?
SMOOTHED, KEPT_AROUND = 8, 7  # windows of 30 ms: mean over which speech is judged, and widening of what is kept
BATCH = 8  # partial utterances are embedded so many at once


class GE2E(nn.Module):
  """Power mel (B, T, 40) -> (B, width), not negative, of unit norm."""

  width: int = 256
  layers: int = 3

  @nn.compact
  def __call__(self, mel_btm: jax.Array) -> jax.Array:
    x_btd = mel_btm
    for i in range(self.layers):
      x_btd = LSTM(self.width, name=f'lstm_{i}')(x_btd)
    y = nn.relu(nn.Dense(self.width, name='project')(x_btd[:, -1]))
    return y / jnp.linalg.norm(y, axis=-1, keepdims=True)


class LSTM(nn.Module):
  """(B, T, D) -> (B, T, width), from zero states; gates lie as input, forget, cell, output, each with two biases."""

  width: int

  @nn.compact
  def __call__(self, x_btd: jax.Array) -> jax.Array:
    given_btg = nn.Dense(4 * self.width, name='input')(x_btd)
    recur = nn.Dense(4 * self.width, name='recurrent')
    zeros = jnp.zeros((len(x_btd), self.width), x_btd.dtype)

    def step(recur, state, given):
      hidden, cell = state
      into, forget, fresh, out = jnp.split(given + recur(hidden), 4, axis=-1)
      cell = nn.sigmoid(forget) * cell + nn.sigmoid(into) * jnp.tanh(fresh)
      hidden = nn.sigmoid(out) * jnp.tanh(cell)
      return (hidden, cell), hidden

    scan = nn.scan(step, variable_broadcast='params', split_rngs={'params': False}, in_axes=1, out_axes=1)
    return scan(recur, (zeros, zeros), given_btg)[1]


class GE2ESpeaker:
  """The published backend of `SpeakerExtractor`: a GE2E folder, opened."""

  name = 'ge2e'
  width = 256

  def __init__(self, folder: str | Path | None = None, params: dict | None = None):
    """Of a folder that `dubber convert` wrote, or of nested `params`. Raises BadInput where they do not fit."""
    self.params = check_weights(read_weights(folder) if params is None else params, str(folder or 'GE2E'))
    leaves = jax.tree.leaves(self.params)
    self.version = sha256_bytes(*(np.asarray(w).tobytes() for w in leaves))[:8]  # of the weights

  def embed(self, wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """wave (S,) float at any rate -> (256,) float32 of unit norm. Raises BadInput for silence and for no speech."""
    return self.embed_speech(spoken_part(wave, sample_rate))

  def embed_speech(self, wave: np.ndarray) -> np.ndarray:
    """The same of a wave at 16 kHz that is nothing but speech, leveled already."""
    partials = partial_mels(wave)
    padded = np.zeros((-(-len(partials) // BATCH) * BATCH, PARTIAL, BANDS), np.float32)
    padded[: len(partials)] = partials
    vectors = [np.asarray(_embed(self.params, padded[i : i + BATCH])) for i in range(0, len(padded), BATCH)]
    mean = np.concatenate(vectors)[: len(partials)].mean(0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)


@jax.jit
def _embed(params, mel_btm):
  return GE2E().apply({'params': params}, mel_btm)


def partial_mels(wave: np.ndarray) -> np.ndarray:
  """(S,) at 16 kHz -> partial utterances (P, 160, 40), the last filled up with silence, or left out if too short."""
  import librosa

  frames = -(-(len(wave) + 1) // HOP)
  starts = list(range(0, max(1, frames - PARTIAL + STRIDE + 1), STRIDE))
  if len(starts) > 1 and len(wave) - starts[-1] * HOP < COVERED * PARTIAL * HOP:
    starts.pop()
  wave = np.pad(wave, (0, max(0, (starts[-1] + PARTIAL) * HOP - len(wave))))
  mel = librosa.feature.melspectrogram(y=wave, sr=RATE, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS).T
  return np.stack([mel[s : s + PARTIAL] for s in starts]).astype(np.float32)


def spoken_part(wave: np.ndarray, sample_rate: int) -> np.ndarray:
  """A recording at 16 kHz, brought up to -30 dB, without its longer silences.

  Silence is told by Silero's detector; Resemblyzer itself asks WebRTC's.
  """
  import librosa
  from scipy.ndimage import binary_dilation

  wave = np.asarray(wave, np.float32)
  if wave.ndim != 1 or len(wave) < 0.1 * sample_rate:
    raise BadInput(f'a voice of {wave.size / sample_rate:.2f} s is too short: give at least 1 s')
  if not np.isfinite(wave).all() or not np.any(wave):
    raise BadInput('the voice is silent: give a recording with speech in it')
  if sample_rate != RATE:
    wave = librosa.resample(wave, orig_sr=sample_rate, target_sr=RATE)
  level = 20 * np.log10(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
  wave = wave * np.float32(10 ** (max(LEVEL - level, 0) / 20))
  speech = _speech(wave)
  mean = np.convolve(speech, np.ones(SMOOTHED) / SMOOTHED)[SMOOTHED // 2 :][: len(speech)]
  kept = np.repeat(binary_dilation(np.round(mean).astype(bool), np.ones(KEPT_AROUND)), SPEECH)
  wave = wave[: len(kept)][kept]
  if not len(wave):
    raise BadInput('nobody speaks in the recording: give one with speech in it')
  return wave


def _speech(wave: np.ndarray) -> np.ndarray:
  """(S,) -> whether somebody speaks in each window of 30 ms."""
  center = np.arange(len(wave) // SPEECH) * SPEECH + SPEECH // 2
  return speech_probabilities(wave)[center // HEARD] > 0.5


@functools.cache
def expected_shapes() -> dict[str, tuple[int, ...]]:
  """{'lstm_0/input/kernel': (40, 1024), ...}."""
  tree = jax.eval_shape(lambda: GE2E().init(jax.random.key(0), jnp.zeros((1, PARTIAL, BANDS)))['params'])
  return {k: v.shape for k, v in flax.traverse_util.flatten_dict(tree, sep='/').items()}


def read_weights(folder: str | Path | None) -> dict:
  folder = Path(folder or '')
  try:
    name = json.loads((folder / 'config.json').read_text())['name']
    arrays = read_arrays(folder / 'model.safetensors')
  except (OSError, KeyError, TypeError, ValueError) as e:
    raise BadInput(
      f"{folder}: no GE2E encoder can be read there ({e}); make one of Resemblyzer's pretrained.pt by `dubber convert`"
    ) from e
  if name != 'ge2e':
    raise BadInput(f'{folder}/config.json is that of a {name}, not of a GE2E encoder')
  return unflatten(arrays)


def check_weights(params: dict, where: str) -> dict:
  check_shapes(flatten(params), expected_shapes(), where, 'these are not weights of GE2E')
  return params
