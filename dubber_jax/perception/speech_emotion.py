"""Speech emotion recognition: emotion probabilities of a recording and a 128-dimensional embedding.

A small convolutional network on log-mels, trained on RAVDESS actors 01-10 (`experiments/recipes/speech_emotion.py`); it
takes the place of emotion2vec in the published system. No other model that scores or controls speech shares its data,
features or architecture. Level and spectral coloring of the recording are normalized: silence is trimmed, and each band
is also given relative to its mean.
"""

from functools import lru_cache

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.storage.assets import ASSETS
from dubber_jax.types import HOP, SAMPLE_RATE

WEIGHTS = ASSETS / 'speech_emotion' / 'weights.safetensors'
WIDTH = 128
LENGTHS = (128, 256, 512)  # compiled numbers of mel frames; longer recordings are split into pieces of the last
SILENCE = 6.0  # nepers below the loudest frames (52 dB): threshold of silence
FLOOR = -6.0  # lower clip of normalized log-mels


class SpeechEmotionExtractor:
  """The offline backend of `SoundExtractor`."""

  name = 'emotion-cnn'
  version = '1'
  width = WIDTH

  def read(self, wave: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    features = sound_features(speech_mel(wave, sample_rate))
    pieces = [features[start : start + LENGTHS[-1]] for start in range(0, len(features), LENGTHS[-1])]
    if len(pieces) > 1 and len(pieces[-1]) < LENGTHS[0]:
      pieces.pop()
    embeddings, odds = zip(*(self._piece(piece) for piece in pieces), strict=True)
    embedding = np.mean(embeddings, axis=0)
    embedding /= np.linalg.norm(embedding) + 1e-9
    return embedding.astype(np.float32), np.mean(odds, axis=0).astype(np.float32)

  def _piece(self, features):
    import jax

    length = next(n for n in LENGTHS if n >= len(features))
    padded = np.zeros((1, length, features.shape[1]), np.float32)
    padded[0, : len(features)] = features
    embedding, logits = _forward()(padded, np.arange(length)[None] < len(features))
    return np.asarray(embedding[0]), np.asarray(jax.nn.softmax(logits[0]))


def embed_sound(wave: np.ndarray, sample_rate: int) -> np.ndarray:
  """wave (S,) float32 mono -> (128,) float32, unit norm. Raises BadInput for silence and less than 0.1 s."""
  return SpeechEmotionExtractor().read(wave, sample_rate)[0]


def sound_emotion(wave: np.ndarray, sample_rate: int) -> np.ndarray:
  """wave (S,) float32 mono -> (8,) emotion probabilities. 'others' is not in the training data and stays near 0."""
  return SpeechEmotionExtractor().read(wave, sample_rate)[1]


def speech_mel(wave: np.ndarray, sample_rate: int) -> np.ndarray:
  """wave (S,) -> (T, 80) natural-log mel at 22,050 Hz, leading and trailing silence trimmed."""
  from dubber_jax.media.mel import mel_numpy  # with JAX, which those who only ask for the extractor's name need not

  wave = np.asarray(wave, np.float32)
  if wave.ndim != 1 or len(wave) < 0.1 * sample_rate:
    raise BadInput(f'a sound of {wave.size / sample_rate:.2f} s is too short to hear an emotion in: give 0.1 s or more')
  if not np.isfinite(wave).all() or not np.any(wave):
    raise BadInput('the sound is silent: there is no emotion to hear')
  if sample_rate != SAMPLE_RATE:
    import librosa

    wave = librosa.resample(wave, orig_sr=sample_rate, target_sr=SAMPLE_RATE, res_type='soxr_hq')
  wave = wave / np.abs(wave).max()  # peak normalization: above the log floor of the mel at any level
  wave = np.pad(wave, (0, max(0, 4 * HOP - len(wave))))
  mel = mel_numpy(wave)
  level = np.log(np.exp(mel).mean(1))
  loud = np.nonzero(level > np.percentile(level, 95) - SILENCE)[0]
  return mel[loud[0] : loud[-1] + 1]


def sound_features(mel: np.ndarray) -> np.ndarray:
  """(T, 80) log mel -> (T, 240): relative to the level, relative to each band's mean, and the delta."""
  level = np.log(np.exp(mel).mean())
  relative = np.maximum(mel - level, FLOOR - 2)
  centered = relative - relative.mean(0)
  slope = np.gradient(relative, axis=0) if len(mel) > 1 else np.zeros_like(mel)
  return np.concatenate([(relative + 3) / 3, centered / 2, slope * 2], axis=1).astype(np.float32)


@lru_cache(maxsize=1)
def _forward():
  import jax
  from flax.traverse_util import unflatten_dict

  from dubber_jax.perception.speech_emotion_network import SpeechEmotionNetwork
  from dubber_jax.storage.programs import KeptProgram
  from dubber_jax.storage.weights import read_arrays

  params = jax.device_put(unflatten_dict(read_arrays(WEIGHTS, np.float32), sep='.'))

  def forward(params, features, mask):
    return SpeechEmotionNetwork().apply({'params': params}, features, mask)

  apply = KeptProgram('speech-emotion', '', forward)
  return lambda features, mask: apply(params, features, mask)
