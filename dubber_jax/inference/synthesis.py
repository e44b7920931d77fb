"""From a line, a voice and directions to takes: durations, mel and waveform, in one batch."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from dubber_jax.actor.duration import FASTEST, FRAME_RATE, NATURAL, SLOWEST, STRICT, UNHURRIED, fit_to_slot
from dubber_jax.actor.timing import time_by_lips
from dubber_jax.inference.batch import empty_line, fill_direction, fill_lips, fill_noise, fill_text, fill_voice
from dubber_jax.inference.model import Model
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.perception.visual_vad import RATE, VisualSpeech, silent_gaps, speech_window, visual_vad
from dubber_jax.script.g2p import SILENCES, Phonemes, encode
from dubber_jax.script.symbols import VOWELS
from dubber_jax.types import MODALITIES, SAMPLE_RATE, Direction, Exemplars, MouthTrack, Reading, Take, Voice

FADE = 0.1  # s; begins twice as long before speech, or ends as long after it


LONGEST_TAIL = 0.5  # s of silence after the line that the actor plays; the rest is added


def insert_pauses(phonemes: Phonemes, pauses) -> tuple[tuple[str, ...], np.ndarray, dict[int, float]]:
  """Symbols and word numbers with '@sp' after each word that a pause follows, and {index of symbol: seconds}."""
  symbols, word_of, asked = list(phonemes.symbols), list(phonemes.word_of), {}
  for word, seconds in sorted(pauses, reverse=True):
    places = [i for i, w in enumerate(word_of) if w == word]
    if not places:
      continue
    at = places[-1] + 1
    if symbols[at] not in SILENCES:
      symbols.insert(at, '@sp')
      word_of.insert(at, -1)
      asked = {i + 1 if i >= at else i: s for i, s in asked.items()}
    asked[at] = seconds
  return tuple(symbols), np.array(word_of), asked


@dataclass(frozen=True)
class LineInputs:
  """What an actor is given of a line, the same for all its takes.

  slot_seconds: takes last as long, to the nearest mel frame; None: as long as the line needs. fit: whether they keep to
  it (STRICT), or run on into the `room_seconds` of silence after it rather than hurry (NATURAL); see actor/duration.py.
  """

  phonemes: Phonemes
  voice: Voice
  slot_seconds: float | None = None
  reading: Reading | None = None
  exemplars: Exemplars | None = None
  track: MouthTrack | None = None
  fit: str = STRICT
  room_seconds: float = 0.0

  @functools.cached_property
  def seen(self) -> VisualSpeech | None:
    """When the mouth speaks, and which visemes it shows; the same for all takes."""
    return visual_vad(self.track)

  @functools.cached_property
  def window(self) -> tuple[float, float] | None:
    """(start s, end s) of what the mouth says."""
    return speech_window(self.seen)


def synthesize(
  model: Model,
  phonemes: Phonemes,
  voice: Voice,
  slot_seconds: float | None,
  direction: Direction | None = None,
  reading: Reading | None = None,
  exemplars: Exemplars | None = None,
  track: MouthTrack | None = None,
  seed: int = 0,
) -> Take:
  """One take of a line, as a mel; see `vocode` for its sound.

  slot_seconds: the take lasts as long, to the nearest mel frame; None: as long as the line needs. seed: takes of
  different seeds differ a little. Raises BadInput where the line cannot be spoken in its slot.
  """
  part = LineInputs(phonemes, voice, slot_seconds, reading, exemplars, track)
  return synthesize_all(model, part, [direction or Direction()], [seed])[0]


def synthesize_all(
  model: Model, part: LineInputs, directions: Sequence[Direction], seeds: Sequence[int], alone: Sequence[bool] = ()
) -> list[Take]:
  """A take by each direction and seed, all in one batch; otherwise as `synthesize`, whose take each is. alone: which
  are played from the direction alone, by an actor who is not shown what was read and recalled."""
  alone = alone or [False] * len(directions)
  if part.voice.fit:
    model = model.speaking_as(part.voice)
  texts = [insert_pauses(part.phonemes, d.pauses) for d in directions]
  ids = [encode(symbols) for symbols, _, _ in texts]
  lips = part.track if part.track is not None and part.track.usable else None

  def lay(frames: int, mouth=None):
    shape = dataclasses.replace(model.shape(frames, max(map(len, ids))), items=len(ids))
    batch = empty_line(model.config, shape)
    for row, direction in enumerate(directions):
      _fill_line(model, batch, row, part, ids[row], direction, mouth, alone[row])
    return batch, shape.frames

  slot = round(part.slot_seconds * FRAME_RATE) if part.slot_seconds is not None else None
  # Lips are read over the whole slot; without a slot there are none.
  read = np.expm1(np.array(model.predict_durations(lay(slot or 1, lips)[0])))
  speech = None if part.window is None else tuple(round(time * FRAME_RATE) for time in part.window)
  room = 0
  if slot is not None:  # in whole frames that end within it
    room = max(int((part.slot_seconds + part.room_seconds) * FRAME_RATE + 1e-6) - slot, 0)
  timed = [
    _durations(frames[: len(i)], text, direction, slot, speech, part.fit, room, part.seen)
    for frames, i, text, direction in zip(read, ids, texts, directions, strict=True)
  ]
  ids = [encode(symbols) for symbols, _, _ in timed]  # with pauses where the mouth makes some
  # Silence after the line, beyond some, is not played but added.
  tails = [max(int(durations[-1]) - round(LONGEST_TAIL * FRAME_RATE), 0) for _, durations, _ in timed]
  lengths = [int(durations.sum()) - tail for (_, durations, _), tail in zip(timed, tails, strict=True)]

  # The mouth says when something is said, and not how: it was learned from one man who feels nothing.
  batch, played = lay(max(lengths))
  padded = np.zeros((len(ids), batch['phonemes'].shape[1]), np.int32)
  controls = np.zeros((len(ids), 3), np.float32)
  for row, direction in enumerate(directions):
    durations = timed[row][1].copy()
    durations[-1] -= tails[row]
    padded[row, : len(durations)] = durations
    fill_noise(batch, row, lengths[row], np.random.default_rng(seeds[row]))
    loud = direction.loudness / 8.686  # dB to nepers; half of it in how the voice is used, all of it in the level
    controls[row] = direction.pitch_shift, direction.pitch_range, 0.5 * loud
  mels, hertz, emotion = jax.device_get(model.synthesize(batch, padded, controls, played))
  takes = []
  for row, ((symbols, durations, warnings), length, tail) in enumerate(zip(timed, lengths, tails, strict=True)):
    mel = np.concatenate([mels[row, :length], np.full((tail, mels.shape[-1]), LOG_FLOOR, np.float32)])
    pitch = np.pad(hertz[row, :length], (0, tail))
    takes.append(Take(mel, symbols, durations, pitch, emotion[row], warnings=tuple(warnings)))
  return takes


def _fill_line(model, batch, row, part, ids, direction, lips, alone):
  fill_text(batch, row, model.config, ids, part.phonemes.language)
  fill_voice(batch, row, part.voice.embedding, part.voice.reference_mel)
  if lips is not None:
    fill_lips(batch, row, lips.lips, lips.present)
  if part.reading is None or not model.config.director.enabled:
    return
  fill_direction(batch, row, direction.emotion, direction.intensity)
  if alone:
    return
  batch['present'][row] = part.reading.present
  for m in MODALITIES:
    batch[m][row] = part.reading.embedding(m)
  if part.exemplars is not None:
    for m in MODALITIES:
      batch[f'{m}_refs'][row] = part.exemplars.refs[m]
    for name in ('sounds', 'refs_present', 'sounds_present'):
      batch[name][row] = getattr(part.exemplars, name)


def _durations(frames, text, direction, slot, speech, fit, room, seen):
  """Symbols, their (N,) mel frames that add up to the slot (None: to what they need), and warnings; from what was
  predicted, and from the mouth where it is seen to speak. By a natural fit they may run on, by `room` frames."""
  symbols, word_of, asked = text
  frames = frames.copy()
  frames[0] = frames[-1] = 0.0
  for index, seconds in asked.items():
    frames[index] = seconds * FRAME_RATE * direction.pace
  if direction.emphasis:
    weight = np.array([direction.emphasis[w] if 0 <= w < len(direction.emphasis) else 0.0 for w in word_of])
    frames *= 1.0 + 0.2 * weight
  if slot is None:
    slot = int(np.ceil(frames.sum() / np.clip(direction.pace, SLOWEST, UNHURRIED) + 0.25 * FRAME_RATE))
  silent = np.array([s in SILENCES for s in symbols])
  vowels = np.array([s[-1].isdigit() or s.strip('@') in VOWELS for s in symbols])  # with a stress or a tone, or bare
  durations, rate, warnings = fit_to_slot(frames, silent, slot, direction.pace, speech, fit, room, vowels)
  if speech is not None and rate <= UNHURRIED + 1e-9:  # else there is no time left to follow the lips with
    gaps = sum(end - start for start, end in silent_gaps(seen.speaking))
    followed = time_by_lips(symbols, word_of, durations, frames, seen.scores, RATE, FRAME_RATE, gaps)
    spoken = sum(int(d) for s, d in zip(*followed, strict=True) if s not in SILENCES)
    fastest = UNHURRIED if fit == NATURAL else FASTEST
    if frames[~silent].sum() <= fastest * (spoken + 1):  # to the rounding
      symbols, durations = followed
  return symbols, durations, warnings


def vocode(model: Model, take: Take, seed: int = 0, direction: Direction | None = None) -> Take:
  """The take with its waveform, (T * 256,) at 22,050 Hz, faded to silence a little outside what is spoken, so that
  the room of the training recordings is not heard to be switched on and off. direction: whose breathiness and tremor
  the voice has."""
  direction = direction or Direction()
  wave = np.asarray(model.vocoder.vocode(take.mel, seed, direction.breathiness, direction.tremor), np.float32)
  start, end = speech_span(take)
  time = np.arange(len(wave)) / SAMPLE_RATE
  level = np.minimum((time - start) / FADE + 2, (end - time) / FADE + 2).clip(0, 1)
  return dataclasses.replace(take, waveform=(wave * np.sin(level * np.pi / 2) ** 2).astype(np.float32))


def speech_span(take: Take) -> tuple[float, float]:
  """(start s, end s) of what is spoken."""
  ends = np.cumsum(take.durations)
  spoken = [i for i, s in enumerate(take.phonemes) if s not in SILENCES and take.durations[i] > 0]
  if not spoken:
    return 0.0, 0.0
  return float((ends[spoken[0]] - take.durations[spoken[0]]) / FRAME_RATE), float(ends[spoken[-1]] / FRAME_RATE)
