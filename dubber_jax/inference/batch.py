"""Padded batches of DirectorActor and of Critic: names, shapes and padding values, in one place.

Log mels, references included, are padded with LOG_FLOOR, other arrays with 0. Masked positions do not influence the
actor's output, so the padding value does not either.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.script.symbols import LANGUAGES, SYMBOLS
from dubber_jax.types import EMOTIONS, HOP, LIP_RATE, MEL_BANDS, MODALITIES, SAMPLE_RATE

PHONEME_STEP, FRAME_STEP = 64, 256  # lengths are padded to multiples of these, to compile few shapes
REFERENCE = 256  # mel frames of a reference
LIP_WIDTH = 82  # of the critic's lips: 40 landmarks x, y; opening; width
TARGETS = ('mel', 'pitch', 'emotion', 'emotion_known', 'durations', 'reference_plain', 'pace', 'edited', 'domain')


@dataclasses.dataclass(frozen=True)
class Shape:
  """Padded lengths of a batch."""

  items: int
  frames: int  # T, mel frames
  phonemes: int  # N
  lips: int  # L, at 25 a second
  reference: int  # R, mel frames


def lip_frames(frames: int) -> int:
  """The number of lip frames for a number of mel frames, and one more."""
  return int(np.ceil(frames * HOP / SAMPLE_RATE * LIP_RATE)) + 1


def padded_shape(frames: float, phonemes: int) -> Shape:
  """The shape of a batch of one line, its lengths padded to multiples of FRAME_STEP and PHONEME_STEP."""
  frames = int(-(-frames // FRAME_STEP) * FRAME_STEP)
  return Shape(1, frames, -(-phonemes // PHONEME_STEP) * PHONEME_STEP, lip_frames(frames), REFERENCE)


def empty_batch(config: Config, shape: Shape) -> dict[str, np.ndarray]:
  """A batch of padding for DirectorActor, training targets included, every mask false."""
  f, actor, k, b = config.task.features, config.task.actor, config.task.director.exemplars, shape.items
  widths = dict(zip(MODALITIES, (f.scene_width, f.face_width, f.text_width), strict=True))
  single = np.float32
  return {
    'phonemes': np.zeros((b, shape.phonemes), np.int32),
    'durations': np.zeros((b, shape.phonemes), np.int32),
    'mel': np.full((b, shape.frames, config.task.mel_bands), LOG_FLOOR, single),
    'pitch': np.zeros((b, shape.frames), single),
    'lips': np.zeros((b, shape.lips, f.lip_width), single),
    'lip_mask': np.zeros((b, shape.lips), bool),
    'speaker': np.zeros((b, f.speaker_width), single),
    'reference': np.full((b, shape.reference, config.task.mel_bands), LOG_FLOOR, single),
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
    **({'language': np.zeros((b,), np.int32)} if actor.languages else {}),
    **({'directed': np.zeros((b, len(EMOTIONS)), single)} if actor.directed else {}),
    **({'noise': np.zeros((b, shape.frames, actor.noise_width), single)} if actor.noise_width else {}),
    **{m: np.zeros((b, w), single) for m, w in widths.items()},
    **{f'{m}_refs': np.zeros((b, k, w), single) for m, w in widths.items()},
  }


def empty_line(config: Config, shape: Shape) -> dict[str, np.ndarray]:
  """The arrays of `empty_batch` that a take is synthesized from: no training targets."""
  return {k: v for k, v in empty_batch(config, shape).items() if k not in TARGETS}


def empty_critic_batch(items: int, frames: int, phonemes: int, lips: int) -> dict[str, np.ndarray]:
  """A batch of padding for Critic, of so many mel frames (even), phonemes and lip frames, every mask false."""
  single = np.float32
  return {
    'mel': np.full((items, frames, MEL_BANDS), LOG_FLOOR, single),
    'phonemes': np.zeros((items, phonemes), np.int32),
    'durations': np.zeros((items, phonemes), np.int32),
    'reference': np.full((items, REFERENCE, MEL_BANDS), LOG_FLOOR, single),
    'reference_mask': np.zeros((items, REFERENCE), bool),
    'lips': np.zeros((items, lips, LIP_WIDTH), single),
    'lip_mask': np.zeros((items, lips), bool),
  }


def fill_text(batch: dict[str, np.ndarray], row: int, config: Config, ids: np.ndarray, language: str = 'en'):
  """Writes the line: ids (<= N,) of script/symbols.py, and the language, where the model takes it.

  Raises BadInput for symbols that the model does not have, and for another language than LANGUAGES.
  """
  beyond = ids[ids >= config.task.actor.symbols]
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


def fill_voice(batch: dict[str, np.ndarray], row: int, embedding: np.ndarray, mel: np.ndarray):
  """Writes the voice: speaker embedding (256,) and reference mel (frames, 80), of which the first R are taken."""
  batch['speaker'][row] = embedding
  fill_reference(batch, row, mel)


def fill_reference(batch: dict[str, np.ndarray], row: int, mel: np.ndarray):
  """Writes a reference mel (frames, 80), of which the first R are taken, and its mask; the rest stays LOG_FLOOR."""
  mel = mel[: batch['reference'].shape[1]]
  batch['reference'][row, : len(mel)] = mel
  batch['reference_mask'][row, : len(mel)] = True


def fill_direction(batch: dict[str, np.ndarray], row: int, emotion: Sequence[float] | np.ndarray, intensity: float):
  """Writes the emotion (8,) of a direction, times its intensity, where the model takes it."""
  if 'directed' in batch:
    batch['directed'][row] = np.asarray(emotion, np.float32) * intensity


def fill_noise(batch: dict[str, np.ndarray], row: int, frames: int, rng: np.random.Generator):
  """Draws a take's noise, where the model takes any; the first frames do not depend on how many there are."""
  if 'noise' in batch:
    batch['noise'][row, :frames] = rng.standard_normal((frames, batch['noise'].shape[2]), np.float32)


def fill_lips(batch: dict[str, np.ndarray], row: int, lips: np.ndarray, present: np.ndarray):
  """Writes lips (frames, 82) and their mask (frames,), of which the first L are taken."""
  count = min(len(lips), batch['lips'].shape[1])
  batch['lips'][row, :count] = lips[:count]
  batch['lip_mask'][row, :count] = present[:count]
