"""The batch that goes into DirectorActor: its names and shapes, in one place."""

import dataclasses

import numpy as np

from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.script.symbols import LANGUAGES, SYMBOLS
from dubber_jax.types import EMOTIONS, HOP, LIP_RATE, MODALITIES, SAMPLE_RATE

PHONEME_STEP, FRAME_STEP = 64, 256
REFERENCE = 256  # mel frames of a reference


@dataclasses.dataclass(frozen=True)
class Shape:
  """Padded lengths of a batch."""

  items: int
  frames: int  # T, mel frames
  phonemes: int  # N
  lips: int  # L, at 25 a second
  reference: int  # R, mel frames


def lip_frames(frames: int) -> int:
  """How many lip frames go with so many mel frames, one to spare."""
  return int(np.ceil(frames * HOP / SAMPLE_RATE * LIP_RATE)) + 1


def padded_shape(frames: float, phonemes: int) -> Shape:
  """Of one line, its lengths padded to multiples, so that few shapes are compiled."""
  frames = int(-(-frames // FRAME_STEP) * FRAME_STEP)
  return Shape(1, frames, -(-phonemes // PHONEME_STEP) * PHONEME_STEP, lip_frames(frames), REFERENCE)


def empty_batch(config: Config, shape: Shape) -> dict[str, np.ndarray]:
  """Nothing present and all padding, to lay items in."""
  f, k, b = config.features, config.director.exemplars, shape.items
  widths = dict(zip(MODALITIES, (f.scene_width, f.face_width, f.text_width), strict=True))
  single = np.float32
  return {
    'phonemes': np.zeros((b, shape.phonemes), np.int32),
    'durations': np.zeros((b, shape.phonemes), np.int32),
    'mel': np.full((b, shape.frames, config.mel_bands), LOG_FLOOR, single),
    'pitch': np.zeros((b, shape.frames), single),
    'lips': np.zeros((b, shape.lips, f.lip_width), single),
    'lip_mask': np.zeros((b, shape.lips), bool),
    'speaker': np.zeros((b, f.speaker_width), single),
    'reference': np.zeros((b, shape.reference, config.mel_bands), single),
    'reference_mask': np.zeros((b, shape.reference), bool),
    'reference_plain': np.zeros((b,), bool),
    'present': np.zeros((b, 3), bool),
    'refs_present': np.zeros((b, 3, k), bool),
    'sounds': np.zeros((b, 3, k, f.sound_width), single),
    'sounds_present': np.zeros((b, 3, k), bool),
    'emotion': np.zeros((b,), np.int32),
    'emotion_known': np.zeros((b,), bool),
    'pace': np.ones((b,), single),
    'edited': np.zeros((b,), bool),
    'domain': np.zeros((b,), np.int32),
    **({'language': np.zeros((b,), np.int32)} if config.actor.languages else {}),
    **({'directed': np.zeros((b, len(EMOTIONS)), single)} if config.actor.directed else {}),
    **({'noise': np.zeros((b, shape.frames, config.actor.noise_width), single)} if config.actor.noise_width else {}),
    **{m: np.zeros((b, w), single) for m, w in widths.items()},
    **{f'{m}_refs': np.zeros((b, k, w), single) for m, w in widths.items()},
  }


def empty_line(config: Config, shape: Shape) -> dict[str, np.ndarray]:
  """The part of a batch that a take is performed from: no targets of training."""
  targets = ('mel', 'pitch', 'emotion', 'emotion_known', 'durations', 'reference_plain', 'pace', 'edited', 'domain')
  return {k: v for k, v in empty_batch(config, shape).items() if k not in targets}


def fill_text(batch, row: int, config: Config, ids: np.ndarray, language: str = 'en'):
  """Writes what is said: ids (<= N,) of script/symbols.py, and the language, where the model takes it.

  Raises BadInput for symbols that the model does not have, and for another language than LANGUAGES.
  """
  beyond = ids[ids >= config.actor.symbols]
  if len(beyond):
    raise BadInput(
      f'this model has no {SYMBOLS[beyond[0]]!r}: it speaks English only; take a line in English, or a '
      'model that learned Mandarin'
    )
  if language not in LANGUAGES:
    raise BadInput(f'unknown language {language!r}: {" and ".join(LANGUAGES)} are the ones there are')
  batch['phonemes'][row, : len(ids)] = ids
  if 'language' in batch:
    batch['language'][row] = LANGUAGES.index(language)


def fill_voice(batch, row: int, embedding: np.ndarray, mel: np.ndarray):
  """Writes whose voice it is: speaker embedding (256,) and reference mel (<= R, 80)."""
  batch['speaker'][row] = embedding
  mel = mel[: batch['reference'].shape[1]]
  batch['reference'][row, : len(mel)] = mel
  batch['reference_mask'][row, : len(mel)] = True


def fill_direction(batch, row: int, emotion, intensity: float):
  """Writes the emotion (8,) that a direction names, by its intensity, where the model takes it."""
  if 'directed' in batch:
    batch['directed'][row] = np.asarray(emotion, np.float32) * intensity


def fill_noise(batch, row: int, frames: int, rng: np.random.Generator):
  """Draws a take's noise, where the model takes any; the first frames do not depend on how many there are."""
  if 'noise' in batch:
    batch['noise'][row, :frames] = rng.standard_normal((frames, batch['noise'].shape[2]), np.float32)


def fill_lips(batch, row: int, lips: np.ndarray, present: np.ndarray):
  """Writes the mouth: lips (<= L, 82), present (<= L,)."""
  count = min(len(lips), batch['lips'].shape[1])
  batch['lips'][row, :count] = lips[:count]
  batch['lip_mask'][row, :count] = present[:count]
