"""Lip sync by an audio-visual embedding network, after SyncNet: the judge of confidence and offset.

A judge only: no training, directing or reviewing uses it. It sees gray pixels around the mouth and was trained on GRID;
the critic's score of AV sync is of lip landmarks, which this does not use. A mouth is cropped by the face's box alone
(OpenCV's Haar cascade) and its mean over time is subtracted, so that motion remains.

Two small networks embed 25 moments a second of pictures and of sound; the offset with the highest mean cosine is the
best alignment (Chung and Zisserman 2016; matching of many shifts: Chung et al. 2019).
`experiments/recipes/lip_sync_judge.py` trains it; docs/results/judges.md has its accuracy.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from dubber_jax.errors import BadInput
from dubber_jax.storage.assets import ASSETS
from dubber_jax.types import LIP_RATE

SHIPPED = ASSETS / 'lip_sync_judge'
STORED, SEEN = 64, 48  # pixels: sides of a mouth crop and of the network's input
PLACE, SHARE = (0.5, 0.8), 0.62  # center and side of the crop, in sides of the face's box
SOUND_RATE, BANDS, WINDOW = 16000, 40, 400  # Hz; mel bands; samples
FINE = 4  # sound frames (10 ms) per picture
SHIFTS = 15  # largest offset in pictures, both ways: 0.6 s
HIDDEN, WIDTH = 96, 64
LENGTHS = (75, 150, 300, 600)  # compiled lengths in pictures; of longer films the beginning is judged


class LipSync(nn.Module):
  """Audio-visual embedding: mouths (B, L, 48, 48), sound (B, 4 L, 40) -> unit vectors (B, L, 64) of each, attention
  weights (B, L), and the inverse temperature of the cosines."""

  @nn.compact
  def __call__(
    self, mouths: jax.Array, sound: jax.Array, train: bool = False
  ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    visual = Mouths(name='mouths')(mouths, train)
    weight = jax.nn.softmax(nn.Dense(1, name='weight')(visual)[..., 0], axis=-1)
    audio = Sound(name='sound')(sound, train)
    sharpness = jnp.exp(self.param('sharpness', nn.initializers.constant(2.3), ()))
    visual, audio = (unit(nn.Dense(WIDTH, name=name)(x)) for name, x in (('seen', visual), ('heard', audio)))
    return visual, audio, weight, sharpness


class Mouths(nn.Module):
  """Visual encoder: (B, L, 48, 48) -> (B, L, 96)."""

  channels: tuple[int, ...] = (24, 48, 96)

  @nn.compact
  def __call__(self, mouths: jax.Array, train: bool) -> jax.Array:
    batch, length, side, _ = mouths.shape
    beside = jnp.pad(mouths, ((0, 0), (1, 1), (0, 0), (0, 0)), mode='edge')
    x = jnp.stack([beside[:, i : i + length] for i in range(3)], axis=-1)  # with the frames before and after
    x = x.reshape(batch * length, side, side, 3)
    for i, channels in enumerate(self.channels):
      size, step = (4, 4) if i == 0 else (3, 2)
      x = nn.LayerNorm()(nn.gelu(nn.Conv(channels, (size, size), (step, step))(x)))
    x = nn.Dropout(0.2, deterministic=not train)(x.reshape(batch, length, -1))
    return Course()(nn.Dense(HIDDEN)(x), train)


class Sound(nn.Module):
  """Audio encoder: (B, 4 L, 40) -> (B, L, 96)."""

  @nn.compact
  def __call__(self, sound: jax.Array, train: bool) -> jax.Array:
    batch, length, bands = sound.shape
    x = nn.gelu(nn.Dense(128)(sound.reshape(batch, length // FINE, FINE * bands)))
    x = nn.Dropout(0.1, deterministic=not train)(x)
    return Course()(nn.Dense(HIDDEN)(x), train)


class Course(nn.Module):
  """Residual convolutions over time: (B, L, 96) -> the same, over three moments before and after."""

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    for _ in range(3):
      hidden = nn.gelu(nn.Conv(HIDDEN, (3,))(nn.LayerNorm()(x)))
      x = x + nn.Dropout(0.1, deterministic=not train)(hidden)
    return nn.LayerNorm()(x)


def unit(x: jax.Array) -> jax.Array:
  return x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-6)


def shifted(visual: jax.Array, audio: jax.Array, weight: jax.Array) -> jnp.ndarray:
  """Offset curve: vectors (B, L, D), weights (B, L) -> (B, 31) weighted mean cosine of pictures with sound s pictures
  later, s from -15 to 15, over the moments that have all offsets."""
  length = visual.shape[1]
  inner = slice(SHIFTS, length - SHIFTS)
  weight = weight[:, inner] / weight[:, inner].sum(-1, keepdims=True)
  cosines = [
    (visual[:, inner] * audio[:, SHIFTS + s : length - SHIFTS + s]).sum(-1) for s in range(-SHIFTS, SHIFTS + 1)
  ]
  return jnp.stack([(c * weight).sum(-1) for c in cosines], axis=-1)


@dataclass(frozen=True)
class Timing:
  """Judgement of a film's sound.

  agreement: log-probability of the zero offset among all offsets, 40 ms to 0.6 s both ways.
  offset: seconds by which the sound is late (positive) or early, at the highest cosine.
  cosine: mean cosine at offset zero; best: at the best offset.
  """

  agreement: float
  offset: float
  cosine: float
  best: float


@dataclass(frozen=True)
class LipSyncJudge:
  """Lip-sync judge. `digest`: sha256 of its weights, to be reported with its figures."""

  params: dict
  digest: str = ''

  def listen(self, mouths: np.ndarray, wave: np.ndarray, sample_rate: int) -> Timing:
    """mouths (L, 64, 64) of `cut_out`, wave (S,) float32 mono from the first picture on. Raises BadInput for films of
    less than 1.6 s."""
    return timing_of_curve(self.curve(mouths, wave, sample_rate), float(np.exp(self.params['sharpness'])))

  def curve(self, mouths: np.ndarray, wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """The same -> offset curves (4, 31): mean cosines, row i, column j of sound later by (j - 15) / 25 + i / 100 s."""
    length = min(len(mouths), LENGTHS[-1])
    if length < 2 * SHIFTS + 10:
      raise BadInput(f'{length / LIP_RATE:.2f} s of pictures are too short to judge lip sync: give 1.6 s or more')
    features = leveled(log_mels(wave, sample_rate, length + 1))
    fixed = next(n for n in LENGTHS if n >= length)
    pictures = np.zeros((1, fixed, SEEN, SEEN), np.float32)
    pictures[0, :length] = middle(mouths[:length])
    sounds = np.zeros((FINE, FINE * fixed, BANDS), np.float32)
    for fine in range(FINE):
      sounds[fine, : FINE * length] = features[fine : fine + FINE * length]
    visual, audio, weight, _ = _apply()(self.params, pictures, sounds)  # one film beside four sounds
    return np.asarray(shifted(visual[:, :length], audio[:, :length], weight[:, :length]))


def timing_of_curve(curve: np.ndarray, sharpness: float) -> Timing:
  whole = curve[0] * sharpness
  whole = whole - whole.max()
  fine = curve.T.ravel()  # by rising shift, 10 ms apart
  best = int(np.argmax(fine))
  agreement = float(whole[SHIFTS] - np.log(np.exp(whole).sum()))
  return Timing(agreement, best / (FINE * LIP_RATE) - SHIFTS / LIP_RATE, float(curve[0, SHIFTS]), float(fine[best]))


@functools.cache
def _apply():
  return jax.jit(lambda params, mouths, sound: LipSync().apply({'params': params}, mouths, sound))


def cut_out(frames: np.ndarray) -> np.ndarray:
  """Mouth crops: frames (L, H, W, 3) uint8 RGB at 25 a second -> (L, 64, 64) uint8 gray, of the largest face at its
  median place. Raises BadInput where no face is detected."""
  from dubber_jax.perception.extractors import import_or_explain, package_file

  cv2 = import_or_explain('cv2', 'judging lip sync')
  finder = cv2.CascadeClassifier(package_file('cv2', 'data/haarcascade_frontalface_default.xml', 'judging lip sync'))
  boxes = []
  for frame in frames[:: max(1, len(frames) // 8)]:
    gray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    least = min(gray.shape) // 5
    found = finder.detectMultiScale(gray, 1.1, 4, minSize=(least, least))
    boxes += [max(found, key=lambda box: box[2])] if len(found) else []
  if not boxes:
    raise BadInput('no face was detected: lip sync cannot be judged')
  x, y, side, _ = np.median(np.array(boxes, float), axis=0)
  scale = STORED / (SHARE * side)
  center = np.array([x + PLACE[0] * side, y + PLACE[1] * side])
  place = np.column_stack([np.eye(2) * scale, STORED / 2 - scale * center])
  pictures = [
    cv2.warpAffine(f, place, (STORED, STORED), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE) for f in frames
  ]
  return np.stack([cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in pictures])


def middle(mouths: np.ndarray) -> np.ndarray:
  """Mouth crops (L, 64, 64) uint8 -> network input (L, 48, 48)."""
  edge = (STORED - SEEN) // 2
  return relative(mouths[:, edge:-edge, edge:-edge].astype(np.float32))


def relative(mouths: np.ndarray) -> np.ndarray:
  """(L, ...) float32, with the mean over time subtracted, divided by the standard deviation."""
  apart = mouths - mouths.mean(0)
  return apart / (apart.std() + 1.0)


def log_mels(wave: np.ndarray, sample_rate: int, pictures: int) -> np.ndarray:
  """(S,) float32 mono -> log10 mels (4 * pictures, 40), every 10 ms from the first picture, padded with silence. Raises
  BadInput for silence."""
  import librosa

  wave = np.asarray(wave, np.float32)
  if not np.isfinite(wave).all() or not np.any(wave):
    raise BadInput('the sound is silent: lip sync cannot be judged')
  if sample_rate != SOUND_RATE:
    wave = librosa.resample(wave, orig_sr=sample_rate, target_sr=SOUND_RATE, res_type='soxr_hq')
  count, step = FINE * pictures, SOUND_RATE // (FINE * LIP_RATE)
  wave = np.pad(wave, (0, max(0, count * step + WINDOW - len(wave))))
  power = librosa.feature.melspectrogram(
    y=wave, sr=SOUND_RATE, n_fft=512, win_length=WINDOW, hop_length=step, n_mels=BANDS, fmin=60, fmax=7600
  )
  return np.log10(power.T[:count] + 1e-10)


def leveled(mel: np.ndarray) -> np.ndarray:
  """(T, 40) log10 mels -> floored 6 below the maximum, with each band's mean subtracted, which removes the level and
  most of microphone and voice."""
  mel = np.maximum(mel, mel.max() - 6.0)
  return (mel - mel.mean(0)).astype(np.float32)


@functools.lru_cache(maxsize=2)
def load_judge(path: str | Path | None = None) -> LipSyncJudge:
  """The shipped judge, or another folder's. Raises BadInput where a file is missing or was changed."""
  from dubber_jax.storage.checked_folder import check_files
  from dubber_jax.storage.weights import read_arrays

  path = Path(path) if path else SHIPPED
  manifest = check_files(path, kind='a lip-sync judge', made_by='experiments/recipes/lip_sync_judge.py')
  params = unflatten_dict(read_arrays(path / 'weights.safetensors', np.float32), sep='.')
  return LipSyncJudge(params, manifest['weights.safetensors'])
