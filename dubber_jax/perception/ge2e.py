"""GE2E speaker encoder: d-vectors of 256 dimensions (Wan et al. 2018, arXiv 1710.10467), that of the published system.

The network is the one that the package Resemblyzer distributes (Apache-2.0): three LSTM layers of 256 over 160 frames
of a 40-band power mel at 16 kHz (no logarithm), a ReLU projection of the last hidden state, L2-normalized. An
utterance's embedding is the mean over partial utterances of 1.6 s. `dubber convert` writes a folder from Resemblyzer's
weights:

  config.json         {"name": "ge2e"}
  model.safetensors   weights, float32, in PyTorch's layout: the gates i, f, g, o side by side, two biases
"""

import json
from collections.abc import Mapping
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.perception.vad import WINDOW as VAD_WINDOW
from dubber_jax.perception.vad import speech_probabilities
from dubber_jax.storage.hashing import sha256_bytes
from dubber_jax.storage.weights import check_shapes, flatten, read_arrays, unflatten

RATE = 16000  # Hz
HOP, WINDOW, BANDS = 160, 400, 40  # samples, samples, mel bands
PARTIAL = 160  # mel frames of a partial utterance, 1.6 s
STRIDE = 77  # mel frames between partial utterances: 1.3 a second
MIN_COVERAGE = 0.75  # share of the last partial utterance that must be sound
LEVEL = -30.0  # dB RMS to which quieter recordings are raised
VAD_FRAME = 480  # samples, 30 ms: resolution at which silences are removed
VAD_SMOOTHING, VAD_DILATION = 8, 7  # windows of 30 ms: moving average and dilation of voice activity
BATCH = 8  # partial utterances in one call


class GE2E(nn.Module):
  """Power mel (B, T, 40) -> d-vectors (B, width), not negative, of unit norm."""

  width: int = 256
  layers: int = 3

  @nn.compact
  def __call__(self, mel_btm: jax.Array) -> jax.Array:
    x_btd = mel_btm
    for i in range(self.layers):
      x_btd = nn.RNN(nn.OptimizedLSTMCell(self.width, name=f'lstm_{i}'))(x_btd)
    y = nn.relu(nn.Dense(self.width, name='project')(x_btd[:, -1]))
    return y / jnp.linalg.norm(y, axis=-1, keepdims=True)


def network_params(weights: Mapping) -> dict:
  """Nested weights in PyTorch's layout -> parameters of GE2E: a kernel for each gate, the two biases summed."""
  params = {'project': weights['project']}
  for i in range(GE2E.layers):
    given, recurrent = weights[f'lstm_{i}']['input'], weights[f'lstm_{i}']['recurrent']
    bias = np.split(np.asarray(given['bias']) + np.asarray(recurrent['bias']), 4)
    kernels, recurrent_kernels = (np.split(np.asarray(w['kernel']), 4, axis=1) for w in (given, recurrent))
    params[f'lstm_{i}'] = {f'i{gate}': {'kernel': kernels[k]} for k, gate in enumerate('ifgo')} | {
      f'h{gate}': {'kernel': recurrent_kernels[k], 'bias': bias[k]} for k, gate in enumerate('ifgo')
    }
  return params


class GE2ESpeaker:
  """Backend of `SpeakerExtractor` as in the published system: GE2E from a converted folder.

  `params` are the weights in PyTorch's layout, from which the checkpoint can be restored exactly.
  """

  name = 'ge2e'
  width = 256

  def __init__(self, folder: str | Path | None = None, params: dict | None = None):
    """From a folder that `dubber convert` wrote, or nested `params`. Raises BadInput where they do not fit."""
    self.params = check_weights(read_weights(folder) if params is None else params, str(folder or 'GE2E'))
    self._network_params = network_params(self.params)
    leaves = jax.tree.leaves(self.params)
    self.version = sha256_bytes(*(np.asarray(w).tobytes() for w in leaves))[:8]  # hash of the weights

  def embed(self, wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """wave (S,) float at any rate -> (256,) float32 of unit norm. Raises BadInput for silence and for no speech."""
    return self.embed_speech(preprocess_wave(wave, sample_rate))

  def embed_speech(self, wave: np.ndarray) -> np.ndarray:
    """The same of a wave at 16 kHz that is level-normalized and without silences."""
    partials = partial_mels(wave)
    padded = np.zeros((-(-len(partials) // BATCH) * BATCH, PARTIAL, BANDS), np.float32)
    padded[: len(partials)] = partials
    vectors = [np.asarray(_embed(self._network_params, padded[i : i + BATCH])) for i in range(0, len(padded), BATCH)]
    mean = np.concatenate(vectors)[: len(partials)].mean(0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)


@jax.jit
def _embed(params, mel_btm):
  return GE2E().apply({'params': params}, mel_btm)


def partial_mels(wave: np.ndarray) -> np.ndarray:
  """(S,) at 16 kHz -> partial utterances (P, 160, 40), the last padded with zeros, or dropped if too short."""
  import librosa

  frames = -(-(len(wave) + 1) // HOP)
  starts = list(range(0, max(1, frames - PARTIAL + STRIDE + 1), STRIDE))
  if len(starts) > 1 and len(wave) - starts[-1] * HOP < MIN_COVERAGE * PARTIAL * HOP:
    starts.pop()
  wave = np.pad(wave, (0, max(0, (starts[-1] + PARTIAL) * HOP - len(wave))))
  mel = librosa.feature.melspectrogram(y=wave, sr=RATE, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS).T
  return np.stack([mel[s : s + PARTIAL] for s in starts]).astype(np.float32)


def preprocess_wave(wave: np.ndarray, sample_rate: int) -> np.ndarray:
  """Resamples (S,) to 16 kHz, raises its level to -30 dB RMS and removes longer silences.

  Voice activity is detected by Silero VAD (Resemblyzer uses WebRTC's). Raises BadInput for less than 0.1 s, for silence
  and where nobody speaks.
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
  speech = _voice_activity(wave)
  mean = np.convolve(speech, np.ones(VAD_SMOOTHING) / VAD_SMOOTHING)[VAD_SMOOTHING // 2 :][: len(speech)]
  kept = np.repeat(binary_dilation(np.round(mean).astype(bool), np.ones(VAD_DILATION)), VAD_FRAME)
  wave = wave[: len(kept)][kept]
  if not len(wave):
    raise BadInput('nobody speaks in the recording: give one with speech in it')
  return wave


def _voice_activity(wave: np.ndarray) -> np.ndarray:
  """(S,) at 16 kHz -> speech or not, (S // 480,) bool, for each window of 30 ms."""
  center = np.arange(len(wave) // VAD_FRAME) * VAD_FRAME + VAD_FRAME // 2
  return speech_probabilities(wave)[center // VAD_WINDOW] > 0.5


def expected_shapes() -> dict[str, tuple[int, ...]]:
  """Shapes of the stored weights: {'lstm_0/input/kernel': (40, 1024), ...}."""
  width = GE2E.width
  shapes = {'project/kernel': (width, width), 'project/bias': (width,)}
  for i in range(GE2E.layers):
    for name, inputs in (('input', width if i else BANDS), ('recurrent', width)):
      shapes |= {f'lstm_{i}/{name}/kernel': (inputs, 4 * width), f'lstm_{i}/{name}/bias': (4 * width,)}
  return shapes


def read_weights(folder: str | Path | None) -> dict:
  """Nested weights of a converted folder. Raises BadInput where it is none."""
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
  """`params` themselves. Raises BadInput where a name or shape is not that of GE2E."""
  check_shapes(flatten(params), expected_shapes(), where, 'these are not weights of GE2E')
  return params
